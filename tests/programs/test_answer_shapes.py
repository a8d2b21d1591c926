"""Answers in the shapes that models send: each is read as a person would read it, or what is not read is counted."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from corpora import Label, Sentence
from corpora.bio import tag_spans
from corpora.sources import Conll, RareMini
from programs.formats import BioLines, Entities, Format, Inline
from programs.formats.matching import folded, MentionFinder

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
    "brackets": MARKED.replace("<", "[").replace(">", "]"),
}
CASES = [
    pytest.param(form, text, id=f"{name}: {what}")
    for name, form, table in (("entities", Entities, ENTITIES), ("bio_lines", BioLines, BIO_LINES), ("inline", Inline, INLINE))
    for what, text in table.items()
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


def test_a_mention_that_is_not_there_is_counted_and_half_a_mention_is_none() -> None:
    found = Entities(labels=LABELS).read({"": '{"Sign": ["ever", "chills"], "Disease": ["5" mass"]}'}, ["5", "fever"])
    assert found.tags == ["O", "O"]
    assert found.repairs["mention_not_found"] + found.repairs["malformed_mention"] >= 2


def natural(tokens: list[str]) -> str:
    """Tokens as English is written: no blank before closing punctuation, around hyphens and inside brackets."""
    text = " ".join(tokens)
    text = re.sub(r" ([.,;:!?%)\]'’])", r"\1", text)
    text = re.sub(r"([(\[]) ", r"\1", text)
    return re.sub(r" ?([-/]) ?", r"\1", text)


def shapes(sentence: Sentence) -> dict[str, Callable[[], str]]:
    mentions = [(label, natural(list(sentence.words[start:end]))) for start, end, label in tag_spans(sentence.tags)]
    listed: dict[str, list[str]] = {}
    for label, mention in mentions:
        listed.setdefault(label, []).append(mention)
    return {
        "asked for": lambda: json.dumps(listed),
        "objects": lambda: json.dumps([{"text": mention, "label": label} for label, mention in mentions]),
        "lines": lambda: "\n".join(json.dumps({"label": label, "mention": mention}) for label, mention in mentions),
        "wrapped": lambda: f"<think>hm</think>```json\n{json.dumps({'entities': listed})}\n```",
    }


@pytest.mark.parametrize("name", ["raremini", "ncbi"])
def test_gold_in_natural_spacing_is_read_back(name: str, request: pytest.FixtureRequest) -> None:
    """Of mentions that are rewritten as English is written, in each shape, at least 99.9 % are found."""
    corpus = RareMini(labels=["Disease", "RareDisease", "SkinRareDisease", "Sign", "Symptom"], definitions={}).load()
    if name == "ncbi":
        place: Path = request.getfixturevalue("ncbi")
        corpus = Conll(path=str(place)).load()
    form = Entities(labels=corpus.labels)
    wanted = found = 0
    sentences = [sentence for sentence in corpus.sentences("test") if any(tag != "O" for tag in sentence.tags)]
    for sentence in random.Random(0).sample(sentences, min(300, len(sentences))):
        gold = {(start, end) for start, end, _ in tag_spans(sentence.tags)}
        for shape, text in shapes(sentence).items():
            finder = MentionFinder(sentence.words)
            read = form.read({"": text()}, list(sentence.words))
            assert read.repairs["mention_not_found"] == 0, (shape, sentence.id)
            for start, end in gold:
                wanted += 1
                found += (start, end) in finder.places(natural(list(sentence.words[start:end])), Counter())
    assert found >= 0.999 * wanted


def test_folding_changes_nothing_of_plain_text() -> None:
    assert folded("Fabry disease, type 2 (late-onset)") == "Fabrydisease,type2(late-onset)"
