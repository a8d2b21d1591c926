"""Privacy checks: where protected health information may be sent, and what error messages may contain.

All code that sends texts calls these checks first. `docs/privacy.md` lists the attempts to bypass them, with their tests.
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
    r"|\bsk-(?=\S*\d)[A-Za-z0-9_-]{20,}"  # the start of OpenAI's keys
)


@dataclass(frozen=True, slots=True)
class ProtectedText:
    """A source of text that is sent, or that what is sent can repeat.

    Attributes:
        whose: The source, for messages.
        key: The setting or record that says whether the source may hold protected health information.
        phi: Whether the source may hold it.
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
        """The permissions in a config."""
        return cls(bool(config.get("allow_remote", False)), bool(config.get("allow_http", False)))


def check_destinations(texts: Iterable[ProtectedText], *, what: str, addresses: Iterable[str], leave: Permission) -> None:
    """Refuse to send texts where they may not go.

    Args:
        texts: All sources of text that is sent, or that what is sent can repeat.
        what: The destination, as the user chose it.
        addresses: The addresses of the destination.
        leave: What the user allows.

    Raises:
        RunError: A text may hold protected health information, an address is on another machine, and the user has not allowed
            it. Or the connection to another machine is not encrypted, and the user has not allowed that.
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
        what: The destination, as the user chose it.
        host: The host of the destination; None if it is this machine.
        allow_remote: Whether the user allows it.

    Raises:
        RunError: The texts may hold it, the host is another machine, and the user has not allowed it.
    """
    if phi and host is not None and not allow_remote:
        raise RunError(
            f"{whose} may hold protected health information ({key}=true) and {what} is at {host}: nothing "
            f"was sent. Use one on this machine, set {key}=false if the texts are public, or allow it with allow_remote=true"
        )


def check_chroma(texts: Iterable[ProtectedText], *, url: str | None, leave: Permission) -> None:
    """Refuse to search for protected texts on a remote Chroma server: it receives their vectors, which reveal their content.

    Args:
        url: The address of the server; None: the index is a folder on this machine.
        texts, leave: See `check_destinations`.

    Raises:
        ModelError: The address is not valid.
        RunError: See `check_destinations`.
    """
    if url is None:
        return
    check_address(url, "retriever.url")
    check_destinations(texts, what="the Chroma server of retriever.url", addresses=[url], leave=leave)
    ask_directly(url)


def refuse_secret(override: str) -> None:
    """Refuse an override on the command line that holds a password or a key: a run records its overrides.

    Raises:
        InputError: It holds one; the message names the setting but not its value.
    """
    if _SECRET.search(override):
        remedy = "Keys come from the environment, addresses are given without user and password."
        raise InputError(f"{override.partition('=')[0]} holds a password or a key, which would be recorded", remedy=remedy)


def end_wordless() -> None:
    """Report uncaught errors by their classes and places only: their messages can quote texts and answers."""
    sys.excepthook = _report
    threading.excepthook = lambda args: _report(args.exc_type, args.exc_value, args.exc_traceback)


def _report(kind: type[BaseException], error: BaseException | None, where: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    print(wordless(error) if error is not None else kind.__name__, file=sys.stderr)


def wordless(error: BaseException) -> str:
    """A traceback without the messages of the errors, the first cause first.

    >>> wordless(ValueError("He has Fever"))
    'clinspan: stopped by ValueError; its message is left out, as it can quote texts'
    """
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    lines = []
    for cause in reversed(chain):
        for frame in traceback.extract_tb(cause.__traceback__):
            lines.append(f"  {frame.filename}, line {frame.lineno}, in {frame.name}")
        lines.append(f"clinspan: stopped by {type(cause).__name__}; its message is left out, as it can quote texts")
    return "\n".join(lines)
