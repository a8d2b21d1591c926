"""Makes DSPy's optimizers rank candidates by corpus F1.

The optimizers score candidates with `dspy.Evaluate`, which averages a metric over sentences. They take no other evaluator as an
argument. So the name `Evaluate` in their modules is replaced by a function that reads a context variable. Within `ranked_by` the
function makes our evaluator. Elsewhere, and also in other threads, it makes DSPy's own.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import dspy
from dspy.evaluate.evaluate import EvaluationResult

from clinspan.programs.optimizers.candidate import Candidate
from clinspan.programs.optimizers.candidate_evaluator import CandidateEvaluator
from clinspan.programs.optimizers.context import OptimizationContext
from clinspan.programs.tagging.tagger import Tagger

_PLACES = (
    "dspy.teleprompt.random_search",
    "dspy.teleprompt.copro_optimizer",
    "dspy.teleprompt.mipro_optimizer_v2",
    "dspy.teleprompt.infer_rules",
    "dspy.teleprompt.gepa.gepa_utils",
)


_evaluator: ContextVar[Callable[..., Any] | None] = ContextVar("evaluator", default=None)


def _dispatching(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that calls our evaluator within `ranked_by`, and `original` elsewhere."""

    def evaluate(*args: Any, **options: Any) -> Any:
        return (_evaluator.get() or original)(*args, **options)

    evaluate.dispatches = True  # type: ignore[attr-defined]
    return evaluate


def _install() -> None:
    """Replace `Evaluate` in the modules of DSPy's optimizers; a second call changes nothing."""
    for place in _PLACES:
        module = importlib.import_module(place)
        if not hasattr(module.Evaluate, "dispatches"):
            module.Evaluate = _dispatching(module.Evaluate)  # type: ignore[attr-defined]


class CorpusEvaluate:
    """Replaces `dspy.Evaluate`: the score is 100 times the corpus F1 of all examples together.

    Args:
        context: Its evaluator measures the candidates.
        by: What made the candidates.
        failed: Receives the error of an evaluation, because some of DSPy's optimizers would count it as a score of 0 and continue.
        whole: Measure every candidate on all examples, even a hopeless one, for optimizers that need scores of single sentences.
        devset: The examples.
        options: Other arguments of `dspy.Evaluate`; ignored.
    """

    def __init__(
        self,
        context: OptimizationContext,
        by: str,
        failed: list[Exception],
        *,
        whole: bool,
        devset: Sequence[Any] = (),
        **options: Any,
    ) -> None:
        self.context, self.by, self.failed, self.whole, self.devset = context, by, failed, whole, devset

    def __call__(self, program: Tagger, metric: Any = None, devset: Sequence[Any] | None = None, **options: Any) -> Any:
        if self.failed:
            raise self.failed[0]
        try:
            return self._evaluated(program, devset)
        except Exception as error:
            self.failed.append(error)
            raise

    def _evaluated(self, program: Tagger, devset: Sequence[Any] | None) -> Any:
        examples = list(self.devset if devset is None else devset)
        candidate = self.context.start.with_tagger(program, self.by)
        evaluator = self.context.evaluator
        chosen = {example["id"] for example in examples}
        sentences = [sentence for sentence in evaluator.sentences if sentence.id in chosen]
        if len(sentences) == len(evaluator.sentences):
            f1 = evaluator.score(candidate, whole=self.whole)
            return EvaluationResult(score=100 * f1, results=self._results(evaluator, candidate, examples))
        tags = evaluator.predict(candidate, sentences)
        f1 = self.context.objective.corpus_f1([(s.tags, tags[s.id]) for s in sentences])
        return EvaluationResult(score=100 * f1, results=[self._result(e, tags[e["id"]]) for e in examples])

    def _results(
        self, evaluator: CandidateEvaluator, candidate: Candidate, examples: Sequence[Any]
    ) -> list[tuple[Any, Any, float]]:
        """Return the result of each example; the score is 0 for sentences that the candidate was not measured on."""
        tags = {record["id"]: record["pred"] for record in evaluator.records(evaluator.trial(candidate))}
        return [self._result(e, tags[e["id"]]) if e["id"] in tags else (e, dspy.Prediction(), 0.0) for e in examples]

    def _result(self, example: Any, tags: Sequence[str]) -> tuple[Any, Any, float]:
        prediction = dspy.Prediction(tags=list(tags))
        return example, prediction, self.context.objective(example, prediction)


@contextlib.contextmanager
def ranked_by(context: OptimizationContext, by: str, *, whole: bool = False) -> Iterator[None]:
    """Let DSPy's optimizers use the context's evaluator within the block, and suppress their output and their history.

    Raises:
        Exception: The first error of an evaluation, even if the optimizer caught it.
    """
    failed: list[Exception] = []

    def evaluator(**options: Any) -> CorpusEvaluate:
        return CorpusEvaluate(context, by, failed, whole=whole, **options)

    logger = logging.getLogger("dspy")
    level = logger.level
    _install()
    token = _evaluator.set(evaluator)
    with context.quiet():
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        except Exception:
            if not failed:
                raise
        finally:
            logger.setLevel(level)
            _evaluator.reset(token)
        if failed:
            raise failed[0]
