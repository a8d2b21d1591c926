r"""Reader of CoNLL columns: one token per line, its tag in one column, an empty line between sentences.

    Ataxia	B-Disease
    is	O

Tabs separate the columns, or spaces in a line without tabs. The tag is in the last column that holds only tags. In CoNLL-U the
first column is a number, and other columns may follow the tag. Tags are IOB1, IOB2, IO, IOBES, BILOU or BMES, or bare `B` and `I`.

A line `-DOCSTART-` or `###MEDLINE:123` starts a document. In a file without such lines each sentence becomes a document, because
the file does not say which sentences belong together. Comment lines (`# id = 1`) are counted and skipped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clinspan.corpora.bio import check_tag, tag_spans
from clinspan.corpora.build import assemble, build_corpus, lay_out
from clinspan.corpora.errors import InputError, read_text
from clinspan.corpora.splits import split_files
from clinspan.corpora.types import Corpus, Document, Entity, Label
from clinspan.corpora.writers.conll import DOCUMENT_MARK

Row = tuple[str, str, int]
_MARKER = re.compile(r"###\S.*")
_TAG = re.compile(r"O|[BIESLUM](?:-.+)?")
_NUMBER = re.compile(r"[0-9]+(?:[-.][0-9]+)?")
SUFFIXES = (".tsv", ".conll", ".conllu", ".txt", ".bio", ".iob", ".iob2", ".iobes", ".bioes", ".bilou", ".bmes", ".ner")
SCHEMES = ("auto", "IOB1", "IOB2", "IOBES", "BILOU")
_BARE = "Entity"
_TO_IOB2 = {"E": "I", "S": "B", "L": "I", "U": "B", "M": "I"}
_REMEDY = "A line holds a token and, in the last column, its tag, divided by a tab or spaces."


@dataclass(frozen=True, slots=True)
class Table:
    """Content of a column file.

    Attributes:
        documents: Documents of sentences of `(token, tag, line)`.
        marked: Whether the file marks its documents.
        acts: Counts of skipped lines.
    """

    documents: list[list[list[Row]]]
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
    documents, marked, acts = parse_columns(text)
    full = [document for document in documents if document]
    if not full:
        raise InputError("has no token", path=path, remedy="Give a file with one token and one tag per line.")
    for columns, line in (row for document in full for sentence in document for row in sentence):
        if len(columns) < 2 or not columns[0]:
            raise InputError("has no token or no tag", path=path, line=line, remedy=_REMEDY)
    word, tag = _columns([columns for document in full for sentence in document for columns, _ in sentence])
    rows = [[[_row(columns, word, tag, line, path) for columns, line in sentence] for sentence in document] for document in full]
    return Table(rows, marked, acts)


def parse_columns(text: str) -> tuple[list[list[list[tuple[list[str], int]]]], bool, Counter[str]]:
    """Split column text into documents and sentences.

    Where tabs separate the columns, a token may consist of white space only.

    Returns:
        Documents of sentences of `(columns, line)`, whether the text marks its documents, and counts of skipped lines.
    """
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    plain = [line for line in lines if line.strip() and not line.startswith(("#", DOCUMENT_MARK))]
    widths, tabs = {len(_divided(line)) for line in plain}, any("\t" in line for line in plain)
    documents: list[list[list[tuple[list[str], int]]]] = [[]]
    sentence: list[tuple[list[str], int]] = []
    acts: Counter[str] = Counter()
    marked = False
    for number, line in enumerate([*lines, ""], 1):
        begins = line.startswith(DOCUMENT_MARK) or (_MARKER.fullmatch(line) is not None and len(_divided(line)) not in widths)
        if line.startswith("#") and not begins and _is_comment(line, widths, tabs):
            acts["comment_lines"] += 1
            continue
        if line.strip() and not begins:
            columns = _divided(line)
            if len(columns) > 2 and _NUMBER.fullmatch(columns[0]) and not columns[0].isdigit():
                acts["word_ranges"] += 1  # a CoNLL-U range such as 1-2: its words follow on their own lines
                continue
            sentence.append((columns, number))
            continue
        if sentence:
            documents[-1].append(sentence)
            sentence = []
        if begins:
            marked = True
            documents.append([])
    return documents, marked, acts


def _divided(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else [column for column in line.strip().split(" ") if column]


def _is_comment(line: str, widths: set[int], tabs: bool) -> bool:
    """Whether a line that begins with `#` is a comment: its columns differ from those of other lines, or its last has no tag."""
    columns = _divided(line)
    if len(columns) == 1:
        return line.strip() != "#" or 1 not in widths
    if tabs != ("\t" in line) or len(columns) not in widths:
        return True
    return not tabs and not _is_tag(columns[-1])


def _columns(rows: Sequence[Sequence[str]]) -> tuple[int, int]:
    """Index of the token column, and negative index of the tag column."""
    narrowest = min(map(len, rows))
    numbered = narrowest > 2 and all(row[0].isdigit() for row in rows) and rows[0][0] in ("0", "1")
    for tag in range(-1, -narrowest + int(numbered), -1):
        if all(_is_tag(row[tag].strip()) for row in rows):
            return int(numbered), tag
    return int(numbered), -1


def _is_tag(text: str) -> bool:
    return _TAG.fullmatch(text) is not None


def words_of(text: str) -> tuple[list[list[list[str]]], Counter[str]]:
    """Documents of sentences of tokens from column text with or without tags, and counts of skipped lines."""
    documents, _, acts = parse_columns(text)
    rows = [columns for document in documents for sentence in document for columns, _ in sentence]
    word = _columns(rows)[0] if rows else 0
    words = [[[_word(columns[word]) for columns, _ in sentence] for sentence in document] for document in documents if document]
    return words, acts


def _word(column: str) -> str:
    """The token of a column without outer blanks; a column of blanks gives one blank."""
    return column.strip(" ") or " "


def _row(columns: Sequence[str], word: int, tag: int, line: int, path: Path) -> Row:
    tag_text = columns[tag].strip()
    if not _is_tag(tag_text):
        remedy = "Tags are O, B-label or I-label; IOBES and BILOU have E-, S-, L- and U- too."
        raise InputError(f"{tag_text[:40]!r} is not a BIO tag", path=path, line=line, remedy=remedy)
    if len(tag_text) > 1:
        try:
            check_tag("B" + tag_text[1:])
        except ValueError as error:
            raise InputError(str(error), path=path, line=line, remedy="Rename the label.") from None
    return _word(columns[word]), tag_text, line


def is_iob1(sentences: Sequence[Sequence[str]]) -> bool:
    """Whether tags are IOB1: spans open with `I-`, and each `B-` directly follows a span of the same label.

    >>> is_iob1([["I-Sign", "B-Sign", "O"]]), is_iob1([["B-Sign", "O", "I-Sign"]])
    (True, False)
    """
    opened_by_i = False
    for tags in sentences:
        for before, tag in zip(["O", *tags], tags, strict=False):
            if tag[0] == "B" and before[2:] != tag[2:]:
                return False
            opened_by_i |= tag[0] == "I" and before[2:] != tag[2:]
    return opened_by_i


def iob1_to_iob2(tags: Sequence[str]) -> list[str]:
    """
    >>> iob1_to_iob2(["I-Sign", "I-Sign", "B-Sign", "O"])
    ['B-Sign', 'I-Sign', 'B-Sign', 'O']
    """
    pairs = zip(["O", *tags], tags, strict=False)
    return [f"B-{tag[2:]}" if tag[0] == "I" and before[2:] != tag[2:] else tag for before, tag in pairs]


def to_iob2(sentences: Sequence[Sequence[str]], *, scheme: str, bare: str) -> tuple[list[list[str]], Counter[str]]:
    """Convert the tags of a whole file to IOB2, and count what was converted.

    Args:
        sentences: Tags by sentence, in any scheme.
        scheme: One of `SCHEMES`; under `IOB2` and `auto` an `I-` that opens a span is kept and counted.
        bare: The label for tags that have none.
    """
    acts: Counter[str] = Counter()
    prefixes = {tag[0] for tags in sentences for tag in tags}
    acts["bare_tags"] = sum(len(tag) == 1 and tag != "O" for tags in sentences for tag in tags)
    rows = [[f"{tag}-{bare}" if len(tag) == 1 and tag != "O" else tag for tag in tags] for tags in sentences]
    if prefixes & set(_TO_IOB2) or scheme in ("IOBES", "BILOU"):
        acts["bilou_files" if prefixes & {"L", "U"} or scheme == "BILOU" else "iobes_files"] += 1
        rows = [[_TO_IOB2.get(tag[0], tag[0]) + tag[1:] for tag in tags] for tags in rows]
    elif scheme == "IOB1" or (scheme == "auto" and is_iob1(rows)):
        acts["iob1_files"] += 1
        return [iob1_to_iob2(tags) for tags in rows], +acts
    acts["orphan_i_kept"] += sum(map(_orphans, rows))
    return rows, +acts


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
    if scheme not in SCHEMES:
        raise InputError(f"corpus.scheme={scheme} is not known", remedy=f"Use one of {', '.join(SCHEMES)}.")
    split_paths = split_files(path, SUFFIXES, files)
    splits: dict[str, list[Document]] = {}
    conversion: dict[str, Counter[str]] = {}
    for split, file in split_paths.places.items():
        table = parse_rows(file)
        groups = table.documents if table.marked else [[sentence] for group in table.documents for sentence in group]
        tags = [[tag for _, tag, _ in sentence] for group in groups for sentence in group]
        _check_prefixes(tags, scheme, file)
        rows, acts = to_iob2(tags, scheme=scheme, bare=labels[0].name if len(labels) == 1 else _BARE)
        acts["sentences_as_documents"] = 0 if table.marked else len(groups)
        remaining = iter(rows)
        splits[split] = [_document(f"{file.stem}-{n}", group, [next(remaining) for _ in group]) for n, group in enumerate(groups)]
        conversion[split] = +(acts + table.acts)
    return build_corpus(
        name, splits, labels=labels, definitions=definitions, phi=phi, conversion=conversion, passed_over=split_paths.passed_over
    )


def _check_prefixes(sentences: Sequence[Sequence[str]], scheme: str, path: Path) -> None:
    allowed = {"IOB1": "BIO", "IOB2": "BIO", "IOBES": "BIOES", "BILOU": "BILOU"}.get(scheme)
    strange = sorted({tag for tags in sentences for tag in tags if allowed and tag[0] not in allowed})
    if strange:
        raise InputError(f"has the tag {strange[0]}, which is not part of {scheme}", path=path, remedy="Set corpus.scheme=auto.")


def _orphans(tags: Sequence[str]) -> int:
    return sum(tag[0] == "I" and before[2:] != tag[2:] for before, tag in zip(["O", *tags], tags, strict=False))


def _document(name: str, group: Sequence[Sequence[Row]], rows: Sequence[Sequence[str]]) -> Document:
    text, cut = lay_out([[word for word, _, _ in sentence] for sentence in group])
    entities = [
        Entity(label, ((tokens[first].start, tokens[last - 1].end),))
        for tags, tokens in zip(rows, cut, strict=True)
        for first, last, label in tag_spans(tags)
    ]
    return assemble(name, text, entities, cut, rows)
