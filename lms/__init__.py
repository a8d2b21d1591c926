"""Model factories: `build(spec)` returns a local, remote or recorded `dspy.LM`, `build_classifier(spec)` a token classifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from clinspan.lms.errors import (
    BatchError,
    DeferredError,
    GrammarError,
    ModelError,
    NoAnswerError,
    PromptTooLongError,
    UnavailableError,
)
from clinspan.lms.grammars import Grammar, Rule
from clinspan.lms.protocols import OwnModel
from clinspan.lms.specs import AzureModel, ClassifierModel, LocalModel, ModelSpec, OpenAIModel, ReplayModel, Wire

if TYPE_CHECKING:
    import dspy

    from clinspan.lms.classifiers.classifier import TokenClassifier
    from clinspan.lms.local.engine import TransformersEngine
    from clinspan.lms.weights.outlook import Workload

__all__ = [
    "AzureModel",
    "BatchError",
    "ClassifierModel",
    "DeferredError",
    "Grammar",
    "GrammarError",
    "LocalModel",
    "ModelError",
    "ModelSpec",
    "NoAnswerError",
    "OpenAIModel",
    "OwnModel",
    "PromptTooLongError",
    "ReplayModel",
    "Rule",
    "UnavailableError",
    "Wire",
    "build",
    "build_classifier",
]


def build(
    spec: ModelSpec,
    *,
    outputs: Mapping[tuple[str, str], str] | None = None,
    workload: Callable[[], Workload] | None = None,
) -> dspy.LM:
    """Load or connect the model that a spec describes. A spec of the user's own class builds it itself.

    Args:
        spec: The model.
        outputs: For `ReplayModel`: texts by `(id, question)`, from `lms.replay.load_outputs`.
        workload: For `LocalModel`: gives what will be asked of it, see `lms.weights.outlook`.

    Raises:
        ModelError: The model is not available; the message says what to do.
    """
    if isinstance(spec, LocalModel):
        return _build_local(spec, workload)
    if isinstance(spec, ReplayModel):
        import dspy

        from clinspan.lms.replay import ReplayEngine

        return dspy.LM("local/replay", engine=ReplayEngine(outputs or {}), cache=False, num_retries=0)
    if not isinstance(spec, AzureModel | OpenAIModel):
        return spec.build()
    from clinspan.lms.remote.build import build_azure, build_openai

    return build_azure(spec) if isinstance(spec, AzureModel) else build_openai(spec)


def build_classifier(spec: ClassifierModel) -> TokenClassifier:
    """Load a model that was fine-tuned for token classification.

    Raises:
        ModelError: The model is not available or was not fine-tuned; the message says what to do.
    """
    from clinspan.lms.classifiers.classifier import TokenClassifier

    return TokenClassifier(spec)


_loaded: dict[str, dspy.LM] = {}


def _build_local(spec: LocalModel, workload: Callable[[], Workload] | None) -> dspy.LM:
    """Load the model, or return the loaded one: the jobs of a sweep share it."""
    import dspy

    if repr(spec) not in _loaded:
        _loaded.clear()  # before the next model is loaded: memory may not hold two
        executor = ThreadPoolExecutor(1)  # its OpenMP threads end with it: two OpenMP pools on the same cores are slow
        loaded = False
        try:
            loading = executor.submit(_local_engine(spec), spec, workload)
            while not wait((loading,), timeout=0.1).done:
                pass  # in steps, since an interruption does not always wake a thread that waits without an end
            engine = loading.result()
            loaded = True
        finally:
            executor.shutdown(wait=loaded)  # an interruption does not wait for the model
        name = f"local/{spec.name}@{engine.weights.revision}:{engine.dtype}:{engine.encoder.template}"
        name += "" if engine.spec.engine == "packed" else f":{engine.spec.engine}"
        _loaded[repr(spec)] = dspy.LM(name, engine=engine, cache=False, num_retries=0)
    return _loaded[repr(spec)]


def _local_engine(spec: LocalModel) -> type[TransformersEngine]:
    if spec.engine == "generate":
        from clinspan.lms.local.generate_engine import GenerateEngine

        return GenerateEngine
    from clinspan.lms.local.engine import TransformersEngine

    return TransformersEngine
