"""Reader of tables of mentions, CSV or TSV, beside texts in `.txt` files or in a second table.

    document,start,end,label,text            document,text
    note1,3,8,Sign,fever                     note1,No fever.

A table with the columns start, end and label holds mentions; one with document and text but without these holds texts. Offsets
count characters from 0, and the character at `end` is not part of the mention. The column text of a mention is optional; it shows
in which unit offsets are. A document is named by its id in the table of texts, or by its file without `.txt`.

The splits are those of the tables of mentions: `train.csv`, `train/mentions.csv`. Texts belong to the split that their path names,
else to every split that mentions them, or to the only split.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Unpack

from clinspan.corpora.bio import check_tag, Policies
from clinspan.corpora.build import build_document, Cutting
from clinspan.corpora.errors import InputError, read_text
from clinspan.corpora.listing import files_below, kind
from clinspan.corpora.offsets import fit, Placed
from clinspan.corpora.readers.csv_rows import column_of, header_of, read_table, Row, SUFFIXES
from clinspan.corpora.readers.splitwise import About, Part, read_splits
from clinspan.corpora.splits import find_splits, Place, split_named, split_within
from clinspan.corpora.types import Corpus, Document, Entity
from clinspan.corpora.writers.csv_table import unguarded

_DOCUMENT = ("document", "document_id", "doc", "doc_id", "docid", "file", "filename", "file_name", "note_id", "pmid", "id")
_START = ("start", "begin", "start_offset", "start_char")
_END = ("end", "stop", "end_offset", "end_char")
_LABEL = ("label", "type", "entity_type", "category")
_MENTION = ("text", "mention", "term", "span")
_TEXT = ("text", "content")


@dataclass(frozen=True, slots=True)
class _Mention:
    file: Path
    line: int
    placed: Placed


def load_mentions(path: Path, *, cutting: Cutting, policies: Policies, texts: Path | None, **about: Unpack[About]) -> Corpus:
    """Read a table of mentions, or a folder of such tables with its splits.

    Args:
        path: The table or the folder.
        cutting: How to split the texts.
        policies: How to tag them.
        texts: A folder of `.txt` files or tables of texts, or one such table; None: they are in the folder of the mentions.
        about: See `build_corpus`.

    Raises:
        InputError: A table lacks a column, a mention is not valid or names a document without text, or there are no texts.
    """
    found = find_splits(path, SUFFIXES, accept=cache(lambda file: _holds(file, _START, _END, _LABEL)))
    tables = {file for place in found.places.values() for file in place.files}
    library, counts = _library(texts or (path if path.is_dir() else path.parent), tables)
    if texts is None or texts.resolve().is_relative_to(path.resolve()):
        found.passed_over.clear()  # they are counted with the texts
    found.passed_over.update(counts)
    used: set[tuple[str | None, str]] = set()

    def read(split: str, place: Place) -> Iterator[Part]:
        acts: Counter[str] = Counter()
        mentions: dict[tuple[str | None, str], list[_Mention]] = {
            key: [] for key in library if key[0] == split or (key[0] is None and len(found.places) == 1)
        }
        for file in place.files:
            for row in read_table(file):
                key, mention = _mention(row, file, split, library, acts)
                if mention is not None:
                    mentions.setdefault(key, []).append(mention)
        for key in (key for key in library if key in mentions):
            yield _document(key[1], library[key], mentions[key], cutting, policies)
        used.update(mentions)
        yield None, acts

    corpus = read_splits(found, read, **about)
    unused = Counter({"texts of no split with mentions": len(library.keys() - used)})
    return replace(corpus, passed_over=dict(+(Counter(corpus.passed_over) + unused)))


def _holds(file: Path, *columns: tuple[str, ...]) -> bool:
    header = header_of(file)
    return all(column_of(header, names) is not None for names in columns)


def _library(root: Path, tables: Collection[Path]) -> tuple[dict[tuple[str | None, str], str], Counter[str]]:
    """The texts by the split that their path names (None: none) and by id, and counts of other files."""
    files, passed_over = files_below(root) if root.is_dir() else ([root], Counter())
    library: dict[tuple[str | None, str], str] = {}
    for file in (file for file in files if file not in tables):
        if kind(file) == ".txt" and not file.stem.upper().startswith("README"):
            rows: Iterator[tuple[str, str, int | None]] = iter([(file.stem, read_text(file), None)])
        elif kind(file) in SUFFIXES and _holds(file, _DOCUMENT, _TEXT) and not _holds(file, _START):
            rows = ((row.get(_DOCUMENT), row.get(_TEXT), row.line) for row in read_table(file))
        else:
            passed_over[kind(file)] += 1
            continue
        split = _split_of(file, root)
        for name, text, line in rows:
            if (split, name) in library:
                raise InputError(f"gives a second text for {name[:40]}", path=file, line=line, remedy="Give each its own id.")
            library[split, name] = text
    if not library:
        remedy = "Put .txt files or a table with the columns document and text beside the mentions, or set corpus.texts."
        raise InputError("holds no texts", path=root, remedy=remedy)
    return library, passed_over


def _split_of(file: Path, root: Path) -> str | None:
    """The split that the path below a folder names; the name of a text itself says nothing."""
    folders = () if file == root else file.relative_to(root).parts[:-1]
    for part in (*folders, *([file.stem] if kind(file) != ".txt" else [])):
        if split := split_named(part) or split_within(part):
            return split
    return None


def _mention(
    row: Row, file: Path, split: str, library: Mapping[tuple[str | None, str], str], acts: Counter[str]
) -> tuple[tuple[str | None, str], _Mention | None]:
    name = row.get(_DOCUMENT)
    short = name.removesuffix(".txt").rpartition("/")[2]
    key = next((key for key in ((split, name), (None, name), (split, short), (None, short)) if key in library), None)
    if key is None:
        remedy = "Give its text as .txt file or in a table, or remove the row."
        raise InputError(f"mentions the document {name[:40]}, which has no text", path=file, line=row.line, remedy=remedy)
    start, end, label = (row.get(names).strip() for names in (_START, _END, _LABEL))
    if not (start or end or label):
        acts["rows_without_mention"] += 1
        return key, None
    if not all(at.isascii() and at.isdecimal() and len(at) < 16 for at in (start, end)) or int(start) >= int(end):
        problem = f"{start[:20]!r} to {end[:20]!r} is not a span"
        raise InputError(problem, path=file, line=row.line, remedy="Give the start and the end in characters, counted from 0.")
    try:
        check_tag(f"B-{label}")
    except ValueError as error:
        raise InputError(str(error), path=file, line=row.line, remedy="Repair the label.") from None
    entity = Entity(label, ((int(start), int(end)),))
    return key, _Mention(file, row.line, Placed(entity, unguarded(row.get(_MENTION)) or None))


def _document(
    name: str, text: str, mentions: list[_Mention], cutting: Cutting, policies: Policies
) -> tuple[Document, Counter[str]]:
    reading = fit(text, [mention.placed for mention in mentions])
    for mention, entity in zip(mentions, reading.entities, strict=True):
        if entity.end > len(reading.text):
            problem = f"the span ends at {entity.end}, past the end of the text ({len(reading.text)} characters)"
            raise InputError(problem, path=mention.file, line=mention.line, remedy="Repair the row.")
    document, acts = build_document(name, reading.text, reading.entities, cutting=cutting, policies=policies)
    return document, acts + reading.acts
