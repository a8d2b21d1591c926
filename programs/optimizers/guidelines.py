"""Annotation guidelines that a model writes from train sentences and mends by the errors on dev."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import dspy

from clinspan.corpora import InputError, Sentence
from clinspan.corpora.bio import renamed, tag_spans
from clinspan.corpora.words import Words
from clinspan.metrics.errors import classify
from clinspan.programs.optimizers.candidate import Candidate
from clinspan.programs.optimizers.candidate_evaluator import Trial
from clinspan.programs.optimizers.context import OptimizationContext, Optimizer
from clinspan.programs.optimizers.effort import Asked, Effort, Extent, SAME, WRITES
from clinspan.programs.tagging.guidelines import excerpt, TITLE
from clinspan.programs.tagging.instructions import definitions_of

NAME = "guidelines"


class WriteGuidelines(dspy.Signature):
    """Write annotation guidelines for people who mark mentions in clinical texts.

    Say for each type what is a mention and what is none, which words at its beginning and its end belong to it, and how to decide
    between types that are easily confused. State rules that hold for other texts too, and do not list the sentences.
    """

    task: str = dspy.InputField(desc="what the annotators are told already")
    types: str = dspy.InputField(desc="the types and what they mean")
    examples: str = dspy.InputField(desc="sentences with the mentions that experts marked")
    words: int = dspy.InputField(desc="the most words that the guidelines may have")
    guidelines: str = dspy.OutputField(desc="short paragraphs or list items, a heading for each type")


class MendGuidelines(dspy.Signature):
    """Mend annotation guidelines by what an annotator who followed them did wrong.

    Keep the rules that work. Change, add or remove rules, so that errors of these kinds do not happen in other texts either.
    """

    types: str = dspy.InputField(desc="the types and what they mean")
    guidelines: str = dspy.InputField(desc="the guidelines so far")
    kinds: str = dspy.InputField(desc="how often each kind of error happened")
    errors: str = dspy.InputField(desc="some sentences with their errors")
    words: int = dspy.InputField(desc="the most words that the guidelines may have")
    mended: str = dspy.OutputField(desc="the whole mended guidelines")


@dataclass(frozen=True, kw_only=True)
class Guidelines(Optimizer):
    """Guidelines are appended to the start program's instructions and ranked by F1 on dev.

    In the first round the model writes them from train sentences, each time from others. In later rounds it mends the best ones
    so far, with sentences that were tagged wrongly on dev and the kinds of all errors there, if there are any.

    Attributes:
        breadth: Number of guidelines in each round.
        rounds: Number of rounds.
        examples: Sentences that it reads at a time.
        words: Most words of the guidelines; what is beyond them is left out by whole paragraphs.
    """

    breadth: int = 3
    rounds: int = 3
    examples: int = 20
    words: int = 400
    least: ClassVar[Mapping[str, float]] = {"breadth": 1, "rounds": 1, "examples": 1, "words": 20}
    chooses_demos: ClassVar[bool] = False
    writes_instructions: ClassVar[bool] = True

    def check(self, context: OptimizationContext) -> None:
        super().check(context)
        if not any(tag != "O" for sentence in context.spoken for tag in sentence.tags):
            raise InputError("no train sentence has a mention to write guidelines from", remedy="Set train_limit higher.")

    def effort(self, extent: Extent) -> Effort:
        number = self.breadth * self.rounds
        return Effort(number, Asked(0, extent.scored(number).most), unknown=(f"{number} {WRITES}", SAME))

    def compile(self, context: OptimizationContext) -> None:
        rng = random.Random(context.seed)
        best: tuple[Trial, str] | None = None
        for number in range(self.rounds):
            wrong = _wrong(context, best[0]) if best else []
            if best and not wrong:
                break
            ask = partial(self._mended, context, best[1], wrong) if best else partial(self._written, context)
            texts = [ask(rng) for _ in range(self.breadth)]
            candidates = {text: with_guidelines(context.start, text, f"{NAME} {number + 1}") for text in texts if text}
            if not candidates:
                continue
            trial = context.evaluator.rank(list(candidates.values()))[0]
            text = next(text for text, one in candidates.items() if context.evaluator.trial(one) is trial)
            if best is None or trial.rank > best[0].rank:
                best = trial, text

    def _written(self, context: OptimizationContext, rng: random.Random) -> str:
        pool = [sentence for sentence in context.spoken if any(tag != "O" for tag in sentence.tags)]
        shown = rng.sample(pool, min(self.examples, len(pool)))
        asked = {
            "task": context.start.single.tag.signature.instructions,
            "types": definitions_of(context.start.adapter.labels),
            "examples": "\n".join(_marked(sentence, context.start.adapter.called) for sentence in shown),
        }
        with context.quiet():
            return self._short(dspy.Predict(WriteGuidelines)(**asked, words=self.words).guidelines, context)

    def _mended(self, context: OptimizationContext, text: str, wrong: Sequence[Mapping[str, Any]], rng: random.Random) -> str:
        asked = {
            "types": definitions_of(context.start.adapter.labels),
            "guidelines": text,
            "kinds": _kinds(wrong, context),
            "errors": "\n\n".join(_errors(rng.sample(list(wrong), min(self.examples, len(wrong))), context)),
        }
        with context.quiet():
            return self._short(dspy.Predict(MendGuidelines)(**asked, words=self.words).mended, context)

    def _short(self, text: object, context: OptimizationContext) -> str:
        whole = str(text or "").strip()
        labels = [label.name for label in context.start.adapter.labels]
        return whole if len(whole.split()) <= self.words else excerpt(whole, labels, self.words)


def with_guidelines(start: Candidate, text: str, by: str) -> Candidate:
    """The start program with guidelines at the end of its instructions."""
    tagger = start.student()
    instructions = f"{tagger.tag.signature.instructions}\n{TITLE}\n{text}"
    tagger.tag.signature = tagger.tag.signature.with_instructions(instructions)
    return start.with_tagger(tagger, by)


def _marked(sentence: Sentence, called: Mapping[str, str]) -> str:
    """A sentence and its mentions, with the types as prompts name them."""
    words = Words.of(sentence)
    mentions = [f'"{words.text(start, end)}" is {label}' for start, end, label in tag_spans(renamed(sentence.tags, called))]
    return f"- {words.text()}\n  {'; '.join(mentions)}"


def _wrong(context: OptimizationContext, trial: Trial) -> list[dict[str, Any]]:
    """The dev records of a candidate whose tags are not all right."""
    return [row for row in context.evaluator.records(trial) if row["error"] is None and row["pred"] != row["gold"]]


def _kinds(wrong: Sequence[Mapping[str, Any]], context: OptimizationContext) -> str:
    """The number of errors of each kind."""
    counts = Counter(error.kind for row in wrong for error in classify(row["gold"], row["pred"], context.objective.mode))
    return "\n".join(f"- {kind}: {number}" for kind, number in counts.most_common()) or "- none"


def _errors(rows: Sequence[Mapping[str, Any]], context: OptimizationContext) -> Iterator[str]:
    """Sentences with what is wrong in them."""
    for row in rows:
        said = context.objective.with_feedback({"tokens": row["tokens"], "tags": row["gold"]}, {"tags": row["pred"]})
        yield f"{' '.join(row['tokens'])}\n{said.feedback}"
