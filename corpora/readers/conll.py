r"""Reader of CoNLL columns: one token per line, its tag in one column, an empty line between sentences.

    Ataxia	B-Disease
    is	O

Tabs separate the columns, or spaces in a line without tabs. The tag is in the last column that holds only tags. In CoNLL-U the
first column is a number, and other columns may follow the tag. Tags are IOB1, IOB2, IO, IOBES, BILOU or BMES, or bare `B` and `I`.

A line `-DOCSTART-` or `###MEDLINE:123` starts a document. Without such lines, each file is a document if a split has several files;
in a single file each sentence becomes a document, because the file does not say which sentences belong together. Comment lines
(`# id = 1`) are counted and skipped.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from clinspan.corpora.build import build_corpus, document_of_words
from clinspan.corpora.errors import InputError, read_text
from clinspan.corpora.readers.columns import distinct, parse_columns, word_and_tag, word_of
from clinspan.corpora.readers.schemes import BARE, check_scheme, fault_of, outside_scheme, to_iob2
from clinspan.corpora.splits import find_splits, Place
from clinspan.corpora.types import Corpus, Document, Label

_BY_SCHEME = (".bio", ".iob", ".iob2", ".iobes", ".bioes", ".bilou", ".bmes")
SUFFIXES = (".tsv", ".conll", ".conllu", ".txt", *_BY_SCHEME, ".ner", ".annotated")
_REMEDY = "A line holds a token and, in the last column, its tag, divided by a tab or spaces."


@dataclass(frozen=True, slots=True)
class Table:
    """Content of a column file.

    Attributes:
        words: All tokens.
        tags: The tag of each token.
        documents: The sentences of each document, as slices of `words` and `tags`.
        marked: Whether the file marks its documents.
        acts: Counts of skipped lines.
    """

    words: list[str]
    tags: list[str]
    documents: list[list[slice]]
    marked: bool
    acts: Counter[str]


def parse_rows(path: Path) -> Table:
    """Read a column file.

    Raises:
        InputError: A line has no token, no tag or no valid tag, or the file has no tokens.
    """
    text = read_text(path).removeprefix("\ufeff")
    if not text.strip():
        raise InputError("is empty", path=path, remedy="Give a file with one token and one tag per line.")
    columns = parse_columns(text)
    rows = columns.rows
    if not rows:
        raise InputError("has no token", path=path, remedy="Give a file with one token and one tag per line.")
    for row, line in zip(rows, columns.lines, strict=True):
        if len(row) < 2 or not row[0]:
            raise InputError("has no token or no tag", path=path, line=line, remedy=_REMEDY)
    word, tag = word_and_tag(rows)
    faults = {text: fault for text in distinct(rows, tag) if (fault := fault_of(text))}
    if faults:
        line, (problem, remedy) = next(
            (line, faults[found]) for row, line in zip(rows, columns.lines, strict=True) if (found := row[tag].strip()) in faults
        )
        raise InputError(problem, path=path, line=line, remedy=remedy)
    same = {text: text for text in distinct(rows, tag)}  # one string object per tag
    tags = [same[row[tag].strip()] for row in rows]
    return Table([word_of(row[word]) for row in rows], tags, columns.documents, columns.marked, columns.acts)


def load_conll(
    path: Path,
    *,
    name: str,
    files: dict[str, str | None],
    scheme: str,
    labels: tuple[Label, ...],
    definitions: dict[str, str],
    phi: bool,
) -> Corpus:
    """Read column files. Tags without a label get the label in `labels` if it holds exactly one, else `Entity`."""
    check_scheme(scheme)
    found = find_splits(path, SUFFIXES, files)
    splits: dict[str, list[Document]] = {}
    conversion: dict[str, Counter[str]] = {}
    for split, place in found.places.items():
        splits[split], conversion[split] = _documents(place, scheme, labels[0].name if len(labels) == 1 else BARE)
    return build_corpus(
        name, splits, labels=labels, definitions=definitions, phi=phi, conversion=conversion, passed_over=found.passed_over
    )


def _documents(place: Place, scheme: str, bare: str) -> tuple[list[Document], Counter[str]]:
    groups: list[tuple[str, list[list[str]]]] = []
    tags: list[list[str]] = []
    acts: Counter[str] = Counter()
    for file in place.files:
        table = parse_rows(file)
        if strange := outside_scheme(set(table.tags), scheme):
            raise InputError(f"has the tag {strange}, which is not part of {scheme}", path=file, remedy="Set corpus.scheme=auto.")
        documents = table.documents
        if not table.marked and len(place.files) == 1:
            documents = [[sentence] for document in table.documents for sentence in document]
            acts["sentences_as_documents"] += len(documents)
        acts += table.acts
        for number, document in enumerate(documents):
            groups.append((f"{place.name(file)}-{number}", [table.words[sentence] for sentence in document]))
            tags += [table.tags[sentence] for sentence in document]
    rows, scheme_acts = to_iob2(tags, scheme=scheme, bare=bare, files=len(place.files))
    remaining = iter(rows)
    made = [document_of_words(name, sentences, [next(remaining) for _ in sentences]) for name, sentences in groups]
    return made, +(acts + scheme_acts)
