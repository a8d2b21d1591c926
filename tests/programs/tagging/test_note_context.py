"""Tests of prompts that show what a document says around a sentence: neighbours, heading, title."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest

from clinspan.corpora import InputError, Label, Sentence
from clinspan.corpora.bio import Policies
from clinspan.corpora.build import build_document, Cutting
from clinspan.lms import lm15, PromptTooLongError
from clinspan.lms.specs import LocalModel
from clinspan.metrics.seqeval_f1 import examples
from clinspan.programs.building.build_run import build_program, Overrides
from clinspan.programs.building.chosen_sentences import sentences_of
from clinspan.programs.building.run_plan import conversations
from clinspan.programs.config.composition import build, compose, load_corpus
from clinspan.programs.formats import BioLines, Entities, Format, Inline, Phrases
from clinspan.programs.inference.predictor import PromptTagger
from clinspan.programs.tagging.note_context import NoteContext
from clinspan.programs.tagging.prompt_fingerprint import prompt_fingerprint
from clinspan.programs.tagging.strategy import Strategy
from clinspan.programs.tagging.tagger import Tagger
from clinspan.programs.tagging.training_records import training_records
from clinspan.reports.wording import count_words
from support.scripted_engine import scripted, ScriptedEngine

LABELS = [Label("Sign"), Label("Disease")]
FORMATS: list[Format] = [
    BioLines(labels=LABELS),
    BioLines(labels=LABELS, separator="newline"),
    Inline(labels=LABELS),
    Entities(labels=LABELS),
    Entities(labels=LABELS, per_type=True),
    Phrases(labels=LABELS),
]
TEXT = "Ward letter\nEXAM FINDINGS\nHe has asthma. No rash today. He coughs. He sleeps."
ALL = NoteContext(neighbours=1, heading=True, document="title")
SHOWN = "Document: Ward letter\nSection: EXAM FINDINGS\nBefore: He has asthma.\nAfter: He coughs."
AROUND = f"Context of the sentence in its document, which is not to be tagged (answer about the sentence alone):\n{SHOWN}"
DEMO = {"id": "t:0", "tokens": ["A", "rash"], "tags": ["O", "B-Sign"]}


def sentence(words: str = "No rash today .") -> Sentence:
    made, _ = build_document("d", TEXT, (), cutting=Cutting("clinical", "clinical"), policies=Policies())
    return next(one for one in made.sentences if " ".join(one.words) == words)


def prompts(form: Format, tagger: Tagger, **given: Any) -> list[lm15.Request]:
    lm = scripted(lambda text: "{}")
    with dspy.context(lm=lm, adapter=form):
        tagger(tokens=sentence().words, id="d:3", **given)
    return list(lm.engine.requests)


@pytest.mark.parametrize("form", FORMATS)
def test_each_format_shows_it_apart_from_the_sentence(form: Format) -> None:
    tagger = Tagger("Tag.", demonstrations=[DEMO], note=ALL)
    for request in prompts(form, tagger, position=sentence().position):
        first, *turns = [message.text or "" for message in request.messages]
        shown = next(text for text in turns if AROUND in text)
        assert shown.endswith(f"{AROUND}\n\nSentence to tag:\n{form.sentence(sentence().words)}")
        assert "Sentence to tag" not in first, "demonstrations have none"
        assert sum("asthma" in text for text in [first, *turns, str(request.system)]) == 1


@pytest.mark.parametrize("form", FORMATS)
def test_without_a_position_or_without_the_setting_prompts_are_as_before(form: Format) -> None:
    plain = prompts(form, Tagger("Tag.", demonstrations=[DEMO]))
    assert prompts(form, Tagger("Tag.", demonstrations=[DEMO], note=ALL)) == plain
    assert prompts(form, Tagger("Tag.", demonstrations=[DEMO]), position=sentence().position) == plain


@pytest.mark.parametrize("form", FORMATS)
def test_what_an_answer_may_be_comes_from_the_sentence_alone(form: Format) -> None:
    for question in form.questions(list(sentence().words), (), SHOWN):
        told = form.grammar(sentence().words, question.key).lark() + str(form.choices(sentence().words, question.key))
        assert "rash" in told and "asthma" not in told and "Ward" not in told


ANSWERS: list[tuple[Format, str]] = [
    (FORMATS[0], "He : O\nhas : O\nasthma : B-Disease\n. : O\nNo : O\nrash : B-Sign\ntoday : O\n. : O\nHe : O\ncoughs : B-Sign"),
    (FORMATS[2], "He has <Disease>asthma</Disease>. No <Sign>rash</Sign> today . He <Sign>coughs</Sign>."),
    (FORMATS[3], '{"Sign": ["rash", "coughs"], "Disease": ["asthma", "measles"]}'),
    (FORMATS[5], "rash : Sign\ncoughs : Sign\nasthma : Disease"),
]


@pytest.mark.parametrize(("form", "said"), ANSWERS)
def test_mentions_that_only_the_context_has_are_never_tagged(form: Format, said: str) -> None:
    with dspy.context(lm=scripted(lambda text: said), adapter=form):
        found = Tagger("Tag.", note=ALL)(tokens=sentence().words, position=sentence().position)
    assert found.tags == ["O", "B-Sign", "O", "O"]
    if isinstance(form, Entities | Phrases):
        assert found.repairs["copied_from_context"] == 2
        assert found.repairs.get("mention_not_found", 0) == ("measles" in said)


def test_chunks_come_before_it() -> None:
    tagger = Tagger("Tag.", retrieve=lambda text: ["Rash is a sign."], note=ALL)
    (request,) = prompts(FORMATS[3], tagger, position=sentence().position)
    asked = request.messages[-1].text or ""
    assert asked.startswith("Context that may help; do not tag it:\nRash is a sign.\n\nContext of the sentence")
    assert asked.endswith(f"{SHOWN}\n\nSentence to tag:\nNo rash today .")


class Narrow(ScriptedEngine):
    """A scripted engine that takes prompts up to a number of characters."""

    def __init__(self, longest: int) -> None:
        super().__init__(lambda text: '{"Sign": ["rash"]}')
        self.longest = longest

    def complete(self, request: lm15.Request) -> lm15.Response:
        length = sum(len(message.text or "") for message in request.messages)
        if length > self.longest:
            raise PromptTooLongError(prompt=length, answer=0, context=self.longest)
        return super().complete(request)


@pytest.mark.parametrize(
    ("longest", "repairs"),
    [(10_000, {}), (200, {"context_dropped": 1}), (60, {"context_dropped": 1, "demonstration_dropped": 2})],
)
def test_a_long_prompt_loses_it_before_the_demonstrations_and_counts_it(longest: int, repairs: dict[str, int]) -> None:
    engine = Narrow(longest)
    lm = dspy.LM("local/scripted", engine=engine, cache=False, num_retries=0)
    tagger = Tagger("Tag.", demonstrations=[DEMO, DEMO, DEMO], note=ALL, overflow="drop")
    ((_, record),) = PromptTagger(tagger=tagger, lm=lm, adapter=FORMATS[3], concurrency=1).tag_all([sentence()])
    assert (record["error"], record["repairs"]) == (None, repairs)
    assert record["pred"] == ["O", "B-Sign", "O", "O"]
    assert ("asthma" in str(engine.requests[-1])) == (not repairs)
    assert not repairs or "context in the document" in count_words("context_dropped", 1)
    strict = Tagger("Tag.", demonstrations=[DEMO, DEMO, DEMO], note=ALL, overflow="error")
    ((_, record),) = PromptTagger(tagger=strict, lm=lm, adapter=FORMATS[3], concurrency=1).tag_all([sentence()])
    assert record["error"] == ("prompt_too_long" if repairs else None)


def test_dspys_own_adapter_gets_it_as_an_input() -> None:
    asked: list[str] = []

    def answer(text: str) -> str:
        asked.append(text)
        return '[[ ## tags ## ]]\n["O", "B-Sign", "O", "O"]\n\n[[ ## completed ## ]]'

    with dspy.context(lm=scripted(answer), adapter=dspy.ChatAdapter()):
        found = Tagger("Tag.", note=ALL)(tokens=sentence().words, position=sentence().position)
        Tagger("Tag.")(tokens=sentence().words)
    assert found.tags == ["O", "B-Sign", "O", "O"]
    assert f"[[ ## note ## ]]\n{SHOWN}" in asked[0]
    assert "note" not in asked[1]


def test_examples_and_training_records_have_it() -> None:
    (example,) = examples([sentence()], positions=True)
    lm = scripted(lambda text: "{}")
    with dspy.context(lm=lm, adapter=FORMATS[3]):
        Tagger("Tag.", note=ALL)(**example.inputs())
    assert SHOWN in str(lm.engine.requests[0].messages[-1].text)
    assert "position" not in examples([sentence()])[0]
    (record,) = training_records(Tagger("Tag.", note=ALL), FORMATS[3], [sentence()])
    assert record.messages[-1][1].startswith(AROUND)


def test_settings_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(InputError, match="neighbours"):
        Strategy(neighbours=-1)
    with pytest.raises(InputError, match="strategy.document=first is not known"):
        Strategy(document="first")  # type: ignore[arg-type]
    assert Strategy(neighbours=1, heading=True).name == "zero-shot + 1 neighbour + heading"


def test_fitted_decisions_hang_on_it() -> None:
    spec = LocalModel(name="smollm2")
    form = FORMATS[5]
    kinds = [NoteContext(), NoteContext(neighbours=1), NoteContext(neighbours=2), NoteContext(heading=True), ALL]
    assert len({prompt_fingerprint(Tagger("Tag.", note=note), form, spec) for note in kinds}) == len(kinds)


def built(*words: str) -> tuple[Any, list[Sentence]]:
    config, choices, given = compose("run", ["split=dev", "limit=6", "format=entities", *words])
    corpus = load_corpus(config)
    sentences, _ = sentences_of(config, corpus)
    return build_program(config, corpus, sentences, build(config.model), overrides=Overrides(choices, given), quiet=True), sentences


@pytest.mark.parametrize("strategy", ["zero_shot", "few_shot", "knn", "knn_few_shot", "rag", "rag_few_shot"])
def test_each_strategy_shows_the_sentences_around(strategy: str) -> None:
    retrieves = strategy.startswith("rag")
    more = ["retriever.by=tfidf"] if strategy == "knn" else []
    if retrieves:
        pytest.importorskip("chromadb")
    program, sentences = built(f"strategy={strategy}", "strategy.neighbours=1", *more)
    (turns, _), *_ = conversations(program.members, sentences[1])
    assert "Before: " in turns[-1][1] and turns[-1][1].endswith(f"Sentence to tag:\n{sentences[1].text}")
    assert turns[-1][1].startswith("Context that may help") == retrieves
    assert not any("Before: " in text for _, text in turns[:-1])


@pytest.mark.long
def test_a_saved_program_brings_it_and_the_command_line_takes_it_away(command: Callable[..., Any], tmp_path: Path) -> None:
    from conftest import folder_of, load

    words = ["strategy=few_shot", "strategy.k=2", "strategy.neighbours=2", "format=entities", "limit=2", "split=dev"]
    made = folder_of(command("run", *words))
    assert load(made / "program.json")["settings"]["strategy"]["neighbours"] == 2
    again = folder_of(command("run", f"program={made}", "limit=2", "split=dev"))
    sent = [(folder / "prompts.jsonl").read_text(encoding="utf-8") for folder in (made, again)]
    assert "After: " in sent[0] and sent[0] == sent[1]
    off = folder_of(command("run", f"program={made}", "limit=2", "split=dev", "strategy.neighbours=0"))
    assert "After: " not in (off / "prompts.jsonl").read_text(encoding="utf-8")
    assert [row["raw"] for row in load_rows(made)] == [row["raw"] for row in load_rows(again)]


def load_rows(folder: Path) -> list[dict[str, Any]]:
    from conftest import records

    return records(folder)
