"""Tests of the paper's local models by their own configs: the exact text of prompts, and runs with random weights.

The scores mean nothing, as the weights are random. The tests check that a folder as on the hub passes through template, tokenizer,
engine, reading and scoring.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from benchmarks.prompts import collect_prompts
from clinspan.conf import CONF
from clinspan.corpora import Label
from clinspan.lms import LocalModel
from clinspan.lms.local.encoding import Encoder, PlainTokens
from clinspan.lms.local.engine import TransformersEngine
from clinspan.lms.local.reference import departures
from clinspan.lms.templates import STOPS, TEMPLATES
from clinspan.programs.building.build_run import build_run
from clinspan.programs.config.composition import build
from clinspan.programs.formats import BioLines, Entities, Format
from clinspan.programs.formats.tags import legal
from conftest import Command, folder_of, load, records
from support.llama_family import random_llama_family

MODELS = ("llama2", "meditron", "medtuned", "universalner")
LABELS = [Label("Sign", "what can be seen"), Label("RareDisease", "")]
TOKENS = ["No", "fever", "."]
TIE = 1e-3


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with random weights."""
    return random_llama_family(tmp_path_factory.mktemp("random-weights"))


@pytest.fixture(scope="module")
def tokenizer(weights: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(weights)


def config_of(*words: str) -> Any:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("run", overrides=list(words))


def written(model: str, form: Format, *, demos: list[dict[str, Any]] | None = None) -> list[str]:
    """Return the prompts of a sentence in the template of the model's own config."""
    template = build(config_of(f"model={model}").model).template
    prompts = []
    for question in form.questions(TOKENS, []):
        system, turns = form.messages("{instruction}", demos or [], question)
        prompts.append(TEMPLATES[template]([("system", system), *turns], None))
    return prompts


@pytest.mark.parametrize("model", ["llama2", "meditron", "medtuned"])
def test_the_alpaca_models_get_the_string_that_medtuned_was_trained_on(model: str) -> None:
    form = BioLines(labels=LABELS)
    (prompt,) = written(model, form)
    instruction = f"{{instruction}}\n\n{form.rules()}"
    output = form.answer(TOKENS, ["O", "B-Sign", "O"])
    assert output == "No : O\nfever : B-Sign\n. : O"
    # `### Instruction: {instruction}\n ### Input: {input}\n ### Output: {output} \n</s>` with tokens joined by one space
    trained = f"### Instruction: {instruction}\n ### Input: No fever .\n ### Output: {output} \n</s>"
    assert trained.startswith(prompt)
    assert trained[len(prompt) :] == f" {output} \n</s>"
    assert any(trained[len(prompt) + 1 + len(output) :].lstrip(" \n").startswith(stop) for stop in STOPS["alpaca"])


def test_medtuned_demonstrations_are_further_inputs_and_outputs() -> None:
    demo = {"tokens": ["Mild", "rash"], "tags": ["O", "B-Sign"]}
    (prompt,) = written("medtuned", BioLines(labels=LABELS), demos=[demo])
    _, _, rest = prompt.partition("\n ### Input: ")
    assert rest == "Mild rash\n ### Output: Mild : O\nrash : B-Sign\n ### Input: No fever .\n ### Output:"


def test_universalner_gets_exactly_its_conversation_with_one_question_per_type() -> None:
    assert config_of("model=universalner").format == {
        "_target_": "clinspan.programs.formats.Entities",
        "per_type": True,
        "mentions": None,
    }
    assert written("universalner", Entities(labels=LABELS, per_type=True)) == [
        "A virtual assistant answers questions from a user based on the provided text. "
        f"USER: Text: No fever . ASSISTANT: I've read this text.</s>USER: What describes {spoken} in the text? ASSISTANT:"
        for spoken in ("sign", "rare disease")
    ]
    assert STOPS["universalner"] == ("</s>",)


def test_lists_without_offsets_tag_every_exact_occurrence() -> None:
    form = Entities(labels=LABELS, per_type=True)
    decoded = form.read({"Sign": '["fever"]', "RareDisease": "[]"}, ["fever", "or", "no", "fever", "-", "Fever"])
    assert decoded.tags == ["B-Sign", "O", "O", "B-Sign", "O", "O"]


@pytest.mark.parametrize("name", MODELS)
def test_the_configs_name_the_papers_models_on_the_hub(name: str) -> None:
    spec = build(config_of(f"model={name}").model)
    hub = {
        "llama2": "meta-llama/Llama-2-7b-hf",
        "meditron": "epfl-llm/meditron-7b",
        "medtuned": "nlpie/Llama2-MedTuned-7b",
        "universalner": "Universal-NER/UniNER-7B-all",
    }
    assert (spec.name, spec.hub_id, spec.dtype) == (name, hub[name], "auto")


@pytest.mark.parametrize("template", ["alpaca", "universalner", "plain"])
@pytest.mark.parametrize("text", ["No fever .", "No </s> fever <s> .", "  two  spaces", "", "naïve 日本 \n line", "<0x0A>"])
def test_the_ids_of_a_prompt_decode_to_its_text_whatever_it_contains(tokenizer: Any, template: str, text: str) -> None:
    """Llama tokenizers put a space before every text. A prompt encoded in pieces must not get one before each piece."""
    encoder = Encoder(tokenizer, template, plain=PlainTokens(tokenizer))
    messages = [("system", "Tag it."), ("user", text), ("assistant", "A : O"), ("user", f"{text}x")]
    ids = encoder.prompt(messages)
    assert ids[0] == tokenizer.bos_token_id
    assert ids.count(tokenizer.bos_token_id) == 1
    assert tokenizer.decode(ids[1:]).strip() == TEMPLATES[template](messages, tokenizer).strip()
    ends = 1 if template == "universalner" else 0
    assert ids.count(tokenizer.eos_token_id) == ends  # only those of the template
    answer_ids = encoder.answer(messages, "No : O\n. : O")
    assert answer_ids[-1] == tokenizer.eos_token_id
    assert tokenizer.decode([*ids, *answer_ids[:-1]]) == tokenizer.decode(ids) + encoder.lead + "No : O\n. : O"


@pytest.mark.parametrize(
    ("model", "form"),
    [("medtuned", "bio_lines"), ("llama2", "inline"), ("meditron", "entities"), ("universalner", "entities_by_type")],
)
def test_random_weights_answer_as_plain_constrained_greedy_decoding_does(weights: Path, model: str, form: str) -> None:
    words = [f"model={model}", f"model.path={weights}", "model.dtype=float32", f"format={form}", "strategy.k=1", "draft=outside"]
    parts = build_run(config_of(*words), lambda corpus, spec: None)
    engine: TransformersEngine = parts.lm.engine
    sentences = sorted(parts.corpus.sentences("test"), key=lambda sentence: len(sentence.tokens))[20:24]
    prompts = collect_prompts(parts, sentences)
    for prompt, answer in zip(prompts, engine.decoder.decode(prompts, rows=3), strict=True):
        assert not isinstance(answer, Exception)
        assert all(departure.margin < TIE for departure in departures(engine.decoder, prompt, answer))
    bare = [replace(prompt, draft=()) for prompt in prompts]
    assert [a.text for a in engine.decoder.decode(bare)] == [a.text for a in engine.decoder.decode(prompts)]  # type: ignore[union-attr]


@pytest.mark.long
@pytest.mark.parametrize(
    "words",
    [
        ["model=llama2", "strategy=zero_shot"],
        ["model=meditron", "strategy=few_shot", "strategy.k=2"],
        ["model=medtuned", "strategy=few_shot", "strategy.k=2"],
        ["model=universalner", "strategy=zero_shot"],
        ["model=medtuned", "strategy=zero_shot", "constrained=false"],
        ["model=universalner", "strategy=zero_shot", "constrained=false"],
    ],
    ids=" ".join,
)
def test_random_weights_run_by_command_from_a_folder_to_scores(command: Command, weights: Path, words: list[str]) -> None:
    folder = folder_of(command("run", *words, f"model.path={weights}", "limit=3"))
    record, scores = load(folder / "run.json"), load(folder / "scores.json")
    assert record["model"]["name"] == words[0].partition("=")[2]
    assert record["model"]["revision"].startswith("folder:")
    assert scores["signature"].endswith("failed:0/3|docs:1|v2")
    free = "constrained=false" in words
    for row in records(folder):
        assert len(row["pred"]) == len(row["tokens"])
        assert legal(row["pred"], Counter()) == row["pred"]
        if "universalner" in words[0]:
            assert set(row["raw"]) == set(scores["per_type"])
        elif not free:  # the grammar gives each token its line
            assert [line.rpartition(" : ")[0] for line in row["raw"].split("\n")] == row["tokens"]
            assert row["repairs"] == {}


def test_a_prompt_beyond_the_models_context_loses_demonstrations(command: Command, tmp_path: Path) -> None:
    small = random_llama_family(tmp_path / "small", positions=1400)
    folder = folder_of(command("run", "model=medtuned", f"model.path={small}", "strategy=few_shot", "limit=2"))
    assert load(folder / "scores.json")["repairs"]["demonstration_dropped"] > 0


def test_a_model_without_a_tokenizer_is_one_message(command: Command, tmp_path: Path) -> None:
    folder = random_llama_family(tmp_path / "random")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    done = command("run", "model=llama2", f"model.path={folder}", "limit=1")
    assert done.returncode == 2
    assert "cannot be loaded" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_spec_of_a_paper_model_takes_no_unknown_key() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'temperature'"):
        LocalModel(name="llama2", temperature=0)  # type: ignore[call-arg]
