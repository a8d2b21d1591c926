"""Maps of a prompted program's confidences: fitted with the program, kept in it, and used by its prompt and model alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest

from clinspan import Tagger
from clinspan.corpora import Label
from clinspan.metrics.calibration import entity_confidence, judge_entities
from clinspan.metrics.confidence_map import ConfidenceMap, fit_map
from clinspan.programs.building.load_program import BUNDLED
from clinspan.programs.formats import BioLines
from clinspan.programs.tagging.tagger import Ensemble
from conftest import Command, folder_of, load, records
from support.compiling import local
from support.scripted_engine import scripted
from support.scripted_models import Script
from support.scripted_server import ScriptedServer

MAP = ConfidenceMap(slope=0.5, intercept=-1.0, mentions=30, fingerprint="abc")
OTHER = "the program's map of confidences was fitted to another prompt or model, and is not used"


def lines(asked: str) -> str:
    return "No : O\nfever : B-Sign"


def tagged(program: Tagger | Ensemble) -> list[float | None]:
    with dspy.context(lm=scripted(lines), adapter=BioLines(labels=(Label("Sign"),))):
        return list(program(tokens=["No", "fever"]).confidence)


def test_a_program_with_a_map_gives_mapped_confidences_and_saves_the_map(tmp_path: Path) -> None:
    voting = Ensemble([Tagger("Tag."), Tagger("Tag them."), Tagger("Tag all.")])
    assert tagged(voting) == [None, 1.0]
    assert tagged(voting.calibrated(MAP)) == [None, MAP(1.0)] and tagged(voting) == [None, 1.0]
    for program, again in ((Tagger("Tag."), Tagger("")), (voting, Ensemble([Tagger(""), Tagger(""), Tagger("")]))):
        assert "confidence" not in program.dump_state()
        program.calibrated(MAP).save(tmp_path / "program.json")
        again.load(tmp_path / "program.json")
        assert again.confidence == MAP
    assert tagged(again) == [None, MAP(1.0)]


def means(rows: list[dict[str, Any]]) -> list[float]:
    """The confidence in each predicted mention."""
    return [mean for row in rows for mean, _ in judge_entities(row["pred"], row["pred"], row["confidence"], "conlleval")]


def scripted_votes(script: Script) -> Callable[[list[dict[str, str]]], str]:
    """Of three answers each has the gold mentions, and two have the sentence's first other token as a Sign."""

    asked: Counter[str] = Counter()

    def reply(messages: list[dict[str, str]]) -> str:
        sentence = messages[-1]["content"].rsplit("\n", 1)[-1]
        asked[sentence] += 1
        tags = [*script.gold[sentence]]
        other = next((number for number, tag in enumerate(tags) if tag == "O"), None)
        if asked[sentence] % 3 and other is not None and tags[other + 1 : other + 2] != ["I-Sign"]:
            tags[other] = "B-Sign"
        return "\n".join(f"{token} : {tag}" for token, tag in zip(sentence.split(" "), tags, strict=True))

    return reply


@pytest.mark.long
def test_optimizer_confidence_fits_a_map_that_later_runs_use(
    command: Command, server: ScriptedServer, script: Script, tmp_path: Path
) -> None:
    server.reply = scripted_votes(script)
    model = [word for word in local(server) if not word.startswith("dev_limit")]
    done = command("optimize", "optimizer=confidence", "strategy.votes=3", "dev_limit=18", *model)
    folder = folder_of(done)
    content, rows = load(folder / "program.json"), records(folder)
    judged = [one for row in rows for one in judge_entities(row["gold"], row["pred"], row["confidence"], "conlleval")]
    mapped, fitted = ConfidenceMap.model_validate(content["confidence"]), fit_map(judged)
    assert fitted is not None and mapped == fitted.model_copy(update={"fingerprint": mapped.fingerprint})
    assert load(folder / "run.json")["best"]["mapped"] == len(judged) == mapped.mentions
    assert f"mapped to how often such mentions are right, by {len(judged)} mentions on dev" in done.stdout

    plain = tmp_path / "plain.json"
    plain.write_text(json.dumps({key: value for key, value in content.items() if key != "confidence"}), encoding="utf-8")
    before, after = (folder_of(command("run", f"program={path}", "limit=3", *model)) for path in (plain, folder))
    raw, found = means(records(before)), means(records(after))
    assert {round(value, 4) for value in raw} == {0.6667, 1.0} and found == pytest.approx([mapped(value) for value in raw])
    assert load(after / "program.json")["confidence"] == content["confidence"]
    again = command("optimize", "optimizer=confidence", f"program={folder}", "dev_limit=18", *model)
    assert load(folder_of(again) / "program.json")["confidence"] == content["confidence"]

    other = command("run", f"program={folder}", "limit=3", "strategy.temperature=0.5", *model)
    assert OTHER in other.stderr and means(records(folder_of(other))) == raw


def test_a_map_that_is_none_is_refused(command: Command, tmp_path: Path) -> None:
    broken = tmp_path / "program.json"
    broken.write_text(json.dumps({**load(BUNDLED), "confidence": {"slope": "high"}}), encoding="utf-8")
    done = command("run", f"program={broken}", "limit=1")
    assert done.returncode == 2 and "program.json: confidence is not a map of confidences" in done.stderr


def test_a_span_of_unknown_tags_has_no_confidence() -> None:
    assert entity_confidence(MAP.tags(["B-Sign"], [None], "conlleval"), 0, 1) is None
