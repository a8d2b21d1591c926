"""Writers of annotated notes.

A format has one file per note, written atomically, or one file for all notes, which can be joined from pieces.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from clinspan.corpora.annotated import Annotated, brat_configuration, brat_files, conll_rows
from clinspan.corpora.errors import InputError
from clinspan.corpora.file_names import file_name
from clinspan.corpora.parquet import write_parquet
from clinspan.corpora.writers.bioc import bioc_json, bioc_xml
from clinspan.corpora.writers.csv_table import csv_lines, write_csv
from clinspan.corpora.writers.fhir import fhir_bundle
from clinspan.programs.rundir.run_folder import replacing, write_whole
from clinspan.reports.page.note_html import note_page

COLUMNS = ("document", "start", "end", "text", "label", "confidence")
"""The columns of `annotations.csv`."""
Render = Callable[[Annotated, Sequence[str]], dict[str, bytes]]
SEPARATE: dict[str, tuple[tuple[str, ...], Render]] = {
    "brat": ((".txt", ".ann"), lambda note, labels: brat_files(note)),
    "bioc_xml": ((".xml",), lambda note, labels: {".xml": bioc_xml(note)}),
    "bioc_json": ((".json",), lambda note, labels: {".json": bioc_json(note)}),
    "fhir": ((".json",), lambda note, labels: {".json": fhir_bundle(note)}),
    "html": ((".html",), lambda note, labels: {".html": note_page(note, list(labels), index=_index_from(note.id))}),
}


def write_jsonl(notes: Iterable[Annotated], path: Path) -> None:
    """Write one note per line; `corpus=jsonl` reads the file."""
    with path.open("wb") as file:
        for note in notes:
            file.write((json.dumps(note.record(), ensure_ascii=False) + "\n").encode())


def write_conll(notes: Iterable[Annotated], path: Path) -> None:
    """Write tokens and tags, with `-DOCSTART-` before each note; `corpus=conll` reads the file."""
    with path.open("wb") as file:
        for number, note in enumerate(notes):
            file.write((_BETWEEN["conll"] if number else b"") + conll_rows(note).encode())


def write_table(notes: Iterable[Annotated], path: Path) -> None:
    """Write one row of CSV per mention."""
    cells = ((note.id, m.start, m.end, m.text, m.label, m.confidence) for note in notes for m in note.mentions)
    write_csv(path, COLUMNS, cells)


TOGETHER: dict[str, tuple[str, Callable[[Iterable[Annotated], Path], None]]] = {
    "jsonl": ("annotations.jsonl", write_jsonl),
    "parquet": ("annotations.parquet", write_parquet),
    "conll": ("annotations.conll", write_conll),
    "csv": ("annotations.csv", write_table),
}
_BETWEEN = {"jsonl": b"", "conll": b"\n", "csv": b""}
_HEADS = {"csv": csv_lines([COLUMNS])}


def join_pieces(form: str, pieces: Iterable[Path], folder: Path) -> None:
    """Join pieces into the file for all notes, byte for byte the same as if it were written at once.

    Args:
        form: `jsonl`, `conll` or `csv`; Parquet stays in pieces.
        pieces: Files in the order of the notes; a piece without notes is empty.
        folder: Folder of the joined file.
    """
    with replacing(folder / TOGETHER[form][0]) as scratch, scratch.open("wb") as whole:
        for piece in pieces:
            with piece.open("rb") as part:
                if whole.tell() and piece.stat().st_size:
                    whole.write(_BETWEEN[form])
                    part.seek(len(_HEADS.get(form, b"")))
                shutil.copyfileobj(part, whole)


class DocumentWriter:
    """Writes notes in the requested formats.

    Args:
        folder: Output folder. Each format with one file per note has a subfolder of its name.
        to: The formats.
        labels: All entity types, in order.
        pieces: Folder of the files for all notes; None: `folder`.

    Raises:
        InputError: A format is not known, or none is given.
    """

    def __init__(self, folder: Path, to: Sequence[str], labels: Sequence[str], *, pieces: Path | None = None) -> None:
        check_formats(to)
        self.folder, self.labels, self.pieces = folder, labels, pieces or folder
        self.separate = [name for name in SEPARATE if name in to]
        self.together = [name for name in TOGETHER if name in to]

    def open(self) -> None:
        """Write the files that accompany the files of the notes: brat's list of types."""
        if "brat" in self.separate:
            (self.folder / "brat").mkdir(exist_ok=True)
            write_whole(self.folder / "brat" / "annotation.conf", brat_configuration(self.labels).encode())

    def missing(self, name: str, written: Sequence[str]) -> list[str]:
        """Return the formats that a note lacks: its files do not exist, or the format is not in `written`."""
        paths = {form: self._paths(form, name) for form in self.separate}
        return [form for form in self.separate if form not in written or not all(path.exists() for path in paths[form])]

    def write(self, note: Annotated, formats: Iterable[str]) -> None:
        """Write the files of a note.

        Raises:
            OSError: They cannot be written.
        """
        for form in formats:
            suffixes, render = SEPARATE[form]
            files = render(note, self.labels)
            for suffix, path in zip(suffixes, self._paths(form, note.id), strict=True):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, files[suffix])

    def remove(self, name: str, *, but: Sequence[str] = ()) -> None:
        """Remove the outdated files of a note, in all formats except `but`."""
        for form in SEPARATE.keys() - set(but):
            for path in self._paths(form, name):
                if path.is_file():
                    path.unlink()

    def write_together(self, notes: Callable[[], Iterable[Annotated]]) -> None:
        """Write the formats that have one file for all notes; `notes` is called once per format."""
        for form in self.together:
            file, writer = TOGETHER[form]
            with replacing(self.pieces / file) as scratch:
                writer(notes(), scratch)

    def _paths(self, form: str, name: str) -> list[Path]:
        return [self.folder / form / (file_name(name) + suffix) for suffix in SEPARATE[form][0]]


def _index_from(name: str) -> str:
    """The relative link from the page of a note to `index.html`."""
    return "../" * (file_name(name).count("/") + 1) + "index.html"


def check_formats(to: Sequence[str]) -> None:
    """Check the names of formats.

    Raises:
        InputError: A format is not known, or none is given.
    """
    known = [*SEPARATE, *TOGETHER]
    for name in to or [""]:
        if name not in known:
            raise InputError(f"to={name} is not known", remedy=f"Use one of {', '.join(known)}, or a list: to=[brat,html].")
