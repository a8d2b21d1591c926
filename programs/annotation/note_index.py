"""`index.html` over the pages of all annotated notes, made from the resume state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from clinspan.corpora.file_names import file_name
from clinspan.programs.annotation.state import Entry, read_entries
from clinspan.programs.rundir.run_folder import write_whole
from clinspan.reports.page.note_html import index_page, NoteRow


def write_index(folder: Path, labels: Sequence[str]) -> Path:
    """Write the list of the notes that have a page in `html/`, the most doubtful note first.

    Args:
        folder: The output folder of `annotate`.
        labels: All types, in order.

    Raises:
        OSError: The file cannot be written.
    """
    latest = {entry.id: _row(entry) for path in _states(folder) for entry in read_entries(path)}
    rows = [row for row in latest.values() if row is not None and (folder / "html" / (file_name(row.id) + ".html")).is_file()]
    path = folder / "index.html"
    write_whole(path, index_page(rows, labels))
    return path


def _states(folder: Path) -> Iterator[Path]:
    """The files of the resume state: one, or one for each shard."""
    yield from (path for path in (folder / "state.jsonl", *sorted(folder.glob("shards/*/state.jsonl"))) if path.is_file())


def _row(entry: Entry) -> NoteRow | None:
    """The row of a note; None if it was written without a page."""
    if "html" not in entry.to:
        return None
    known = [confidence for *_, confidence in entry.entities if confidence is not None]
    counts = Counter(label for _, _, label, _ in entry.entities)
    return NoteRow(entry.id, f"html/{quote(file_name(entry.id))}.html", min(known, default=None), counts)
