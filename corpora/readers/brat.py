r"""Reader of brat standoff: a `.txt` with the text and a `.ann` with the annotations, offsets in characters.

    T1	Sign 20 33;52 60	muscle cramps of the arm
    R1	Produces Arg1:T2 Arg2:T1
    #1	AnnotatorNotes T1	checked

Format: https://brat.nlplab.org/standoff.html. Relations, events, attributes, notes and comments are counted and not kept.
Without an `.ann`, the two files of the BioNLP shared tasks, `.a1` and `.a2`, are read. Event triggers of `.a2` are not mentions.
Those of an `.ann` (`E1	Growth:T3 Theme:T1` makes `T3` one) are counted by type, as `trigger_Growth`, or left out with
`corpus.triggers=drop`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args, Literal, Unpack

from clinspan.corpora.bio import Policies
from clinspan.corpora.build import build_document, Cutting
from clinspan.corpora.errors import InputError, read_text
from clinspan.corpora.listing import files_below, kind
from clinspan.corpora.offsets import fit, joined, Placed
from clinspan.corpora.readers.splitwise import About, Part, read_splits
from clinspan.corpora.splits import find_splits, Place
from clinspan.corpora.types import Corpus, Entity

Triggers = Literal["keep", "drop"]
_SPAN = re.compile(r"(\S+) ([0-9]{1,15} [0-9]{1,15}(?:;[0-9]{1,15} [0-9]{1,15})*)")
_OWN_LINE = re.compile(r"(?:[TREAMN]\S*|#\S*|\*)\t")
_TRIGGER = re.compile(r"(?m)^E\S*\t[^\s:]+:(T\S+)")
_LINE_END = re.compile(r"\r\n|\r|\n")
_REMEDY = "A mention reads 'T1<TAB>Type start end<TAB>text', or 'start end;start end' where it is in pieces."


@dataclass(frozen=True, slots=True)
class Annotation:
    """One `T` line: its line number, its id, the entity, and the text that the file gives for the mention."""

    line: int
    id: str
    entity: Entity
    mention: str


def parse_annotations(text: str, path: Path) -> tuple[list[Annotation], Counter[str]]:
    """Parse an `.ann` file. The text of a mention or a note may continue on the next line, as some tools write it.

    Args:
        text: The file's content.
        path: Its path, for messages.

    Returns:
        The `T` lines in file order, and counts of skipped lines (`relations`, `comment_lines`, `other_lines`;
        `dangling_relations` are relations to mentions that the file lacks).

    Raises:
        InputError: A line is not a brat annotation.
    """
    annotations: list[Annotation] = []
    acts: Counter[str] = Counter()
    ends: list[list[str]] = []
    previous = ""
    for number, line in enumerate(_LINE_END.split(text.removeprefix("\ufeff")), 1):
        if not line.strip():
            continue
        if not _OWN_LINE.match(line):
            if line.startswith("#"):
                acts["comment_lines"] += 1
            elif previous == "T" and _goes_on(annotations[-1], line):
                last = annotations.pop()
                annotations.append(Annotation(last.line, last.id, last.entity, f"{last.mention}\n{line}"))
            elif line.startswith("T"):
                raise InputError("malformed T line", path=path, line=number, remedy=_REMEDY)
            elif previous != "#":
                remedy = "Give brat standoff lines such as 'T1<TAB>Sign 0 5<TAB>fever'."
                raise InputError("is not a brat annotation", path=path, line=number, remedy=remedy)
            continue
        previous = line[0]
        if previous == "T":
            annotations.append(_parse_mention(line, number, path))
        elif previous == "R":
            ends.append(re.findall(r"(?::|\s)(T\d+)(?!\S)", line.partition("\t")[2]))
            acts["relations"] += 1
        else:
            acts["other_lines"] += 1
    ids = {annotation.id for annotation in annotations}
    if dangling := sum(not ids.issuperset(pair) for pair in ends):
        acts["dangling_relations"] = dangling
    return annotations, acts


def _goes_on(annotation: Annotation, line: str) -> bool:
    """Whether a line continues the text of the mention before it: that text is still shorter than the mention's span."""
    length = sum(end - start for start, end in annotation.entity.fragments) + len(annotation.entity.fragments)
    return len(annotation.mention) + len(line) <= length


def _parse_mention(line: str, number: int, path: Path) -> Annotation:
    fields = line.split("\t", 2)
    match = _SPAN.fullmatch(fields[1].strip()) if len(fields) == 3 else None
    if match is None or not fields[0][1:].strip():
        raise InputError("malformed T line", path=path, line=number, remedy=_REMEDY)
    fragments = []
    for piece in match[2].split(";"):
        start, end = map(int, piece.split(" "))
        if start >= end:
            wrong = "is empty" if start == end else "ends before it begins"
            raise InputError(f"malformed T line: the span {start} {end} {wrong}", path=path, line=number, remedy=_REMEDY)
        fragments.append((start, end))
    return Annotation(number, fields[0].strip(), Entity(match[1], tuple(fragments)), fields[2])


