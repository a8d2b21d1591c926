"""Tests of answers in the shapes that models send: each is read as a person reads it, and unread parts are counted."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clinspan.corpora import Label, Sentence
from clinspan.corpora.bio import tag_spans
from clinspan.corpora.sources import Conll, RareMini
from clinspan.metrics.counts import count_sentence
from clinspan.programs.formats import BioLines, Entities, Format, Inline
from clinspan.programs.formats.matching import folded, MentionFinder

LABELS = [Label("Disease", ""), Label("RareDisease", ""), Label("Sign", "")]
TOKENS = "Fabry disease brings burning pain and fever .".split()
TAGS = "B-RareDisease I-RareDisease O B-Sign I-Sign O B-Sign O".split()
FULL = '{"Disease": [], "RareDisease": ["Fabry disease"], "Sign": ["burning pain", "fever"]}'
LINES = "\n".join(f"{token} : {tag}" for token, tag in zip(TOKENS, TAGS, strict=True))
MARKED = "<RareDisease>Fabry disease</RareDisease> brings <Sign>burning pain</Sign> and <Sign>fever</Sign> ."

ENTITIES = {
    "thoughts with braces": "<think>{Disease: []} or {x}?</think>\n" + FULL,
    "another name for thoughts": '<reasoning>{"Disease": ["Fabry disease"]}</reasoning>' + FULL,
    "an end of thoughts alone": 'It may be {"Sign": ["fever"]}</think>' + FULL,
    "the form repeated first": '{"Disease": [...], "Sign": [...]}\n\n' + FULL,
    "a fence and prose": f"Here you are:\n```json\n{FULL}\n```\nI hope that this helps.",
    "a smaller one behind": f'{FULL}\nNot: {{"Disease": ["Fabry disease"]}}',
    "a draft of the same keys before": f"{FULL.replace('burning pain', 'pain')}\nCorrected: {FULL}",
    "an object a type": '{"RareDisease": ["Fabry disease"]}\n{"Sign": ["burning pain", "fever"]}',
    "a list of objects": '[{"mention": "Fabry disease", "type": "RareDisease"}, {"mention": "burning pain", "type": "Sign"}, '
    '{"mention": "fever", "type": "sign"}]',
    "objects below labels": '{"RareDisease": [{"text": "Fabry disease", "start": 0}], "Sign": [{"text": "burning pain"}, "fever"]}',
    "a list under a key": '{"result": {"mentions": [{"entity": "Fabry disease", "label": "Rare Disease"}, '
    '{"entity": "burning pain", "label": "Sign"}, {"entity": "fever", "label": "Sign"}]}}',
    "one object a line": '{"label": "RareDisease", "span": "Fabry disease"}\n{"label": "Sign", "span": "burning pain"}\n'
    '{"label": "Sign", "span": "fever"}',
    "pairs": '[["Fabry disease", "RareDisease"], ["Sign", "burning pain"], ["fever", "Sign"]]',
    "inside another": f'{{"answer": {FULL}}}',
    "a key twice": '{"RareDisease": ["Fabry disease"], "Sign": ["fever"], "Sign": ["burning pain"]}',
    "one text for a list": '{"RareDisease": "Fabry disease", "Sign": "burning pain; fever"}',
    "bullets": "**RareDisease:**\n* Fabry disease\n\nSign:\n- burning pain\n- fever",
    "plural labels": '{"Diseases": [], "Rare diseases": ["Fabry disease"], "signs": ["burning pain", "fever"]}',
    "single quotes": "{'RareDisease': ['Fabry disease'], 'Sign': ['burning pain', 'fever']}",
    "a comma too much": FULL.replace("]}", "],}"),
}
BIO_LINES = {
    "thoughts": "<think>Fabry : B-Disease</think>\n" + LINES,
    "words behind the tags": LINES.replace("B-RareDisease", "B-RareDisease (a rare disease)"),
    "a line for a mention": "Fabry disease : B-RareDisease\nbrings : O\nburning pain : B-Sign\nand : O\nfever : B-Sign\n. : O",
    "a table": "| token | tag |\n| :-- | --- |\n" + "\n".join(f"| {a} | {b} |" for a, b in zip(TOKENS, TAGS, strict=True)),
    "columns": "token;tag\n" + "\n".join(f'"{a}";"{b}"' for a, b in zip(TOKENS, TAGS, strict=True)),
    "slashes": "\n".join(f"{a}/{b}" for a, b in zip(TOKENS, TAGS, strict=True)),
    "one line": " ".join(f"{a} : {b}" for a, b in zip(TOKENS, TAGS, strict=True)),
    "one line with slashes": " ".join(f"{a}/{b}" for a, b in zip(TOKENS, TAGS, strict=True)),
    "escaped line ends": LINES.replace("\n", "\\n"),
    "pairs": json.dumps([list(pair) for pair in zip(TOKENS, TAGS, strict=True)]),
    "objects": json.dumps([{"token": a, "tag": b} for a, b in zip(TOKENS, TAGS, strict=True)]),
    "tags alone": json.dumps({"tags": TAGS}),
    "BILOU": LINES.replace("I-", "L-").replace("fever : B-", "fever : U-"),
    "other hyphens": LINES.replace("B-", "B\u2011").replace("I-", "I\u2013"),
    "zero-width characters": LINES.replace("\n", "\u200b\n\u200b"),
}
INLINE = {
    "thoughts": "<think><Disease>Fabry disease</Disease> ?</think>" + MARKED,
    "the bare sentence before": " ".join(TOKENS) + "\n\n" + MARKED,
    "a draft before": "First: <Sign>Fabry disease</Sign> brings burning pain and fever .\nBetter: " + MARKED,
    "attributes": MARKED.replace("<Sign>", '<Sign id="s" kind="x">'),
    "one element": re.sub(r"<(\w+)>(.*?)</\w+>", r'<entity type="\1">\2</entity>', MARKED),
    "prefixes": MARKED.replace("<Sign>", "<B-Sign>").replace("</Sign>", "</B-Sign>"),
    "escaped": MARKED.replace("<", "&lt;").replace(">", "&gt;"),
    "label and mention together": re.sub(r"<(\w+)>(.*?)</\w+>", r"[\1: \2]", MARKED),
    "the same with angles": re.sub(r"<(\w+)>(.*?)</\w+>", r"<\1: \2>", MARKED),
    "links": re.sub(r"<(\w+)>(.*?)</\w+>", r"[\2](\1)", MARKED),
    "a label behind": re.sub(r"<(\w+)>(.*?)</\w+>", r"\2 (\1)", MARKED).replace("brings", "causes"),
    "brackets": MARKED.replace("<", "[").replace(">", "]"),
}
CASES = [
    pytest.param(form, text, id=f"{name}: {shape}")
    for name, form, table in (("entities", Entities, ENTITIES), ("bio_lines", BioLines, BIO_LINES), ("inline", Inline, INLINE))
    for shape, text in table.items()
]


@pytest.mark.parametrize(("form", "text"), CASES)
def test_a_shape_is_read_as_a_person_reads_it(form: type[Format], text: str) -> None:
    assert form(labels=LABELS).read({"": text}, TOKENS).tags == TAGS


@pytest.mark.parametrize(
    ("tokens", "written"),
    [
        ("Niemann - Pick disease", "Niemann\u2010Pick disease"),
        ("Niemann-Pick disease", "Niemann\u2011Pick  disease"),
        ("Sjo\u0308gren syndrome", "Sj\u00f6gren syndrome"),
        ("IL\u22122", "IL-2"),
        ("Crohn 's disease", "Crohn\u2019s disease"),
        ("5\u2032 end", "5' end"),
        ("1 , 000 cells", "1,000 cells"),
        ("Marfan syndrome", "Mar\u00adfan\u200b syndrome"),
        ("FEVER", "fever"),
    ],
)
def test_the_same_mention_in_other_characters_is_found(tokens: str, written: str) -> None:
    repairs: Counter[str] = Counter()
    row = ["no", *tokens.split(), "."]
    assert MentionFinder(row).places(written, repairs) == [(1, len(row) - 1)]
    assert not repairs["mention_not_found"]


def test_a_missing_mention_is_counted_and_a_part_of_a_word_is_no_mention() -> None:
    decoded = Entities(labels=LABELS).read({"": '{"Sign": ["ever", "chills"], "Disease": ["5" mass"]}'}, ["5", "fever"])
    assert decoded.tags == ["O", "O"]
    assert decoded.repairs["mention_not_found"] + decoded.repairs["malformed_mention"] >= 2


def natural(tokens: list[str]) -> str:
    """Join tokens in natural English spacing: no blank before closing punctuation, around hyphens or inside brackets."""
    text = " ".join(tokens)
    text = re.sub(r" ([.,;:!?%)\]'’])", r"\1", text)
    text = re.sub(r"([(\[]) ", r"\1", text)
    return re.sub(r" ?([-/]) ?", r"\1", text)


Shapes = Iterator[tuple[str, str]]


def naturally(sentence: Sentence, mention: Callable[[str, str], str], other: Callable[[str], str] = str) -> list[str]:
    """Return the pieces of a sentence: mentions in natural spacing, written by `mention`, and other tokens, written by `other`."""
    pieces, at = [], 0
    for start, end, label in tag_spans(sentence.tags):
        pieces += [other(word) for word in sentence.words[at:start]]
        pieces.append(mention(label, natural(list(sentence.words[start:end]))))
        at = end
    return pieces + [other(word) for word in sentence.words[at:]]


def entity_shapes(sentence: Sentence) -> Shapes:
    mentions = [(label, natural(list(sentence.words[start:end]))) for start, end, label in tag_spans(sentence.tags)]
    listed: dict[str, list[str]] = {}
    for label, mention in mentions:
        listed.setdefault(label, []).append(mention)
    yield "asked for", json.dumps(listed)
    yield "objects", json.dumps([{"text": mention, "label": label} for label, mention in mentions])
    yield "lines", "\n".join(json.dumps({"label": label, "mention": mention}) for label, mention in mentions)
    yield "wrapped", f"<think>hm</think>```json\n{json.dumps({'entities': listed})}\n```"
    yield "pairs", json.dumps([[mention, label] for label, mention in mentions])
    yield "bullets", "\n".join(f"{label}:\n" + "\n".join(f"- {text}" for text in texts) for label, texts in listed.items())


def line_shapes(sentence: Sentence) -> Shapes:
    rows = list(zip(sentence.words, sentence.tags, strict=True))
    yield "tabs", "\n".join(f"{word}\t{tag}" for word, tag in rows)
    yield "no blank", "\n".join(f"{word}: {tag}" for word, tag in rows)
    yield "table", "| token | tag |\n|---|---|\n" + "\n".join(f"| {word} | {tag} |" for word, tag in rows)
    yield "quoted", "\n".join(f'"{word}","{tag}"' for word, tag in rows)
    yield "pairs", json.dumps(rows)
    yield "objects", json.dumps([{"token": word, "tag": tag} for word, tag in rows])
    yield "one line", " ".join(f"{word} : {tag}" for word, tag in rows)
    yield "thoughts", "<think>hm</think>\n" + "\n".join(f"{word} : {tag}" for word, tag in rows)
    yield (
        "a line for a mention",
        "\n".join(naturally(sentence, lambda label, mention: f"{mention} : B-{label}", lambda word: f"{word} : O")),
    )


def mark_shapes(sentence: Sentence) -> Shapes:
    text = natural(naturally(sentence, lambda label, mention: f"<{label}>{mention}</{label}>"))
    yield "asked for", text
    yield "attributes", re.sub(r"<(\w+)>", r'<\1 id="1">', text)
    yield "one element", re.sub(r"<(\w+)>(.*?)</\w+>", r'<entity type="\1">\2</entity>', text)
    yield "links", re.sub(r"<(\w+)>(.*?)</\w+>", r"[\2](\1)", text)
    yield "label and mention together", re.sub(r"<(\w+)>(.*?)</\w+>", r"[\1: \2]", text)
    yield "escaped", text.replace("<", "&lt;").replace(">", "&gt;")
    yield "prose before", "Here is the sentence:\n" + text


WRITTEN: dict[str, tuple[type[Format], Callable[[Sentence], Shapes]]] = {
    "entities": (Entities, entity_shapes),
    "bio_lines": (BioLines, line_shapes),
    "inline": (Inline, mark_shapes),
}


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("corpus", ["raremini", "ncbi"])
def test_gold_in_natural_spacing_is_read_back(corpus: str, name: str, request: pytest.FixtureRequest) -> None:
    """In each shape, at least 99.9 % of the gold mentions in natural spacing are read back at their own tokens."""
    if corpus == "ncbi":
        place: Path = request.getfixturevalue("ncbi")
        loaded, splits = Conll(path=str(place)).load(), ("test",)
    else:
        labels = ["Disease", "RareDisease", "SkinRareDisease", "Sign", "Symptom"]
        loaded, splits = RareMini(labels=labels, definitions={}).load(), ("train", "dev", "test")
    form, shapes = WRITTEN[name][0](labels=loaded.labels), WRITTEN[name][1]
    wanted: Counter[str] = Counter()
    read: Counter[str] = Counter()
    for sentence in (sentence for split in splits for sentence in loaded.sentences(split)):
        if gold := set(tag_spans(sentence.tags)):
            for shape, text in shapes(sentence):
                wanted[shape] += len(gold)
                read[shape] += len(gold & set(tag_spans(form.read({"": text}, list(sentence.words)).tags)))
    assert sum(wanted.values()) > 5_000
    assert {shape: read[shape] / n for shape, n in wanted.items() if read[shape] < 0.999 * n} == {}


SPECIAL = [
    "Sign/Symptom",
    "Age>80",
    "Sign (new)",
    "a.b",
    "HIV-",
    "-x",
    "C*",
    "AT&T <x>",
    "1",
    "O",
    "B-I",
    "x:y",
    "[q]",
    "'s",
    "10%",
]


@pytest.mark.parametrize("label", SPECIAL)
@pytest.mark.parametrize("name", WRITTEN)
def test_labels_with_any_characters_survive_formats_and_scoring(name: str, label: str) -> None:
    tokens = "No mild fever or heart block today .".split()
    tags = ["O", f"B-{label}", f"I-{label}", "O", "B-Other", "I-Other", "O", "O"]
    form = WRITTEN[name][0](labels=[Label(label), Label("Other")])
    answers = {question.key: form.answer(tokens, tags, question.key) for question in form.questions(tokens, [])}
    assert form.read(answers, tokens).tags == tags
    assert form.read({key: f"Output: {text}" for key, text in answers.items()}, tokens).tags == tags
    for mode in ("conlleval", "strict"):
        counts = count_sentence(tags, tags, [label, "Other"], mode)  # type: ignore[arg-type]
        assert (counts[label].f1, counts[label].gold) == (1.0, 1)


def test_folding_plain_text_removes_only_blanks() -> None:
    assert folded("Fabry disease, type 2 (late-onset)") == "Fabrydisease,type2(late-onset)"
