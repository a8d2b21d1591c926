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
    if corpus.phi and host is not None and not allow_remote:
        raise RunError(
            f"corpus {corpus.name} may hold protected health information (corpus.phi=true) and {what} is at {host}: nothing "
            "was sent. Use one on this machine, set corpus.phi=false if the texts are public, or allow it with allow_remote=true"
        )
