"""The context of an optimization: train, dev, models, evaluator. The test split is not reachable from it."""

from __future__ import annotations

import contextlib
import io
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import dspy

from clinspan import lms
from clinspan.corpora import check_number, Corpus, InputError, Sentence
from clinspan.lms.protocols import LocalEngine
from clinspan.metrics.seqeval_f1 import examples, SeqevalF1
from clinspan.programs.optimizers.candidate import Candidate
from clinspan.programs.optimizers.candidate_evaluator import CandidateEvaluator
from clinspan.programs.optimizers.renaming_lm import worded
from clinspan.programs.tagging.tagger import Tagger


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """One way to find a better program.

    Attributes:
        keeps_start: Whether the program that it began with may be the answer, if nothing better is found.
        chooses_demos: Whether it chooses demonstrations, so that it cannot begin with nearest ones.
        least: The least value of each of its settings that is a number.

    Raises:
        InputError: A setting is no number, or less than it may be.
    """

    keeps_start: ClassVar[bool]
    chooses_demos: ClassVar[bool]
    least: ClassVar[Mapping[str, float]] = {}

    def __post_init__(self) -> None:
        for name, least in self.least.items():
            check_number(f"optimizer.{name}", getattr(self, name), least, whole=isinstance(least, int))

    def check(self, context: OptimizationContext) -> None:
        """Refuse what could not be compiled, before a model is asked.

        Raises:
            InputError: Says what to change.
        """
        if self.chooses_demos and context.start.single.nearest is not None:
            problem = "this optimizer chooses demonstrations, and this program looks up the nearest ones"
            raise InputError(problem, remedy="Use strategy=few_shot, zero_shot, rag or rag_few_shot.")

    def compile(self, context: OptimizationContext) -> None:
        """Try candidates; whatever `context.evaluator` measured on all of dev can be the answer."""
        raise NotImplementedError


@dataclass(frozen=True)
class OptimizationContext:
    """
    Attributes:
        corpus: Train and dev; its test split is empty.
        train: Sentences that demonstrations are taken from.
        start: The program to begin with.
        evaluator: Measures candidates on dev.
        objective: The metric.
        lm: The model that the program is for.
        writer: The model that writes instructions; the same one where none is named.
        teacher: The program on the writer, where that is another model; gives demonstrations and answers.
        seed: Of every random choice.
        spec: How the model is had.
        folder: The run's folder, for what else an optimizer makes.
        progress: Told of a training's step, how many there are, and its loss.
        variant: A candidate with other settings: dotted keys of the config, or options of its groups.
        allow: Refuses settings that no candidate could have, and any where it begins with a program: that has its own.
        recall: A candidate from the content of its `program.json`; None if it has weights of its own.
    """

    corpus: Corpus
    train: Sequence[Sentence]
    start: Candidate
    evaluator: CandidateEvaluator
    objective: SeqevalF1
    lm: dspy.LM
    writer: dspy.LM
    teacher: Candidate | None
    seed: int
    spec: lms.ModelSpec
    folder: Path
    progress: Callable[[int, int, float], None]
    variant: Callable[[Mapping[str, Any], str], Candidate]
    allow: Callable[[Mapping[str, Any]], None]
    recall: Callable[[Mapping[str, Any], str], Candidate | None]

    @cached_property
    def writer_lm(self) -> dspy.LM:
        """The writer as optimizers ask it."""
        return worded(self.writer, self.start.adapter.called)

    def train_examples(self, limit: int | None = None) -> list[dspy.Example]:
        """Train sentences in a random order, for DSPy."""
        found = examples(self.spoken)
        random.Random(self.seed).shuffle(found)
        return found[:limit]

    @property
    def spoken(self) -> list[Sentence]:
        """Train sentences that have words."""
        return [sentence for sentence in self.train if sentence.tokens]

    def teaching(self) -> Tagger | None:
        """The teacher as DSPy takes it."""
        return self.teacher.student() if self.teacher is not None else None

    def dev_examples(self) -> list[dspy.Example]:
        return examples(self.evaluator.sentences)

    def tokens(self, text: str) -> int:
        """How many tokens a text has for a local model; for one behind a server, a quarter of its characters."""
        engine = self.lm.engine
        return engine.count_tokens(text) if isinstance(engine, LocalEngine) else len(text) // 4

    def demo_tokens(self, demo: Mapping[str, Any]) -> int:
        """How many tokens a demonstration costs each prompt, marks between turns left out."""
        adapter = self.start.adapter
        question = adapter.questions(demo["tokens"], ())[0]
        _, turns = adapter.messages("", [demo], question)
        return sum(self.tokens(text) for _, text in turns[: -len(question.turns)])

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """DSPy's optimizers print and log what they try, texts included: none of it may reach a terminal or a log."""
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            dspy.context(lm=self.writer_lm, adapter=dspy.ChatAdapter(), disable_history=True),
        ):
            yield
