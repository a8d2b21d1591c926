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
from clinspan.programs.optimizers.effort import Effort, Extent
from clinspan.programs.optimizers.renaming_lm import worded
from clinspan.programs.tagging.tagger import Tagger


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """A method that searches for a better program.

    The result is the program with the best F1 on all of dev, which is the start program if no candidate is better.

    Attributes:
        chooses_demos: Whether it chooses demonstrations. If so, the start program must not look up nearest ones.
        writes_instructions: Whether it searches for instructions, so that it needs a model whose template sends them.
        least: Minimum of each numeric setting.

    Raises:
        InputError: A setting is not a number or is below its minimum.
    """

    chooses_demos: ClassVar[bool]
    writes_instructions: ClassVar[bool] = False
    least: ClassVar[Mapping[str, float]] = {}

    def __post_init__(self) -> None:
        for name, least in self.least.items():
            check_number(f"optimizer.{name}", getattr(self, name), least, whole=isinstance(least, int))

    def check(self, context: OptimizationContext) -> None:
        """Check that the optimization is possible, before any request to a model.

        Raises:
            InputError: It is not possible; the message says what to change.
        """
        if self.chooses_demos and context.start.single.nearest is not None:
            problem = "this optimizer chooses demonstrations, and this program looks up the nearest ones"
            raise InputError(problem, remedy="Use strategy=few_shot, zero_shot, rag or rag_few_shot.")

    def effort(self, extent: Extent) -> Effort | None:
        """What it will ask for, as far as that is known before it begins; None: nothing is known."""
        return None

    def compile(self, context: OptimizationContext) -> None:
        """Try candidates. Each one that `context.evaluator` measured on all of dev can be the result."""
        raise NotImplementedError


@dataclass(frozen=True)
class OptimizationContext:
    """Data, models and functions that an optimizer may use.

    Attributes:
        corpus: Train and dev; its test split is empty.
        train: Sentences that demonstrations are taken from.
        start: The start program.
        evaluator: Measures candidates on dev.
        objective: The metric.
        lm: The model that the program is for.
        writer: The model that writes instructions; `lm` if no other one is set.
        teacher: The program on the writer, for demonstrations and answers; None if the writer is `lm`.
        seed: Seed for every random choice.
        spec: Specification of the model.
        folder: Folder of the run, for other files that an optimizer writes.
        progress: Called with the step of a training, the number of steps, and the loss.
        variant: Builds a candidate with other settings: dotted keys of the config, or options of its groups.
        allow: Raises an error for settings that no candidate can have, and for all settings if the optimization starts from a
            saved program, which has its own.
        recall: Builds a candidate from the content of its `program.json`; None if its weights are not those of this run.
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
        """The writer for optimizers, with labels renamed to their names in prompts."""
        return worded(self.writer, self.start.adapter.called)

    def train_examples(self, limit: int | None = None) -> list[dspy.Example]:
        """Return train sentences in random order, as DSPy examples."""
        shuffled = examples(self.spoken, positions=bool(self.start.single.note))
        random.Random(self.seed).shuffle(shuffled)
        return shuffled[:limit]

    @property
    def spoken(self) -> list[Sentence]:
        """Train sentences that have tokens."""
        return [sentence for sentence in self.train if sentence.tokens]

    def teaching(self) -> Tagger | None:
        """Return a copy of the teacher for DSPy; None if there is no teacher."""
        return self.teacher.student() if self.teacher is not None else None

    @property
    def extent(self) -> Extent:
        """What there is to work with, in numbers."""
        start, evaluator = self.start.single, self.evaluator
        how = {"teacher": self.teacher is not None, "nearest": start.nearest is not None}
        return Extent(len(self.spoken), evaluator.sizes, evaluator.halving.keep, shown=len(start.tag.demos), **how)

    def dev_examples(self) -> list[dspy.Example]:
        return examples(self.evaluator.sentences, positions=bool(self.start.single.note))

    def tokens(self, text: str) -> int:
        """Return the number of tokens of a text for a local model; for a remote one, a quarter of its characters."""
        engine = self.lm.engine
        return engine.count_tokens(text) if isinstance(engine, LocalEngine) else len(text) // 4

    def demo_tokens(self, demo: Mapping[str, Any]) -> int:
        """Return the number of tokens that a demonstration adds to each prompt, without the markers between turns."""
        adapter = self.start.adapter
        question = adapter.questions(demo["tokens"], ())[0]
        _, turns = adapter.messages("", [demo], question)
        return sum(self.tokens(text) for _, text in turns[: -len(question.turns)])

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Suppress the output of DSPy's optimizers: it contains texts, which must not reach a terminal or a log."""
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            dspy.context(lm=self.writer_lm, adapter=dspy.ChatAdapter(), disable_history=True),
        ):
            yield
