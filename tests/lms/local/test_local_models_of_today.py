"""Tests of current local models by their presets, with random weights of each architecture. The scores mean nothing."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from benchmarks.prompts import collect_prompts
from clinspan.conf import CONF
from clinspan.lms import lm15, LocalModel, ModelError
from clinspan.lms.local.engine import TransformersEngine
from clinspan.lms.local.reference import departures
from clinspan.programs.building.build_run import build_run
from clinspan.programs.config.composition import build
from conftest import Command, folder_of, load, records
from support.current_models import random_current, random_gguf
from support.tiny_models import random_llama

KINDS = ("qwen3", "llama31", "gemma3", "medgemma")
TIE = 1e-3


def config_of(*words: str) -> Any:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("run", overrides=list(words))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder with random weights of each kind."""
    home = tmp_path_factory.mktemp("random-weights")
    return {kind: random_current(kind, home / kind) for kind in KINDS}


@pytest.mark.parametrize(("kind", "form"), zip(KINDS, ("bio_lines", "inline", "bio_lines", "entities"), strict=True))
def test_each_architecture_answers_as_plain_constrained_greedy_decoding_does(
    weights: dict[str, Path], kind: str, form: str
) -> None:
    words = [
        f"model={kind}",
        f"model.path={weights[kind]}",
        "model.dtype=float32",
        f"format={form}",
        "strategy.k=1",
        "draft=outside",
    ]
    parts = build_run(config_of(*words), lambda corpus, spec: None)
    engine: TransformersEngine = parts.lm.engine
    sentences = sorted(parts.corpus.sentences("test"), key=lambda sentence: len(sentence.tokens))[20:24]
    prompts = collect_prompts(parts, sentences)
    assert min(len(prompt.ids) for prompt in prompts) > 100, "longer than the sliding window and the first context of the scaling"
    for prompt, answer in zip(prompts, engine.decoder.decode(prompts, rows=3), strict=True):
        assert not isinstance(answer, Exception)
        assert all(departure.margin < TIE for departure in departures(engine.decoder, prompt, answer))
    bare = [replace(prompt, draft=()) for prompt in prompts]
    assert [a.text for a in engine.decoder.decode(bare)] == [a.text for a in engine.decoder.decode(prompts)]  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", KINDS)
def test_each_preset_runs_by_command_from_a_weights_folder_to_scores(command: Command, weights: dict[str, Path], kind: str) -> None:
    words = (
        "run",
        f"model={kind}",
        f"model.path={weights[kind]}",
        "strategy=few_shot",
        "strategy.k=1",
        "limit=2",
    )
    folder = folder_of(command(*words))
    assert load(folder / "run.json")["model"]["name"] == kind
    for row in records(folder):
        assert row["error"] is None and set(row["repairs"]) <= {"mention_without_letter"}
        assert [line.rpartition(" : ")[0] for line in row["raw"].split("\n")] == row["tokens"]


def written(folder: Path, preset: str) -> str:
    """Return the prompt of a small conversation as the model reads it."""
    engine = TransformersEngine(replace(build(config_of(f"model={preset}").model), path=str(folder), dtype="float32"))
    messages = (lm15.Message.user("No fever"), lm15.Message.assistant("No : O"), lm15.Message.user("Rash"))
    prompt = engine.prompt(lm15.Request(model="m", system="Tag.", messages=messages, config=lm15.Config(max_tokens=5)))
    return str(engine.tokenizer.decode(prompt.ids))


