"""`reflection_model=NAME` accepts every model that writes text, and changes only the writer."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from clinspan.conf import CONF
from clinspan.programs.config.composition import compose

TAGS_ONLY = {"bioclinicalbert", "label_supervised", "minilm"}
"""Token classifiers write no text."""
NO_WRITER = {"replay", "universalner"}
"""One repeats recorded answers, the other was trained to list mentions and nothing else."""


def models(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.yaml")}


def test_every_model_that_writes_text_can_write_instructions() -> None:
    assert models(CONF / "reflection_model") == models(CONF / "model") - TAGS_ONLY - NO_WRITER


@pytest.mark.parametrize("name", sorted(models(CONF / "reflection_model")))
def test_a_writer_is_the_model_of_that_name_and_changes_nothing_else(name: str) -> None:
    as_writer, _, _ = compose("optimize", ["model=medtuned", f"reflection_model={name}"])
    as_model, _, _ = compose("optimize", [f"model={name}"])
    without, _, _ = compose("optimize", ["model=medtuned"])
    differing = {"batch_size"} if name == "smollm2" else set()  # few texts are written at a time
    assert {key: value for key, value in plain(as_writer.reflection_model).items() if key not in differing} == {
        key: value for key, value in plain(as_model.model).items() if key not in differing
    }
    assert {**plain(as_writer), "reflection_model": None} == plain(without)


def plain(config: object) -> dict[str, object]:
    content = OmegaConf.to_container(config, resolve=False)  # type: ignore[arg-type]
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}
