"""Tests of money spent on sentences, by several threads, and of budgets that cannot be kept."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from clinspan.corpora import InputError
from clinspan.lms import LocalModel, OpenAIModel
from clinspan.programs.inference.spending import BudgetError, check_budget, Spending

PRICE = (1.0, 2.0)  # a sentence of 100,000 prompt and 50,000 answer tokens costs 0.2


def ask(spending: Spending, pause: float = 0.0) -> bool:
    with spending.sentence(PRICE) as used:
        if used is None:
            return False
        time.sleep(pause)
        used.update(prompt_tokens=100_000, answer_tokens=50_000)
        return True


@pytest.mark.parametrize(("budget", "asked"), [(0.1, 1), (0.2, 1), (1.0, 5), (1.15, 5), (2.1, 10), (None, 20)])
def test_threads_together_stay_within_the_budget(budget: float | None, asked: int) -> None:
    spending = Spending(budget)
    with ThreadPoolExecutor(8) as pool:
        answered = list(pool.map(lambda _: ask(spending, 0.01), range(20)))
    assert sum(answered) == asked
    assert spending.total == pytest.approx(asked * 0.2)


def test_the_first_sentence_is_asked_alone_as_its_cost_is_not_known() -> None:
    spending, running, most = Spending(10.0), 0, 0
    lock = threading.Lock()

    def work(first: bool) -> None:
        nonlocal running, most
        with spending.sentence(PRICE) as used:
            with lock:
                running += 1
                most = max(most, running) if not spending.spent else most
            time.sleep(0.02)
            with lock:
                running -= 1
            assert used is not None
            used.update(prompt_tokens=1000)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(16)))
    assert most == 1


def test_earlier_sessions_and_other_requests_count() -> None:
    spending = Spending(1.0, spent=0.5)
    spending.besides = 0.3
    assert ask(spending) and not ask(spending)
    with pytest.raises(BudgetError, match=r"budget=1 is nearly spent: 1.0000 US\$ are, and a further sentence may cost 0.2000"):
        spending.check()
    assert spending.words(2, 4) == "1.0000 of about 2.00 US$"


def test_a_failed_sentence_lets_the_others_go_on() -> None:
    spending = Spending(1.0)
    with pytest.raises(KeyError), spending.sentence(PRICE):
        raise KeyError
    assert ask(spending)


@pytest.mark.parametrize(
    ("budget", "spec", "message"),
    [
        (0.0, OpenAIModel(name="x", price_input=1.0, price_output=1.0), "budget=0 is not positive"),
        (2.5, OpenAIModel(name="x"), "needs the price of the model, which is not known. Add model.price_input=USD"),
        (2.5, LocalModel(name="x"), "needs the price of the model"),
        (2.5, OpenAIModel(name="x", price_input=1.0, price_output=1.0, batch=True), "a batch sends all requests at once"),
    ],
)
def test_a_budget_that_cannot_be_kept_is_refused(budget: float, spec: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_budget(budget, [spec])
    check_budget(None, [spec])
