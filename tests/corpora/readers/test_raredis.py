"""The paper's protocol, rule by rule, on invented texts, and the parser on all real annotations."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path

import pytest

from clinspan.corpora import InputError
from clinspan.corpora.readers.brat import parse_annotations
from clinspan.corpora.readers.raredis import load_raredis
from clinspan.corpora.types import Entity
from conftest import SHARED

LABELS = ()


def one(tmp_path: Path, text: str, ann: str) -> tuple[list[list[str]], dict[str, int]]:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.txt").write_text(text, encoding="utf-8")
    (tmp_path / "train" / "a.ann").write_text(ann, encoding="utf-8")
    corpus = load_raredis(tmp_path, labels=LABELS, phi=False)
    return [list(sentence.tags) for sentence in corpus.sentences("train")], dict(corpus.conversion["train"])


def test_a_later_type_overwrites_token_by_token_and_within_a_type_the_first_annotation_wins(tmp_path: Path) -> None:
    ann = "T1\tSIGN 0 17\tsevere nerve pain\nT2\tDISEASE 7 12\tnerve\nT3\tSIGN 7 17\tnerve pain\n"
    rows, acts = one(tmp_path, "severe nerve pain", ann)
    assert rows == [["B-Sign", "B-Disease", "I-Sign"]]
    assert acts["overwritten_tokens"] == 1


def test_the_order_of_types_is_that_of_their_first_line_not_of_their_numbers(tmp_path: Path) -> None:
    rows, _ = one(tmp_path, "nerve pain", "T9\tDISEASE 0 10\tnerve pain\nT1\tSIGN 0 10\tnerve pain\n")
    assert rows == [["B-Sign", "I-Sign"]]


def test_anaphors_hide_the_labels_below_them_and_become_o_at_the_end(tmp_path: Path) -> None:
    ann = "T1\tDISEASE 0 12\tThis disease\nT2\tANAPHOR 0 12\tThis disease\n"
    rows, acts = one(tmp_path, "This disease hurts", ann)
    assert rows == [["O", "O", "O"]]
    assert acts["anaphor_tokens"] == 2
    assert acts["labels_hidden"] == 1


def test_the_first_fragment_in_the_line_of_a_discontinuous_annotation_counts(tmp_path: Path) -> None:
    rows, _ = one(tmp_path, "pain in the legs", "T1\tSIGN 12 16;0 4\tlegs pain\n")
    assert rows == [["O", "O", "O", "B-Sign"]]


def test_a_token_that_starts_with_the_annotation_is_b_even_if_it_ends_after_it(tmp_path: Path) -> None:
    rows, _ = one(tmp_path, "ASAH1-related loss", "T1\tSIGN 0 5\tASAH1\nT2\tSIGN 14 16\tlo\n")
    assert rows == [["B-Sign", "B-Sign"]]


def test_a_later_token_must_end_inside_the_annotation(tmp_path: Path) -> None:
    rows, acts = one(tmp_path, "a nerve painful", "T1\tSIGN 3 12\terve pain\n")
    assert rows == [["O", "O", "O"]]
    assert acts["starts_inside_token"] == 1


def test_an_annotation_over_a_full_stop_continues_as_i_in_the_next_sentence(tmp_path: Path) -> None:
    rows, _ = one(tmp_path, "No fever. Pain now", "T1\tSIGN 3 14\tfever. Pain\n")
    assert rows == [["O", "B-Sign", "I-Sign"], ["I-Sign", "O"]]


def test_a_document_without_a_final_full_stop_is_joined_to_the_next_by_file_name(tmp_path: Path) -> None:
    texts = {"B": "Fits. Ceramidase loss", "a": "Menkes disease is rare. No end", "c": "Pain ends it", "d": "And so on"}
    anns = {
        "B": "T1\tSIGN 0 4\tFits\nT2\tRAREDISEASE 6 21\tCeramidase loss\n",
        "a": "T1\tRAREDISEASE 0 14\tMenkes disease\nT2\tSIGN 18 22;27 30\trare end\n",
        "c": "T1\tSYMPTOM 0 4\tPain\n",
        "d": "",
    }
    (tmp_path / "test").mkdir()
    for name, text in texts.items():
        (tmp_path / "test" / f"{name}.txt").write_text(text, encoding="utf-8")
        (tmp_path / "test" / f"{name}.ann").write_text(anns[name], encoding="utf-8")
    corpus = load_raredis(tmp_path, labels=LABELS, phi=False)
    assert [(s.id, " ".join(s.words)) for s in corpus.sentences("test")] == [
        ("B:0", "Fits ."),
        ("a:0", "Ceramidase loss Menkes disease is rare ."),
        ("d:0", "No end Pain ends it And so on"),
    ]
    rows = [s.tags for s in corpus.sentences("test")]
    assert rows[1] == ("B-RareDisease", "I-RareDisease", "B-RareDisease", "I-RareDisease", "O", "B-Sign", "O")
    assert rows[2] == ("O", "O", "B-Symptom", "O", "O", "O", "O", "O")
    assert len(corpus.splits["test"]) == 4
    assert corpus.conversion["test"]["sentences_joined_across_documents"] == 3
    assert corpus.conversion["test"]["fragments_cut_at_join"] == 1
    for document in corpus.splits["test"]:
        assert all(document.text[t.start : t.end] == t.text for s in document.sentences for t in s.tokens)
    covered = [
        document.text[e.fragments[0][0] : e.fragments[0][1]]
        for d in [corpus.splits["test"]]
        for document in d
        for e in document.entities
    ]
    assert covered == ["Fits", "Ceramidase loss", "Menkes disease", "rare", "Pain"]


def test_a_type_unknown_to_raredis_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.ann:2: DRUG is not a type of RareDis"):
        one(tmp_path, "pain pill", "T1\tSIGN 0 4\tpain\nT2\tDRUG 5 9\tpill\n")


def test_offsets_that_were_counted_without_carriage_returns_are_recognised(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "a.txt").write_bytes(b"One.\r\nTwo pain")
    (tmp_path / "dev" / "a.ann").write_bytes(b"T1\tSIGN 9 13\tpain\r\n")
    corpus = load_raredis(tmp_path, labels=LABELS, phi=False)
    assert [sentence.tags for sentence in corpus.sentences("dev")] == [("O", "O"), ("O", "B-Sign")]
    assert corpus.conversion["dev"]["text_normalised"] == 1


def test_the_parser_reads_every_real_annotation() -> None:
    archive = SHARED / "raredis-v1-annotations.zip"
    if not archive.exists():
        pytest.skip("the RareDis annotations are not beside this checkout")
    types: Counter[str] = Counter()
    acts: Counter[str] = Counter()
    pieces = 0
    with zipfile.ZipFile(archive) as files:
        names = [n for n in files.namelist() if n.endswith(".ann") and not n.startswith("__MACOSX")]
        for name in names:
            annotations, counted = parse_annotations(files.read(name).decode(), Path(name))
            types.update(a.entity.label for a in annotations)
            pieces += sum(not a.entity.continuous for a in annotations)
            acts += counted
    assert len(names) == 1041
    assert types == {"SIGN": 5333, "RAREDISEASE": 4579, "DISEASE": 2348, "ANAPHOR": 1535, "SKINRAREDISEASE": 642, "SYMPTOM": 396}
    assert (pieces, acts["relations"]) == (945, 8955)


def test_annotations_have_the_names_of_the_labels_so_that_offsets_can_be_scored(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "a.txt").write_text("Fabry disease hurts. It is rare.", encoding="utf-8")
    ann = "T1\tRAREDISEASE 0 13\tFabry disease\nT2\tANAPHOR 21 23\tIt\nT3\tSIGN 14 19\thurts\n"
    (tmp_path / "test" / "a.ann").write_text(ann, encoding="utf-8")
    corpus = load_raredis(tmp_path, labels=LABELS, phi=False)
    first, second = corpus.sentences("test")
    assert first.mentions == (Entity("RareDisease", ((0, 13),)), Entity("Sign", ((14, 19),)))
    assert second.mentions == ()
