"""Label names from the config, and the check that a model's answer can tell them apart."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from clinspan.corpora.errors import InputError
from clinspan.corpora.types import Label

_SEPARATORS = re.compile(r"[\s_\-]+")


def folded_label(name: str) -> str:
    """Normalize a label for comparison with answers: case, white space, underscores and hyphens do not matter.

    A label that consists only of such characters stays as it is.

    >>> folded_label("Rare_Disease") == folded_label("rare disease"), folded_label("HIV-")
    (True, 'hiv')
    """
    return _SEPARATORS.sub("", name).casefold() or name


def check_labels(names: Sequence[str], corpus: str) -> None:
    """Check that answers can tell the labels of a corpus apart.

    Raises:
        InputError: Two labels have the same normalized form, see `folded_label`.
    """
    known: dict[str, str] = {}
    for name in names:
        other = known.setdefault(folded_label(name), name)
        if other != name:
            remedy = f"Rename one of them, or merge them: 'corpus.map={{{name}: {other}}}'."
            raise InputError(f"corpus {corpus} has two labels that answers cannot tell apart, {other} and {name}", remedy=remedy)


def label_list(names: object, definitions: Mapping[str, object] | None) -> tuple[Label, ...]:
    """Labels from the config in their order, with their definitions; empty if no name is given.

    Args:
        names: A list of names, one name, or None. Numbers are names too.
        definitions: What labels mean, by name.

    Raises:
        InputError: A name is not valid or occurs twice.
    """
    texts = flat_definitions(definitions)
    given: Sequence[object] = () if names is None else names if isinstance(names, (list, tuple)) else [names]
    labels: list[Label] = []
    for name in given:
        if name is None or isinstance(name, (bool, dict, list)) or not str(name).strip():
            raise InputError(f"corpus.labels has {name!r}, which is not a name", remedy="Put names in quotation marks: ['No','1'].")
        if any(label.name == str(name) for label in labels):
            raise InputError(f"corpus.labels has {name} twice", remedy="Name each label once.")
        labels.append(Label(str(name), texts.get(str(name), "")))
    return tuple(labels)


def flat_definitions(definitions: Mapping[str, object] | None) -> dict[str, str]:
    """Definitions by label. Hydra reads the full stop in `corpus.definitions.ICD.Code=` as nesting, which is undone here.

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
