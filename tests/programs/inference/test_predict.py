"""Test that the prediction loop keeps no sentence in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dspy

from clinspan.corpora.sources import RareMini
from clinspan.programs.formats import BioLines
from clinspan.programs.inference.predictor import Predictor, PromptTagger
from clinspan.programs.rundir.run_folder import RunFolder
from support.scripted_models import NAMES


class Noting(dspy.Module):
    """Stand-in for a tagger that records the DSPy settings that decide whether a sentence is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.traces: list[Any] = []

    def forward(self, tokens: list[str], id: str = "", position: object = None) -> dspy.Prediction:
        self.traces.append((dspy.settings.trace, dspy.settings.disable_history))
        return dspy.Prediction(tags=["O"] * len(tokens), confidence=None, repairs={}, answers={"": ""}, usage={})


class Engine:
    """Engine that must not be called."""

    def complete(self, request: Any) -> Any:
        raise AssertionError("asked")


def test_no_sentence_is_kept_in_memory_once_it_is_recorded(tmp_path: Path) -> None:
    corpus = RareMini(labels=NAMES, definitions={}).load()
    tagger, lm = Noting(), dspy.LM("local/none", engine=Engine(), cache=False)
    form, sentences = BioLines(labels=corpus.labels), list(corpus.sentences("dev"))[:6]
    asker = PromptTagger(tagger=tagger, lm=lm, adapter=form, concurrency=2)  # type: ignore[arg-type]
    predictor = Predictor(asker, RunFolder(tmp_path), NAMES, "conlleval", 1)
    before = len(dspy.settings.trace or [])
    predictor.run(sentences, lambda done, f1: None)
    assert tagger.traces == [(None, True)] * 6
    assert len(dspy.settings.trace or []) == before
