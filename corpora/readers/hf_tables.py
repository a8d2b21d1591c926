"""Tables of Hugging Face datasets: files, folders of files, folders of `save_to_disk`, and datasets of the hub.

Files are read in place: nothing of them is copied into the cache of `datasets`, and no card or script in a folder can lead to the
network or run. Only a name `ORG/NAME` that is no path here is looked up on the hub.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clinspan.corpora.errors import InputError
from clinspan.corpora.json_text import is_text
from clinspan.corpora.listing import kind
from clinspan.corpora.readers.hf_card import read_card
from clinspan.corpora.readers.jsonl import load_records
from clinspan.corpora.splits import find_splits, Place, split_named, split_within
from clinspan.corpora.types import SPLITS

SUFFIXES = (".parquet", ".jsonl", ".ndjson", ".json", ".arrow")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_INSTALL = "Install it with: pip install 'clinspan[datasets]'"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one split or of one file of it.

    Attributes:
        name: What the names of its documents begin with.
        place: Its file or, for a dataset, its path or id; for messages.
        columns: Its columns; of JSON files those of the first row.
        classes: The names of the classes of each column of classes.
        rows: Gives the number of each row, counted from 1, and the columns that are asked for.
        lines: Whether the numbers are lines of the file.
    """

    name: str
    place: Path | str
    columns: tuple[str, ...]
    classes: Mapping[str, tuple[str, ...]]
    rows: Callable[[tuple[str, ...]], Iterator[tuple[int, Mapping[str, Any]]]]
    lines: bool = False


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of each split, and counts of what is not read."""

    splits: dict[str, list[Table]]
    passed_over: Counter[str]


def find_tables(path: str, config: str | None, revision: str | None) -> Tables:
    """The tables of a file, a folder or a dataset of the hub.

    Args:
        path: A path or, if there is no such path, an id `ORG/NAME`.
        config: The name of a configuration of the dataset; None: its only one.
        revision: A branch, tag or commit of the hub; None: the newest.

    Raises:
        InputError: There is no such path or dataset, the hub may not or cannot be reached, a package is not installed, a file is
            damaged, or the splits are not clear.
    """
    place = Path(path).expanduser()
    if not place.exists():
        return _of_hub(path, config, revision)
    if revision is not None:
        raise InputError("corpus.revision is of the hub, and corpus.path is on this machine", path=place, remedy="Leave it out.")
    if (place / "dataset_dict.json").is_file() or (place / "state.json").is_file():
        return _of_dataset(_library(lambda datasets: datasets.load_from_disk(str(place)), place), place)
    card = read_card(place, config)
    classes = card.classes if card else {}
    found = card.splits if card and card.splits else find_splits(place, SUFFIXES)
    splits = {split: [_of_file(file, where, classes) for file in where.files] for split, where in found.places.items()}
    return Tables(splits, found.passed_over)


def _of_file(file: Path, where: Place, classes: Mapping[str, tuple[str, ...]]) -> Table:
    name = where.name(file)
    if kind(file) == ".parquet":
        return _of_parquet(file, name, classes)
    if kind(file) == ".arrow":
        return _of_split(_library(lambda datasets: datasets.Dataset.from_file(str(file)), file), file, name)
    if kind(file) not in SUFFIXES:
        raise InputError("is not a file of a kind that is read", path=file, remedy=f"Give one of {', '.join(SUFFIXES)}.")
    records = load_records(file)

    def rows(columns: tuple[str, ...]) -> Iterator[tuple[int, Mapping[str, Any]]]:
        for number, record in records:
            if not is_text(json.dumps(record, ensure_ascii=False)):
                remedy = "Repair or remove the row."
                raise InputError("holds a lone surrogate, which is not valid text", path=file, line=number, remedy=remedy)
            yield number, record

    return Table(name, file, tuple(records[0][1]), classes, rows, lines=True)


def _of_parquet(file: Path, name: str, classes: Mapping[str, tuple[str, ...]]) -> Table:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError("needs pyarrow", path=file, remedy=_INSTALL) from None
    damaged = InputError("is not a complete Parquet file", path=file, remedy="Copy it again; its writer may have been interrupted.")
    try:
        schema = pyarrow.parquet.read_schema(file)
    except (OSError, ValueError):
        raise damaged from None

    def rows(columns: tuple[str, ...]) -> Iterator[tuple[int, Mapping[str, Any]]]:
        number = 0
        try:
            for batch in pyarrow.parquet.ParquetFile(file).iter_batches(columns=list(columns)):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
        except (OSError, ValueError):
            raise damaged from None

    return Table(name, file, tuple(schema.names), {**_stored_classes(schema.metadata or {}), **classes}, rows)


def _stored_classes(metadata: Mapping[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    """The names of classes that `datasets` stores in the schema of a file."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
        return {column: names for column, feature in features.items() if (names := _class_names(feature))}
    except (ValueError, AttributeError, TypeError):
        return {}


