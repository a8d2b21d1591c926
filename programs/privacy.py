"""Where protected health information may not go."""

from __future__ import annotations

from corpora import Corpus
from programs.errors import RunError


def check_privacy(corpus: Corpus, what: str, host: str | None, allow_remote: bool) -> None:
    """Refuse to send protected health information to another machine.

    Args:
        corpus: Says whether it may hold such information.
        what: What would be sent to, as the user chose it.
        host: Where that is, or None if it is this machine.
        allow_remote: The user's leave.

    Raises:
        RunError: The corpus may hold it, the host is elsewhere, and the user has not allowed it.
    """
    check_texts(f"corpus {corpus.name}", "corpus.phi", corpus.phi, what=what, host=host, allow_remote=allow_remote)


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
