r"""Brat standoff: a `.txt` with the text and a `.ann` with the annotations, offsets in characters.

    T1	Sign 20 33;52 60	muscle cramps of the arm
    R1	Produces Arg1:T2 Arg2:T1
    #1	AnnotatorNotes T1	checked

Format: https://brat.nlplab.org/standoff.html. Relations are checked for their form and not kept.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from corpora.bio import Policies, tag_spans
from corpora.build import build_corpus, build_document, Cutting
from corpora.errors import InputError, read_text
from corpora.json_text import is_text, mended
from corpora.types import Corpus, Document, Entity, Label, Sentence, SPLITS

_SPAN = re.compile(r"(\S+) ([0-9]{1,15} [0-9]{1,15}(?:;[0-9]{1,15} [0-9]{1,15})*)")
_RELATION = re.compile(r"R\S*\t\S+ [^\s:]+:[TE]\S+ [^\s:]+:[TE]\S+\s*")
_OTHER = frozenset("REAMN*#")


@dataclass(frozen=True, slots=True)
class Annotation:
    """One `T` line: where it stands in its file, the entity, and the text that the file says it covers."""

    line: int
    entity: Entity
    mention: str


def parse_annotations(text: str, path: Path) -> tuple[list[Annotation], Counter[str]]:
    """Read the lines of an `.ann` file.

    Args:
        text: The file's content.
        path: Its path, for messages.

    Returns:
        The `T` lines in file order, and counts of what was passed over (`relations`, `other_lines`,
        `dangling_relations`: relations to mentions that the file lacks).

    Raises:
        InputError: A line that is no brat annotation.
    """
    annotations: list[Annotation] = []
    acts: Counter[str] = Counter()
    names: set[str] = set()
    ends: list[list[str]] = []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not line.strip():
            continue
        if line[0] == "T":
            name, annotation = _parse_mention(line, number, path)
            names.add(name)
            annotations.append(annotation)
        elif line[0] not in _OTHER or "\t" not in line:
            remedy = "Give brat standoff lines such as 'T1<TAB>Sign 0 5<TAB>fever'."
            raise InputError("is not a brat annotation", path=path, line=number, remedy=remedy)
        elif line[0] == "R":
            if not _RELATION.fullmatch(line):
                remedy = "A relation reads 'R1<TAB>Type Arg1:T1 Arg2:T2'."
                raise InputError("malformed R line", path=path, line=number, remedy=remedy)
            ends.append(re.findall(r":(T\S+)", line))
            acts["relations"] += 1
        else:
            acts["other_lines"] += 1
    if dangling := sum(not names.issuperset(pair) for pair in ends):
        acts["dangling_relations"] = dangling
    return annotations, acts


def _parse_mention(line: str, number: int, path: Path) -> tuple[str, Annotation]:
    remedy = "A mention reads 'T1<TAB>Type start end<TAB>text', or 'start end;start end' where it is in pieces."
    fields = line.split("\t", 2)
    match = _SPAN.fullmatch(fields[1].strip()) if len(fields) == 3 else None
    if match is None or not fields[0][1:].strip():
        raise InputError("malformed T line", path=path, line=number, remedy=remedy)
    fragments = []
    for piece in match[2].split(";"):
        start, end = map(int, piece.split(" "))
        if start >= end:
            raise InputError(f"malformed T line: the span {start} {end} is empty", path=path, line=number, remedy=remedy)
        fragments.append((start, end))
    return fields[0].strip(), Annotation(number, Entity(match[1], tuple(fragments)), fields[2])


def load_pair(text_path: Path) -> tuple[str, list[Annotation], Counter[str]]:
    """The text and annotations of one document; a `.txt` without `.ann` has none.

    Offsets are checked against the text, and each mention against the text at its offsets. A file whose
    offsets were counted without its byte order mark, or with one character a line end, is read that way
    if that fits more mentions (counted as `text_normalised`).

    Raises:
        InputError: A span goes past the end of the text, or a line is malformed.
    """
    raw = read_text(text_path)
    ann_path = text_path.with_suffix(".ann")
    if not ann_path.exists():
        return raw, [], Counter(documents_without_ann=1)
    annotations, acts = parse_annotations(read_text(ann_path), ann_path)
    readings = dict.fromkeys(
        (raw, raw.removeprefix("\ufeff"), raw.replace("\r\n", "\n"), raw.removeprefix("\ufeff").replace("\r\n", "\n"))
    )
    text = min(readings, key=lambda reading: _mismatches(reading, annotations))
    if text != raw:
        acts["text_normalised"] += 1
    for annotation in annotations:
        if annotation.entity.end > len(text):
            remedy = "The .ann belongs to another version of the .txt: give the two that belong together."
            problem = f"the span ends at {annotation.entity.end}, past the end of the text ({len(text)} characters)"
            raise InputError(problem, path=ann_path, line=annotation.line, remedy=remedy)
    if wrong := _mismatches(text, annotations):
        acts["mention_differs_from_text"] += wrong
    return text, annotations, acts


def _mismatches(text: str, annotations: Sequence[Annotation]) -> int:
    def covered(entity: Entity) -> str:
        return " ".join(text[start:end] for start, end in entity.fragments)

    return sum(covered(a.entity).split() != a.mention.split() for a in annotations)


def text_files(folder: Path) -> list[Path]:
    """The `.txt` files of a folder in alphabetic order.

    Raises:
        InputError: The folder is missing, holds no `.txt`, or holds an `.ann` without its `.txt`.
    """
    if not folder.is_dir():
        raise InputError("there is no such folder", path=folder, remedy="Set corpus.path to a folder of .txt and .ann files.")
    files = sorted(path for path in folder.glob("*.txt") if not path.name.startswith("."))
    if strange := [path for path in files if not is_text(path.name)]:
        raise InputError("has a name that is not UTF-8", path=mended(str(strange[0])), remedy="Rename the file.")
    for ann in sorted(folder.glob("*.ann")):
        if not ann.name.startswith(".") and not ann.with_suffix(".txt").exists():
            remedy = f"Put {ann.stem}.txt beside it: annotations without their text cannot be read."
            raise InputError("has no .txt", path=ann, remedy=remedy)
    if not files:
        raise InputError("holds no .txt file", path=folder, remedy="Set corpus.path to a folder of .txt and .ann files.")
    return files


def split_folders(path: Path) -> dict[str, Path]:
    """`train`, `dev` and `test` under a folder, as far as they exist; without any, the folder itself is `test`."""
    if not path.is_dir():
        raise InputError("there is no such folder", path=path, remedy="Set corpus.path to the corpus' folder.")
    found = {split: path / split for split in SPLITS if (path / split).is_dir()}
    return found or {"test": path}


def load_brat(
    path: Path,
    *,
    name: str,
    labels: tuple[Label, ...],
    definitions: dict[str, str],
    phi: bool,
    cutting: Cutting,
    policies: Policies,
) -> Corpus:
    """Read a brat folder with the splits as sub-folders, or a flat one as `test`."""
    splits: dict[str, list[Document]] = {}
    conversion: dict[str, Counter[str]] = {}
    for split, folder in split_folders(path).items():
        splits[split], conversion[split] = [], Counter()
        for file in text_files(folder):
            text, annotations, acts = load_pair(file)
            entities = [annotation.entity for annotation in annotations]
            document, more = build_document(file.stem, text, entities, cutting=cutting, policies=policies)
            splits[split].append(document)
            conversion[split] += acts + more
    return build_corpus(name, splits, labels=labels, definitions=definitions, phi=phi, conversion=conversion)


def write_brat(corpus: Corpus, folder: Path) -> None:
    """Write each split into a sub-folder: the untouched text, and the spans of the tags as continuous mentions.

    What the tags say is what is written: reading it back with the cutting that the corpus was cut by
    gives the same sentences and tags.
    """
    for split, documents in corpus.splits.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        for document in documents:
            stem = folder / split / file_stem(document.id)
            stem.with_name(stem.name + ".txt").write_bytes(document.text.encode())
            spans = [span for sentence in document.sentences for span in character_spans(sentence)]
            stem.with_name(stem.name + ".ann").write_bytes(annotation_lines(document.text, spans).encode())


def character_spans(sentence: Sentence) -> list[tuple[int, int, str]]:
    """`(start, end, label)` of a sentence's tags, in characters of its document's text."""
    tokens = sentence.tokens
    return [(tokens[first].start, tokens[last - 1].end, label) for first, last, label in tag_spans(sentence.tags)]


def annotation_lines(text: str, spans: Sequence[tuple[int, int, str]]) -> str:
    """The content of an `.ann` file: one `T` line for each `(start, end, label)`, line ends in its text as blanks.

    White space in a label, which brat cannot have, is written as `_`.
    """
    mentions = (re.sub(r"\s", " ", text[start:end]) for start, end, _ in spans)
    rows = enumerate(zip(spans, mentions, strict=True), 1)
    return "".join(f"T{n}\t{brat_type(label)} {start} {end}\t{mention}\n" for n, ((start, end, label), mention) in rows)


def brat_type(label: str) -> str:
    """
    >>> brat_type("Rare Disease")
    'Rare_Disease'
    """
    return re.sub(r"\s", "_", label)


def file_stem(name: str) -> str:
    """A document id as a file name.

    Raises:
        InputError: The id holds a path separator or begins with a full stop.
    """
    if not name or name.startswith(".") or re.search(r"[/\\\0]", name):
        raise InputError(f"document id {name!r} cannot be a file name", remedy="Rename the document.")
    return name
