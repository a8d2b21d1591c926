"""A candidate program of an optimization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dspy

from clinspan.corpora import Corpus
from clinspan.metrics.confidence_map import ConfidenceMap
from clinspan.programs.formats import Format
from clinspan.programs.tagging.saved_program import dump_program
from clinspan.programs.tagging.tagger import Ensemble, plain_demos, Tagger


@dataclass(frozen=True)
class Candidate:
    """A program with its format and its corpus.

    Attributes:
        tagger: The program.
        adapter: Its format.
        corpus: Train and dev.
        by: What made it, in a word or two.
        lm: The model that it runs on; None: the model of the optimization.
        concurrency: Number of concurrent requests to `lm`.
    """

    tagger: Tagger | Ensemble
    adapter: Format
    corpus: Corpus
    by: str
    lm: dspy.LM | None = None
    concurrency: int | None = None

    @property
    def single(self) -> Tagger:
        """The program as one tagger; an ensemble has none."""
        assert isinstance(self.tagger, Tagger)
        return self.tagger

    def student(self) -> Tagger:
        """Return a copy that DSPy's optimizers may change. It has its own signature, because some change instructions in place."""
        copied: Tagger = self.single.deepcopy()
        copied.tag.signature = copied.tag.signature.with_instructions(copied.tag.signature.instructions)
        return copied

    def dump(self) -> dict[str, Any]:
        """Return the content of its `program.json`."""
        return dump_program(self.tagger, self.corpus, learned=True)

    @property
    def members(self) -> list[Tagger]:
        """The taggers: one, or those of an ensemble."""
        return list(self.tagger.members) if isinstance(self.tagger, Ensemble) else [self.tagger]

    def calibrated(self, mapped: ConfidenceMap | None) -> Candidate:
        """Return the candidate whose confidences are mapped."""
        return replace(self, tagger=self.tagger.calibrated(mapped))

    def with_tagger(self, tagger: Tagger, by: str) -> Candidate:
        """Return a candidate of the same format with another program, whose demonstrations are converted to our own form."""
        copied = replace(self, tagger=tagger).student()
        copied.tag.demos, copied.tag.lm = plain_demos(copied.tag.demos), None  # some optimizers leave a model that samples
        if copied.nearest is None:
            copied.settings = {**copied.settings, "strategy": fixed_strategy(copied.settings["strategy"], bool(copied.tag.demos))}
        return replace(self, tagger=copied, by=by)

    def with_demos(self, demos: Sequence[Mapping[str, Any]], by: str) -> Candidate:
        """Return a candidate with the same instructions and with these demonstrations for every sentence."""
        tagger = self.single.deepcopy()
        tagger.tag.demos, tagger.nearest = list(demos), None
        return self.with_tagger(tagger, by)


def fixed_strategy(strategy: Mapping[str, Any], demos: bool) -> dict[str, Any]:
    """Return the strategy of a program with fixed demonstrations or none; the context setting stays.

    >>> fixed_strategy({"choice": "knn", "demonstrations": "nearest", "context": "none", "k": 5}, False)
    {'choice': 'zero_shot', 'demonstrations': 'none', 'context': 'none', 'k': 5}
    """
    names = {"none": ("zero_shot", "few_shot"), "retrieved": ("rag", "rag_few_shot")}
    choice = names[strategy["context"]][demos]
    return {**strategy, "choice": choice, "demonstrations": "fixed" if demos else "none"}
