"""Recognises the format of a corpus by its files: brat, BioC, JSON lines or CoNLL columns."""

from __future__ import annotations

from pathlib import Path

from clinspan.corpora.errors import InputError, read_text
from clinspan.corpora.json_text import parse_json
from clinspan.corpora.listing import files_below, kind
from clinspan.corpora.readers.conll import SUFFIXES

_BRAT = {".ann", ".a1", ".a2"}
_LINES = {".jsonl", ".ndjson"}
_COLUMNS = {suffix for suffix in SUFFIXES if suffix != ".txt"}


def corpus_format(path: Path) -> str:
    """The `corpus=` option that reads a file or folder: `brat`, `bioc`, `jsonl` or `conll`.

    Suffixes decide, and for `.json` the content: an object with `documents` is BioC. A single `.txt` file is CoNLL.

    Raises:
        InputError: There is no such file or folder, or its files have none or several of these formats.
    """
    if path.is_file():
        files = [path]
    elif path.is_dir():
        files, _ = files_below(path)
    else:
        raise InputError("there is no such file or folder", path=path, remedy="Check the path.")
    kinds = {kind(file) for file in files}
    found = [name for name, suffixes in (("brat", _BRAT), ("bioc", {".xml"}), ("jsonl", _LINES)) if kinds & suffixes]
    if not found and ".json" in kinds:
        found = [_json_format(next(file for file in files if kind(file) == ".json"))]
    if not found and (kinds & _COLUMNS or (path.is_file() and ".txt" in kinds)):
        found = ["conll"]
    if len(found) == 1:
        return found[0]
    problem = (
        f"may be {' or '.join(found)}" if found else f"has no format that its suffixes tell ({', '.join(sorted(kinds)) or 'none'})"
    )
    raise InputError(problem, path=path, remedy="Name the format with gold_corpus= or predicted_corpus=, as corpus= has it.")


def _json_format(path: Path) -> str:
    try:
        value = parse_json(read_text(path).removeprefix("\ufeff"))
    except ValueError:
        return "jsonl"  # its reader names the line
    first = value[0] if isinstance(value, list) and value else value
    return "bioc" if isinstance(first, dict) and "documents" in first else "jsonl"
