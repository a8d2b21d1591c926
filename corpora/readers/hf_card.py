"""The card of a dataset folder (`README.md`): which files are which splits, and the names of classes.

Only files inside the folder are used: a card comes with the data, and must not lead to other files or to the network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clinspan.corpora.errors import InputError, read_text
from clinspan.corpora.listing import files_below, kind
from clinspan.corpora.splits import Place, split_named, split_within, Splits
from clinspan.corpora.types import SPLITS


@dataclass(frozen=True, slots=True)
class Card:
    """What a card says.

    Attributes:
        splits: The files of each split; None if the card names none.
        classes: The names of the classes of each column of classes.
    """

    splits: Splits | None
    classes: dict[str, tuple[str, ...]]


def read_card(folder: Path, config: str | None) -> Card | None:
    """Read the card of a dataset folder; None if it has none.

    Args:
        folder: The folder.
        config: The name of a configuration; None: the only one, or the default one.

    Raises:
        InputError: The card is not YAML, the configuration is not known or not clear, or files of it lie outside the folder.
    """
    path = folder / "README.md"
    header = _header(path) if path.is_file() else {}
    configs = {str(each.get("config_name", "default")): each for each in _objects(header.get("configs"))}
    infos = {str(each.get("config_name", "default")): each for each in _objects(header.get("dataset_info"))}
    names = list(configs or infos)
    if config is not None and config not in names:
        remedy = f"Set corpus.config to one of {', '.join(names)}." if names else "Leave corpus.config out."
        raise InputError(f"has no configuration {config}", path=folder, remedy=remedy)
    if not names:
        return None
    if config is None:
        usual = [name for name, each in configs.items() if each.get("default") is True] or names
        if len(usual) > 1 and "default" not in usual:
            remedy = f"Set corpus.config to one of {', '.join(names)}."
            raise InputError("has several configurations", path=folder, remedy=remedy)
        config = usual[0] if len(usual) == 1 else "default"
    classes = {str(each["name"]): found for each in _objects(infos.get(config, {}).get("features")) if (found := _names(each))}
    return Card(_splits(folder, configs[config]) if config in configs else None, classes)


def _header(path: Path) -> Mapping[str, Any]:
    import yaml

    text = read_text(path).removeprefix("\ufeff").replace("\r\n", "\n")
    if not text.startswith("---\n") or "\n---" not in text:
        return {}
    try:
        header = yaml.safe_load(text[4 : text.index("\n---", 3)])
    except (yaml.YAMLError, RecursionError):
        raise InputError("has a header that is not YAML", path=path, remedy="Repair or remove the header.") from None
    return header if isinstance(header, Mapping) else {}


def _objects(value: Any) -> list[Mapping[str, Any]]:
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, Mapping)]


def _names(feature: Any, depth: int = 0) -> tuple[str, ...]:
    """The names in `{sequence: {class_label: {names: {'0': O, ...}}}}`, at any usual depth."""
    if not isinstance(feature, Mapping) or depth > 8:
        return ()
    label = feature.get("class_label")
    names = label.get("names") if isinstance(label, Mapping) else None
    if isinstance(names, Mapping):
        return tuple(str(names[key]) for key in sorted(names, key=lambda key: int(key) if str(key).isdecimal() else -1))
    if isinstance(names, list):
        return tuple(map(str, names))
    return next((found for key in ("sequence", "list", "dtype") if (found := _names(feature.get(key), depth + 1))), ())


def _splits(folder: Path, config: Mapping[str, Any]) -> Splits | None:
    patterns: dict[str, list[str]] = {}
    for part in _objects(config.get("data_files")):
        split = split_named(str(part.get("split", ""))) or split_within(str(part.get("split", "")))
        if split is None or split in patterns:
            remedy = "Name the splits of the card train, validation and test, or give one file."
            raise InputError(
                f"has the split {part.get('split')}, whose sense is not clear", path=folder / "README.md", remedy=remedy
            )
        paths = part.get("path")
        patterns[split] = [str(pattern) for pattern in (paths if isinstance(paths, list) else [paths])]
    if not patterns:
        return None
    places = {split: Place(folder, _matching(folder, patterns[split])) for split in SPLITS if split in patterns}
    used = {file for place in places.values() for file in place.files} | {folder / "README.md"}
    files, skipped = files_below(folder)
    return Splits(places, skipped + Counter(kind(file) for file in files if file not in used))


def _matching(folder: Path, patterns: list[str]) -> tuple[Path, ...]:
    card = folder / "README.md"
    files: set[Path] = set()
    for pattern in patterns:
        if "://" in pattern or Path(pattern).is_absolute() or ".." in Path(pattern).parts:
            remedy = "Name files inside the folder, or give one file as corpus.path."
            raise InputError("names files outside its folder, which are not read", path=card, remedy=remedy)
        try:
            found = {file for file in folder.glob(pattern) if file.is_file() and file.resolve().is_relative_to(folder.resolve())}
        except (ValueError, NotImplementedError):  # not a pattern
            found = set()
        if not found:
            raise InputError(f"names {pattern}, which is not here", path=card, remedy="Copy the whole dataset.")
        files |= found
    return tuple(sorted(files))
