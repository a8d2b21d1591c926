"""Tests of the `finetune` command with SmolLM2 and a few short sentences of raremini."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import OmegaConf

from benchmarks.prompts import collect_prompts
from clinspan.corpora import Corpus, InputError
from clinspan.corpora.bio import renamed
from clinspan.corpora.sources import RareMini
from clinspan.lms import LocalModel
from clinspan.lms.local.engine import TransformersEngine
from clinspan.programs.config.composition import check_numbers
from clinspan.programs.formats import BioLines, Entities, Format, Inline
from clinspan.programs.tagging.label_names import present_labels
from clinspan.programs.tagging.strategy import as_demonstration
from clinspan.programs.tagging.tagger import Tagger
from clinspan.programs.tagging.training_records import training_records
from clinspan.tuning.records import encode_records
from conftest import Command, command_in, folder_of, load, records

SHORT = [
    "limit=8",
    "dev_limit=2",
    "tuning.epochs=1",
    "tuning.batch_size=4",
    "tuning.warmup=0",
    "format=inline",
    "prompt=bare",
]


@pytest.fixture(scope="module")
def tuned(smollm2: LocalModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a training run of two steps."""
    return folder_of(command_in(tmp_path_factory.mktemp("tuned"))("finetune", *SHORT))


@pytest.mark.long
@pytest.mark.weights
def test_a_training_leaves_a_record_a_log_a_program_and_an_adapter(tuned: Path) -> None:
    assert sorted(path.name for path in tuned.iterdir()) == ["model", "program.json", "run.json", "run.log"]
    assert (tuned / "model" / "adapter_model.safetensors").is_file()
    record = load(tuned / "run.json")
    assert record["status"] == "finished"
    assert record["sentences"] == {"train": 8, "dev": 2}
    assert record["records"] == {"train": 8, "dev": 2, "left_out": {}}
    assert (record["steps"], record["best_epoch"], record["seed"]) == (2, 1, 3)
    assert record["epochs"][0]["train_loss"] > 0
    assert record["epochs"][0]["dev_loss"] > 0
    assert record["choices"]["tuning"] == "lora"
    assert "+adapter:" in record["model"]["revision"]
    assert {"peft", "accelerate"} <= record["packages"].keys()


@pytest.mark.long
@pytest.mark.weights
def test_a_run_with_the_adapter_gives_other_answers(command: Command, tuned: Path) -> None:
    words = ["limit=2", "split=dev", "strategy=zero_shot", "format=inline", "prompt=bare"]
    plain = folder_of(command("run", *words))
    adapted = folder_of(command("run", *words, f"model.adapter={tuned / 'model'}"))
    assert load(adapted / "run.json")["model"]["revision"] == load(tuned / "run.json")["model"]["revision"]
    assert load(plain / "run.json")["model"]["revision"] in load(tuned / "run.json")["model"]["revision"]
    answers = [[(row["raw"], row["confidence"]) for row in records(folder)] for folder in (plain, adapted)]
    assert answers[0] != answers[1]
    loaded = folder_of(command("run", *words[:2], f"program={tuned}"))
    assert [(row["raw"], row["confidence"]) for row in records(loaded)] == answers[1]


@pytest.mark.long
@pytest.mark.weights
def test_a_finished_training_is_not_repeated(command: Command, tuned: Path) -> None:
    before = (tuned / "run.json").read_bytes()
    assert folder_of(command("finetune", f"resume={tuned}")) == tuned
    assert (tuned / "run.json").read_bytes() == before


def raremini() -> Corpus:
    return RareMini(labels=["Disease", "RareDisease", "SkinRareDisease", "Sign", "Symptom"], definitions={}).load()


FORMATS: dict[str, tuple[type[Format], dict[str, object]]] = {
    "bio_lines": (BioLines, {}),
    "inline": (Inline, {}),
    "entities": (Entities, {}),
    "entities_by_type": (Entities, {"per_type": True}),
}


