"""The Tagger and the formats as people who write DSPy programs use them: asynchronously, copied, saved, beside other modules."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest
from dspy.utils.callback import BaseCallback

from clinspan import Tagger, TagTokens
from clinspan.corpora import InputError, Label
from clinspan.lms.local.engine import TransformersEngine
from clinspan.lms.protocols import Engine, LocalEngine, ServedEngine
from clinspan.lms.remote.batch.engine import BatchEngine
from clinspan.lms.replay import ReplayEngine
from clinspan.programs.formats import BioLines
from clinspan.programs.tagging.tagger import plain_demos
from support.scripted_engine import scripted

LABELS = (Label("Sign"), Label("Disease"))
TOKENS = ["No", "fever"]
DEMONSTRATION = {"id": "d:0", "tokens": ["high", "fever"], "tags": ["O", "B-Sign"]}


def lines(asked: str) -> str:
    return "No : O\nfever : B-Sign"


def test_a_tagger_is_awaited_and_many_at_once_are() -> None:
    async def together() -> list[dspy.Prediction]:
        with dspy.context(lm=scripted(lines), adapter=BioLines(labels=LABELS)):
            tagger = Tagger("Tag.")
            return list(await asyncio.gather(*(tagger.acall(tokens=TOKENS, id=f"d:{n}") for n in range(4))))

    assert [found.tags for found in asyncio.run(together())] == [["O", "B-Sign"]] * 4


def test_a_predict_on_the_signature_is_awaited() -> None:
    async def one() -> dspy.Prediction:
        with dspy.context(lm=scripted(lines), adapter=BioLines(labels=LABELS)):
            return await dspy.Predict(TagTokens).acall(tokens=TOKENS, context=[])

    assert asyncio.run(one()).tags == ["O", "B-Sign"]


def test_other_modules_of_a_program_are_asked_by_dspys_own_adapter() -> None:
    def answer(asked: str) -> str:
        return "[[ ## answer ## ]]\nyes\n\n[[ ## completed ## ]]" if "question" in asked else lines(asked)

    with dspy.context(lm=scripted(answer), adapter=BioLines(labels=LABELS)):
        assert dspy.Predict("question -> answer")(question="Is it?").answer == "yes"
        assert Tagger("Tag.")(tokens=TOKENS).tags == ["O", "B-Sign"]


@pytest.mark.parametrize(
    ("module", "field"),
    [
        (lambda: dspy.ChainOfThought(TagTokens), "reasoning"),
        (lambda: dspy.Predict(TagTokens.append("comment", dspy.OutputField())), "comment"),
        (lambda: dspy.Predict(TagTokens.append("guideline", dspy.InputField())), "guideline"),
    ],
)
def test_fields_that_no_prompt_or_answer_has_room_for_are_refused(module: Callable[[], Any], field: str) -> None:
    more = {"guideline": "x"} if field == "guideline" else {}
    with (
        dspy.context(lm=scripted(lines), adapter=BioLines(labels=LABELS)),
        pytest.raises(InputError, match=f"no place for {field}"),
    ):
        module()(tokens=TOKENS, context=[], **more)


@pytest.mark.parametrize(
    ("tags", "expected", "repairs"),
    [
        (["O", "B-Sign"], ["O", "B-Sign"], {}),
        (["O"], ["O", "O"], {"missing_tag": 1}),
        (["O", "B-Sign", "O"], ["O", "B-Sign"], {"surplus_tag": 1}),
        (["nothing", "B-Sign"], ["O", "B-Sign"], {"unknown_tag": 1}),
    ],
)
def test_another_adapters_answer_has_the_fields_and_the_length_of_a_prediction(
    tags: list[str], expected: list[str], repairs: dict[str, int]
) -> None:
    text = f"[[ ## tags ## ]]\n{json.dumps(tags)}\n\n[[ ## completed ## ]]"
    with dspy.context(lm=scripted(lambda asked: text), adapter=dspy.ChatAdapter()):
        found = Tagger("Tag.")(tokens=TOKENS, id="d:0")
    assert (found.tags, found.repairs, found.confidence, found.usage) == (expected, repairs, None, {})


def test_saving_and_loading_keep_settings_and_nothing_of_what_an_optimizer_adds(tmp_path: Path) -> None:
    settings = {"format": {"choice": "bio_lines"}}
    demos = [{**DEMONSTRATION, "augmented": True, "answers": {"": "raw"}, "usage": {"prompt_tokens": 9}, "confidence": [1.0, 0.5]}]
    one = Tagger("Tag.", demonstrations=demos, settings=settings)
    one.save(str(tmp_path / "program.json"))
    assert json.loads((tmp_path / "program.json").read_text())["tag"]["demos"] == [DEMONSTRATION]
    other = Tagger("Other.")
    other.load(str(tmp_path / "program.json"))
    assert (other.settings, plain_demos(other.tag.demos), other.tag.signature.instructions) == (settings, [DEMONSTRATION], "Tag.")


def nearest() -> Tagger:
    return Tagger("Tag.", nearest=lambda text: [DEMONSTRATION])


def sent_by(tagger: Tagger) -> list[str]:
    """The texts of the prompt of one sentence."""
    lm = scripted(lines)
    with dspy.context(lm=lm, adapter=BioLines(labels=LABELS)):
        tagger(tokens=TOKENS)
    return [part.text for message in lm.engine.requests[0].messages for part in message.parts]


@pytest.mark.parametrize(
    "optimizer", [dspy.LabeledFewShot(k=1), dspy.BootstrapFewShot(metric=lambda *_: True)], ids=["labeled", "bootstrap"]
)
def test_compiled_demonstrations_are_sent_before_the_nearest_ones(optimizer: Any) -> None:
    chosen = {**DEMONSTRATION, "tokens": ["low", "fever"]}
    with dspy.context(lm=scripted(lines), adapter=BioLines(labels=LABELS)):
        compiled = optimizer.compile(nearest(), trainset=[dspy.Example(**chosen).with_inputs("tokens")])
    texts = "\n".join(sent_by(compiled))
    assert texts.index("low") < texts.index("high")


def test_the_number_of_shared_demonstrations_is_saved(tmp_path: Path) -> None:
    settings = {"strategy": {"choice": "knn", "demonstrations": "nearest", "k": 1}}
    tagger = Tagger("Tag.", demonstrations=[DEMONSTRATION, DEMONSTRATION], nearest=lambda text: [], settings=settings)
    assert tagger.dump_state()["settings"]["strategy"]["shared"] == 2
    assert settings["strategy"].keys() == {"choice", "demonstrations", "k"}


def test_a_tagger_that_looks_up_demonstrations_sends_them_copied_and_saved(tmp_path: Path) -> None:
    nearest().save(str(tmp_path / "program.json"))
    loaded = nearest()
    loaded.load(str(tmp_path / "program.json"))
    for tagger in (loaded, nearest().deepcopy(), nearest().reset_copy(), copy.deepcopy(nearest())):
        lm = scripted(lines)
        with dspy.context(lm=lm, adapter=BioLines(labels=LABELS)):
            tagger(tokens=TOKENS)
        sent = [part.text for message in lm.engine.requests[0].messages for part in message.parts]
        assert any("high" in text for text in sent)


def test_a_copied_program_keeps_its_engine(caplog: pytest.LogCaptureFixture) -> None:
    engine = ReplayEngine({})
    lm = dspy.LM("local/replay", engine=engine, cache=False, num_retries=0)
    tagger = Tagger("Tag.")
    tagger.set_lm(lm)
    with caplog.at_level(logging.WARNING):
        copied = tagger.deepcopy()
    assert copied.tag.lm.engine is engine
    assert "copy" not in caplog.text
    assert copy.deepcopy(lm).engine is engine
    assert "__deepcopy__" in vars(TransformersEngine)


def test_engines_are_what_their_protocols_say() -> None:
    assert isinstance(ReplayEngine({}), Engine) and not isinstance(ReplayEngine({}), (LocalEngine, ServedEngine))
    for kind, names in (
        (TransformersEngine, ("complete", "stream", "close", "takes_grammar", "expect", "count_tokens")),
        (BatchEngine, ("complete", "stream", "close", "wire", "collect", "fetch")),
    ):
        assert all(hasattr(kind, name) for name in names)


class Recorder(BaseCallback):
    """Keeps what callbacks of an adapter are given."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.fields: list[Any] = []

    def on_adapter_format_end(self, call_id: str, outputs: Any, exception: Exception | None = None) -> None:
        self.messages.append(outputs)

    def on_adapter_parse_end(self, call_id: str, outputs: Any, exception: Exception | None = None) -> None:
        self.fields.append(outputs)


