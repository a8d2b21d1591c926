"""`plan=true`: print what a run or a compilation would send and cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, astuple

from omegaconf import DictConfig

from clinspan.corpora.printable import plural, printable
from clinspan.programs.app.results import give
from clinspan.programs.building.build_run import Overrides
from clinspan.programs.building.optimization_plan import OptimizationPlan, plan_optimization, Range
from clinspan.programs.building.run_plan import plan_run, RunPlan
from clinspan.programs.optimizers.effort import Asked

_PRICE = "not known: add model.price_input=USD model.price_output=USD, for a million tokens"
_NOTHING = "Nothing was sent, and no model was loaded."


def show_plan(config: DictConfig) -> None:
    """Print the plan of a run.

    Raises:
        InputError: As `plan_run`.
    """
    plan = plan_run(config, Overrides.now())
    _show(f"prompt of {plan.sentence}", plan.prompt, plan_lines(plan))
    facts = {key: value for key, value in asdict(plan).items() if key not in ("price", "local", "passes")}
    give("plan", None, lambda: {**facts, "cost": plan.cost})


def plan_lines(plan: RunPlan) -> list[str]:
    """What is printed below the prompt.

    >>> plan = RunPlan("d:0", "Tag.", 100, 100, 749.2, 42.6, False, None, (10.0, 30.0), False)
    >>> print("\\n".join(plan_lines(plan)))
    100 sentences, 100 requests
    a sentence: about 749 prompt tokens and, if the answers are right, 43 answer tokens (estimated from characters)
    time: not known
    cost: about 0.88 US$
    Nothing was sent, and no model was loaded.
    """
    cost = plan.cost
    return [
        f"{plan.sentences:,} {plural(plan.sentences, 'sentence')}, {plan.requests:,} {plural(plan.requests, 'request')}",
        _tokens(plan.prompt_tokens, plan.answer_tokens, counted=plan.counted),
        _time(None if plan.seconds is None else (plan.seconds, plan.seconds)),
        f"cost: {_PRICE if cost is None else 'none' if plan.local else f'about {cost:.2f} US$'}",
        _NOTHING,
    ]


def show_optimization_plan(config: DictConfig) -> None:
    """Print the plan of a compilation.

    Raises:
        InputError: As `plan_optimization`.
    """
    plan = plan_optimization(config, Overrides.now())
    _show(f"prompt of {plan.asked.sentence}, by the start program", plan.asked.prompt, optimization_lines(plan))
    give("optimize_plan", None, lambda: _document(plan))


def _show(title: str, prompt: str, lines: Sequence[str]) -> None:
    print(printable(f"{title}:\n\n{prompt}\n"))
    for line in lines:
        print(line)


def _document(plan: OptimizationPlan) -> dict[str, object]:
    effort = plan.effort
    return {
        **{key: value for key, value in asdict(plan.asked).items() if key != "requests"},
        "candidates": None if effort is None else effort.candidates,
        "sentences": _pair(plan.sentences),
        "requests": _pair(plan.requests),
        "taught": None if effort is None else _pair(effort.taught),
        "unknown": [] if effort is None else list(effort.unknown),
        "seconds": plan.time and list(plan.time),
        "cost": plan.cost and list(plan.cost),
    }


def _pair(asked: Asked | None) -> list[int] | None:
    return None if asked is None else list(astuple(asked))


def optimization_lines(plan: OptimizationPlan) -> list[str]:
    """What is printed below the prompt of a compilation."""
    tokens = _tokens(plan.asked.prompt_tokens, plan.asked.answer_tokens, counted=plan.asked.counted)
    if plan.effort is None or plan.sentences is None or plan.requests is None:
        return ["how much this optimizer asks is not known", tokens, _NOTHING]
    effort = plan.effort
    priced = _PRICE if plan.cost is None else f"about {_between(*plan.cost, form='.2f')} US$"
    free = plan.local and (plan.local_writer or not effort.taught.most)
    number = f"at most {effort.candidates} {plural(effort.candidates, 'candidate')}" if effort.candidates else "no candidate"
    unknown = [*effort.unknown, *(["how long the prompts of other candidates are"] if effort.candidates else [])]
    lines = [
        f"{number} besides the start; dev has {plan.extent.dev:,} sentences, train {plan.extent.train:,}",
        f"{_between(plan.sentences.least, plan.sentences.most)} sentences are tagged, "
        f"{_between(plan.requests.least, plan.requests.most)} requests",
        *(
            [f"reflection_model tags {_between(effort.taught.least, effort.taught.most)} train sentences"]
            if effort.taught.most
            else []
        ),
        tokens,
        _time(plan.time),
        f"cost: {'none' if free else priced}",
        *([f"not known before: {'; '.join(unknown)}"] if unknown else []),
    ]
    return [*lines, _NOTHING]


def _tokens(prompt: float, answer: float, *, counted: bool) -> str:
    how = "counted by the model's tokenizer, in some sentences" if counted else "estimated from characters"
    return f"a sentence: about {prompt:.0f} prompt tokens and, if the answers are right, {answer:.0f} answer tokens ({how})"


def _time(seconds: Range | None) -> str:
    if seconds is None:
        return "time: not known"
    least, most = (max(1, round(one / 60)) for one in seconds)
    return f"time: about {_between(least, most)} {plural(most, 'minute')} on this CPU, as busy as it is now"


def _between(least: float, most: float, form: str = ",") -> str:
    """
    >>> _between(5, 5), _between(10, 2000)
    ('5', '10 to 2,000')
    """
    first, last = f"{least:{form}}", f"{most:{form}}"
    return first if first == last else f"{first} to {last}"
