"""Output to a pipe whose reader has ended, as in `clinspan runs | head -1`. Hydra is not imported."""

from __future__ import annotations

import logging
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_ENDED = 128 + 13  # SIGPIPE, which Windows does not have


@contextmanager
def quiet_pipe() -> Iterator[None]:
    """End the process without a message if the enclosed block prints to a pipe that nobody reads any more.

    Raises:
        SystemExit: See `leave_closed_pipe`.
    """
    logging.raiseExceptions = False  # otherwise a handler prints the error and continues
    try:
        try:
            yield
        finally:
            sys.stdout.flush()  # otherwise the interpreter does so after all handlers
    except BrokenPipeError:
        leave_closed_pipe()
        raise


def leave_closed_pipe() -> None:
    """End the process if nobody reads its output any more.

    Raises:
        SystemExit: Nobody does; the code is that of a process which SIGPIPE has ended.
    """
    if closed := [stream.fileno() for stream in (sys.stdout, sys.stderr) if is_closed(stream)]:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for number in closed:
            os.dup2(nowhere, number)  # what is still in the buffer goes there
        sys.exit(_ENDED)


def is_closed(stream: TextIO) -> bool:
    """Whether a stream is a pipe that nobody reads any more."""
    try:
        stream.flush()
        events = select.poll()
        events.register(stream.fileno(), select.POLLOUT)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in events.poll(0))
    except BrokenPipeError:
        return True
    except (AttributeError, OSError, ValueError):  # Windows has no poll; a closed stream has no number
        return False
