"""Tests of lists of full mentions: nested, overlapping and in pieces, in `format=entities` with `mentions=full`."""

from __future__ import annotations

import json
import random
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher

from clinspan.corpora import FullMention, InputError, Label
from clinspan.corpora.full_mentions import in_order, merged, of_tags
from clinspan.corpora.words import Words
from clinspan.programs.formats import Entities
from clinspan.programs.formats.listed import find_places, FullLists
from clinspan.programs.formats.matching import MentionFinder
from support.byte_decoding import allowed_by, END, TOKENIZER, VOCABULARY

LABELS = [Label("Disease"), Label("Sign")]
TOKENS = "Pain in arms and legs , acute renal failure .".split()
FULL = Entities(labels=LABELS, mentions="full")
BY_TYPE = Entities(labels=LABELS, mentions="full", per_type=True)
GOLD = in_order(
    [
        FullMention("Sign", ((0, 3),)),
        FullMention("Sign", ((0, 2), (4, 5))),
        FullMention("Disease", ((6, 9),)),
        FullMention("Disease", ((7, 9),)),
        FullMention("Sign", ((6, 9),)),
    ]
)
EXAMPLE = {"tokens": TOKENS, "tags": [], "mentions": [one.record() for one in GOLD]}


def matcher_of(form: Entities, tokens: list[str], key: str = "") -> LLMatcher:
    matcher = LLMatcher(VOCABULARY, LLMatcher.grammar_from_lark(form.grammar(tokens, key).lark()))
    assert not matcher.is_error(), matcher.get_error()
    return matcher


def accepts(matcher: LLMatcher, text: str) -> bool:
    ids = [*TOKENIZER.encode(text, add_special_tokens=False), END]
    return bool(matcher.validate_tokens(ids) == len(ids))


def test_an_answer_shows_pieces_and_nested_mentions_and_is_read_back() -> None:
    answer = FULL.shown_answer(TOKENS, EXAMPLE)
    assert json.loads(answer) == {
        "Disease": ["acute renal failure", "renal failure"],
        "Sign": ["Pain in arms", "Pain in ... legs", "acute renal failure"],
    }
    decoded = FULL.read({"": answer}, TOKENS)
    assert decoded.mentions is not None and [one for one, _ in decoded.mentions] == GOLD and not +decoded.repairs
    assert decoded.tags == "B-Sign I-Sign I-Sign O O O B-Disease I-Disease I-Disease O".split()
    assert all(place is not None and json.loads(answer[place[1] : place[2]]) for _, place in decoded.mentions)
    lists = {q.key: BY_TYPE.shown_answer(TOKENS, EXAMPLE, q.key) for q in BY_TYPE.questions(TOKENS, ())}
    decoded = BY_TYPE.read(lists, TOKENS)
    assert decoded.mentions is not None and [one for one, _ in decoded.mentions] == GOLD
    assert " ... " in FULL.rules() and " ... " in BY_TYPE.rules() and " ... " not in Entities(labels=LABELS).rules()


def test_without_the_option_answers_are_flat() -> None:
    flat = Entities(labels=LABELS)
    answer = FULL.shown_answer(TOKENS, EXAMPLE)
    tags = FULL.read({"": answer}, TOKENS).tags
    assert flat.shown_answer(TOKENS, EXAMPLE | {"tags": tags}) == flat.answer(TOKENS, tags)
    decoded = flat.read({"": answer}, TOKENS)
    assert decoded.mentions is None and decoded.tags == tags and decoded.missing == ["Pain in ... legs"]
    assert decoded.repairs["overlapping_mention"] == 2
    with pytest.raises(InputError, match=r"format\.mentions=all is not known"):
        Entities(labels=LABELS, mentions="all")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mention", "sentence", "expected"),
    [
        ("Pain ... legs", "Pain in arms and legs", [((0, 1), (4, 5))]),
        ("Pain…legs", "Pain in arms and legs", [((0, 1), (4, 5))]),
        ("pain ....LEGS", "Pain in arms and legs", [((0, 1), (4, 5))]),
        ("Pain in ... arms", "Pain in arms and legs", [((0, 3),)]),  # touching pieces are one
        ("a ... c", "a b c a c a b b c", [((0, 1), (2, 3))]),  # the narrowest with a gap
        ("a ... b ... c", "a x a b y c", [((0, 1), (3, 4), (5, 6))]),
        ("legs ... Pain", "Pain in arms and legs", []),
        ("Pain ... knees", "Pain in arms and legs", []),
        ("wait ... what", "wait ... what", [((0, 3),)]),  # the sentence itself has the dots
        ("fever", "fever and fever", [((0, 1),), ((2, 3),)]),
        (" ... legs", "arms and legs", [((2, 3),)]),
        ("...", "a b", []),
    ],
)
def test_where_a_mention_is(mention: str, sentence: str, expected: list[tuple[tuple[int, int], ...]]) -> None:
    repairs: Counter[str] = Counter()
    assert find_places(MentionFinder(sentence.split()), mention, repairs, full=True) == expected
    assert repairs["mention_not_found"] == (not expected)


