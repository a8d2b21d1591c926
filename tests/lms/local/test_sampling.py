"""Sampling under grammars: by the model's probabilities, reproducible, and the same whatever a batch or a draft holds.

The weights are random: they are nobody's model, and sample as any other.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import Any

import dspy
import numpy as np
import pytest
from dspy.utils.exceptions import LMUnsupportedFeatureError

from benchmarks.prompts import collect_prompts
from clinspan.lms import lm15
from clinspan.lms.local.engine import TransformersEngine
from clinspan.lms.local.reference import departures
from clinspan.lms.local.sampling import Sampling, uniform
from clinspan.lms.local.sequence import Prompt
from clinspan.programs.building.build_run import build_run, RunComponents
from clinspan.programs.config.composition import compose
from clinspan.programs.tagging.votes import vote
from support.current_models import random_current


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> RunComponents:
    weights = random_current("qwen3", tmp_path_factory.mktemp("random-weights"))
    words = ["model=qwen3", f"model.path={weights}", "model.dtype=float32", "strategy.k=1", "draft=outside"]
    return build_run(compose("run", words)[0], lambda corpus, spec: None)


@pytest.fixture(scope="module")
def prompts(parts: RunComponents) -> list[Prompt]:
    return collect_prompts(parts, sorted(parts.corpus.sentences("test"), key=lambda sentence: len(sentence.tokens))[20:24])


def sampled(prompts: list[Prompt], seeds: range, **settings: float) -> list[Prompt]:
    return [replace(prompt, sampling=Sampling(1.0, **settings, seed=seed)) for prompt in prompts for seed in seeds]  # type: ignore[arg-type]


def texts(engine: TransformersEngine, prompts: list[Prompt], **options: Any) -> list[str]:
    return [answer.text for answer in engine.decoder.decode(prompts, **options)]  # type: ignore[union-attr]


def test_sampled_answers_are_those_of_plain_sampling_with_the_same_numbers(parts: RunComponents, prompts: list[Prompt]) -> None:
    engine = parts.lm.engine
    asked = sampled(prompts, range(3), top_p=0.9)
    answers = engine.decoder.decode(asked, rows=4)
    assert [departures(engine.decoder, prompt, answer) for prompt, answer in zip(asked, answers, strict=True)] == [[]] * len(asked)
    assert len({answer.text for answer in answers}) > len(prompts)


def test_neither_drafts_nor_company_change_a_sample(parts: RunComponents, prompts: list[Prompt]) -> None:
    asked = sampled(prompts, range(2))
    together = texts(parts.lm.engine, asked, rows=3)
    assert together == [texts(parts.lm.engine, [prompt])[0] for prompt in asked]
    assert together == texts(parts.lm.engine, [replace(prompt, draft=()) for prompt in asked])


def test_greedy_answers_are_those_of_a_temperature_near_zero(parts: RunComponents, prompts: list[Prompt]) -> None:
    cold = [replace(prompt, sampling=Sampling(1e-4)) for prompt in prompts]
    single = [replace(prompt, sampling=Sampling(5.0, top_k=1)) for prompt in prompts]
    assert texts(parts.lm.engine, prompts) == texts(parts.lm.engine, cold) == texts(parts.lm.engine, single)


def test_samples_beside_greedy_requests_leave_those_as_they_are(parts: RunComponents, prompts: list[Prompt]) -> None:
    mixed = [prompts[0], *sampled(prompts[:1], range(2)), prompts[1]]
    answers = texts(parts.lm.engine, mixed)
    assert [answers[0], answers[3]] == texts(parts.lm.engine, prompts[:2])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [0.1, 0.2, 0.3, 0.4]),
        ({"temperature": 2.0}, [0.1627, 0.2301, 0.2818, 0.3254]),
        ({"top_k": 2}, [0, 0, 3 / 7, 4 / 7]),
        ({"top_p": 0.6}, [0, 0, 3 / 7, 4 / 7]),
        ({"top_p": 0.4}, [0, 0, 0, 1]),
        ({"top_p": 0.95, "top_k": 3}, [0, 2 / 9, 3 / 9, 4 / 9]),
    ],
)
def test_tokens_are_drawn_by_their_probability(settings: dict[str, Any], expected: list[float]) -> None:
    """A chi-square test over 20,000 draws; the numbers are fixed, so that it cannot fail by chance."""
    sampling = Sampling(**{"temperature": 1.0, **settings})
    logits = np.log([0.1, 0.2, 0.3, 0.4])
    stream = sampling.stream((1, 2, 3))
    drawn = Counter(sampling.draw(logits, uniform(stream, position)) for position in range(20_000))
    counts = np.array([drawn[token] for token in range(4)])
    wanted = np.array(expected) * 20_000
    assert not counts[wanted == 0].any()
    assert float((((counts - wanted) ** 2)[wanted > 0] / wanted[wanted > 0]).sum()) < 16.3  # p = .001 with 3 degrees of freedom


def test_masked_tokens_are_never_drawn() -> None:
    logits = np.array([-np.inf, 0.0, -np.inf, 0.0, -np.inf])
    drawn = {Sampling(1.0).draw(logits, number) for number in [0.0, 0.25, 0.4999, 0.5, 0.75, np.nextafter(1.0, 0.0)]}
    assert drawn == {1, 3}


def request(parts: RunComponents, **config: Any) -> lm15.Request:
    messages = (lm15.Message.user("Write something."),)
    return lm15.Request(model=parts.lm.model, messages=messages, config=lm15.Config(max_tokens=12, **config))


def text_of(response: lm15.Response) -> str:
    return str(response.message.text)


def test_a_seed_gives_the_same_answer_and_no_seed_another_one_each_time(parts: RunComponents) -> None:
    ask = parts.lm.engine.complete
    seeded = {text_of(ask(request(parts, temperature=1.0, seed=5))) for _ in range(3)}
    fresh = {text_of(ask(request(parts, temperature=1.0))) for _ in range(3)}
    greedy = {text_of(ask(request(parts))) for _ in range(3)}
    assert (len(seeded), len(fresh), len(greedy)) == (1, 3, 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [("frequency_penalty", 0.5), ("presence_penalty", 0.5), ("response_format", {"type": "json_object"})],
)
def test_what_the_engine_cannot_do_is_refused_as_dspy_refuses_it(parts: RunComponents, name: str, value: Any) -> None:
    with pytest.raises(LMUnsupportedFeatureError, match=name):
        parts.lm(request(parts, **{name: value}))


def test_a_model_for_any_dspy_program_gives_as_many_texts_as_are_asked_for(parts: RunComponents) -> None:
    answers = parts.lm("Write something.", n=4, temperature=1.0, max_tokens=12)
    assert len(set(answers)) == 4


def first_words(parts: RunComponents) -> list[str]:
    return list(next(iter(parts.corpus.sentences("test"))).words)


def tags(found: dspy.Prediction) -> list[list[str]]:
    return list(found.completions.tags)


def test_rollouts_differ_and_are_reproducible(parts: RunComponents) -> None:
    words = first_words(parts)

    def rollouts(**settings: Any) -> list[list[str]]:
        tagger = parts.tagger.on(parts.lm, parts.adapter).deepcopy()
        answers = []
        for number in range(4):
            tagger.set_lm(parts.lm.copy(rollout_id=number, **settings))
            answers.append(tagger(tokens=words).tags)
        return answers

    warm = rollouts(temperature=1.0)
    assert len({tuple(answer) for answer in warm}) == 4
    assert warm == rollouts(temperature=1.0)
    assert len({tuple(answer) for answer in rollouts(temperature=0.0)}) == 1


def test_many_samples_of_a_sentence_are_one_batch(parts: RunComponents, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    decode = parts.lm.engine.decoder.decode

    def counted(prompts: Any, **options: Any) -> Any:
        sizes.append(len(prompts))
        return decode(prompts, **options)

    monkeypatch.setattr(parts.lm.engine.decoder, "decode", counted)
    words = first_words(parts)
    with dspy.context(lm=parts.lm, adapter=parts.adapter):
        found = dspy.Predict(parts.tagger.tag.signature)(tokens=words, context=[], config={"n": 5, "temperature": 1.0})
        again = dspy.Predict(parts.tagger.tag.signature)(tokens=words, context=[], config={"n": 5, "temperature": 1.0})
        other = dspy.Predict(parts.tagger.tag.signature)(tokens=words, context=[], config={"n": 5, "temperature": 1.0, "seed": 9})
    assert sizes == [5, 5, 5]
    assert len({tuple(answer) for answer in tags(found)}) == 5
    assert tags(found) == tags(again) != tags(other)
    assert all(len(answer) == len(words) for answer in tags(found))


def test_settings_of_a_call_take_precedence_over_those_of_the_model(parts: RunComponents) -> None:
    words = first_words(parts)
    warm = parts.lm.copy(temperature=1.0, rollout_id=1)
    with dspy.context(lm=warm, adapter=parts.adapter):
        predict = dspy.Predict(parts.tagger.tag.signature)
        greedy = predict(tokens=words, context=[], config={"temperature": 0.0}).tags
        sample = predict(tokens=words, context=[]).tags
    with dspy.context(lm=parts.lm, adapter=parts.adapter):
        assert greedy == predict(tokens=words, context=[]).tags != sample


def test_settings_that_a_format_does_not_pass_on_are_refused(parts: RunComponents) -> None:
    with dspy.context(lm=parts.lm, adapter=parts.adapter), pytest.raises(LMUnsupportedFeatureError, match="frequency_penalty"):
        dspy.Predict(parts.tagger.tag.signature)(tokens=["No"], context=[], config={"frequency_penalty": 1.0})


def test_simba_sees_different_answers_to_one_sentence_in_its_first_batch(parts: RunComponents) -> None:
    answers: dict[str, list[tuple[str, ...]]] = defaultdict(list)

    def metric(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
        answers[example.id].append(tuple(prediction.tags))
        return float(np.mean([a == b for a, b in zip(example.tags, prediction.tags, strict=True)]))

    sentences = list(parts.corpus.sentences("train"))[:4]
    train = [dspy.Example(id=s.id, tokens=list(s.words), tags=list(s.tags)).with_inputs("id", "tokens") for s in sentences]
    search = dspy.SIMBA(metric=metric, bsize=4, num_candidates=3, max_steps=1, max_demos=1, num_threads=4)
    with dspy.context(lm=parts.lm, adapter=parts.adapter):
        try:
            search.compile(parts.tagger.on(parts.lm, parts.adapter), trainset=train, seed=0)
        except Exception as error:  # the rules of random weights cannot be read
            assert "AdapterParseError" in repr(error) or answers, error
    assert len(answers) == 4
    assert all(len(set(given[:3])) == 3 for given in answers.values())  # three candidates tag each sentence first


class AnyText(dspy.ChatAdapter):
    """Takes a whole answer for each output field: random weights keep to no form."""

    def parse(self, signature: Any, completion: str) -> dict[str, Any]:
        return dict.fromkeys(signature.output_fields, completion)


def test_copro_gets_as_many_different_proposals_as_it_asks_for(parts: RunComponents, monkeypatch: pytest.MonkeyPatch) -> None:
    from dspy.teleprompt import copro_optimizer

    proposed: list[list[str]] = []
    generate = copro_optimizer.dspy.Predict.forward

    def recording(self: Any, **inputs: Any) -> Any:
        found = generate(self, **inputs)
        if "proposed_instruction" in found:
            proposed.append(list(found.completions.proposed_instruction))
        return found

    monkeypatch.setattr(copro_optimizer.dspy.Predict, "forward", recording)
    writer = parts.lm.copy(max_tokens=16)
    sentences = list(parts.corpus.sentences("train"))[:1]
    train = [dspy.Example(id=s.id, tokens=list(s.words), tags=list(s.tags)).with_inputs("id", "tokens") for s in sentences]
    search = dspy.COPRO(prompt_model=writer, metric=lambda *given: 0.0, breadth=4, depth=1, init_temperature=1.4)
    with dspy.context(lm=writer, adapter=AnyText()):
        search.compile(
            parts.tagger.on(parts.lm, parts.adapter), trainset=train, eval_kwargs={"num_threads": 1, "display_progress": False}
        )
    assert [len(set(texts)) for texts in proposed] == [3]


def test_sampled_answers_vote(parts: RunComponents) -> None:
    words = first_words(parts)
    one, many = parts.tagger.on(parts.lm, parts.adapter), parts.tagger.on(parts.lm, parts.adapter)
    many.votes = 5
    voted = many(tokens=words, id="d:0")
    with dspy.context(lm=parts.lm, adapter=parts.adapter):
        demos, _ = many.surroundings(words)
        samples = many.tag(tokens=words, context=[], demos=demos, config={"n": 5, "temperature": 0.7})
    assert (list(voted.tags), voted.confidence) == vote(tags(samples))
    assert sorted(voted.answers) == ["0", "1", "2", "3", "4"]
    assert voted.usage["prompt_tokens"] == 5 * one(tokens=words).usage["prompt_tokens"]