def test_the_qwen3_prompt_turns_thinking_off(weights: dict[str, Path]) -> None:
    text = written(weights["qwen3"], "qwen3")
    assert text.endswith("<|im_start|>user\nRash<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert text.startswith("<|im_start|>system\nTag.<|im_end|>\n")


def test_a_template_without_a_system_role_gets_the_text_in_the_first_turn(weights: dict[str, Path]) -> None:
    expected = (
        "<bos><start_of_turn>user\nTag.\n\nNo fever<end_of_turn>\n<start_of_turn>model\nNo : O<end_of_turn>\n"
        "<start_of_turn>user\nRash<end_of_turn>\n<start_of_turn>model\n"
    )
    assert written(weights["gemma3"], "gemma3") == written(weights["medgemma"], "medgemma") == expected


def test_llama31_gets_its_headers(weights: dict[str, Path]) -> None:
    text = written(weights["llama31"], "llama31")
    assert text.startswith("<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nTag.<|eot_id|>")
    assert text.count("<|begin_of_text|>") == 1


def test_an_answer_ends_at_the_end_of_turn_token(weights: dict[str, Path]) -> None:
    """Gemma's tokenizer has `<eos>` as its end token, but its turns end with `<end_of_turn>`."""
    engine = TransformersEngine(LocalModel(name="g", path=str(weights["gemma3"]), template="auto"))
    ends = {engine.tokenizer.convert_ids_to_tokens(i) for i in engine.decoder.ends}
    assert ends == {"<eos>", "<end_of_turn>"}


def test_one_setting_selects_any_model_of_the_hub_or_a_folder(command: Command, weights: dict[str, Path], tmp_path: Path) -> None:
    folder = folder_of(command("run", "model=hf", f"model.path={weights['llama31']}", "limit=1", "strategy=zero_shot"))
    assert load(folder / "run.json")["model"]["name"] == "llama31"
    plain = random_llama(tmp_path / "base")
    engine = TransformersEngine(build(config_of("model=hf", f"model.path={plain}").model))
    assert engine.encoder.template == "plain", "without a chat template"
    assert build(config_of("model=hf", "model.hub_id=org/some-model").model).name == "some-model"
    done = command("run", "model=hf", "limit=1")
    assert done.returncode == 2 and "model=hf needs model.hub_id=ORG/NAME" in done.stderr


@pytest.mark.long
def test_a_gguf_file_is_converted_once_and_cached_by_its_content(command: Command, tmp_path: Path) -> None:
    file = random_gguf(tmp_path / "tiny.gguf")
    words = ("run", "model=hf", f"model.path={file}", "limit=2", "strategy=zero_shot")
    cache = {"CLINSPAN_CACHE": str(tmp_path / "cache")}
    first = command(*words, env=cache)
    folder = folder_of(first)
    assert "converting the weights" in first.stderr
    record = load(folder / "run.json")
    assert record["model"]["name"] == "tiny" and record["model"]["revision"].startswith("sha256:")
    assert [row["error"] for row in records(folder)] == [None, None]
    assert "converting" not in command(*words, env=cache).stderr
    (tmp_path / "other.gguf").write_bytes(b"no model")
    done = command("run", "model=hf", f"model.path={tmp_path / 'other.gguf'}", "limit=1", env=cache)
    assert done.returncode == 2 and "is not a GGUF file" in done.stderr
    (tmp_path / "cut.gguf").write_bytes(file.read_bytes()[:2000])
    done = command("run", "model=hf", f"model.path={tmp_path / 'cut.gguf'}", "limit=1", env=cache)
    assert done.returncode == 2 and "transformers cannot read cut.gguf" in done.stderr and "Traceback" not in done.stderr


def test_a_gguf_file_is_no_classifier(tmp_path: Path) -> None:
    from clinspan.lms import ClassifierModel
    from clinspan.lms.weights.find import find_weights

    with pytest.raises(ModelError, match="GGUF file, which holds no token classifier"):
        find_weights(ClassifierModel(name="c", path=str(tmp_path / "a.gguf")))


@pytest.mark.long
def test_two_engines_in_two_threads_answer_as_each_does_alone(weights: dict[str, Path]) -> None:
    engines = [TransformersEngine(LocalModel(name=kind, path=str(weights[kind]))) for kind in ("qwen3", "llama31")]

    def answer(engine: TransformersEngine, number: int) -> str:
        message = lm15.Message.user(f"No fever on day {number}, but a rash.")
        response = engine.complete(lm15.Request(model="m", messages=(message,), config=lm15.Config(max_tokens=12)))
        return response.message.text or ""

    alone = [[answer(engine, n) for n in range(24)] for engine in engines]
    together: list[list[str]] = [[], []]

    def work(place: int) -> None:
        together[place] += [answer(engines[place], n) for n in range(24)]

    threads = [threading.Thread(target=work, args=(place,)) for place in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


@pytest.mark.long
def test_two_annotators_in_two_threads_annotate_as_each_does_alone(weights: dict[str, Path]) -> None:
    from clinspan.programs.annotation.annotator import Annotator

    notes = [f"No fever on day {n}. The rash is gone; cough and pain stay." for n in range(6)]
    annotators = [
        Annotator.load(model=kind, settings=[f"model.path={weights[kind]}", "strategy=zero_shot"]) for kind in ("qwen3", "llama31")
    ]
    alone = [[annotator(note) for note in notes] for annotator in annotators]
    together: list[list[Any]] = [[], []]

    def work(place: int) -> None:
        together[place] += [annotators[place](note) for note in notes]

    threads = [threading.Thread(target=work, args=(place,)) for place in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_a_tagger_runs_with_dspys_own_adapters_on_a_local_model(weights: dict[str, Path]) -> None:
    """DSPy's adapters pass unknown settings on to the model, so the id of a sentence must not be one."""
    import dspy

    from clinspan.programs.tagging.tagger import Tagger

    seen: list[lm15.Request] = []

    class Recording:
        def complete(self, request: lm15.Request) -> lm15.Response:
            seen.append(request)
            text = '[[ ## tags ## ]]\n["O", "B-Sign"]\n\n[[ ## completed ## ]]'
            return lm15.Response(
                id=None, model=request.model, message=lm15.Message.assistant(text), finish_reason="stop", usage=lm15.Usage()
            )

        def stream(self, request: lm15.Request) -> Any:
            return lm15.response_to_events(self.complete(request))

        def close(self) -> None:
            """Do nothing."""

    lm = dspy.LM("local/recording", engine=Recording(), cache=False, num_retries=0)
    with dspy.context(lm=lm, adapter=dspy.ChatAdapter()):
        assert Tagger("Tag.")(tokens=["No", "fever"], id="d:0").tags == ["O", "B-Sign"]
    engine = TransformersEngine(LocalModel(name="q", path=str(weights["qwen3"])))
    real = dspy.LM("local/q", engine=engine, cache=False, num_retries=0)
    with dspy.context(lm=real, adapter=dspy.ChatAdapter()), pytest.raises(Exception) as caught:
        Tagger("Tag.")(tokens=["No", "fever"], id="d:0")  # the adapter cannot read the text of random weights
    assert "sentence_id" not in str(caught.value)
    assert len(seen) == 1