@given(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=8),
    st.lists(st.text(alphabet="abc", min_size=1, max_size=2), min_size=2, max_size=3),
)
@settings(max_examples=300, deadline=None)
def test_pieces_are_at_the_narrowest_of_all_places(tokens: list[str], pieces: list[str]) -> None:
    """Against all choices of a place for each piece."""

    def choices(rest: list[str], after: int, gap: int) -> list[list[tuple[int, int]]]:
        if not rest:
            return [[]]
        size = len(rest[0])
        starts = [at for at in range(after, len(tokens) - size + 1) if "".join(tokens[at : at + size]) == rest[0]]
        return [[(at, at + size), *more] for at in starts for more in choices(rest[1:], at + size + gap, gap)]

    found = find_places(MentionFinder(tokens), " ... ".join(pieces), Counter(), full=True)
    possible = choices(pieces, 0, 1) or choices(pieces, 0, 0)
    assert len(found) == bool(possible)
    if possible:
        least = min(ranges[-1][1] - ranges[0][0] for ranges in possible)
        assert found[0][-1][1] - found[0][0][0] == least and found[0] in [merged(ranges) for ranges in possible]


TAGS = st.lists(st.sampled_from(["O", "B-Sign", "I-Sign", "B-Disease", "I-Disease"]), min_size=1, max_size=10)


@given(TAGS)
@settings(max_examples=100, deadline=None)
def test_flat_mentions_are_read_alike_with_and_without_the_option(tags: list[str]) -> None:
    tokens = [f"t{n}x" for n in range(len(tags))]
    flat = Entities(labels=LABELS)
    one, other = (form.read({"": form.answer(tokens, tags)}, tokens) for form in (flat, FULL))
    assert one.tags == other.tags and one.places == other.places
    assert other.mentions is not None and [mention for mention, _ in other.mentions] == of_tags(tags)
    assert accepts(matcher_of(FULL, tokens), FULL.answer(tokens, tags))


def test_the_grammar_accepts_nested_overlapping_and_split_mentions() -> None:
    matcher = matcher_of(FULL, TOKENS)
    assert accepts(matcher, FULL.shown_answer(TOKENS, EXAMPLE))
    for text in (
        '"Pain in arms", "arms"',
        '"Pain", "Pain in arms"',
        '"Pain ... legs", "in ... legs", "legs"',
        '"Pain ... arms ... legs"',
    ):
        assert accepts(matcher, f'{{"Disease": [], "Sign": [{text}]}}'), text
    for text in (
        '"legs", "Pain"',
        '"Pain ... in"',
        '"Pain ... Pain"',
        '"legs", "legs", "legs", "legs"',
        '"knees"',
        '"Pain ... "',
        '" ... legs"',
    ):
        assert not accepts(matcher, f'{{"Disease": [], "Sign": [{text}]}}'), text
    assert accepts(matcher_of(BY_TYPE, TOKENS, "Sign"), BY_TYPE.shown_answer(TOKENS, EXAMPLE, "Sign"))


@pytest.mark.parametrize("seed", range(12))
def test_every_answer_of_the_grammar_ends_and_is_read_without_repairs(seed: int) -> None:
    """Random choices among the allowed bytes: the answer ends by the grammar alone, and all its mentions are found."""
    rng = random.Random(seed)
    tokens = [rng.choice(["ab", "c", "de", "f"]) + str(n) for n in range(rng.randint(1, 9))]
    matcher, said = matcher_of(FULL, tokens), list[int]()
    while not matcher.is_stopped():
        token = rng.choice(allowed_by(matcher))
        if token == END:
            break
        assert matcher.consume_tokens([token]) and len(said) < 5000
        said.append(token)
    answer = TOKENIZER.decode(said)
    decoded = FULL.read({"": answer}, tokens)
    texts = [(label, text) for label, texts in json.loads(answer).items() for text in texts]
    assert not decoded.missing and set(+decoded.repairs) <= {"repeated_mention"}
    assert decoded.mentions is not None and len(decoded.mentions) == len(set(texts))


def test_the_grammar_of_a_long_sentence_is_compiled_in_time() -> None:
    tokens = [f"word{n % 60}" for n in range(200)]
    begun = time.perf_counter()
    lark = FULL.grammar(tokens).lark()
    assert not LLMatcher(VOCABULARY, LLMatcher.grammar_from_lark(lark)).is_error()
    assert len(lark) < 2_000_000 and time.perf_counter() - begun < 30


def test_rules_of_one_token() -> None:
    rules = FullLists(["fever"], Words(["fever"])).rules()
    assert rules["m0"] and set(rules) == {"list", "m0", "w0", "f0", "c1_0", "c1_1", "c1_2", "v1_0_0", "u1_0_0", "v1_1_0", "u1_1_0"}
