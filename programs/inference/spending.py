"""Money that a command spends on a priced model, and a budget that ends it before more is spent."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from clinspan.corpora import InputError
from clinspan.programs.rundir.errors import RunError
from clinspan.programs.rundir.usage import cost

Price = tuple[float, float] | None


class Spending:
    """What the sentences of a command have cost, and whether a further one may be asked about.

    With a budget, a sentence is asked about only if the money that is spent, and as much as the dearest sentence so far for it and
    for each one in progress, stay within the budget. Until a first sentence is answered, one is asked about at a time. Whoever asks
    waits in `sentence`, so this may be used by several threads.

    Args:
        budget: US dollars for the whole command with all its sessions; None: no limit.
        spent: US dollars that earlier sessions have spent.

    Attributes:
        spent: US dollars for sentences, up to now.
        besides: US dollars for other requests, as those of an optimizer.
        refused: Whether a sentence was refused.
    """

    def __init__(self, budget: float | None = None, spent: float = 0.0) -> None:
        self.budget, self.spent, self.besides, self.refused = budget, spent, 0.0, False
        self._running, self._answered, self._dearest = 0, 0, 0.0
        self._changed = threading.Condition()

    @property
    def total(self) -> float:
        """US dollars that are spent."""
        return self.spent + self.besides

    @contextmanager
    def sentence(self, price: Price) -> Iterator[Counter[str] | None]:
        """Ask about one sentence within the block, and put its tokens into the counter; None: the budget is too small for it.

        Args:
            price: The price of the model that is asked.
        """
        if not self._admits():
            yield None
            return
        used: Counter[str] = Counter()
        try:
            yield used
        finally:
            with self._changed:
                self._running -= 1
                self._answered += 1
                dollars = cost(used, price) or 0.0
                self.spent += dollars
                self._dearest = max(self._dearest, dollars)
                self._changed.notify_all()

    def _admits(self) -> bool:
        with self._changed:
            if self.budget is not None:
                while self._running and not self._answered:
                    self._changed.wait()
                needed = (self._running + 1) * self._dearest
                if self.refused or self.total + needed > self.budget or self.total >= self.budget:
                    self.refused = True
                    return False
            self._running += 1
            return True

    def check(self) -> None:
        """End the command if a sentence was refused.

        Raises:
            BudgetError: One was.
        """
        if self.refused and self.budget is not None:
            raise BudgetError(
                f"budget={self.budget:g} is nearly spent: {self.total:.4f} US$ are, and a further sentence may cost "
                f"{self._dearest:.4f}. Results so far are kept",
                self.budget,
            )

    def words(self, done: int, total: int) -> str:
        """The money spent and, once it can be told, what all sentences are expected to cost.

        >>> spending = Spending(spent=0.5)
        >>> spending.words(2, 10), spending.words(0, 10)
        ('0.5000 of about 2.50 US$', '0.5000 US$')
        """
        if not done or not self.total:
            return f"{self.total:.4f} US$"
        return f"{self.total:.4f} of about {self.total / done * total:.2f} US$"


class BudgetError(RunError):
    """The budget does not allow a further sentence.

    Args:
        message: What was spent.
        budget: The budget.
    """

    def __init__(self, message: str, budget: float) -> None:
        super().__init__(message)
        self.budget = budget


def spent_on(records: Iterable[Mapping[str, Any]], price: Price) -> float:
    """The cost of prediction records in US dollars; 0 without a price."""
    used: Counter[str] = Counter()
    for record in records:
        used.update(record["usage"])
    return cost(used, price) or 0.0


def spending_of(budget: float | None, price: Price, records: Iterable[Mapping[str, Any]]) -> Spending | None:
    """Counts the money of a run that has these prediction records already; None for a model without a price."""
    return None if price is None else Spending(budget, spent_on(records, price))


def check_budget(budget: float | None, specs: Iterable[object]) -> None:
    """Refuse a budget that could not be kept.

    Args:
        budget: US dollars; None: no budget.
        specs: The specifications of the models.

    Raises:
        InputError: It is not positive, no model has a price, or all requests are sent at once.
    """
    if budget is None:
        return
    if not budget > 0:
        raise InputError(f"budget={budget:g} is not positive", remedy="Write budget=USD, US dollars for the whole command.")
    models = list(specs)
    if all(getattr(model, "price", None) is None for model in models):
        remedy = "Add model.price_input=USD model.price_output=USD, for a million tokens, or leave budget out."
        raise InputError(f"budget={budget:g} needs the price of the model, which is not known", remedy=remedy)
    if any(getattr(model, "batch", False) for model in models):
        remedy = "Leave budget out and see the expected cost with plan=true, or set model.batch=false."
        raise InputError("a batch sends all requests at once, so budget cannot end it", remedy=remedy)
