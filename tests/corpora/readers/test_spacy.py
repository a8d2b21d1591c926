"""spaCy's DocBin: tokens, sentences, entities and groups of spans as spaCy stored them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clinspan.corpora import Corpus, InputError
from clinspan.corpora.sources import Spacy
from conftest import Command

TEXT = "Skin rash.\n\n No fever today."


@pytest.fixture(scope="module")
def nlp() -> Any:
    return pytest.importorskip("spacy", reason="needs the extra spacy").blank("en")


def write(nlp: Any, path: Path, *changes: Callable[[Any], object]) -> Path:
    """Write a file with one document per change, which is applied to the tokenized `TEXT`."""
    from spacy.tokens import DocBin

    docs = []
    for change in changes:
        doc = nlp(TEXT)
        change(doc)
        docs.append(doc)
    DocBin(docs=docs, store_user_data=True).to_disk(path)
    return path


def annotate(doc: Any) -> None:
    doc.set_ents([doc.char_span(0, 9, label="Sign"), doc.char_span(16, 21, label="Sign")], default="outside")


def sentences(doc: Any) -> None:
    annotate(doc)
    for token in doc:
        token.is_sent_start = token.text in ("Skin", "No")


def groups(doc: Any) -> None:
    annotate(doc)
    doc.spans["sc"] = [doc.char_span(0, 4, label="Site"), doc.char_span(0, 9, label="Sign")]


def rows(corpus: Corpus) -> list[tuple[str, str]]:
    return [(" ".join(s.words), " ".join(s.tags)) for s in corpus.sentences("test")]


def test_tokens_and_sentences_are_those_of_spacy(nlp: Any, tmp_path: Path) -> None:
    corpus = Spacy(path=str(write(nlp, tmp_path / "a.spacy", sentences))).load()
    assert rows(corpus) == [("Skin rash .", "B-Sign I-Sign O"), ("No fever today .", "O B-Sign O O")]
    (document,) = corpus.splits["test"]
    assert document.text == TEXT and document.id == "a-1"
    assert all(TEXT[token.start : token.end] == token.text for s in document.sentences for token in s.tokens)
    assert corpus.conversion["test"] == {"space_tokens_left_out": 1}


def test_a_document_without_stored_sentences_is_split(nlp: Any, tmp_path: Path) -> None:
    path = write(nlp, tmp_path / "a.spacy", annotate)
    corpus = Spacy(path=str(path)).load()
    assert len(rows(corpus)) == 2 and corpus.conversion["test"]["documents_without_sentences"] == 1
    (tmp_path / "b").mkdir()
    one = write(nlp, tmp_path / "b" / "one.spacy", lambda doc: doc.set_ents([doc.char_span(0, 21, label="Long")]))
    assert Spacy(path=str(one), crossing="drop").load().conversion["test"]["crossing_drop"] == 1
    assert Spacy(path=str(one), sentences="clinical").load().splits["test"][0].text == TEXT


def test_a_group_of_spans_is_read_by_its_key(nlp: Any, tmp_path: Path) -> None:
    path = write(nlp, tmp_path / "a.spacy", groups)
    spans = Spacy(path=str(path), spans_key="sc").load()
    assert rows(spans)[0] == ("Skin rash .", "B-Sign I-Sign O")
    assert spans.conversion["test"] | {"overlap_longest": 1, "entities_not_read": 2} == spans.conversion["test"]
    assert rows(Spacy(path=str(path), spans_key="sc", overlap="first").load())[0][1] == "B-Site O O"
    assert Spacy(path=str(path)).load().conversion["test"]["spans_not_read"] == 2
    assert Spacy(path=str(path), spans_key="other").load().conversion["test"]["documents_without_annotations"] == 1


def test_documents_without_annotations_or_tokens_are_counted(nlp: Any, tmp_path: Path) -> None:
    from spacy.tokens import DocBin

    DocBin(docs=[nlp("No fever."), nlp(" ")]).to_disk(tmp_path / "a.spacy")
    corpus = Spacy(path=str(tmp_path / "a.spacy"), labels=["Sign"]).load()
    assert len(corpus.splits["test"]) == 1
    assert corpus.conversion["test"]["documents_without_annotations"] >= 1
    assert corpus.conversion["test"]["documents_without_tokens"] == 1


def test_what_is_not_a_docbin_is_refused_without_its_content(nlp: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.spacy"
    whole = write(nlp, tmp_path / "b.spacy", annotate).read_bytes()
    for data in (b"", b"patient Smith", whole[: len(whole) // 2]):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"a\.spacy: is not a DocBin of spaCy") as caught:
            Spacy(path=str(path)).load()
        assert "Smith" not in str(caught.value)


def test_a_missing_package_is_one_line_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.spacy").write_bytes(b"x")
    for module in ("spacy", "spacy.tokens"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=r"needs spaCy. Install it with: pip install 'clinspan\[spacy\]'"):
        Spacy(path=str(tmp_path)).load()


def test_the_command_reads_splits_by_name(nlp: Any, command: Command, tmp_path: Path) -> None:
    write(nlp, tmp_path / "train.spacy", annotate)
    write(nlp, tmp_path / "dev.spacy", annotate, sentences)
    done = command("stats", "corpus=spacy", "corpus.path=.", "--json")
    assert done.returncode == 0, done.stderr
    table = json.loads(done.stdout)["splits"]
    assert {split: part["documents"] for split, part in table.items()} == {"train": 1, "dev": 2}
    assert table["dev"]["entities"] == {"Sign": 4}
