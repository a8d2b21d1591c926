"""What is relied on of DSPy beyond its documentation: a new DSPy that changed any of it fails here first, by name."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path

import dspy
import pytest

from clinspan.lms.remote.request_settings import is_reasoning_model
from clinspan.programs.optimizers import evaluate
from conftest import ROOT

OWN = ("decisions", "lms", "programs", "metrics", "retrievers", "reports", "tuning", "benchmarks")
DOCUMENTED = {
    "dspy",
    "dspy.evaluate.evaluate",
    "dspy.utils.callback",
    "dspy.utils.exceptions",
    "dspy.utils.usage_tracker",
}
INTERNAL = {
    ("lms/lm15.py", "dspy.clients.engines"),
    ("lms/lm15.py", "dspy.lm15"),
    ("lms/remote/request_settings.py", "dspy.clients.lm"),
}
"""The modules of ours that import a module of DSPy which it does not document."""


def dspy_imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "dspy":
            found.add(node.module)
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "dspy"}
    return found


def test_only_the_named_modules_import_internals_of_dspy() -> None:
    imports = {
        (str(path.relative_to(ROOT)), module)
        for room in OWN
        for path in (ROOT / room).rglob("*.py")
        for module in dspy_imports(path) - DOCUMENTED
    }
    assert imports == INTERNAL


@pytest.mark.parametrize("place", evaluate._PLACES)
def test_optimizers_look_up_evaluate_in_their_module(place: str) -> None:
    module = importlib.import_module(place)
    assert callable(module.Evaluate)
    assert "Evaluate(" in inspect.getsource(module)


def test_the_rule_for_reasoning_models_is_there() -> None:
    assert is_reasoning_model("gpt-5") and not is_reasoning_model("gpt-4o")


def test_an_lm_keeps_its_engine_object_and_its_settings() -> None:
    class Engine:
        def complete(self, request: object) -> None: ...
        def stream(self, request: object) -> None: ...
        def close(self) -> None: ...

    engine = Engine()
    lm = dspy.LM("local/x", engine=engine, cache=False)
    copied = lm.copy(rollout_id=3, temperature=1.0)
    assert lm.engine is copied.engine is engine
    assert (copied.kwargs["rollout_id"], copied.kwargs["temperature"]) == (3, 1.0)
    assert isinstance(dspy.LM("openai/gpt-4o", cache=False).engine, str)


def test_adapters_wrap_format_and_parse_for_callbacks() -> None:
    assert "with_callbacks" in inspect.getsource(dspy.Adapter.__init_subclass__)


def test_predict_takes_its_own_model_before_the_current_one() -> None:
    source = inspect.getsource(dspy.Predict._forward_preprocess)
    assert 'kwargs.pop("lm", self.lm) or settings.lm' in source
