"""A training's progress as tests watch it."""

from __future__ import annotations


class Steps:
    """Notes the steps that it is told of.

    Args:
        stop: The step at which it interrupts the training, as a user would; None: at none.
    """

    def __init__(self, stop: int | None = None) -> None:
        self.stop = stop
        self.told: list[int] = []

    def __call__(self, step: int, steps: int, loss: float) -> None:
        if step == self.stop:
            raise KeyboardInterrupt
        self.told.append(step)
