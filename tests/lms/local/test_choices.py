"""Tests of comparing given answers in one pass. The weights are random unless a test is marked `weights`."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from clinspan.lms import lm15, LocalModel
from clinspan.lms.errors import GrammarError
from clinspan.lms.local.choices import NODES, TokenTree, trees
from clinspan.lms.local.engine import TransformersEngine
from clinspan.lms.local.generate_engine import GenerateEngine
from support.current_models import random_current

OPTIONS = [" Disease\n", " Dis\n", " Rare disease\n", " None\n"]
STEMS = ["Wilson :", "Wilson disease :", "fever :", "fever and rash :", "rash :"]
TIE = 1e-3
Engines = tuple[TransformersEngine, GenerateEngine]


def asked(text: str, stems: list[str], options: list[str] | None = None) -> lm15.Request:
    turns = (lm15.Message.user("He has a cold."), lm15.Message.assistant("cold : Disease"), lm15.Message.user(text))
    extensions = {"choices": {"stems": stems, "options": options or OPTIONS}, "longest": "fever and rash : Rare disease"}
    return lm15.Request(model="m", system="Say what it is.", messages=turns, config=lm15.Config(extensions=extensions))


def numbers(engine: TransformersEngine, request: lm15.Request) -> list[list[float]]:
    """Scores of options and stem, by stem."""
    data = engine.complete(request).provider_data or {}
    return [[*row, *stem] for row, stem in zip(data["choices"], data["stems"], strict=True)]


@pytest.fixture(scope="module", params=["qwen3", "llama31", "gemma3"])
def engines(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engines:
    """Both engines with the same random model; gemma3 has layers that see a few tokens back only."""
    folder = random_current(request.param, tmp_path_factory.mktemp("weights") / request.param)
    spec = LocalModel(name=request.param, path=str(folder), dtype="float32")
    return TransformersEngine(spec), GenerateEngine(replace(spec, engine="generate"))


def test_a_tree_reads_shared_tokens_once_and_knows_where_options_part() -> None:
    tree = TokenTree.behind([9, 8], 0)
    tree.add([(1, 2, 5), (1, 2, 6, 7), (1, 2, 6, 8)])
    tree.add([(1, 3, 5), (1, 3, 6)])
    assert tree.tokens == [9, 8, 1, 2, 6, 3]
    assert tree.parents == [-1, 0, 1, 2, 3, 2]
    assert [(branching.node, branching.tokens) for branching in tree.branchings] == [(3, (5, 6)), (4, (7, 8)), (5, (5, 6))]
    assert tree.ends == [3, 5]
    shape = tree.shape()
    assert shape.depths.tolist() == [0, 1, 2, 3, 4, 3]
    assert shape.visible[5].tolist() == [True, True, True, False, False, True]


def test_scores_multiply_the_steps_to_an_option_and_sum_to_one() -> None:
    tree = TokenTree.behind([9], 0)
    tree.add([(1, 5), (1, 6, 7), (1, 6, 8)])
    assert tree.wanted() == [(0, 1), (1, 6), (1, 5), (1, 6), (2, 7), (2, 8)]
    probabilities = [0.5, 0.4, 0.2, 0.4, 0.1, 0.3]
    (options,), (stem,) = tree.scores([math.log(value) for value in probabilities])
    assert [math.exp(value) for value in options] == pytest.approx([1 / 3, 2 / 3 / 4, 2 / 3 * 3 / 4])
    assert [math.exp(value) for value in stem] == pytest.approx([0.5, 0.5, 0.6])


@pytest.mark.parametrize("options", [[(1, 2), (1, 2, 3)], [(1, 2)], []])
def test_options_that_cannot_be_told_apart_are_refused(options: list[tuple[int, ...]]) -> None:
    with pytest.raises(GrammarError):
        TokenTree.behind([9], 0).add(options)


def test_many_stems_are_cut_into_trees_of_bounded_size() -> None:
    stems = [[(100 + n, 5), (100 + n, 6)] for n in range(2 * NODES)]
    found = list(trees([1, 2], stems))
    assert [len(tree.paths) for tree in found] == [NODES, NODES]
    assert [tree.stems for tree in found] == [0, NODES]
    assert all(tree.tokens[:2] == [1, 2] for tree in found)


def test_probabilities_equal_those_of_the_models_own_code(engines: Engines) -> None:
    packed, own = engines
    request = asked("Wilson disease with fever and rash.", STEMS)
    ours, others = numbers(packed, request), numbers(own, request)
    for mine, other in zip(ours, others, strict=True):
        assert mine == pytest.approx(other, abs=TIE)
    assert [sum(math.exp(value) for value in row[: len(OPTIONS)]) for row in ours] == pytest.approx([1.0] * len(STEMS))
    assert len({round(row[0], 3) for row in ours}) > 1, "stems differ"


def test_other_stems_in_the_tree_change_nothing(engines: Engines) -> None:
    packed, _ = engines
    text = "Wilson disease with fever and rash."
    together = numbers(packed, asked(text, STEMS))
    for stem, row in zip(STEMS, together, strict=True):
        assert numbers(packed, asked(text, [stem]))[0] == pytest.approx(row, abs=TIE)


def test_choices_and_answers_share_a_batch_and_what_is_wrong_with_one_harms_no_other(engines: Engines) -> None:
    packed, _ = engines
    alone = numbers(packed, asked("Fever.", STEMS[:2]))
    generated = lm15.Request(model="m", messages=(lm15.Message.user("Write."),), config=lm15.Config(max_tokens=5))
    said = packed.complete(generated).message.text
    wrong = asked("Rash.", ["rash :"], [" A", " A\n"])
    requests = [asked("Fever.", STEMS[:2]), generated, wrong]
    with packed.expect(3) as leave, ThreadPoolExecutor(3) as pool:

        def answered(request: lm15.Request) -> lm15.Response | Exception:
            try:
                return packed.complete(request)
            except GrammarError as error:
                return error
            finally:
                leave()

        first, second, third = pool.map(answered, requests)
    assert isinstance(third, GrammarError)
    assert isinstance(first, lm15.Response) and isinstance(second, lm15.Response)
    data = first.provider_data or {}
    assert data["passes"] == 1
    found = [[*row, *stem] for row, stem in zip(data["choices"], data["stems"], strict=True)]
    assert all(mine == pytest.approx(other, abs=TIE) for mine, other in zip(found, alone, strict=True))
    assert second.message.text == said


@pytest.mark.long
@pytest.mark.weights
def test_probabilities_of_real_weights_equal_those_of_the_models_own_code(smollm2: LocalModel) -> None:
    request = asked("Wilson disease with fever and rash.", STEMS)
    packed, own = TransformersEngine(smollm2), GenerateEngine(replace(smollm2, engine="generate"))
    ours, others = numbers(packed, request), numbers(own, request)
    assert all(mine == pytest.approx(other, abs=TIE) for mine, other in zip(ours, others, strict=True))
    without = TransformersEngine(replace(smollm2, share_prefix=False))
    assert all(mine == pytest.approx(other, abs=TIE) for mine, other in zip(numbers(without, request), others, strict=True))
