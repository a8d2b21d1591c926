"""Tests of drafts, confidences and optional server features: grammars, predicted outputs and token probabilities."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from clinspan.corpora import Corpus, InputError, Label
from clinspan.corpora.build import build_corpus, build_document, Cutting, Policies
from clinspan.corpora.types import Entity
from clinspan.metrics import calibration, judge_entities
from clinspan.programs.formats import BioLines, Entities, Inline
from clinspan.programs.formats.responses import chosen_pieces, confidence_of
from clinspan.programs.tagging.drafts import build_drafter
from conftest import Command, folder_of, load, records
from support.scripted_server import ScriptedServer

LABELS = [Label("Disease"), Label("Sign")]
TOKENS = ["Fabry", "disease", "brings", "fever", "."]
TAGS = ["B-Disease", "I-Disease", "O", "B-Sign", "O"]


@pytest.fixture
def corpus() -> Corpus:
    text = "Fabry disease hurts. Fever of Fabry disease. Fever is bad."
    marks = [
        Entity("Disease", ((0, 13),)),
        Entity("Sign", ((21, 26),)),
        Entity("Disease", ((30, 43),)),
        Entity("Sign", ((45, 50),)),
    ]
    document, _ = build_document("d", text, marks, cutting=Cutting(), policies=Policies())
    return build_corpus("tiny", {"train": [document]})


def test_a_gazetteer_tags_train_mentions_longest_match_first(corpus: Corpus) -> None:
    draft = build_drafter("gazetteer", corpus)
    assert draft is not None
    assert draft("x", ["FEVER", "in", "Fabry", "disease", "or", "Fabry"]) == ["B-Sign", "O", "B-Disease", "I-Disease", "O", "O"]


def test_drafts_come_from_a_run_and_are_all_o_for_missing_sentences(corpus: Corpus, tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_text(json.dumps({"id": "a", "pred": ["B-Sign", "B-Drug"]}) + "\n", encoding="utf-8")
    draft = build_drafter(str(path), corpus)
    assert draft is not None
    assert draft("a", ["x", "y"]) == ["B-Sign", "O"]
    assert draft("a", ["x"]) == ["O"]
    assert draft("b", ["x", "y"]) == ["O", "O"]
    assert build_drafter("none", corpus) is None
    assert build_drafter("auto", corpus) is None
    paying = build_drafter("auto", corpus, pays=True)
    assert paying is not None and paying("", ["No", "fever"]) == ["O", "O"]
    with pytest.raises(InputError, match="draft=nowhere is not known. Use auto, none, outside, gazetteer"):
        build_drafter("nowhere", corpus)
    path.write_text('{"id": "a", "pred": "O"}\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"predictions\.jsonl:1: is not a valid prediction"):
        build_drafter(str(path), corpus)


class Piece:
    def __init__(self, token: str, logprob: float) -> None:
        self.token, self.logprob = token, logprob


def confidences(form: Any, answer: str, chosen: dict[str, float]) -> list[float | None] | None:
    """Return the confidences of an answer whose pieces in `chosen` have these probabilities; others have probability 1."""
    pieces, rest = [], answer
    for text, probability in chosen.items():
        before, _, rest = rest.partition(text)
        pieces += [Piece(before, 0.0), Piece(text, math.log(probability))]
    decoded = form.read({"": answer}, TOKENS)
    assert decoded.tags == TAGS
    return confidence_of(decoded.places, {"": chosen_pieces([*pieces, Piece(rest, 0.0)])})  # type: ignore[list-item]


def test_the_tag_of_a_line_has_the_probability_of_its_choices() -> None:
    form = BioLines(labels=LABELS)
    tag_confidences = confidences(form, form.answer(TOKENS, TAGS), {" B": 0.5, "Disease": 0.8, " I": 0.9, " O": 0.7})
    assert tag_confidences == [pytest.approx(0.4), pytest.approx(0.9), pytest.approx(0.7), 1.0, 1.0]


def test_inline_marks_and_listed_mentions_have_the_probability_of_their_choices() -> None:
    inline = Inline(labels=LABELS)
    tag_confidences = confidences(inline, inline.answer(TOKENS, TAGS), {"<Dis": 0.5, "</": 0.8, " brings": 0.3, "<Sign": 0.6})
    assert tag_confidences == [pytest.approx(0.4), pytest.approx(0.4), None, pytest.approx(0.6), None]
    entities = Entities(labels=LABELS)
    tag_confidences = confidences(entities, entities.answer(TOKENS, TAGS), {'["': 0.5, "disease": 0.9, "fever": 0.25})
    assert tag_confidences == [pytest.approx(0.45), pytest.approx(0.45), None, pytest.approx(0.25), None]


def test_an_answer_without_probabilities_has_no_confidence() -> None:
    form = BioLines(labels=LABELS)
    decoded = form.read({"": form.answer(TOKENS, TAGS)}, TOKENS)
    assert confidence_of(decoded.places, {"": []}) is None
    assert judge_entities(TAGS, TAGS, None, "conlleval") == []
    assert calibration([]) is None


def test_calibration_table() -> None:
    table = calibration([(0.9, True), (0.9, False), (0.05, False), (1.0, True)])
    assert table is not None
    assert table["entities"] == 4
    assert [row["entities"] for row in table["bins"]] == [1, 0, 0, 0, 0, 0, 0, 0, 0, 3]
    assert table["bins"][9]["accuracy"] == pytest.approx(2 / 3)
    assert table["ece"] == pytest.approx(0.25 * 0.05 + 0.75 * abs(2 / 3 - 2.8 / 3))


def test_grammars_accept_right_answers_and_reject_an_orphan_i_tag(engine: Any) -> None:
    from llguidance import LLMatcher

    for form in (BioLines(labels=LABELS), Inline(labels=LABELS), Entities(labels=LABELS)):
        matcher = LLMatcher(engine._vocabulary, LLMatcher.grammar_from_lark(form.grammar(TOKENS).lark()))
        assert not matcher.is_error()
        ids = list(engine.decoder.plain(form.answer(TOKENS, TAGS)))
        assert matcher.validate_tokens(ids) == len(ids)
    orphan = BioLines(labels=LABELS).answer(TOKENS, ["O", "I-Sign", "O", "O", "O"])
    lines = LLMatcher(engine._vocabulary, LLMatcher.grammar_from_lark(BioLines(labels=LABELS).grammar(TOKENS).lark()))
    ids = list(engine.decoder.plain(orphan))
    assert lines.validate_tokens(ids) < len(ids)


def ask(command: Command, server: ScriptedServer, *words: str) -> tuple[dict[str, Any], Path]:
    common = ["model=openai", "model.id=x", f"model.api_base={server.address}/v1", "strategy=zero_shot", "limit=1"]
    folder = folder_of(command("run", *common, *words))
    return server.requests[-1][2], folder


def test_each_server_gets_the_grammar_in_its_own_form(command: Command, server: ScriptedServer) -> None:
    body, _ = ask(command, server, "model.wire.grammar=structured_outputs")
    assert body["structured_outputs"]["grammar"].startswith("start: s0")
    body, _ = ask(command, server, "model.wire.grammar=llama_cpp")
    assert body["grammar"].startswith("root ::= s0")
    body, _ = ask(command, server, "model.wire.grammar=json_schema", "format=entities")
    assert body["response_format"]["json_schema"]["schema"]["required"][0] == "Disease"
    body, _ = ask(command, server)
    assert not {"grammar", "structured_outputs", "response_format", "prediction", "logprobs"} & set(body)


def test_the_draft_becomes_azures_predicted_output_and_replaces_max_tokens(command: Command, server: ScriptedServer) -> None:
    body, _ = ask(command, server, "model.wire.prediction=true", "draft=outside")
    assert body["prediction"]["content"].endswith(". : O")
    assert "max_tokens" not in body


def test_a_servers_probabilities_become_confidences(command: Command, server: ScriptedServer) -> None:
    def answer(handler: Any, body: dict[str, Any]) -> None:
        text = server.reply(body["messages"])
        lines = text.split("\n")
        content = []
        for n, line in enumerate(lines):
            tag = line.rsplit(" ", 1)[1]
            content += [{"token": line[: -len(tag)], "logprob": -0.5}, {"token": tag, "logprob": math.log(0.8)}]
            content += [{"token": "\n", "logprob": 0.0}] if n < len(lines) - 1 else []
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        choice["logprobs"] = {"content": content}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        handler.send(200, {"id": "c", "object": "chat.completion", "created": 0, "model": "x", "choices": [choice], "usage": usage})

    server.always = answer
    server.reply = lambda messages: "\n".join(f"{word} : B-Sign" for word in messages[-1]["content"].rsplit("\n", 1)[-1].split(" "))
    body, folder = ask(command, server, "model.wire.logprobs=true")
    assert body["logprobs"] is True
    assert records(folder)[0]["confidence"] == pytest.approx([0.8] * len(records(folder)[0]["tokens"]))
    table = load(folder / "scores.json")["calibration"]
    words = [token for token in records(folder)[0]["tokens"] if any(mark.isalnum() for mark in token)]
    assert table["entities"] == len(words)  # a mark is no mention, whatever its tag
    assert table["bins"][8]["confidence"] == pytest.approx(0.8)
