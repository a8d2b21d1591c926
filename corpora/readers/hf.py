"""Reader of Hugging Face datasets: one row per sentence with tokens and tags, or one row per document in BigBIO's schema `kb`.

    {"tokens": ["No", "fever", "."], "ner_tags": [0, 1, 0]}

Tags are names of classes, whole numbers, or texts in any scheme that `corpora.readers.conll` reads. The names of numbers come from
the dataset (`ClassLabel`), from `corpus.tag_names`, or from `corpus.labels` in the order O, B-first, I-first, B-second, ...
Each sentence is a document, unless `corpus.document_column` names the column that says which rows belong together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from clinspan.corpora.bio import bio_classes, Policies
from clinspan.corpora.build import build_corpus, Cutting, document_of_words
from clinspan.corpora.errors import InputError
from clinspan.corpora.readers import bigbio
from clinspan.corpora.readers.hf_tables import find_tables, Table
from clinspan.corpora.readers.schemes import BARE, check_scheme, fault_of, outside_scheme, to_iob2
from clinspan.corpora.types import Corpus, Document, Label

_NO_TAG = (-1, -100)


@dataclass(frozen=True, slots=True)
class RowFormat:
    """How rows hold sentences.

    Attributes:
        tokens: The column of tokens.
        tags: The column of tags.
        document: The column whose value is the same in all rows of a document; None: each row is one.
        names: The tags that whole numbers stand for; empty: those of the dataset.
        scheme: The scheme of the tags, see `corpora.readers.schemes`.
    """

    tokens: str = "tokens"
    tags: str = "ner_tags"
    document: str | None = None
    names: Sequence[str] = ()
    scheme: str = "auto"


def load_hf(
    path: str,
    *,
    name: str,
    labels: tuple[Label, ...],
    definitions: dict[str, str],
    phi: bool,
    cutting: Cutting,
    policies: Policies,
    rows: RowFormat,
    config: str | None = None,
    revision: str | None = None,
) -> Corpus:
    """Read a dataset. A split without any tag (all numbers are -1) is passed over.

    Args:
        path: A file, a folder, or an id of the hub; see `corpora.readers.hf_tables`.
        name, labels, definitions, phi: See `build_corpus`.
        cutting: How to split texts of the schema `kb`.
        policies: How to tag texts of the schema `kb`.
        rows: How rows hold sentences.
        config: A configuration of the dataset.
        revision: A revision of the hub.
    """
    check_scheme(rows.scheme)
    found = find_tables(path, config, revision)
    splits: dict[str, list[Document]] = {}
    conversion: dict[str, Counter[str]] = {}
    passed_over = Counter(found.passed_over)
    has_texts = False
    for split, tables in found.splits.items():
        if all(set(bigbio.COLUMNS) <= set(table.columns) and rows.tokens not in table.columns for table in tables):
            splits[split], conversion[split] = _of_kb(tables, cutting, policies)
            has_texts = True
            continue
        read = [_sentences(table, rows, labels) for table in tables]
        if all(sentence.tags is None for part in read for sentence in part.sentences):
            passed_over[f"split {split} without tags"] += 1
            continue
        splits[split], conversion[split] = _documents(read, rows, labels[0].name if len(labels) == 1 else BARE)
    if not splits:
        raise InputError("has no tags in any split", path=path, remedy=f"Name their column: corpus.tags_column (now {rows.tags}).")
    corpus = build_corpus(
        name, splits, labels=labels, definitions=definitions, phi=phi, conversion=conversion, passed_over=passed_over
    )
    return cutting.of(corpus) if has_texts else corpus


def _of_kb(tables: Sequence[Table], cutting: Cutting, policies: Policies) -> tuple[list[Document], Counter[str]]:
    documents: list[Document] = []
    acts: Counter[str] = Counter()
    for table in tables:
        wanted = tuple(key for key in ("id", "document_id", *bigbio.COLUMNS, *bigbio.OTHERS) if key in table.columns)
        for number, row in table.rows(wanted):
            try:
                document, document_acts = bigbio.kb_document(row, f"{table.name}-{number}", cutting, policies)
            except (KeyError, TypeError, ValueError) as error:
                reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
                raise _row_error(table, number, f"is not a document of BigBIO's schema kb ({reason})", "Repair the row.") from None
            documents.append(document)
            acts += document_acts
    return documents, acts


@dataclass(frozen=True, slots=True)
class _Sentence:
    words: list[str]
    tags: list[str] | None  # None: the dataset has none
    document: str


@dataclass(frozen=True, slots=True)
class _Part:
    """The sentences of a table."""

    table: Table
    sentences: list[_Sentence]
    acts: Counter[str] = field(default_factory=Counter)


def _sentences(table: Table, rows: RowFormat, labels: Sequence[Label]) -> _Part:
    wanted = tuple(column for column in (rows.tokens, rows.tags, rows.document) if column is not None)
    for key, column in (("tokens_column", rows.tokens), ("tags_column", rows.tags), ("document_column", rows.document)):
        if column is not None and column not in table.columns:
            remedy = f"Set corpus.{key} to one of {', '.join(table.columns)}."
            raise InputError(f"has no column {column}", path=table.place, remedy=remedy)
    names = tuple(rows.names) or table.classes.get(rows.tags, ()) or (bio_classes(label.name for label in labels) if labels else ())
    part = _Part(table, [])
    for number, row in table.rows(wanted):
        words, tags = _listed(row, rows.tokens, table, number), _listed(row, rows.tags, table, number)
        if len(words) != len(tags):
            raise _row_error(table, number, f"has {len(words)} tokens but {len(tags)} tags", "Repair or remove the row.")
        if not words:
            part.acts["rows_without_tokens"] += 1
            continue
        if not all(isinstance(word, str) for word in words):
            raise _row_error(table, number, "has a token that is not a text", "Repair or remove the row.")
        part.acts["tokens_of_white_space"] += sum(not word.strip() for word in words)
        known = None if all(tag in _NO_TAG for tag in tags) else [_tag(tag, names, table, number) for tag in tags]
        document = f"{table.name}-{number - 1}" if rows.document is None else str(row.get(rows.document))
        part.sentences.append(_Sentence([word.strip(" ") or " " for word in words], known, document))
    return part


def _listed(row: Mapping[str, Any], column: str, table: Table, number: int) -> list[Any]:
    value = row.get(column)
    if not isinstance(value, list):
        raise _row_error(table, number, f"has no list in the column {column}", "Each row holds one sentence: a list of its tokens.")
    return value


def _tag(tag: Any, names: Sequence[str], table: Table, number: int) -> str:
    if isinstance(tag, int) and not isinstance(tag, bool):
        if not 0 <= tag < len(names):
            remedy = "Name the tags in order, corpus.tag_names=[O,B-Sign,I-Sign], or the labels, corpus.labels=[Sign]."
            raise _row_error(table, number, f"has the tag {tag}, which has no name", remedy)
        tag = names[tag]
    if not isinstance(tag, str):
        raise _row_error(table, number, "has a tag that is neither a text nor a whole number", "Repair or remove the row.")
    if fault := fault_of(tag):
        raise _row_error(table, number, f"has a tag that cannot be read: {fault[0]}", f"{fault[1]} corpus.tag_names renames tags.")
    return tag


def _row_error(table: Table, number: int, problem: str, remedy: str) -> InputError:
    if table.lines:
        return InputError(problem, path=table.place, line=number, remedy=remedy)
    return InputError(f"row {number} {problem}", path=table.place, remedy=remedy)


def _documents(parts: Sequence[_Part], rows: RowFormat, bare: str) -> tuple[list[Document], Counter[str]]:
    acts = sum((part.acts for part in parts), Counter[str]())
    sentences = [sentence for part in parts for sentence in part.sentences if sentence.tags is not None]
    acts["sentences_without_tags"] = sum(len(part.sentences) for part in parts) - len(sentences)
    tags = [sentence.tags or [] for sentence in sentences]
    if strange := outside_scheme({tag for row in tags for tag in row}, rows.scheme):
        place = parts[0].table.place
        raise InputError(f"has the tag {strange}, which is not part of {rows.scheme}", path=place, remedy="Set corpus.scheme=auto.")
    converted, scheme_acts = to_iob2(tags, scheme=rows.scheme, bare=bare, files=len(parts))
    acts["sentences_as_documents"] = len(sentences) if rows.document is None else 0
    remaining = iter(converted)
    documents = [
        document_of_words(name, [sentence.words for sentence in group], [next(remaining) for _ in group])
        for name, group in ((name, list(group)) for name, group in groupby(sentences, key=lambda sentence: sentence.document))
    ]
    return documents, +(acts + scheme_acts)
