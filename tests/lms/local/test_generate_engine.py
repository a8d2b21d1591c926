"""Tests of `model.engine=generate`: it answers as `model.engine=packed` does, and runs where that one cannot.

The weights are random unless a test is marked `weights`: they are nobody's model, and decode as any other.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.prompts import collect_prompts
from clinspan.lms import lm15, LocalModel, ModelError, PromptTooLongError
from clinspan.lms.local.engine import TransformersEngine
from clinspan.lms.local.generate_engine import GenerateEngine
from clinspan.lms.local.oom import OutOfMemoryError
from clinspan.lms.local.reference import departures
from clinspan.lms.local.sampling import Sampling
from clinspan.lms.local.sequence import Answer, Prompt
from clinspan.programs.building.build_run import build_run, RunComponents
from clinspan.programs.config.composition import compose
from conftest import Command, folder_of, load, records
from support.current_models import random_current
from support.tiny_models import random_causal, random_llama

CURRENT = ("qwen3", "llama31", "gemma3")
FORMATS = ("bio_lines", "inline", "entities", "entities_by_type")
REFUSED = {
    "bloom": "BloomForCausalLM does not use transformers' attention interface",
    "mamba": "MambaForCausalLM does not use transformers' attention interface",
    "rwkv": "RwkvForCausalLM does not use transformers' attention interface",
    "gpt_oss": "models with attention sinks do not run in packed passes",
    "diffllama": "DiffLlamaForCausalLM has layers that do not compute packed passes",
    "deepseek_v3": "DeepseekV3ForCausalLM does not run with model.engine=packed",
}
"""What the packed engine says of architectures that it does not compute. Diffllama has two attentions in a layer."""
TIE = 1e-3
SHORT = 8


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("random-weights")


@pytest.fixture(scope="module")
def folders(home: Path) -> dict[str, Path]:
    """A folder with random weights of each architecture."""
    found = {kind: random_current(kind, home / kind) for kind in CURRENT}
    return found | {kind: random_causal(kind, home / kind) for kind in (*REFUSED, "gpt2")}


@pytest.fixture(scope="module")
def engines(folders: dict[str, Path]) -> tuple[TransformersEngine, GenerateEngine]:
    """Both engines with the same model."""
    spec = LocalModel(name="qwen3", path=str(folders["qwen3"]))
    return TransformersEngine(spec), GenerateEngine(replace(spec, engine="generate"))


def built(*words: str) -> RunComponents:
    return build_run(compose("run", ["strategy=zero_shot", "draft=outside", *words])[0], lambda corpus, spec: None)


def prompts_of(parts: RunComponents, count: int) -> list[Prompt]:
    short = [sentence for sentence in parts.corpus.sentences("test") if 3 <= len(sentence.tokens) <= SHORT]
    return collect_prompts(parts, short[:count])


def answers_of(engine: Any, prompts: list[Prompt], **options: Any) -> list[Answer]:
    answers = engine.decoder.decode(prompts, **options)
    assert all(isinstance(answer, Answer) for answer in answers), answers
    return list(answers)


def assert_same(packed: TransformersEngine, prompts: list[Prompt], ours: list[Answer], others: list[Answer]) -> None:
    """Answers are the same; where two tokens tie, each answer is one that plain decoding may give."""
    for prompt, mine, other in zip(prompts, ours, others, strict=True):
        if mine.ids != other.ids:
            assert all(departure.margin < TIE for departure in departures(packed.decoder, prompt, other))
            continue
        assert (mine.text, mine.finish) == (other.text, other.finish)
        assert mine.logprobs == pytest.approx(other.logprobs, abs=TIE)


@pytest.mark.long
@pytest.mark.parametrize("kind", CURRENT)
def test_answers_of_every_format_equal_those_of_the_packed_engine(folders: dict[str, Path], kind: str) -> None:
    words = [f"model={kind}", f"model.path={folders[kind]}", "model.dtype=float32"]
    other: GenerateEngine | None = None
    for form in FORMATS:
        parts = built(*words, f"format={form}")
        other = other or GenerateEngine(replace(parts.spec, engine="generate"))
        prompts = prompts_of(parts, 3)[:4]
        ours = answers_of(parts.lm.engine, prompts, rows=4)
        assert_same(parts.lm.engine, prompts, ours, answers_of(other, prompts, rows=4))
        assert len({len(prompt.ids) for prompt in prompts}) > 1, "some are padded"
        assert all(any(answer.logprobs) for answer in ours)


@pytest.mark.long
@pytest.mark.weights
@pytest.mark.parametrize("form", ["bio_lines", "entities"])
def test_answers_of_real_weights_equal_those_of_the_packed_engine(smollm2: LocalModel, form: str) -> None:
    parts = built(f"format={form}")
    other = GenerateEngine(replace(parts.spec, engine="generate"))
    prompts = prompts_of(parts, 3)
    assert_same(parts.lm.engine, prompts, answers_of(parts.lm.engine, prompts), answers_of(other, prompts))


def request(text: str, **config: Any) -> lm15.Request:
    settings = {"max_tokens": 12, **config}
    return lm15.Request(model="m", system="Write.", messages=(lm15.Message.user(text),), config=lm15.Config(**settings))


@pytest.mark.parametrize("settings", [{}, {"top_p": 0.8}, {"top_k": 5}, {"temperature": 1.8}])
def test_a_seed_draws_the_same_answer_with_both_engines(
    engines: tuple[TransformersEngine, GenerateEngine], settings: dict[str, Any]
) -> None:
    asked = [request("Some words.", **{"temperature": 1.0, "seed": seed, **settings}) for seed in range(4)]
    ours, others = ([engine.complete(each).message.text for each in asked] for engine in engines)
    assert ours == others
    assert len(set(ours)) > 1


def test_samples_under_a_grammar_and_beside_greedy_rows_are_the_same(folders: dict[str, Path]) -> None:
    parts = built("model=qwen3", f"model.path={folders['qwen3']}", "model.dtype=float32", "format=bio_lines")
    other = GenerateEngine(replace(parts.spec, engine="generate"))
    (prompt,) = prompts_of(parts, 1)
    prompts = [prompt, *(replace(prompt, sampling=Sampling(1.0, top_p=0.9, seed=seed)) for seed in range(3))]
    ours = answers_of(parts.lm.engine, prompts)
    assert_same(parts.lm.engine, prompts, ours, answers_of(other, prompts))
    assert len({answer.text for answer in ours}) > 2


def test_without_a_seed_each_repetition_is_another_sample(engines: tuple[TransformersEngine, GenerateEngine]) -> None:
    texts = [[engine.complete(request("Anew.", temperature=1.0)).message.text for _ in range(3)] for engine in engines]
    assert texts[0] == texts[1]
    assert len(set(texts[0])) == 3


def test_responses_have_the_same_usage_and_probabilities(engines: tuple[TransformersEngine, GenerateEngine]) -> None:
    grammar = 'start: "fever : " tag\ntag: "O" | "B-Sign" | "I-Sign"'
    for asked in (request("fever", extensions={"grammar": grammar, "draft": "fever : O"}), request("fever")):
        ours, others = (engine.complete(asked) for engine in engines)
        assert (ours.message.text, ours.finish_reason, ours.usage) == (others.message.text, others.finish_reason, others.usage)
        assert [piece.token for piece in ours.logprobs] == [piece.token for piece in others.logprobs]
        assert [piece.logprob for piece in ours.logprobs] == pytest.approx([piece.logprob for piece in others.logprobs], abs=TIE)
        assert 0 < ours.provider_data["passes"] <= others.provider_data["passes"] <= others.usage.output_tokens


def test_stops_lines_and_budgets_end_answers_as_in_the_packed_engine(engines: tuple[TransformersEngine, GenerateEngine]) -> None:
    packed, generate = engines
    base = packed.prompt(request("A list."))
    (whole,) = answers_of(packed, [replace(base, budget=40)])
    stop = whole.text[9:11]
    prompts = [replace(base, budget=7), replace(base, budget=40, stops=(stop,)), replace(base, budget=400, lines=1), base]
    ours, others = answers_of(packed, prompts), answers_of(generate, prompts)
    assert_same(packed, prompts, ours, others)
    assert (len(others[0].ids), others[0].finish) == (7, "length")
    assert (others[1].text, others[1].finish) == (whole.text.split(stop, 1)[0], "stop")


@pytest.mark.parametrize("kind", ["qwen3", "gemma3", "gpt2", *REFUSED])
def test_the_rows_of_a_batch_change_no_answer(folders: dict[str, Path], kind: str) -> None:
    engine = GenerateEngine(LocalModel(name=kind, path=str(folders[kind]), template="plain", engine="generate"))
    prompts = [engine.prompt(request("pain " * words, max_tokens=6 + words)) for words in (9, 5, 5, 1)]
    alone = answers_of(engine, prompts, rows=1)
    for rows in (2, None):
        assert [answer.ids for answer in answers_of(engine, prompts, rows=rows)] == [answer.ids for answer in alone]
    assert len({answer.ids for answer in alone}) > 1


def test_a_finished_row_does_not_leave_the_context_while_others_go_on(home: Path) -> None:
    engine = GenerateEngine(LocalModel(name="g", path=str(random_causal("gpt2", home / "gpt2")), template="plain"))
    long = engine.prompt(request("x" * (engine.context - 60), max_tokens=3))
    prompts = [long, engine.prompt(request("y", max_tokens=200))]
    assert len(long.ids) + 200 > engine.context
    alone = [answers_of(engine, [prompt])[0].ids for prompt in prompts]
    assert [answer.ids for answer in answers_of(engine, prompts)] == alone
    with pytest.raises(PromptTooLongError):
        engine.complete(request("z" * engine.context))


@pytest.mark.parametrize("kind", REFUSED)
def test_the_packed_engine_refuses_what_it_cannot_compute_and_names_the_other(folders: dict[str, Path], kind: str) -> None:
    with pytest.raises(ModelError, match=f"^{REFUSED[kind]}.*: set model.engine=generate$"):
        TransformersEngine(LocalModel(name=kind, path=str(folders[kind]), template="plain"))


def test_a_model_that_generate_does_not_run_is_refused_with_a_remedy(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import BloomForCausalLM

    def broken(*inputs: Any, **options: Any) -> Any:
        raise ValueError("no cache of this kind\nand more")

    monkeypatch.setattr(BloomForCausalLM, "forward", broken)
    says = r"BloomForCausalLM does not run with model.engine=generate \(ValueError: no cache of this kind\): serve it"
    with pytest.raises(ModelError, match=says):
        GenerateEngine(LocalModel(name="b", path=str(folders["bloom"]), engine="generate"))


def test_an_unsupported_architecture_runs_by_command(command: Command, folders: dict[str, Path]) -> None:
    words = ("run", "model=hf", f"model.path={folders['bloom']}", "limit=2", "strategy=zero_shot")
    refused = command(*words)
    assert refused.returncode == 2 and "set model.engine=generate" in refused.stderr and "Traceback" not in refused.stderr
    folder = folder_of(command(*words, "model.engine=generate"))
    assert load(folder / "run.json")["config"]["model"]["engine"] == "generate"
    for row in records(folder):
        assert row["error"] is None and row["confidence"] is not None
        assert [line.rpartition(" : ")[0] for line in row["raw"].split("\n")] == row["tokens"]


def test_releases_without_what_packed_passes_need_get_the_remedy(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    spec = LocalModel(name="q", path=str(folders["qwen3"]))
    for module in ("decoding", "attention", "kv_cache", "packed_linear"):
        monkeypatch.setitem(sys.modules, f"clinspan.lms.local.{module}", None)
    with pytest.raises(ModelError, match="ModuleNotFoundError.* set model.engine=generate"):
        TransformersEngine(spec)
    assert GenerateEngine(spec).complete(request("No fever")).usage.output_tokens > 0


def test_an_unknown_engine_is_refused(command: Command) -> None:
    with pytest.raises(ModelError, match="model.engine=vllm is not known: use packed or generate"):
        LocalModel(name="x", engine="vllm")  # type: ignore[arg-type]
    done = command("run", "model.engine=vllm", "limit=1")
    assert done.returncode == 2 and "packed" in done.stderr and "generate" in done.stderr


def test_settings_of_generation_that_a_model_brings_change_no_answer(home: Path) -> None:
    """Models of the hub come with repetition penalties, sampling and suppressed tokens."""
    folder = random_llama(home / "settings")
    spec = LocalModel(name="s", path=str(folder), template="plain")
    (before,) = answers_of(GenerateEngine(spec), [GenerateEngine(spec).prompt(request("No fever"))])
    file = folder / "generation_config.json"
    own = {"do_sample": True, "temperature": 3.0, "repetition_penalty": 5.0, "num_beams": 2, "suppress_tokens": list(before.ids)}
    file.write_text(json.dumps({**json.loads(file.read_text()), **own}))
    engine = GenerateEngine(spec)
    assert answers_of(engine, [engine.prompt(request("No fever"))]) == [before]


def test_a_failed_row_leaves_others_as_they_are(engines: tuple[TransformersEngine, GenerateEngine]) -> None:
    _, generate = engines
    good = generate.prompt(request("fever", extensions={"grammar": 'start: "fever : " ("O" | "B-Sign")'}))

    class Broken:
        """Matcher that takes no token."""

        def deep_copy(self) -> Broken:
            return self

        def is_stopped(self) -> bool:
            return False

        def compute_ff_tokens(self) -> list[int]:
            return [40]

        def consume_tokens(self, tokens: list[int]) -> bool:
            return False

        def get_error(self) -> str:
            return "broken"

    results = generate.decoder.decode([good, replace(good, matcher=Broken()), good])
    assert [type(result).__name__ for result in results] == ["Answer", "GrammarError", "Answer"]
    assert results[0] == results[2]


def test_with_little_memory_fewer_rows_give_the_same_answers(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    engine = GenerateEngine(LocalModel(name="q", path=str(folders["qwen3"]), batch_size=4, engine="generate"))
    prompts = [engine.prompt(request("pain " * words)) for words in (40, 3, 2, 1)]
    alone = {number: answers_of(engine, [prompt])[0].ids for number, prompt in enumerate(prompts)}
    generate, sizes = engine.model.generate, []

    def little(ids: torch.Tensor, **options: Any) -> Any:
        sizes.append(len(ids))
        if len(ids) > 1 or ids.shape[1] > 200:
            raise torch.OutOfMemoryError("out of memory")
        return generate(ids, **options)

    monkeypatch.setattr(engine.model, "generate", little)
    results: dict[int, Any] = {}
    engine._decode(prompts, results.__setitem__)
    assert isinstance(results[0], OutOfMemoryError)
    assert {number: results[number].ids for number in (1, 2, 3)} == {number: alone[number] for number in (1, 2, 3)}
    assert sizes == [4, 2, 1, 1, 1, 1]
