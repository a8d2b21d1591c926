"""An interruption ends the loading of a model at once; the thread that loads it is left behind."""

from __future__ import annotations

import _thread
import signal
import threading
import time
from collections.abc import Callable

import pytest

from clinspan import lms
from clinspan.lms import LocalModel


def test_an_interruption_does_not_wait_for_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = threading.Event()

    def slow(spec: LocalModel) -> Callable[..., object]:
        """Stands for an engine that takes seconds to load."""

        def load(*_: object) -> object:
            loads.set()
            time.sleep(4)
            return None

        return load

    monkeypatch.setattr(lms, "_local_engine", slow)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts the tests in the background ignores it
    threading.Thread(target=lambda: (loads.wait(), _thread.interrupt_main())).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        lms.build(LocalModel(name="slow", path="nowhere"))
    assert time.monotonic() - began < 3