@pytest.mark.weights
@pytest.mark.parametrize("demonstrations", [0, 3])
@pytest.mark.parametrize("form", FORMATS)
def test_training_prompts_equal_the_prompts_of_a_run(form: str, demonstrations: int, engine: TransformersEngine) -> None:
    corpus = raremini()
    labels, called = present_labels(corpus, "rare", "snake")
    kind, options = FORMATS[form]
    adapter = kind(labels=labels, called=called, **options)
    fixed = [as_demonstration(sentence) for sentence in list(corpus.sentences("train"))[:demonstrations]]
    tagger = Tagger("Tag the sentence.", demonstrations=fixed)
    sentences = list(corpus.sentences("dev"))[:4]
    examples = training_records(tagger, adapter, sentences)
    parts: Any = SimpleNamespace(tagger=tagger, adapter=adapter, lm=SimpleNamespace(model="m", engine=engine))
    encoded, left_out = encode_records(examples, engine.encoder, max_length=1 << 16)
    assert left_out == []
    assert [example.prompt for example in encoded] == [prompt.ids for prompt in collect_prompts(parts, sentences)]
    for sentence in sentences:
        keys = [question.key for question in adapter.questions(sentence.words, ())]
        answers = dict(zip(keys, [example.answer for example in examples if example.id == sentence.id], strict=True))
        assert "RareDisease" not in "".join(answers.values())
        if form in ("bio_lines", "inline"):
            assert renamed(adapter.read(answers, sentence.words).tags, {v: k for k, v in called.items()}) == list(sentence.tags)


@pytest.mark.weights
def test_training_answers_are_tokenized_as_the_grammar_forces_them(engine: TransformersEngine) -> None:
    corpus = raremini()
    for kind, options in FORMATS.values():
        adapter = kind(labels=corpus.labels, **options)
        tagger = Tagger("Tag the sentence.")
        sentences = list(corpus.sentences("train"))[:12]
        parts: Any = SimpleNamespace(tagger=tagger, adapter=adapter, lm=SimpleNamespace(model="m", engine=engine))
        encoded, _ = encode_records(training_records(tagger, adapter, sentences), engine.encoder, max_length=1 << 16)
        for prompt, example in zip(collect_prompts(parts, sentences), encoded, strict=True):
            matcher, remaining_ids = prompt.matcher.deep_copy(), list(example.answer[:-1])
            while remaining_ids and not matcher.is_stopped():
                next_ids = matcher.compute_ff_tokens() or remaining_ids[:1]
                assert remaining_ids[: len(next_ids)] == next_ids
                assert matcher.consume_tokens(next_ids)
                remaining_ids = remaining_ids[len(next_ids) :]
            assert not remaining_ids


def test_a_sentence_is_never_its_own_demonstration() -> None:
    train = list(raremini().sentences("train"))[:6]
    near = [as_demonstration(sentence) for sentence in reversed(train)]
    tagger = Tagger("Tag the sentence.", nearest=lambda text: near)
    adapter = Inline(labels=raremini().labels)
    for sentence, record in zip(train, training_records(tagger, adapter, train, most=2), strict=True):
        questions = [text for role, text in record.messages if role == "user"]
        assert len(questions) == 3
        assert questions.count(adapter.sentence(sentence.words)) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tuning=lara"], "Did you mean tuning=lora?"),
        (["tuning.epochs=0"], "tuning.epochs=0 is too small"),
        (["model=gpt4"], "model=gpt4 has no weights here to train"),
        (["strategy=rag"], "fine-tuning does not support retrieved context. Use strategy=zero_shot, few_shot or knn"),
        (["tuning=medtuned_qlora", "limit=2"], "needs a CUDA device and bitsandbytes: use tuning=lora"),
        (["resume=nowhere"], "nowhere: holds no run.json"),
    ],
)
def test_invalid_arguments_get_one_message_and_exit_code_2(command: Command, words: list[str], message: str) -> None:
    done = command("finetune", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("clinspan:") == 1


def test_a_folder_without_an_adapter_is_refused_with_advice(command: Command, tmp_path: Path) -> None:
    done = command("run", "limit=2", f"model.adapter={tmp_path}", "strategy=zero_shot")
    assert done.returncode == 2
    assert "holds no adapter_config.json: give model.adapter=FOLDER/model of a run of programs.finetune" in done.stderr
    assert "Traceback" not in done.stderr


def test_dev_limit_0_is_allowed_for_training_and_not_for_compilation() -> None:
    check_numbers(OmegaConf.create({"dev_limit": 0, "tuning": {}}))
    with pytest.raises(InputError, match="dev_limit=0 is not a whole number of at least 1"):
        check_numbers(OmegaConf.create({"dev_limit": 0}))
