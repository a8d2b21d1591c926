"""Recognises the format of a corpus by the suffixes of its files and, where several formats share one, by their first lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from clinspan.corpora.errors import InputError, read_text
from clinspan.corpora.json_text import parse_json
from clinspan.corpora.listing import files_below, kind
from clinspan.corpora.readers.conll import SUFFIXES

_BY_SUFFIX = {
    "brat": (".ann", ".a1", ".a2"),
    "bioc": (".xml",),
    "jsonl": (".jsonl", ".ndjson"),
    "i2b2": (".con",),
    "pubtator": (".pubtator",),
    "spacy": (".spacy",),
    "hf": (".parquet", ".arrow"),
    "csv": (".csv",),
}
_COLUMNS = {suffix for suffix in SUFFIXES if suffix != ".txt"}
_TITLE = re.compile(r"\d+\|[ta]\|")
_TAGGED = re.compile(r"\S+(?:[\t ]\S+)*[\t ]+(?:O|[BIELMSU]-\S.*)")
_PROBED = 30
_NAME = "Name the format with gold_corpus= or predicted_corpus=, as corpus= has it."


def corpus_format(path: Path, *, remedy: str = _NAME) -> str:
    """The `corpus=` option that reads a file or folder: `brat`, `bioc`, `jsonl`, `conll`, `hf`, ...

    Suffixes decide. The content decides for JSON, for tables, and for `.txt` files without files of annotations beside them.

    Args:
        path: The file or folder.
        remedy: What to do if the format is not recognised.

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
    found = [name for name, suffixes in _BY_SUFFIX.items() if kinds & set(suffixes)]
    if found == ["jsonl"] or (not found and ".json" in kinds):
        found = [_json_format(next(file for file in files if kind(file) in (".jsonl", ".ndjson", ".json")))]
    if not found and kinds & _COLUMNS:
        found = ["csv" if _is_table(next(file for file in files if kind(file) in _COLUMNS)) else "conll"]
    if not found and ".txt" in kinds:
        found = _text_format([file for file in files if kind(file) == ".txt"])
        found = found or (["conll"] if path.is_file() else [])
    if len(found) == 1:
        return found[0]
    problem = (
        f"may be {' or '.join(found)}" if found else f"has no format that its suffixes tell ({', '.join(sorted(kinds)) or 'none'})"
    )
    raise InputError(problem, path=path, remedy=remedy)


def _json_format(path: Path) -> str:
    text = read_text(path).removeprefix("\ufeff")
    try:
        value = parse_json(text if path.suffix.lower() == ".json" else next((row for row in text.split("\n") if row.strip()), ""))
    except ValueError:
        return "jsonl"  # its reader names the line
    first = value[0] if isinstance(value, list) and value else value
    if not isinstance(first, dict):
        return "jsonl"
    if "tokenized_text" in first:
        return "gliner"
    if {"tokens", "ner_tags"} <= first.keys() or {"passages", "entities"} <= first.keys():
        return "hf"
    return "bioc" if "documents" in first else "jsonl"


def _first_lines(path: Path) -> list[str]:
    return [line for line in read_text(path).removeprefix("\ufeff").splitlines()[:_PROBED] if line.strip()]


def _is_table(path: Path) -> bool:
    """Whether the first line is a header with offsets."""
    columns = {cell.strip().strip('"').casefold() for cell in re.split(r"[\t,;]", next(iter(_first_lines(path)), ""))}
    return {"start", "end"} <= columns


def _text_format(files: Sequence[Path]) -> list[str]:
    lines = _first_lines(files[0])
    if lines and _TITLE.match(lines[0]):
        return ["pubtator"]
    return ["conll"] if lines and all(line.startswith(("#", "-DOCSTART-")) or _TAGGED.fullmatch(line) for line in lines) else []
