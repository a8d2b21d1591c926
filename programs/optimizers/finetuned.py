"""Fine-tunes the model of a program (bootstrap fine-tuning)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from clinspan import lms
from clinspan.corpora import InputError, Sentence
from clinspan.programs.optimizers.candidate import Candidate
from clinspan.programs.optimizers.context import OptimizationContext, Optimizer
from clinspan.programs.optimizers.effort import Asked, Effort, Extent
from clinspan.programs.rundir.origin import read_origin
from clinspan.programs.tagging.saved_program import trained_weights
from clinspan.programs.tagging.training_records import training_records
from clinspan.tuning import Lora, Options, tune

ADAPTER = "model"


@dataclass(frozen=True, kw_only=True)
class BootstrapFinetune(Optimizer):
    """Fine-tuning on answers, as in DSPy's BootstrapFinetune, with our own `tuning`.

    With a `reflection_model`, the answers are those of that model to train sentences, if their score is high enough. Without one,
    they are the gold answers. The result has no demonstrations. It needs its adapter, which is loaded with the program.

    Attributes:
        threshold: Minimum score of an answer of the `reflection_model` to be trained on, see `sentence_score`.
        dev_records: Number of dev sentences whose loss decides which epoch is kept.
        tuning: Training options.
    """

    threshold: float = 0.8
    dev_records: int = 40
    least: ClassVar[Mapping[str, float]] = {"threshold": 0.0, "dev_records": 1}
    tuning: Options = field(default_factory=lambda: Lora(epochs=2, dropout=0.0))
    chooses_demos: ClassVar[bool] = False

    def check(self, context: OptimizationContext) -> None:
        if not isinstance(context.spec, lms.LocalModel):
            remedy = "Use a local model, such as model=smollm2."
            raise InputError("optimizer=bootstrap_finetune trains weights, but this model has no local weights", remedy=remedy)
        if context.start.single.retrieve is not None:
            raise InputError("fine-tuning does not support retrieved context", remedy="Use strategy=zero_shot, few_shot or knn.")

    def effort(self, extent: Extent) -> Effort:
        taught = Asked.exactly(extent.train if extent.teacher else 0)
        return Effort(1, Asked.exactly(extent.dev), taught, ("the time of the training",))

    def compile(self, context: OptimizationContext) -> None:
        assert isinstance(context.spec, lms.LocalModel)
        learner = context.start.with_demos([], "bootstrap_finetune")
        train = self._answers(context) if context.teacher is not None else list(context.train)
        records = training_records(learner.single, learner.adapter, train)
        dev = training_records(learner.single, learner.adapter, context.evaluator.sentences[: self.dev_records])
        origin = read_origin(context.start.dump()).model_dump()
        result = tune(
            context.spec,
            records,
            dev,
            self.tuning,
            folder=context.folder,
            seed=context.seed,
            progress=context.progress,
            origin=origin,
        )
        context.evaluator.score(tuned(context, learner, result.model), whole=True)

    def _answers(self, context: OptimizationContext) -> list[Sentence]:
        """Return the train sentences with the teacher's tags, if their score is high enough."""
        assert context.teacher is not None
        tags = context.evaluator.predict(context.teacher, context.train)
        scored: Sequence[tuple[Sentence, float]] = [
            (s, context.objective({"tags": list(s.tags)}, {"tags": tags[s.id]})) for s in context.train
        ]
        accepted = [replace(s, tags=tuple(tags[s.id])) for s, score in scored if score >= self.threshold]
        if not accepted:
            raise InputError("the reflection_model answered no train sentence well enough", remedy="Lower optimizer.threshold.")
        return accepted


def tuned(context: OptimizationContext, learner: Candidate, spec: lms.LocalModel) -> Candidate:
    """Return the candidate on the trained model."""
    lm = lms.build(spec)
    tagger = learner.student()
    tagger.settings = {
        **tagger.settings,
        "adapter": trained_weights(spec, folder=ADAPTER, revision=lm.engine.weights.revision),
    }
    return replace(learner, tagger=tagger.on(lm, learner.adapter, disable_history=True), lm=lm)
