"""One decoded sequence against plain constrained decoding, with any draft, chunks and grammar. The model is a hash: no network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import llguidance.numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinspan.lms.errors import GrammarError
from clinspan.lms.local.sampling import Sampling, uniform
from clinspan.lms.local.sequence import Answer, MOST, Prompt, SequenceState
from support.byte_decoding import (
    by_hash,
    decoded,
    END,
    follow,
    Forced,
    ids_of,
    matcher_of,
    plain_decoding,
    PROMPT,
    sequence_of,
    TOKENIZER,
)

WORDS = st.sampled_from(["O", "B-Sign", "B-Symptom", "I-Sign", "fever", "a", "ab"])


@st.composite
def grammars(draw: st.DrawFn) -> str:
    """A sequence of literals and choices."""
    parts = []
    for number in range(draw(st.integers(1, 6))):
        options = draw(st.lists(WORDS, min_size=1, max_size=3, unique=True))
        parts.append("(" + " | ".join(f'"{option}"' for option in options) + f') " : {number}\\n"')
    tail = draw(st.sampled_from(["", ' "x"?', ' ("y" | "z")*']))
    return f"start: {' '.join(parts)}{tail}"


@dataclass(frozen=True)
class Way:
    """How an answer is decoded: model, errors of the draft, cost of a pass, tokens of a chunk, budget, and shared tokens."""

    seed: int
    errors: int
    overhead: float
    most: int
    budget: int
    shared: int


WAYS = st.builds(
    Way,
    st.integers(0, 99),
    st.integers(0, 3),
    st.sampled_from([0.0, 0.5, 4.0, 16.0, 1e9]),
    st.sampled_from([1, 3, 7, 1000]),
    st.integers(1, 80),
    st.integers(0, 3),
)


@settings(max_examples=150, deadline=None)
@given(grammars(), WAYS)
def test_drafts_and_chunks_change_no_answer(lark: str, way: Way) -> None:
    choose = by_hash(way.seed)
    bare = Prompt(PROMPT, 4, way.budget, matcher=matcher_of(lark))
    said, chosen, finish = plain_decoding(bare, choose)
    draft = list(said)
    for n in range(way.errors):  # a draft with wrong, missing and additional tokens
        place = (way.seed + 5 * n) % max(1, len(draft))
        draft[place : place + n % 2 + 1] = ids_of("B-Sign"[: 2 + n]) if n != 1 else []
    prompt = Prompt(PROMPT, 4, way.budget, matcher=bare.matcher, draft=tuple(draft))
    sequence = sequence_of(prompt, way.shared)
    answer = decoded(sequence, choose, overhead=way.overhead, most=way.most, shared=way.shared)
    assert list(answer.ids) == said
    assert [logprob != 0 for logprob in answer.logprobs] == chosen
    assert answer.finish == finish
    body = said[:-1] if said[-1:] == [END] else said
    assert answer.text == TOKENIZER.decode(body)


LINES = 'start: (line)* \nline: /[a-h]/ " : " ("O" | "B" | "I") "\\n"'
LINE_COUNT = 20
FORM = "start: " + " ".join(f'"token{n} : " ("O" | "B-Sign") "\\n"' for n in range(LINE_COUNT))


TEXT = "".join(f"token{n} : {'B-Sign' if n % 5 == 2 else 'O'}\n" for n in range(LINE_COUNT))


def passes(draft: str, overhead: float, most: int = 1000) -> int:
    prompt = Prompt(PROMPT, 4, 400, matcher=matcher_of(FORM), draft=ids_of(draft))
    answer = decoded(sequence_of(prompt), follow(TEXT), overhead=overhead, most=most)
    assert answer.text == TEXT
    return answer.passes


def test_a_right_draft_saves_passes_as_far_as_the_overhead_pays() -> None:
    """Without guesses each choice takes a pass, with cheap guesses as many as fit into `MOST` tokens share one."""
    assert passes("", 1e9) == passes(TEXT, 0.0) == LINE_COUNT
    assert MOST < len(TEXT) < 2 * MOST and passes(TEXT, 1e9) == 2
    counts = [passes(TEXT, overhead) for overhead in (0.5, 1.0, 2.0, 4.0, 8.0, 1e9)]
    assert counts == sorted(counts, reverse=True) and counts[0] == LINE_COUNT and 2 < counts[3] < LINE_COUNT


def test_passes_count_reads_in_chunks() -> None:
    tokens = len(PROMPT) + len(ids_of(TEXT))
    assert passes(TEXT, 1e9, most=5) >= tokens // 5


def test_a_draft_is_found_again_behind_what_it_lacks_and_what_it_has_beside() -> None:
    """After a difference the draft goes on where the last three tokens of the answer stand in it."""
    lines = TEXT.splitlines(keepends=True)
    lacking, surplus = "".join(lines[:3] + lines[4:]), "".join([*lines[:3], "tokenX : O\n", *lines[3:]])
    for draft in (lacking, surplus):
        assert passes(draft, 1e9) <= 6


def test_wrong_guesses_lower_the_chance_of_the_next() -> None:
    """A row whose guesses are all wrong stops guessing: it reads hardly more tokens than without a draft."""
    wrong = "".join(f"token{n} : {'O' if n % 5 == 2 else 'B-Sign'}\n" for n in range(LINE_COUNT))

    def tokens_read(draft: str) -> int:
        prompt = Prompt(PROMPT, 4, 400, matcher=matcher_of(FORM), draft=ids_of(draft))
        sequence, total, read = sequence_of(prompt), 0, SequenceState.read

        def counted(most: int) -> Any:
            nonlocal total
            found = read(sequence, most)
            total += len(found[0])
            return found

        sequence.read = counted  # type: ignore[method-assign]
        assert decoded(sequence, follow(TEXT), overhead=16.0).text == TEXT
        return total

    least = tokens_read("")
    assert least == len(PROMPT) + len(ids_of(TEXT)) - len("O\n")  # what follows the last choice is never read
    assert least < tokens_read(wrong) < 2.2 * least
    assert tokens_read(TEXT) == least


def test_the_plan_holds_the_guesses_and_leaves_the_matcher_where_it_was() -> None:
    prompt = Prompt(PROMPT, 4, 400, matcher=matcher_of(FORM), draft=ids_of(TEXT))
    sequence = sequence_of(prompt)
    assert sequence.unread == len(PROMPT) + len("token0 : ")
    sequence.plan(1e9)
    head = len(PROMPT) + len("token0 : ") - 1
    assert sequence.decision_points[0].at == head
    assert [point.guess for point in sequence.decision_points[:3]] == list(ids_of("OOB"))
    assert sequence.decision_points[-1].guess is None
    assert [point.at for point in sequence.decision_points[:2]] == [head, head + len("O\ntoken1 : ")]
    assert MOST < len(sequence.feed) <= MOST + len("B-Sign\ntoken1 : ")
    assert sequence.matcher.consume_tokens(list(ids_of("O\n")))


@pytest.mark.parametrize(("before", "after"), [(0, 11), (1, 0)])
def test_a_feed_of_exactly_the_most_tokens_takes_another_guess(before: int, after: int) -> None:
    lines = 9 * len("O\ntoken1 : ")
    ids = (5,) * (MOST - lines - len("token0 : ") + before)
    draft = ids_of("".join(f"token{n} : O\n" for n in range(LINE_COUNT)))
    sequence = sequence_of(Prompt(ids, 1, 400, matcher=matcher_of(FORM), draft=draft))
    sequence.plan(1e9)
    assert len(sequence.feed) == MOST + before + after + (1 if after else 0)


def test_a_plan_without_an_overhead_takes_no_guess() -> None:
    sequence = sequence_of(Prompt(PROMPT, 4, 400, matcher=matcher_of(LINES), draft=ids_of("a : O\nb : O\n")))
    sequence.plan()
    assert (sequence.feed, [point.guess for point in sequence.decision_points]) == (list(PROMPT), [None])


def test_no_guess_is_the_end_or_is_not_allowed() -> None:
    prompt = Prompt(PROMPT, 4, 400, matcher=matcher_of(LINES), draft=(*ids_of("a : B\n"), END, *ids_of("b : O\n")))
    sequence = sequence_of(prompt)
    sequence.plan(1e9)
    assert [point.guess for point in sequence.decision_points] == [*ids_of("aB"), None]
    for bad in ("z : O\n", "a : Z\n"):
        sequence = sequence_of(Prompt(PROMPT, 4, 400, matcher=matcher_of(LINES), draft=ids_of(bad)))
        sequence.plan(1e9)
        assert sequence.decision_points[-1].guess is None and len(sequence.decision_points) <= 2


def free(text: str, *, stops: tuple[str, ...] = (), lines: int = 0, budget: int = 100) -> Answer:
    """What an answer without a grammar becomes if the model would say a text."""
    return decoded(sequence_of(Prompt(PROMPT, 4, budget, stops, lines)), follow(text))


def test_an_answer_without_a_grammar_ends_at_stops_lines_end_or_budget() -> None:
    assert (free("fever").text, free("fever").finish) == ("fever", "stop")
    assert free("fever").ids == (*ids_of("fever"), END)
    cut = free("fever", budget=3)
    assert (cut.text, cut.finish, cut.ids, cut.passes) == ("fev", "length", ids_of("fev"), 3)
    stopped = free("one two three", stops=("x", "wo"))
    assert (stopped.text, stopped.finish, len(stopped.ids)) == ("one t", "stop", 7)
    assert free("one\ntwo\nthree\nfour", lines=2).text == "one\ntwo\n"
    assert free("one\ntwo\nthree\nfour", lines=2).finish == "stop"
    assert free("one\ntwo").text == "one\ntwo"
    assert free("12345678901234", stops=("45678901234",)).text == "123"
    assert free("a stop, b", stops=("stop,", "a ")).text == ""
    assert free("fever", budget=5).finish == "length"
    assert free("fe\n", budget=3, lines=1).finish == "stop"


class Pieces:
    """A tokenizer with pieces of several characters."""

    pieces = ("", "one ", "xaxa ", "two\n\n")

    def decode(self, ids: list[int], skip_special_tokens: bool = False) -> str:
        return "".join(self.pieces[token] for token in ids)


def test_the_text_is_cut_at_the_first_stop_even_within_a_piece() -> None:
    sequence = sequence_of(Prompt((1,), 1, 9, stops=("a", "w")), tokenizer=Pieces())
    sequence.take(1)
    assert sequence.finish == ""
    sequence.take(2)
    assert (sequence.finish, sequence.answer().text) == ("stop", "one x")
    lines = sequence_of(Prompt((1,), 1, 9, lines=2), tokenizer=Pieces())
    lines.take(3)
    assert (lines.finish, lines.answer().text) == ("stop", "two\n\n")


@pytest.mark.parametrize("length", [1, 11, 12, 13, 40])
def test_stops_of_any_length_end_an_answer(length: int) -> None:
    stop = "".join(chr(ord("a") + n % 26) for n in range(length))
    answer = free(f"0123456789{stop} and more", stops=(stop, "none"))
    assert (answer.text, answer.finish, len(answer.ids)) == ("0123456789", "stop", 10 + length)
    accents = free("123é" + "ü" * 20 + "!", stops=("é" + "ü" * 20,))
    assert (accents.text, accents.finish) == ("123", "stop")


def test_choices_without_a_grammar_are_among_all_tokens() -> None:
    sequence = sequence_of(Prompt(PROMPT, 4, 10, draft=ids_of("fever")))
    sequence.plan(1e9)
    assert sequence.feed == list(PROMPT) and [(p.at, p.allowed, p.guess) for p in sequence.decision_points] == [(3, None, None)]
    assert sequence.decision_points[0].uniform is None
    shared = sequence_of(Prompt(PROMPT, 4, 10), 3)
    shared.plan()
    assert shared.feed == [8] and shared.decision_points[0].at == 0


def test_draws_depend_on_the_request_and_the_position() -> None:
    sampling = Sampling(0.7, seed=3)
    prompt = Prompt(PROMPT, 4, 400, matcher=matcher_of(FORM), draft=ids_of(TEXT), sampling=sampling)
    sequence = sequence_of(prompt)
    sequence.plan(1e9)
    stream = sampling.stream(PROMPT)
    head, line = len("token0 : "), len("O\ntoken1 : ")
    assert [p.uniform for p in sequence.decision_points[:2]] == [uniform(stream, head), uniform(stream, head + line)]
    assert all(point.sampling is sampling for point in sequence.decision_points)
    assert [p.uniform for p in sequence_of(prompt, 2).decision_points] == []


def test_control_tokens_in_forced_text_are_spelt() -> None:
    special = {40: (41, 42)}
    sequence = sequence_of(Prompt(PROMPT, 4, 99, matcher=Forced([10, 11, 40, 12])), special=special)
    assert sequence.output_ids == [10, 11, 41, 42]
    assert sequence.finish == "stop"
    several = sequence_of(Prompt(PROMPT, 4, 99, matcher=Forced([40], [12, 13], [40])), special=special)
    assert several.output_ids == [41, 42, 12, 13, 41, 42]
    assert several.logprobs == [0.0] * 6


def test_a_grammar_that_takes_or_allows_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GrammarError, match="^the grammar does not take its own tokens: no such token$"):
        sequence_of(Prompt(PROMPT, 4, 99, matcher=Forced([10], takes=False)))
    sequence = sequence_of(Prompt(PROMPT, 4, 99, matcher=matcher_of('start: "a" ("b" | "c")')))
    sequence.plan()
    with pytest.raises(GrammarError, match="does not take"):
        sequence.take(ids_of("z")[0])
    monkeypatch.setattr(llguidance.numpy, "fill_next_token_bitmask", lambda matcher, bits, row: bits.fill(0))
    with pytest.raises(GrammarError, match="^the grammar allows no token of this tokenizer$"):
        sequence_of(Prompt(PROMPT, 4, 99, matcher=matcher_of('start: "a" ("b" | "c")')))


def test_an_answer_ends_within_its_choices() -> None:
    """A choice that ends the answer leaves later guesses unread, and the end is no part of the text."""
    prompt = Prompt(PROMPT, 4, 400, matcher=matcher_of(LINES), draft=ids_of("a : O\nb : O\nc : O\n"))
    answer = decoded(sequence_of(prompt), follow("a : O\n"), overhead=1e9)
    assert (answer.text, answer.finish, answer.passes) == ("a : O\n", "stop", 1)
    assert answer.ids == (*ids_of("a : O\n"), END)
    assert [n for n, logprob in enumerate(answer.logprobs) if logprob] == [0, 4, 6]
    cut = decoded(sequence_of(Prompt(PROMPT, 4, 9, matcher=matcher_of(LINES), stops=("O",))), follow("a : O\nb : O\n"))
    assert (cut.text, cut.finish) == ("a : O\nb : ", "length")
