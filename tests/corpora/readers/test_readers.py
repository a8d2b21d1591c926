"""brat, CoNLL and JSONL: results and refusals of the readers, and round trips through the writers."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st

from clinspan.corpora import Corpus, InputError
from clinspan.corpora.build import build_corpus, PROTOCOL
from clinspan.corpora.sources import Brat, Conll, Jsonl, RareMini
from clinspan.corpora.types import Label
from clinspan.corpora.writers.brat import write_brat
from clinspan.corpora.writers.conll import write_conll
from clinspan.corpora.writers.jsonl import write_jsonl

NAMES = ["Disease", "RareDisease", "SkinRareDisease", "Sign", "Symptom"]


def content(corpus: Corpus) -> dict[str, list[tuple[str, tuple[str, ...], tuple[str, ...]]]]:
    return {split: [(s.id, s.words, s.tags) for s in corpus.sentences(split)] for split in corpus.splits}


@pytest.fixture(scope="module")
def raremini() -> Corpus:
    return RareMini(labels=NAMES, definitions={}).load()


def test_brat_reads_back_what_it_wrote(raremini: Corpus, tmp_path: Path) -> None:
    write_brat(raremini, tmp_path)
    back = Brat(path=str(tmp_path), labels=NAMES, **PROTOCOL).load()
    assert content(back) == content(raremini)
    assert back.sha256 == raremini.sha256
    assert not any(back.conversion.values())


def test_jsonl_reads_back_what_it_wrote_entities_included(raremini: Corpus, tmp_path: Path) -> None:
    write_jsonl(raremini, tmp_path)
    back = Jsonl(path=str(tmp_path), labels=NAMES).load()
    assert back.splits == raremini.splits


def test_conll_reads_back_what_it_wrote(raremini: Corpus, tmp_path: Path) -> None:
    write_conll(raremini, tmp_path)
    back = Conll(path=str(tmp_path), labels=NAMES).load()
    for split in raremini.splits:
        assert [(s.words, s.tags) for s in back.sentences(split)] == [(s.words, s.tags) for s in raremini.sentences(split)]
        assert len(back.splits[split]) == len(raremini.splits[split])


def test_ncbi_survives_brat_with_its_own_tokens_and_sentences(ncbi: Path, tmp_path: Path) -> None:
    corpus = Conll(path=str(ncbi)).load()
    small = build_corpus("small", {"test": corpus.splits["test"][:200]})
    write_brat(small, tmp_path)
    back = Brat(path=str(tmp_path), tokenizer="whitespace", sentences="lines").load()
    before = sorted((s.words, s.tags) for s in small.sentences("test"))
    assert sorted((s.words, s.tags) for s in back.sentences("test")) == before


def test_ncbi_counts(ncbi: Path) -> None:
    corpus = Conll(path=str(ncbi)).load()
    assert {split: len(list(corpus.sentences(split))) for split in corpus.splits} == {"train": 5424, "dev": 923, "test": 940}
    assert corpus.labels == (Label("Disease"),)
    assert sum(tag == "B-Disease" for s in corpus.sentences("test") for tag in s.tags) == 960


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=40), max_size=4))
def test_any_text_survives_jsonl(tmp_path: Path, texts: list[str]) -> None:
    from clinspan.corpora.bio import Policies
    from clinspan.corpora.build import build_document, Cutting

    documents = [
        build_document(f"d{i}", text, (), cutting=Cutting(), policies=Policies())[0] for i, text in enumerate([*texts, "end ."])
    ]
    corpus = build_corpus("texts", {"test": documents})
    write_jsonl(corpus, tmp_path)
    assert Jsonl(path=str(tmp_path)).load().splits == corpus.splits
    for document in documents:
        for sentence in document.sentences:
            assert all(document.text[t.start : t.end] == t.text for t in sentence.tokens)


def conll(tmp_path: Path, data: bytes, scheme: str = "auto") -> Corpus:
    (tmp_path / "test.tsv").write_bytes(data)
    return Conll(path=str(tmp_path), scheme=scheme).load()


def test_conll_with_documents_spaces_middle_columns_and_carriage_returns(tmp_path: Path) -> None:
    data = b"-DOCSTART- -X- O\r\n\r\nPain NN B-Sign\r\n. . O\r\n\r\n-DOCSTART- -X- O\r\n\r\nNo DT O\r\n"
    corpus = conll(tmp_path, data)
    assert [(s.words, s.tags) for s in corpus.sentences("test")] == [(("Pain", "."), ("B-Sign", "O")), (("No",), ("O",))]
    assert len(corpus.splits["test"]) == 2


def test_conll_iob1_is_recognised_and_turned_into_iob2(tmp_path: Path) -> None:
    corpus = conll(tmp_path, b"a\tI-Sign\nb\tB-Sign\nc\tI-Sign\nd\tO\n")
    assert next(corpus.sentences("test")).tags == ("B-Sign", "B-Sign", "I-Sign", "O")
    assert corpus.conversion["test"]["iob1_files"] == 1


def test_conll_iob2_keeps_an_orphan_i_and_counts_it(tmp_path: Path) -> None:
    corpus = conll(tmp_path, b"a\tB-Sign\nb\tO\nc\tI-Sign\n")
    assert next(corpus.sentences("test")).tags == ("B-Sign", "O", "I-Sign")
    assert corpus.conversion["test"]["orphan_i_kept"] == 1


def test_conll_named_files(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("a\tO\n", encoding="utf-8")
    corpus = Conll(path=str(tmp_path), dev="mine.txt").load()
    assert list(corpus.splits) == ["dev"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a\tO\nb\tX-Sign\n", r"test\.tsv:2: 'X-Sign' is not a BIO tag"),
        (b"a\tO\nalone\n", r"test\.tsv:2: has no token or no tag"),
        (b"", r"test\.tsv: is empty"),
        (b"a\tO\nb\xff\tO\n", r"test\.tsv:2: is not UTF-8 text"),
        (b"a\x00\tO\n", r"test\.tsv:1: holds a NUL character"),
    ],
)
def test_bad_conll_names_file_and_line(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        conll(tmp_path, data)


@pytest.mark.parametrize(
    ("ann", "message"),
    [
        ("T1\tSign 0 99\tpain\n", r"a\.ann:1: the span ends at 99, past the end of the text \(11 characters\)"),
        ("T1\tSign 0\tpain\n", r"a\.ann:1: malformed T line"),
        ("T1\tSign 4 4\tpain\n", r"a\.ann:1: malformed T line: the span 4 4 is empty"),
        ("T1 Sign 0 4 pain\n", r"a\.ann:1: malformed T line"),
        ("T1\tSign 4 1\tpain\n", r"a\.ann:1: malformed T line: the span 4 1 ends before it begins"),
        ("Z1\twhat\n", r"a\.ann:1: is not a brat annotation"),
    ],
)
def test_bad_brat_names_file_and_line(tmp_path: Path, ann: str, message: str) -> None:
    (tmp_path / "a.txt").write_text("pain today.", encoding="utf-8")
    (tmp_path / "a.ann").write_text(ann, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        Brat(path=str(tmp_path)).load()


def test_brat_counts_notes_relations_and_mentions_that_differ_from_the_text(tmp_path: Path) -> None:
    ann = "T1\tSign 0 4\tache\nR1\tCauses Arg1:T1 Arg2:T7\n#1\tAnnotatorNotes T1\tsure\nA1\tNegated T1\n"
    (tmp_path / "a.txt").write_text("pain today.", encoding="utf-8")
    (tmp_path / "a.ann").write_text(ann, encoding="utf-8")
    acts = Brat(path=str(tmp_path)).load().conversion["test"]
    assert acts == {"mention_differs_from_text": 1, "relations": 1, "dangling_relations": 1, "other_lines": 2}


def test_an_ann_without_txt_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("pain", encoding="utf-8")
    (tmp_path / "a.ann").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.ann: has no \.txt\. Put a\.txt beside it"):
        Brat(path=str(tmp_path)).load()


def test_hidden_files_are_skipped_and_a_txt_without_ann_has_no_mention(tmp_path: Path) -> None:
    (tmp_path / "._a.ann").write_bytes(b"\x00\x01")
    (tmp_path / "a.txt").write_text("pain", encoding="utf-8")
    corpus = Brat(path=str(tmp_path)).load()
    assert corpus.conversion["test"] == {"documents_without_ann": 1}


def test_given_labels_must_cover_the_data(tmp_path: Path) -> None:
    (tmp_path / "test.tsv").write_text("a\tB-Sign\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"tags of the label Sign, which corpus\.labels lacks"):
        Conll(path=str(tmp_path), labels=["Disease"]).load()
    with pytest.raises(InputError, match="definitions defines Sing"):
        Conll(path=str(tmp_path), definitions={"Sing": "typo"}).load()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"test\.jsonl:1: is not JSON"),
        ("[]", r"test\.jsonl:1: is not a JSON object"),
        ('{"id": "a"}', r"test\.jsonl:1: .*it has no text"),
        ('{"id": "a", "text": "x", "entities": [{"label": "S", "start": 0, "end": 9}]}', "the span 0 9 does not lie in the text"),
        ('{"id": "a", "text": "x", "sentences": [{"tokens": [[0, 1]], "tags": []}]}', "1 tokens but 0 tags"),
    ],
)
def test_bad_jsonl_names_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "test.jsonl").write_text(line + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=message):
        Jsonl(path=str(tmp_path)).load()


def test_triggers_of_events_are_told_from_entities(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Aspirin reduces fever.")
    (tmp_path / "a.ann").write_text(
        "T1\tDrug 0 7\tAspirin\nT2\tReduction 8 15\treduces\nT3\tSign 16 21\tfever\nE1\tReduction:T2 Agent:T1 Theme:T3\n"
    )
    kept = Brat(path=str(tmp_path)).load()
    assert kept.conversion["test"]["trigger_Reduction"] == 1
    assert [label.name for label in kept.labels] == ["Drug", "Reduction", "Sign"]
    dropped = Brat(path=str(tmp_path), triggers="drop").load()
    assert [label.name for label in dropped.labels] == ["Drug", "Sign"]
    assert dropped.conversion["test"]["event_triggers"] == 1
    with pytest.raises(InputError, match="corpus.triggers=maybe is not known"):
        Brat(path=str(tmp_path), triggers="maybe").load()  # type: ignore[arg-type]