def _class_names(feature: Any) -> tuple[str, ...]:
    while isinstance(feature, list) and feature:
        feature = feature[0]
    if not isinstance(feature, Mapping):
        return ()
    if feature.get("_type") == "ClassLabel":
        return tuple(map(str, feature["names"]))
    return _class_names(feature.get("feature"))


def _of_dataset(data: Any, place: Path | str) -> Tables:
    if not isinstance(data, Mapping):
        name = str(data.split or "test")
        return Tables({split_named(name) or split_within(name) or "test": [_of_split(data, place, name)]}, Counter())
    exact = {name: split for name in data if (split := split_named(str(name)))}
    known = exact | {name: split for name in data if (split := split_within(str(name))) and split not in exact.values()}
    if not known and len(data) == 1:
        known = dict.fromkeys(data, "test")
    if not known or len(set(known.values())) < len(known):
        remedy = "Name them train, validation and test."
        raise InputError(f"has splits whose sense is not clear: {', '.join(map(str, data))}", path=place, remedy=remedy)
    passed_over = Counter(f"split {name}" for name in data if name not in known)
    found = {split: [_of_split(data[name], place, str(name))] for name, split in known.items()}
    return Tables({split: found[split] for split in SPLITS if split in found}, passed_over)


def _of_split(data: Any, place: Path | str, name: str) -> Table:
    def rows(columns: tuple[str, ...]) -> Iterator[tuple[int, Mapping[str, Any]]]:
        try:
            yield from enumerate(data.with_format(None).select_columns(list(columns)), 1)
        except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors too
            raise InputError(
                f"has a row that cannot be read ({type(error).__name__})", path=place, remedy="Copy it again."
            ) from None

    classes = {column: names for column, feature in data.features.items() if (names := _names_of(feature))}
    return Table(name, place, tuple(data.column_names), classes, rows)


def _names_of(feature: Any) -> tuple[str, ...]:
    while not hasattr(feature, "names"):
        feature = feature[0] if isinstance(feature, list) and feature else getattr(feature, "feature", None)
        if feature is None:
            return ()
    return tuple(map(str, feature.names))


def _library(load: Callable[[Any], Any], place: Path | str) -> Any:
    """What `datasets` loads from a path; its messages, which may quote data, are left out."""
    datasets = _datasets()
    try:
        return load(datasets)
    except Exception as error:  # pyarrow's, the system's and the library's own errors
        remedy = "Give a folder as save_to_disk writes it, or Parquet or JSON lines."
        raise InputError(f"cannot be read as a dataset ({type(error).__name__})", path=place, remedy=remedy) from None


def _datasets() -> Any:
    try:
        import datasets
    except ImportError:
        raise InputError("this corpus needs the package datasets", remedy=_INSTALL) from None
    datasets.disable_progress_bars()
    return datasets


def _of_hub(name: str, config: str | None, revision: str | None) -> Tables:
    if not _HUB_ID.fullmatch(name) or Path(name).suffix.lower() in SUFFIXES:
        remedy = "Set corpus.path to a file, a folder, or a dataset of the hub as ORG/NAME."
        raise InputError("there is no such file or folder", path=name, remedy=remedy)
    datasets = _datasets()
    from huggingface_hub.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # without a warning per retry
    try:
        _check_online()
        return _of_dataset(datasets.load_dataset(name, config, revision=revision), name)
    except InputError:
        raise
    except Exception as error:  # the hub's client raises its own, httpx's and the system's errors
        raise _hub_error(error, name) from None
    finally:
        logging.set_verbosity(verbosity)


def _is_offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _check_online() -> None:
    """Refuse to go on if the environment forbids the hub but the library was imported before that."""
    from huggingface_hub import constants

    if _is_offline() and not constants.HF_HUB_OFFLINE:
        raise ConnectionError


def _hub_error(error: Exception, name: str) -> InputError:
    message = str(error)
    if "Config name is missing" in message or "BuilderConfig" in message:
        choices = re.search(r"\[(.*?)\]", message)
        remedy = f"Set corpus.config to one of {choices[1]}." if choices else "Set corpus.config."
        return InputError("is no path here, and the dataset of the hub has several configurations", path=name, remedy=remedy)
    if "script" in message:
        remedy = "Scripts are never run: try corpus.revision=refs/convert/parquet, or give files of it."
        return InputError("is no path here, and the dataset of the hub is a script", path=name, remedy=remedy)
    remedy = "Check the name and the connection, or download the dataset elsewhere and give its folder."
    if _is_offline():
        remedy = "HF_HUB_OFFLINE forbids the connection: unset it, or download the dataset elsewhere and give its folder."
    problem = f"is no path here, and cannot be loaded from the Hugging Face hub ({type(error).__name__})"
    return InputError(problem, path=name, remedy=remedy)
