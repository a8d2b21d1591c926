"""`plan=true`: print what a run would send and cost."""

from __future__ import annotations

from dataclasses import asdict

from omegaconf import DictConfig

from clinspan.corpora.printable import plural, printable
from clinspan.programs.app.results import give
from clinspan.programs.building.build_run import Overrides
from clinspan.programs.building.run_plan import plan_run, RunPlan


def show_plan(config: DictConfig) -> None:
    """Print the plan of a run.

    Raises:
        InputError: As `plan_run`.
    """
    plan = plan_run(config, Overrides.now())
    print(printable(f"prompt of {plan.sentence}:\n\n{plan.prompt}\n"))
    for line in plan_lines(plan):
        print(line)
    facts = {key: value for key, value in asdict(plan).items() if key not in ("price", "local")}
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
    how = "counted by the model's tokenizer, in some sentences" if plan.counted else "estimated from characters"
    seconds, cost = plan.seconds, plan.cost
    minutes = max(1, round((seconds or 0.0) / 60))
    known = f"about {minutes} {plural(minutes, 'minute')} on this CPU, as busy as it is now"
    price = "not known: add model.price_input=USD model.price_output=USD, for a million tokens"
    return [
        f"{plan.sentences:,} {plural(plan.sentences, 'sentence')}, {plan.requests:,} {plural(plan.requests, 'request')}",
        f"a sentence: about {plan.prompt_tokens:.0f} prompt tokens and, if the answers are right, {plan.answer_tokens:.0f} answer "
        f"tokens ({how})",
        f"time: {'not known' if seconds is None else known}",
        f"cost: {price if cost is None else 'none' if plan.local else f'about {cost:.2f} US$'}",
        "Nothing was sent, and no model was loaded.",
    ]
