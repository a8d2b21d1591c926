"""RareDis (Martínez-deMiguel et al. 2022) by the protocol of arXiv 2407.00731, which gives its Table 1 to the digit.

The texts are NORD's and are given out by the corpus' authors on request; `path` is the user's own copy:

    T3	RAREDISEASE 0 15	ACTH deficiency

All six types are applied; `ANAPHOR` becomes `O` only after that, so it can hide tags of other types below it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from corpora.brat import load_pair, split_folders, text_files
from corpora.build import assemble, build_corpus
from corpora.errors import InputError
from corpora.tokens import punctuation_sentences, punctuation_tokens
from corpora.types import Corpus, Document, Entity, Label, Token

TYPES = {
    "DISEASE": "Disease",
    "RAREDISEASE": "RareDisease",
    "SKINRAREDISEASE": "SkinRareDisease",
    "SIGN": "Sign",
    "SYMPTOM": "Symptom",
    "ANAPHOR": None,
}


def protocol_tags(tokens: Sequence[Token], entities: Sequence[Entity]) -> tuple[list[str], Counter[str]]:
    """Tag tokens as the paper did.

    A token whose start is an annotation's start is `B-`; one that starts later inside it and ends by its end
    is `I-`. Types are applied in the order in which each first occurs, later ones over earlier ones; within
    one type the first annotation that fits a token wins. Of a discontinuous annotation the first fragment counts.

    Args:
        tokens: All tokens of a document.
        entities: Its annotations in file order, with the corpus' own type names.

    Returns:
        One tag a token, `O` where a type is `ANAPHOR`, and counts of what the rules did.
    """
    raw = ["O"] * len(tokens)
    acts: Counter[str] = Counter(discontinuous_first=sum(not e.continuous for e in entities))
    for label in dict.fromkeys(entity.label for entity in entities):
        spans = [e.fragments[0] for e in entities if e.label == label]
        for i, token in enumerate(tokens):
            tag = _tag_of(token, spans, label)
            if tag is not None:
                acts["overwritten_tokens"] += raw[i] != "O"
                raw[i] = tag
    marked = {tag[2:] for tag in raw if tag != "O"}
    acts["labels_hidden"] = len({e.label for e in entities} - marked)
    acts["anaphor_tokens"] = sum(tag.endswith("-ANAPHOR") for tag in raw)
    starts = {token.start for token in tokens}
    acts["starts_inside_token"] = sum(e.fragments[0][0] not in starts for e in entities)
    tags = []
    for tag in raw:
        name = TYPES[tag[2:]] if tag != "O" else None
        tags.append("O" if name is None else tag[:2] + name)
    return tags, +acts


def _tag_of(token: Token, spans: Sequence[tuple[int, int]], label: str) -> str | None:
    for start, end in spans:
        if token.start == start:
            return f"B-{label}"
        if start < token.start and token.end <= end:
            return f"I-{label}"
    return None


def load_raredis(path: Path, *, labels: tuple[Label, ...], phi: bool) -> Corpus:
    """Read `train/`, `dev/` and `test/` (any may be missing) of RareDis."""
    splits: dict[str, list[Document]] = {}
    conversion: dict[str, Counter[str]] = {}
    for split, folder in split_folders(path).items():
        splits[split], conversion[split] = [], Counter()
        for file in text_files(folder):
            text, annotations, acts = load_pair(file)
            for annotation in annotations:
                if annotation.entity.label not in TYPES:
                    remedy = f"RareDis has {', '.join(TYPES)}; read other brat folders with corpus=brat."
                    problem = f"{annotation.entity.label} is no type of RareDis"
                    raise InputError(problem, path=file.with_suffix(".ann"), line=annotation.line, remedy=remedy)
            entities = [annotation.entity for annotation in annotations]
            document, more = _document(file.stem, text, entities)
            splits[split].append(document)
            conversion[split] += acts + more
    return build_corpus("raredis", splits, labels=labels, phi=phi, conversion=conversion)


def _document(name: str, text: str, entities: Sequence[Entity]) -> tuple[Document, Counter[str]]:
    tokens = punctuation_tokens(text)
    tags, acts = protocol_tags(tokens, entities)
    cut = punctuation_sentences(text, tokens)
    rows, at = [], 0
    for sentence in cut:
        rows.append(tags[at : at + len(sentence)])
        at += len(sentence)
    return assemble(name, text, entities, cut, rows), acts
