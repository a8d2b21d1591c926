"""The DSPy metric of this project: corpus-level seqeval F1.

Programs are ranked by seqeval's F1 over a whole set of sentences, from summed counts. The F1 of a single sentence is not
useful: without gold entities it is 0 or undefined. So optimizers that score single sentences get `sentence_score` instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args, Literal

import dspy

from clinspan.corpora import InputError
from clinspan.corpora.bio import renamed
from clinspan.corpora.words import Words
from clinspan.metrics import add_counts, count_sentence, Counts, feedback, Mode, Scores

Target = Literal["micro", "macro"]


@dataclass(frozen=True)
class SeqevalF1:
    """The metric for DSPy's optimizers.

    Attributes:
        labels: The corpus' labels.
        mode: How tags are read.
        target: Which corpus F1 ranks programs: `micro` or `macro`.
        definitions: What each label means, for feedback.
        called: The name of a label in prompts, for feedback.
    """

    labels: tuple[str, ...]
    mode: Mode = "conlleval"
    target: Target = "micro"
    definitions: Mapping[str, str] = field(default_factory=dict)
    called: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.target not in get_args(Target):
            raise InputError(f"target={self.target} is not known", remedy="Use micro or macro.")

    def counts(self, gold: Sequence[str], pred: Sequence[str]) -> dict[str, Counts]:
        """Counts of one sentence by label."""
        return count_sentence(gold, pred, self.labels, self.mode)

    def corpus_f1(self, pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> float:
        """F1 over sentences, each a pair of gold and predicted tags, from summed counts."""
        scores = Scores(add_counts([self.counts(gold, pred) for gold, pred in pairs], self.labels))
        return float((scores.micro if self.target == "micro" else scores.macro)["f1"])

    def __call__(self, example: Any, prediction: Any, trace: Any = None) -> float:
        """The score of one sentence. With a trace (demonstrations are collected) a sentence without gold entities scores 0."""
        total = sum(self.counts(example["tags"], prediction["tags"]).values(), Counts())
        return 0.0 if trace is not None and not total.gold else sentence_score(total)

    def with_feedback(
        self, example: Any, prediction: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None
    ) -> dspy.Prediction:
        """The score of one sentence and what was wrong with it, in the form that GEPA takes."""
        tags = prediction["tags"] if "tags" in prediction else ["O"] * len(example["tags"])
        total = sum(self.counts(example["tags"], tags).values(), Counts())
        gold, pred = renamed(example["tags"], self.called), renamed(tags, self.called)
        definitions = {self.called.get(label, label): text for label, text in self.definitions.items()}
        message = feedback(example["tokens"], gold, pred, definitions=definitions, mode=self.mode)
        return dspy.Prediction(score=sentence_score(total), feedback=message)


def sentence_score(counts: Counts) -> float:
    """F1 with one extra correct entity: in 0-1, 1 for a sentence without errors, lower for each missed or invented entity.

    >>> sentence_score(Counts(0, 0, 0)), sentence_score(Counts(0, 1, 0)), sentence_score(Counts(1, 2, 1))
    (1.0, 0.6666666666666666, 0.8)
    """
    return (2 * counts.matched + 2) / (counts.pred + counts.gold + 2)


def examples(sentences: Sequence[Any], *, positions: bool = False) -> list[dspy.Example]:
    """Sentences as DSPy examples: `id`, `tokens` and, if asked for, `position` are the inputs, `tags` the expected output."""
    made = []
    for s in sentences:
        inputs = {"id": s.id, "tokens": Words.of(s)} | ({"position": s.position} if positions else {})
        made.append(dspy.Example(**inputs, tags=list(s.tags)).with_inputs(*inputs))
    return made
