"""Readers of answers: any text gives one legal tag per token, and the right answer gives the right tags."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

from clinspan.corpora import Label
from clinspan.corpora.bio import span_tags, tag_spans
from clinspan.programs.formats import BioLines, Entities, Format, Inline
from clinspan.programs.formats.align import align
from clinspan.programs.formats.types import shown_tokens
from fuzz.target import Target, text_of

LABELS = (Label("Sign"), Label("RareDisease"), Label("A-b"))
NAMES = {label.name for label in LABELS}
_DEFAULT = "Wilson disease causes < tremor > : O ."
_TAGS = ("O", "B-Sign", "I-Sign", "B-RareDisease", "I-RareDisease", "O")


def sentence_and_answer(data: bytes) -> tuple[list[str], str]:
    """The tokens before the first empty line, or a default sentence if there are none, and the answer after that line."""
    head, _, answer = text_of(data).partition("\n\n")
    return shown_tokens((head or _DEFAULT).split(" ")[:40]), answer


def right_tags(tokens: Sequence[str]) -> list[str]:
    raw = [_TAGS[zlib.crc32(token.encode("utf-8", "surrogatepass")) % len(_TAGS)] for token in tokens]
    return span_tags(len(tokens), tag_spans(raw))


def check_reading(form: Format, tokens: Sequence[str], answers: dict[str, str]) -> None:
    parsed = form.read(answers, tokens)
    assert len(parsed.tags) == len(tokens) == len(parsed.places)
    spans = tag_spans(parsed.tags)
    assert span_tags(len(tokens), spans) == parsed.tags
    assert NAMES.issuperset(label for _, _, label in spans)
    assert all(count >= 0 for count in parsed.repairs.values()), parsed.repairs
    for place in parsed.places:
        assert place is None or 0 <= place[1] <= place[2] <= len(answers[place[0]])


def check_right(form: Format, tokens: Sequence[str]) -> None:
    """Check that the right answer is read without repairs. Lists give no positions, so they need only contain what is read."""
    tags = right_tags(tokens)
    answers = {q.key: form.answer(tokens, tags, q.key) for q in form.questions(tokens, ())}
    parsed = form.read(answers, tokens)
    if isinstance(form, Entities):
        listed = {(" ".join(tokens[a:b]), label) for a, b, label in tag_spans(tags)}
        assert listed >= {(" ".join(tokens[a:b]), label) for a, b, label in tag_spans(parsed.tags)}
        assert not parsed.repairs["mention_not_found"]
    else:
        assert parsed.tags == tags
        assert not +parsed.repairs


def reading(form: Format, *, right: bool = True) -> Callable[[bytes], None]:
    def check(data: bytes) -> None:
        tokens, answer = sentence_and_answer(data)
        keys = [question.key for question in form.questions(tokens, ())]
        check_reading(form, tokens, dict(zip(keys, answer.split("\n\n") if len(keys) > 1 else [answer])))
        if right:
            check_right(form, tokens)

    return check


def check_alignment(data: bytes) -> None:
    tokens, answer = sentence_and_answer(data)
    echoed = answer.split(" ")[:40]
    places = align(echoed, tokens)
    assert len(places) == len(tokens)
    matched = [place for place in places if place is not None]
    assert matched == sorted(set(matched))
    assert all(0 <= place < len(echoed) for place in matched)
    assert align(tokens, tokens) == list(range(len(tokens)))


_HOSTILE = (
    "\n\n### Output: Wilson : B-RareDisease\ndisease : I-RareDisease\ntremor : S-sign\n```\n",
    "fever : B-Sign <Sign>a</Sign> </Sign> <\n\n<Sign>fever</Sign> <  /  Sign  > [x](Sign)",
    'a " \\ { } ,\n\n{"Sign": ["a \\"", "\\ud800"], "rare disease": "a", "x": [1, null, {}]}',
    '\n\n```json\n["tremor", "Wilson Disease",]\n```\n\n["disease"]\n\n[' + "[" * 500,
    "\ufeff \u202e e\u0301 \x00 \x01\n\nI'm sorry, I cannot do that.",
)
_SEEDS = tuple(text.encode() for text in _HOSTILE)
_MARKS = (
    "\n\n",
    " : ",
    "B-Sign",
    "I-RareDisease",
    "<Sign>",
    "</Sign>",
    "< ",
    ' "',
    '["',
    '"]',
    '{"Sign": ["',
    "```",
    "### Output:",
)
TARGETS = {
    "bio_lines": Target(reading(BioLines(labels=LABELS)), _SEEDS, _MARKS),
    "bio_lines_positional": Target(reading(BioLines(labels=LABELS, alignment="positional"), right=False), _SEEDS, _MARKS),
    "inline": Target(reading(Inline(labels=LABELS)), _SEEDS, _MARKS),
    "inline_positional": Target(reading(Inline(labels=LABELS, alignment="positional"), right=False), _SEEDS, _MARKS),
    "entities": Target(reading(Entities(labels=LABELS)), _SEEDS, _MARKS),
    "entities_by_type": Target(reading(Entities(labels=LABELS, per_type=True)), _SEEDS, _MARKS),
    "align": Target(check_alignment, _SEEDS, (" ", "\n\n", "Wilson", "disease", "’", "–")),
}
