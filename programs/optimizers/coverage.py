"""Selects demonstrations that cover the errors of the program on dev."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from clinspan.corpora import Sentence
from clinspan.corpora.bio import tag_spans
from clinspan.metrics import count_errors, ErrorKind
from clinspan.metrics.errors import INVENTED
from clinspan.programs.optimizers.candidate import Candidate
from clinspan.programs.optimizers.candidate_evaluator import Trial
from clinspan.programs.optimizers.context import OptimizationContext, Optimizer
from clinspan.programs.optimizers.effort import Asked, Effort, Extent, SAME
from clinspan.programs.tagging.strategy import as_demonstration

Errors = Mapping[tuple[ErrorKind, str], int]


@dataclass(frozen=True, kw_only=True)
class Coverage(Optimizer):
    """Local search over sets of demonstrations, guided by the errors on dev.

    It begins with the best of a few random sets. In each round it counts the errors of the best program so far, by kind and
    label, and tries sets with one sentence added or exchanged. A train sentence is more likely to be drawn if it covers more of
    these errors and costs fewer tokens. A set becomes the best one if its F1 on dev is higher.

    Attributes:
        starts: Random sets to begin with, in addition to the start program's set.
        k: Sentences per random set.
        rounds: Rounds of the search.
        proposals: Sets tried per round.
        budget: Maximum number of tokens of all demonstrations together.
        patience: Rounds without improvement after which the search ends.
    """

    starts: int = 8
    k: int = 5
    rounds: int = 5
    proposals: int = 6
    budget: int = 900
    patience: int = 2
    least: ClassVar[Mapping[str, float]] = {"starts": 1, "k": 1, "rounds": 0, "proposals": 1, "budget": 1, "patience": 1}
    chooses_demos: ClassVar[bool] = True

    def effort(self, extent: Extent) -> Effort:
        first = extent.ranked(self.starts, known=1)
        one = extent.ranked(self.proposals)
        rounds = Asked(min(self.rounds, self.patience) * one.least, self.rounds * one.most)
        unknown = (f"the search ends after {self.patience} rounds without a better set", SAME)
        return Effort(self.starts + self.rounds * self.proposals, first + rounds, unknown=unknown)

    def compile(self, context: OptimizationContext) -> None:
        search = _Search(self, context, random.Random(context.seed))
        initial = [context.start] if context.start.single.tag.demos else []
        best = context.evaluator.rank(initial + [search.random_set() for _ in range(self.starts)])[0]
        idle = 0
        for number in range(self.rounds):
            tried = search.proposals(best, f"coverage {number + 1}")
            first = context.evaluator.rank(tried)[:1]
            better = bool(first) and first[0].rank[:2] > best.rank[:2]
            best, idle = (first[0], 0) if better else (best, idle + 1)
            if idle >= self.patience:
                return


class _Search:
    """The moves of the search, over train sentences that cost at most half the budget."""

    def __init__(self, how: Coverage, context: OptimizationContext, rng: random.Random) -> None:
        self.how, self.context, self.rng = how, context, rng
        costs = {s.id: context.demo_tokens(as_demonstration(s)) for s in context.spoken}
        self.pool = [s for s in context.spoken if costs[s.id] <= how.budget // 2]
        self.cost = costs

    def random_set(self) -> Candidate:
        """Return a candidate with `k` random sentences, or fewer if the budget allows no more."""
        chosen: list[Sentence] = []
        for sentence in self.rng.sample(self.pool, len(self.pool)):
            if len(chosen) < self.how.k and sum(self.cost[s.id] for s in [*chosen, sentence]) <= self.how.budget:
                chosen.append(sentence)
        return self.context.start.with_demos([as_demonstration(s) for s in chosen], "coverage start")

    def proposals(self, best: Trial, by: str) -> list[Candidate]:
        """Return variants of the best set with one sentence added or exchanged; none if no sentence is left."""
        demos: list[dict[str, Any]] = list(best.candidate.single.tag.demos)
        errors = count_errors(((r["gold"], r["pred"]) for r in self.context.evaluator.records(best)), self.context.objective.mode)
        taken = {demo.get("id") for demo in demos}
        unused = [sentence for sentence in self.pool if sentence.id not in taken]
        if not unused:
            return []
        weights = [coverage(sentence, errors) / max(1, self.cost[sentence.id]) ** 0.5 + 1e-9 for sentence in unused]
        return [self._moved(list(demos), self.rng.choices(unused, weights)[0], by) for _ in range(self.how.proposals)]

    def _moved(self, demos: list[dict[str, Any]], sentence: Sentence, by: str) -> Candidate:
        """Return the set with one sentence added or exchanged, within the budget."""
        added = as_demonstration(sentence)
        if demos and (self._spent([*demos, added]) > self.how.budget or self.rng.random() < 0.5):
            demos[self.rng.randrange(len(demos))] = added
        else:
            demos.append(added)
        while len(demos) > 1 and self._spent(demos) > self.how.budget:
            demos.remove(self.rng.choice([demo for demo in demos if demo is not added]))
        return self.context.start.with_demos(demos, by)

    def _spent(self, demos: Sequence[dict[str, Any]]) -> int:
        return sum(self.context.demo_tokens(demo) for demo in demos)


def coverage(sentence: Sentence, errors: Errors) -> float:
    """Return how many of a program's errors a sentence covers as a demonstration.

    A sentence that has a label covers errors on it. Each further mention of the label counts half as much as the one before. A
    sentence that lacks a label covers invented mentions of it.

    Args:
        sentence: A train sentence.
        errors: Number of errors by kind and label.
    """
    mention_counts = Counter(label for _, _, label in tag_spans(sentence.tags))
    total = 0.0
    for (kind, label), n in errors.items():
        if kind == INVENTED:
            total += n * (label not in mention_counts)
        else:
            total += n * (2 - 2 * 0.5 ** mention_counts[label])
    return total
