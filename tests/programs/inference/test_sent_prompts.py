"""Tests of what is recorded of prompts, by requests that scripted engines received."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dspy

from clinspan.corpora import Label, Sentence, Token
from clinspan.lms import lm15, PromptTooLongError
from clinspan.lms.local.engine import request_messages
from clinspan.lms.templates import TEMPLATES, writes_system
from clinspan.programs.formats import BioLines, Entities, Format
from clinspan.programs.inference.predictor import PromptTagger
from clinspan.programs.rundir.prompt_log import PromptLog, read_prompts
from clinspan.programs.tagging.tagger import Ensemble, Tagger
from clinspan.reports.sent_prompts import SentPrompts
from clinspan.retrievers.chunks import Passage
from support.scripted_engine import ScriptedEngine

LABELS = [Label("Sign", ""), Label("Disease", "")]
DEMOS = [{"id": f"t:{n}", "tokens": ["rash", str(n)], "tags": ["B-Sign", "O"]} for n in range(3)]


class Rendering(ScriptedEngine):
    """A scripted engine that writes prompts by a template, as local models do, and takes only short ones."""

    def __init__(self, template: str, longest: int = 1 << 20) -> None:
        super().__init__(lambda text: "[]")
        self.template, self.longest = template, longest

    @property
    def writes_system(self) -> bool:
        return writes_system(self.template)

    def rendered(self, request: lm15.Request) -> str:
        return TEMPLATES[self.template](request_messages(request))

    def complete(self, request: lm15.Request) -> lm15.Response:
        if len(self.rendered(request)) > self.longest:
            raise PromptTooLongError(prompt=len(self.rendered(request)), answer=0, context=self.longest)
        return super().complete(request)


def sentences(*texts: str) -> list[Sentence]:
    found = []
    for n, text in enumerate(texts):
        words = text.split(" ")
        tokens = tuple(Token(word, 0, len(word)) for word in words)
        found.append(Sentence(id=f"d:{n}", document="d", tokens=tokens, tags=("O",) * len(words)))
    return found


def recorded(folder: Path, tagger: Any, engine: Any, form: Format) -> SentPrompts:
    lm = dspy.LM("local/scripted", engine=engine, cache=False, num_retries=0)
    asker = PromptTagger(tagger=tagger, lm=lm, adapter=form, concurrency=2, prompts=PromptLog(folder, first="d:0"))
    list(asker.tag_all(sentences("No fever", "A rash")))
    prompts = read_prompts(folder)
    assert prompts is not None
    return prompts


def test_the_record_holds_the_requests_that_the_engine_received(tmp_path: Path) -> None:
    engine = Rendering("alpaca")
    prompts = recorded(tmp_path, Tagger("Tag.", demonstrations=DEMOS), engine, BioLines(labels=LABELS))
    received = {tuple(request_messages(request)): engine.rendered(request) for request in engine.requests}
    assert {tuple(prompts.turns(id)) for id in ("d:0", "d:1")} == set(received)
    assert prompts.rendered == {"d:0": received[tuple(prompts.turns("d:0"))]}
    assert prompts.names("d:1", "demonstrations") == ["t:0", "t:1", "t:2"]


def test_looked_up_demonstrations_and_chunks_are_recorded_by_sentence(tmp_path: Path) -> None:
    chunks = {"No fever": [Passage.of("Fever is a sign.", "fever.txt:4")], "A rash": ["Rash is a sign."]}
    nearest = {"No fever": DEMOS[:1], "A rash": DEMOS[1:]}
    tagger = Tagger("Tag.", nearest=nearest.__getitem__, retrieve=chunks.__getitem__)
    engine = ScriptedEngine(lambda text: "[]")
    prompts = recorded(tmp_path, tagger, engine, BioLines(labels=LABELS))
    assert [prompts.names(f"d:{n}", "demonstrations") for n in (0, 1)] == [["t:0"], ["t:1", "t:2"]]
    (own,), (hashed,) = (prompts.names(f"d:{n}", "chunks") for n in (0, 1))
    assert own == "fever.txt:4"
    assert len(hashed) == 12
    asked = "Context that may help; do not tag it:\nFever is a sign.\n\nSentence to tag:\nNo fever"
    assert prompts.turns("d:0")[-1] == ("user", asked)
    assert prompts.rendered == {}  # a server writes the prompt itself


def test_a_prompt_that_did_not_fit_is_not_recorded_but_the_shorter_one(tmp_path: Path) -> None:
    form = BioLines(labels=LABELS)
    system, turns = form.messages("Tag.", DEMOS[1:], form.questions(["No", "fever"], ())[0])
    longest = len(TEMPLATES["plain"]([("system", system), *turns]))
    prompts = recorded(tmp_path, Tagger("Tag.", demonstrations=DEMOS, overflow="drop"), Rendering("plain", longest), form)
    assert prompts.names("d:0", "demonstrations") == ["t:1", "t:2"]
    assert len(prompts.asked["d:0"]) == 1


def test_a_template_without_a_system_turn_leaves_it_out_of_the_record(tmp_path: Path) -> None:
    prompts = recorded(tmp_path, Tagger("Tag."), Rendering("universalner"), Entities(labels=LABELS, per_type=True))
    assert {role for role, _ in prompts.turns("d:0")} == {"user", "assistant"}
    assert "Tag." not in (tmp_path / "prompts.jsonl").read_text()
    assert [question["question"] for question in prompts.asked["d:0"][0]["questions"]] == ["Sign", "Disease"]
    assert len(prompts.digests("d:0")) == 2


def test_votes_are_one_prompt_and_members_are_two(tmp_path: Path) -> None:
    (tmp_path / "votes").mkdir()
    form = BioLines(labels=LABELS)
    voting = recorded(tmp_path / "votes", Tagger("Tag.", votes=3), Rendering("plain"), form)
    assert len(voting.digests("d:0")) == 1
    lm = dspy.LM("local/scripted", engine=Rendering("plain"), cache=False, num_retries=0)
    members = [Tagger(words).on(lm, form) for words in ("One.", "Two.")]
    (tmp_path / "members").mkdir()
    both = recorded(tmp_path / "members", Ensemble(members), lm.engine, form)
    assert len(both.asked["d:0"]) == 2
    assert len(set(both.digests("d:0"))) == 2