def test_callbacks_see_the_prompt_as_it_is_sent_and_the_tags_as_they_are_read() -> None:
    recorder, lm = Recorder(), scripted(lines)
    with dspy.context(lm=lm, adapter=BioLines(labels=LABELS), callbacks=[recorder]):
        Tagger("Tag.", demonstrations=[DEMONSTRATION])(tokens=TOKENS, id="d:0")
    (request,) = lm.engine.requests
    (messages,) = recorder.messages
    assert messages[0] == {"role": "system", "content": request.system}
    assert [message["content"] for message in messages[1:]] == [message.text for message in request.messages]
    assert recorder.fields == [{"tags": ["O", "B-Sign"], "confidence": None, "repairs": {}}]


def test_an_answer_without_its_tokens_is_not_read() -> None:
    with pytest.raises(ValueError, match="together with its tokens"):
        BioLines(labels=LABELS).parse(TagTokens, "No : O")


def test_a_tagger_is_streamed() -> None:
    async def all_of_it() -> list[Any]:
        with dspy.context(lm=scripted(lines), adapter=BioLines(labels=LABELS)):
            return [piece async for piece in dspy.streamify(Tagger("Tag."))(tokens=TOKENS, id="d:0")]

    *pieces, last = asyncio.run(all_of_it())
    assert pieces and last.tags == ["O", "B-Sign"]
