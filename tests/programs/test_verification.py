"""Found spans are asked about: what is asked, by what a span stands, what is recorded."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import dspy
import pytest
from dspy import lm15

from conftest import Door, folder_of, load, records
from corpora import InputError, Label
from corpora.sources import Conll
from programs.formats import Entities, Format
from programs.strategy import Strategy
from programs.tagger import Tagger
from programs.verification import Verifier
from scripted_server import ScriptedServer

LABELS = [Label("RareDisease", "If it is rare."), Label("Sign")]
TOKENS = "Fabry disease brings fever , no fever .".split()
TAGS = "B-RareDisease I-RareDisease O B-Sign O O B-Sign O".split()
FOUND = '{"RareDisease": ["Fabry disease"], "Sign": ["fever"]}'


class Engine:
    """Finds the two mentions, and says of each span what the script has by its mention: a text and a probability."""

    takes_grammar = True

    def __init__(self, verdicts: dict[str, tuple[str, float | None]], found: str = FOUND) -> None:
        self.verdicts, self.found = verdicts, found
        self.requests: list[lm15.Request] = []

    def complete(self, request: lm15.Request) -> lm15.Response:
        self.requests.append(request)
        text, sure = self.found, None
        if str(request.config.extensions["question"]).startswith("verify:"):
            text, sure = next(v for mention, v in self.verdicts.items() if f'Is "{mention}"' in request.messages[-1].text)
        logprobs = None if sure is None else (lm15.TokenLogprob(token=text, logprob=math.log(sure)),)
        usage = lm15.Usage(input_tokens=10, output_tokens=1, total_tokens=11)
        message = lm15.Message.assistant(text)
        answer = {"model": request.model, "message": message, "finish_reason": "stop", "usage": usage}
        return lm15.Response(id=None, logprobs=logprobs, provider_data={"passes": 1}, **answer)


def tagged(form: Format, engine: Any, threshold: float = 0.5) -> dspy.Prediction:
    tagger = Tagger("Tag.", verify=Verifier(form, threshold))
    with dspy.context(lm=dspy.LM("local/scripted", engine=engine, cache=False), adapter=form):
        return tagger(tokens=TOKENS, id="d:0")


@pytest.mark.parametrize(
    ("fabry", "fever", "threshold", "spans"),
    [
        (("yes", 0.9), ("no", 0.8), 0.5, 1),
        (("yes", 0.6), ("yes", 0.95), 0.9, 2),
        (("no", 0.6), ("no", 0.9), 0.3, 1),
        (("Yes.", None), ("No, it is not.", None), 0.5, 1),
        (("perhaps", None), ("no", 0.4), 0.5, 1),  # the rest of "no" went to other splits of it, not to "yes"
    ],
)
def test_a_span_stands_by_the_probability_of_yes(fabry: Any, fever: Any, threshold: float, spans: int) -> None:
    found = tagged(Entities(labels=LABELS), Engine({"Fabry disease": fabry, "fever": fever}), threshold)
    stands = [threshold != 0.9, threshold == 0.9]
    wanted = [tag if stands[tag[2:] == "Sign"] else "O" for tag in TAGS]
    assert found.tags == wanted
    assert found.repairs["span_struck"] == (2 if stands[0] else 1)
    assert found.repairs.get("verdict_unread", 0) == (fabry[0] == "perhaps")


def test_questions_begin_alike_are_held_to_yes_or_no_and_recorded() -> None:
    engine = Engine({"Fabry disease": ("yes", 0.9), "fever": ("no", 0.9)}, found=FOUND.replace("RareDisease", "rare_disease"))
    labels = [Label("rare_disease", "If it is rare.", "rare disease"), LABELS[1]]
    form = Entities(labels=labels, called={"RareDisease": "rare_disease"})
    found = tagged(form, engine)
    asked = engine.requests[1:]
    assert list(found.answers) == ["", "verify:0-2:RareDisease", "verify:3-4:Sign", "verify:6-7:Sign"]
    assert all(request.config.extensions["grammar"] == 'start: "yes" | "no"' for request in asked)
    texts = [request.messages[-1].text for request in asked]
    assert texts[0] == (
        f'Sentence: {" ".join(TOKENS)}\n\nIs "Fabry disease" in this sentence a mention of the type rare disease? '
        "If it is rare.\nAnswer yes or no."
    )
    assert texts[1].endswith("of the type sign?\nAnswer yes or no.")
    assert len({text.partition('\n\nIs "')[0] for text in texts}) == len({request.system for request in asked}) == 1
    assert found.tags == [*TAGS[:2], *["O"] * 6]
    assert found.usage["prompt_tokens"] == 40
    assert found.usage["passes"] == 4


def test_without_spans_nothing_is_asked() -> None:
    engine = Engine({}, found="{}")
    found = tagged(Entities(labels=LABELS), engine)
    assert (set(found.tags), found.answers, found.repairs, len(engine.requests)) == ({"O"}, {"": "{}"}, {}, 1)


def test_a_strategy_says_so_and_refuses_what_it_does_not_know() -> None:
    assert Strategy(demonstrations="fixed", verify="each").name == "5 fixed + verified"
    with pytest.raises(InputError, match="strategy.verify=all is not known. Use one of none, each"):
        Strategy(verify="all")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no probability"):
        Strategy(threshold=1.5)


def test_recorded_verdicts_are_replayed(door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test.tsv").write_text("\n".join(map("\t".join, zip(TOKENS, TAGS))) + "\n", encoding="utf-8")
    corpus = ["corpus=conll", "corpus.path=."]
    (sentence,) = Conll(path=".", definitions={}).load().sentences("test")
    said = {"": FOUND, "verify:0-2:RareDisease": "yes", "verify:3-4:Sign": "yes", "verify:6-7:Sign": "no"}
    rows = [json.dumps({"id": sentence.id, "question": key, "output": text}) + "\n" for key, text in said.items()]
    (tmp_path / "out.jsonl").write_text("".join(rows), encoding="utf-8")
    outputs = ["model=replay", "model.path=out.jsonl", "format=entities", "strategy=zero_shot", "strategy.verify=each"]
    bad = door("run", *corpus, *outputs, "strategy.threshold=2")
    assert bad.returncode == 2
    assert "strategy.threshold=2 is no probability" in bad.stderr
    folder = folder_of(door("run", *corpus, *outputs))
    (row,) = records(folder)
    assert row["pred"] == [*TAGS[:6], "O", "O"]
    assert row["raw"] == said
    assert row["repairs"] == {"span_struck": 1}
    program = load(folder / "program.json")
    assert (program["settings"]["strategy"]["verify"], program["settings"]["strategy"]["threshold"]) == ("each", 0.5)
    again = folder_of(door("run", *corpus, *outputs[:2], f"program={folder}"))
    assert records(again) == records(folder)
    del program["settings"]["strategy"]["verify"], program["settings"]["strategy"]["threshold"]  # an older program
    (tmp_path / "old.json").write_text(json.dumps(program), encoding="utf-8")
    assert records(folder_of(door("run", *corpus, *outputs[:2], "program=old.json")))[0]["pred"] == TAGS


def test_a_server_is_asked_with_what_it_knows(door: Door, server: ScriptedServer) -> None:
    def reply(messages: list[dict[str, str]]) -> str:
        asked = messages[-1]["content"]
        tokens = asked.split(" ")
        return "No." if asked.startswith("Sentence: ") else "\n".join([f"{tokens[0]} : B-Sign", *(f"{t} : O" for t in tokens[1:])])

    server.reply = reply
    words = ["model=openai", "model.id=x", f"model.api_base={server.address}/v1", "limit=2", "strategy=zero_shot"]
    wire = ["model.wire.grammar=structured_outputs", "model.wire.logprobs=true"]
    folder = folder_of(door("run", *words, *wire, "strategy.verify=each"))
    asked = [body for _, _, body in server.requests if body["messages"][-1]["content"].startswith("Sentence: ")]
    assert len(asked) == 2
    assert asked[0]["structured_outputs"] == {"grammar": 'start: "yes" | "no"'}
    assert asked[0]["logprobs"] is True
    assert all(set(row["pred"]) == {"O"} and row["repairs"]["span_struck"] == 1 for row in records(folder))


@pytest.mark.weights
@pytest.mark.parametrize("form", ["entities", "entities_by_type"])
def test_real_weights_say_yes_or_no(door: Door, smollm2: object, form: str) -> None:
    folder = folder_of(door("run", f"format={form}", "strategy.verify=each", "limit=3"))
    verdicts = [text for row in records(folder) for key, text in row["raw"].items() if key.startswith("verify:")]
    assert verdicts
    assert set(verdicts) <= {"yes", "no"}
    assert load(folder / "scores.json")["failed"] == 0
