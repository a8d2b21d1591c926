"""Privacy checks: where protected health information may be sent, and what error messages may contain.

Everything that sends text asks here first: `docs/privacy.md` lists what was tried to get around it, and the tests that hold it.
"""

from __future__ import annotations

import re
import sys
import threading
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from clinspan.corpora import InputError
from clinspan.lms.remote.hosts import ask_directly, check_address, hosts_outside, unencrypted_host
from clinspan.programs.rundir.errors import RunError

_SECRET = re.compile(
    r"://[^/\s]*@"  # user and password of an address
    r"|[?&](api[-_]?key|key|token|sig|code)="  # a key in its query
    r"|\bsk-(?=\S*\d)[A-Za-z0-9_-]{20,}"  # as OpenAI's keys begin
)


@dataclass(frozen=True, slots=True)
class ProtectedText:
    """Something whose text is sent, or can be repeated by what is sent.

    Attributes:
        whose: What it is, for messages.
        key: The setting or record that says whether it may hold protected health information.
        phi: Whether it may.
    """

    whose: str
    key: str
    phi: bool


@dataclass(frozen=True, slots=True)
class Permission:
    """What the user allows.

    Attributes:
        remote: Protected health information may leave this machine (`allow_remote`).
        http: Texts may go to another machine unencrypted (`allow_http`).
    """

    remote: bool = False
    http: bool = False

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Permission:
        """What a config allows."""
        return cls(bool(config.get("allow_remote", False)), bool(config.get("allow_http", False)))


def check_destinations(texts: Iterable[ProtectedText], *, what: str, addresses: Iterable[str], leave: Permission) -> None:
    """Refuse to send texts where they may not go.

    Args:
        texts: Everything that is sent, or that can be repeated by what is sent.
        what: What they would be sent to, as the user chose it.
        addresses: Where that is.
        leave: What the user allows.

    Raises:
        RunError: Some text may hold protected health information, an address is another machine's, and the user has not
            allowed it; or the way to another machine is not encrypted.
    """
    places = list(addresses)
    hosts = hosts_outside(places)
    for text in texts:
        check_texts(text.whose, text.key, text.phi, what=what, host=hosts, allow_remote=leave.remote)
    open_hosts = list(filter(None, map(unencrypted_host, places)))
    if open_hosts and not leave.http:
        raise RunError(
            f"{what} is at {', '.join(dict.fromkeys(open_hosts))} by plain http, where others can read texts and keys on the way: "
            "nothing was sent. Use https://, or allow it with allow_http=true"
        )


def check_texts(whose: str, key: str, phi: bool, *, what: str, host: str | None, allow_remote: bool) -> None:
    """Refuse to send texts that may hold protected health information to another machine.

    Args:
        whose: What the texts are, for the message.
        key: The setting that says whether they may hold such information.
        phi: Its value.
        what: What they would be sent to, as the user chose it.
        host: Where that is, or None if it is this machine.
        allow_remote: The user's leave.

    Raises:
        RunError: They may hold it, the host is elsewhere, and the user has not allowed it.
    """
    if phi and host is not None and not allow_remote:
        raise RunError(
            f"{whose} may hold protected health information ({key}=true) and {what} is at {host}: nothing "
            f"was sent. Use one on this machine, set {key}=false if the texts are public, or allow it with allow_remote=true"
        )


def check_chroma(texts: Iterable[ProtectedText], *, url: str | None, leave: Permission) -> None:
    """Refuse to search for such texts on a Chroma server elsewhere: it is given their vectors, which say what they say.

    Args:
        url: Of the server; None: the index is a folder of this machine.
        texts, leave: As of `check_destinations`.

    Raises:
        ModelError: The address is none.
        RunError: As `check_destinations`.
    """
    if url is None:
        return
    check_address(url, "retriever.url")
    check_destinations(texts, what="the Chroma server of retriever.url", addresses=[url], leave=leave)
    ask_directly(url)


def refuse_secret(override: str) -> None:
    """Refuse an override on the command line that holds a password or a key: a run records what it was told.

    Raises:
        InputError: Names the setting and does not repeat its value.
    """
    if _SECRET.search(override):
        remedy = "Keys come from the environment, addresses are given without user and password."
        raise InputError(f"{override.partition('=')[0]} holds a password or a key, which would be recorded", remedy=remedy)


def end_wordless() -> None:
    """Have errors that nobody expected reported by their kinds and places: their words can quote what was read or said."""
    sys.excepthook = _report
    threading.excepthook = lambda args: _report(args.exc_type, args.exc_value, args.exc_traceback)


def _report(kind: type[BaseException], error: BaseException | None, where: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    print(wordless(error) if error is not None else kind.__name__, file=sys.stderr)


def wordless(error: BaseException) -> str:
    """A traceback without any error's words, the first cause first.

    >>> wordless(ValueError("He has Fever"))
    'clinspan: stopped by ValueError; its words are left out, as they can quote texts'
    """
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    lines = []
    for one in reversed(chain):
        for frame in traceback.extract_tb(one.__traceback__):
            lines.append(f"  {frame.filename}, line {frame.lineno}, in {frame.name}")
        lines.append(f"clinspan: stopped by {type(one).__name__}; its words are left out, as they can quote texts")
    return "\n".join(lines)