def load_pair(
    text_path: Path, annotation_paths: Sequence[Path] | None = None, *, drop_triggers: bool = False
) -> tuple[str, list[Annotation], Counter[str]]:
    """Read the text and the annotations of one document. A `.txt` without an annotation file has no annotations.

    Each mention is checked against the text at its offsets. `corpora.offsets` describes what happens if they do not agree.

    Args:
        text_path: The text.
        annotation_paths: Its annotation files; None: the `.ann` beside it, if there is one.
        drop_triggers: Whether triggers of events in an `.ann` are left out, as those of an `.a2` always are.

    Raises:
        InputError: A span ends past the end of the text, or a line is malformed.
    """
    raw = read_text(text_path)
    if annotation_paths is None:
        ann_path = text_path.with_suffix(".ann")
        annotation_paths = [ann_path] if ann_path.exists() else []
    if not annotation_paths:
        return raw, [], Counter(documents_without_ann=1)
    annotations: list[Annotation] = []
    files: list[Path] = []
    acts: Counter[str] = Counter()
    for path in annotation_paths:
        content = read_text(path)
        parsed, file_acts = parse_annotations(content, path)
        triggers = set(_TRIGGER.findall(content))
        file_acts.update(f"trigger_{one.entity.label}" for one in parsed if one.id in triggers and path.suffix.lower() != ".a2")
        if triggers and (path.suffix.lower() == ".a2" or drop_triggers):
            file_acts["event_triggers"] += sum(annotation.id in triggers for annotation in parsed)
            parsed = [annotation for annotation in parsed if annotation.id not in triggers]
        annotations += parsed
        files += [path] * len(parsed)
        acts += file_acts
    reading = fit(raw, [Placed(annotation.entity, annotation.mention) for annotation in annotations])
    placed = []
    for annotation, entity, path in zip(annotations, reading.entities, files, strict=True):
        if entity.end > len(reading.text):
            remedy = "The annotations belong to another version of the text: give the two that belong together."
            problem = f"the span ends at {entity.end}, past the end of the text ({len(reading.text)} characters)"
            raise InputError(problem, path=path, line=annotation.line, remedy=remedy)
        placed.append(Annotation(annotation.line, annotation.id, entity, annotation.mention))
    return reading.text, placed, +(acts + reading.acts)


@dataclass(frozen=True, slots=True)
class Pair:
    """The text file and the annotation files of one document; `id` is its path below the folder, without the suffix."""

    id: str
    text: Path
    annotations: tuple[Path, ...]


def text_files(folder: Path) -> tuple[list[Pair], Counter[str]]:
    """List the documents of a folder and its sub-folders in alphabetical order, and count other files by suffix.

    Raises:
        InputError: The folder is missing, holds no `.txt`, or holds annotations without their text.
    """
    remedy = "Set corpus.path to a folder of .txt and .ann files."
    if not folder.is_dir():
        raise InputError("there is no such folder", path=folder, remedy=remedy)
    files, passed_over = files_below(folder)
    companions: dict[tuple[str, str], Path] = {(str(file.with_suffix("")), kind(file)): file for file in files}
    pairs, used = [], set()
    for file in files:
        if kind(file) == ".txt":
            stem = str(file.with_suffix(""))
            ann = companions.get((stem, ".ann"))
            annotations = [ann] if ann else [companions[stem, suffix] for suffix in (".a1", ".a2") if (stem, suffix) in companions]
            pairs.append(Pair(file.relative_to(folder).with_suffix("").as_posix(), file, tuple(annotations)))
            used.update([file, *annotations])
    for file in files:
        if file in used:
            continue
        if kind(file) in (".ann", ".a1") and (str(file.with_suffix("")), ".txt") not in companions:
            remedy = f"Put {file.stem}.txt beside it: annotations without their text cannot be read."
            raise InputError("has no .txt", path=file, remedy=remedy)
        if kind(file) != ".conf":  # brat's configuration
            passed_over[kind(file)] += 1
    if not pairs:
        raise InputError("holds no .txt file", path=folder, remedy=remedy)
    return pairs, passed_over


def load_brat(path: Path, *, cutting: Cutting, policies: Policies, triggers: Triggers = "keep", **about: Unpack[About]) -> Corpus:
    """Read a brat folder with one sub-folder per split; a folder without such sub-folders is `test`.

    Raises:
        InputError: The folder is not such a corpus, or `triggers` is neither `keep` nor `drop`.
    """
    if triggers not in get_args(Triggers):
        raise InputError(f"corpus.triggers={triggers} is not known", remedy="Use keep or drop.")
    folders = find_splits(path)

    def read(_: str, place: Place) -> Iterator[Part]:
        pairs, skipped = text_files(place.root)
        folders.passed_over.update(skipped)
        for pair in pairs:
            text, annotations, acts = load_pair(pair.text, pair.annotations, drop_triggers=triggers == "drop")
            entities, join_acts = whole_mentions(text, [annotation.entity for annotation in annotations])
            document, tagging_acts = build_document(pair.id, text, entities, cutting=cutting, policies=policies)
            yield document, acts + join_acts + tagging_acts

    return read_splits(folders, read, **about)


def whole_mentions(text: str, entities: Iterable[Entity]) -> tuple[list[Entity], Counter[str]]:
    """Join fragments of mentions that only a line end or other white space separates; count them as `line_broken_joined`."""
    acts: Counter[str] = Counter()
    result = []
    for entity in entities:
        result.append(entity if entity.continuous else joined(text, entity))
        acts["line_broken_joined"] += len(result[-1].fragments) < len(entity.fragments)
    return result, +acts
