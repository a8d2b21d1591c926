"""Label names: as the config gives them, and which of them could not be told apart in a model's answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from clinspan.corpora.errors import InputError
from clinspan.corpora.types import Label

_SEPARATORS = re.compile(r"[\s_\-]+")


def folded_label(name: str) -> str:
    """A label as answers are compared with it: case, white space, underscores and hyphens do not matter.

    A label of nothing but such marks is itself.

    >>> folded_label("Rare_Disease") == folded_label("rare disease"), folded_label("HIV-")
    (True, 'hiv')
    """
    return _SEPARATORS.sub("", name).casefold() or name


def check_labels(names: Sequence[str], corpus: str) -> None:
    """
    Raises:
        InputError: Two labels differ in nothing that an answer is compared by.
    """
    known: dict[str, str] = {}
    for name in names:
        other = known.setdefault(folded_label(name), name)
        if other != name:
            remedy = "Rename one of them: answers are read without regard to case, blanks, underscores and hyphens."
            raise InputError(f"corpus {corpus} has two labels that answers cannot tell apart, {other} and {name}", remedy=remedy)


def label_list(names: object, definitions: Mapping[str, object] | None) -> tuple[Label, ...]:
    """Labels from config in their order, with their definitions; none named gives none.

    Args:
        names: A list of names, one name, or None. Numbers are names too.
        definitions: What labels mean, by name.

    Raises:
        InputError: A name is no name, or stands twice.
    """
    texts = flat_definitions(definitions)
    given: Sequence[object] = () if names is None else names if isinstance(names, (list, tuple)) else [names]
    labels: list[Label] = []
    for name in given:
        if name is None or isinstance(name, (bool, dict, list)) or not str(name).strip():
            raise InputError(f"corpus.labels has {name!r}, which is no name", remedy="Put names in quotation marks: ['No','1'].")
        if any(label.name == str(name) for label in labels):
            raise InputError(f"corpus.labels has {name} twice", remedy="Name each label once.")
        labels.append(Label(str(name), texts.get(str(name), "")))
    return tuple(labels)


def flat_definitions(definitions: Mapping[str, object] | None) -> dict[str, str]:
    """Definitions by label: Hydra reads the full stop of `corpus.definitions.ICD.Code=` as one level more, which is undone.

    >>> flat_definitions({"ICD": {"Code": "a code"}, "Sign": "seen"})
    {'ICD.Code': 'a code', 'Sign': 'seen'}
    """
    flat: dict[str, str] = {}
    for key, value in (definitions or {}).items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{rest}": text for rest, text in flat_definitions(value).items()}
        else:
            flat[str(key)] = "" if value is None else str(value)
    return flat
