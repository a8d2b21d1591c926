"""A progress callback that records the steps of a training."""

from __future__ import annotations


class Steps:
    """Records the steps that the training reports.

    Args:
        stop: The step at which it interrupts the training, as a user would; None for no interruption.
    """

    def __init__(self, stop: int | None = None) -> None:
        self.stop = stop
        self.told: list[int] = []

    def __call__(self, step: int, steps: int, loss: float) -> None:
        if step == self.stop:
            raise KeyboardInterrupt
        self.told.append(step)
