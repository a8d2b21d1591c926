"""Calls of the `score` command within the test's own process."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clinspan.programs.app.results import as_json, only_results
from clinspan.programs.config.command_line import gather
from clinspan.programs.config.composition import compose
from clinspan.programs.score import main


def call(*words: str) -> None:
    main(compose("score", gather(words, "runs"))[0])


def scored(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    """The results that the command prints as JSON."""
    with as_json("score"), only_results():
        call(*words)
    results: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["results"]
    return results
