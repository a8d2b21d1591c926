"""Verdicts about corpora: each fault is found with its number, and a corpus without it passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from clinspan.corpora import Corpus, InputError
from clinspan.corpora.recognition import corpus_format
from clinspan.corpora.sources import Brat, Conll, RareMini
from clinspan.corpora.verdict import LEVELS, Verdict
from clinspan.corpora.verdicts import INTERVAL_DOCUMENTS, verdicts
from clinspan.metrics.intervals import LEAST_DOCUMENTS
from support.scripted_models import NAMES


def brat(folder: Path, documents: dict[str, tuple[str, list[tuple[str, str]]]]) -> Path:
    """Write documents: text, and pairs of a label and the offsets of a mention as brat has them."""
    for name, (text, mentions) in documents.items():
        path = folder / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        rows = []
        for number, (label, places) in enumerate(mentions, 1):
            pieces = [text[int(a) : int(b)] for a, b in (place.split() for place in places.split(";"))]
            rows.append(f"T{number}\t{label} {places}\t{' '.join(pieces)}\n")
        path.with_suffix(".ann").write_text("".join(rows), encoding="utf-8")
    return folder


def of(corpus: Corpus, *, folds: int | None = None) -> dict[str, Verdict]:
    """The verdicts by check; the worst where a check has two."""
    found = verdicts(corpus, folds=folds)
    assert [LEVELS.index(one.level) for one in found] == sorted(LEVELS.index(one.level) for one in found)
    assert all((one.level == "ok") == (not one.remedy) for one in found), found
    return {one.check: one for one in reversed(found)}


def load(folder: Path, **settings: object) -> Corpus:
    return Brat(path=str(folder), phi=False, **settings).load()  # type: ignore[arg-type]


FEVER = ("The patient had a high fever today.", [("Sign", "23 28")])


def test_the_bundled_corpus_passes() -> None:
    found = of(RareMini(labels=NAMES, definitions={}).load())
    assert [one.check for one in found.values() if one.level != "ok"] == ["rare_labels"]
    assert "Symptom in dev (7)" in found["rare_labels"].text
    assert INTERVAL_DOCUMENTS == LEAST_DOCUMENTS


def test_documents_and_sentences_in_two_splits(tmp_path: Path) -> None:
    other = ("A rash was seen on both of his arms.", [("Sign", "2 6")])
    copied = (FEVER[0].replace(" a ", "  a "), [("Sign", "24 29")])
    names = {"train/a": FEVER, "train/b": other, "dev/c": other, "test/a": copied, "test/d": ("No rash.", [("Sign", "3 7")])}
    found = of(load(brat(tmp_path, names)))
    assert (found["shared_documents"].level, found["shared_documents"].number) == ("error", 1)
    assert "1 test document also in train (a)" in found["shared_documents"].text
    assert (found["shared_sentences"].level, found["shared_sentences"].number) == ("warning", 1)
    assert found["shared_ids"].level == "ok" and found["copied_documents"].level == "ok"
    renamed = of(load(brat(tmp_path / "ids", {"train/1": FEVER, "test/1": other})))
    assert renamed["shared_ids"].number == 1 and renamed["shared_documents"].level == "ok"


def test_a_division_keeps_copies_together(tmp_path: Path) -> None:
    names = {f"n{n}": (f"Note {n // 2} of a patient with fever.", [("Sign", "25 30")]) for n in range(20)}
    folder = brat(tmp_path, names)
    assert of(load(folder))["copied_documents"].number == 10
    for seed in range(3):
        assert of(load(folder, split=[0.6, 0.2, 0.2], split_seed=seed))["shared_documents"].level == "ok"


def test_few_documents_and_missing_splits_have_the_setting_that_helps(tmp_path: Path) -> None:
    few = of(load(brat(tmp_path / "few", {"a": FEVER})))
    assert "strategy=zero_shot" not in few["splits"].remedy and "corpus.split=[0.6,0.2,0.2]" in few["splits"].remedy
    assert few["few_documents"].number == 1 and "9 more" in few["few_documents"].remedy
    assert few["negatives"].level == "warning"
    ten = brat(tmp_path / "ten", {f"n{n}": (f"Note {n}. He had a fever.", [("Sign", "18 23")]) for n in range(10)})
    folds = of(load(ten), folds=5)
    assert folds["splits"].text == "5 folds of 10 documents" and folds["few_documents"].level == "ok"
    divided = of(load(ten, split=[0.6, 0.2, 0.2]))
    assert "corpus.folds=5 instead of corpus.split" in divided["few_documents"].remedy


def test_what_tags_cannot_express_is_counted(tmp_path: Path) -> None:
    text = "HTNs and pain of the left arm and leg was found in him."
    mentions = [("Problem", "0 3"), ("Problem", "9 29"), ("Problem", "21 29"), ("Problem", "21 25;34 37"), ("Problem", "21 29")]
    found = of(load(brat(tmp_path, {"a": (text, mentions)})))
    numbers = {check: found[check].number for check in ("widened", "lost", "discontinuous", "crossing")}
    assert numbers == {"widened": 1, "lost": 3, "discontinuous": 1, "crossing": 0}
    assert found["lost"].level == "error" and "(60.0 %)" in found["lost"].text
    words = of(load(tmp_path, tokenizer="punctuation"))
    assert "corpus.tokenizer=clinical" in words["widened"].remedy


def test_triggers_and_labels(tmp_path: Path) -> None:
    folder = brat(
        tmp_path, {"a": ("Aspirin cures fever and pains.", [("Cures", "8 13"), ("Finding", "14 19"), ("Findings", "24 29")])}
    )
    with (folder / "a.ann").open("a", encoding="utf-8") as file:
        file.write("E1\tCures:T1\n")
    found = of(load(folder))
    assert found["triggers"].number == 1 and "corpus.triggers=drop" in found["triggers"].remedy
    assert found["similar_labels"].text.endswith("Finding and Findings")
    assert "triggers" not in of(load(folder, triggers="drop"))


def test_labels_that_differ_in_case_are_merged_by_the_map_of_the_message(tmp_path: Path) -> None:
    folder = brat(tmp_path, {"a": ("Fever and rash.", [("Sign", "0 5"), ("sign", "10 14")])})
    with pytest.raises(InputError, match=r"cannot tell apart, Sign and sign.*'corpus.map=\{sign: Sign\}'"):
        load(folder)
    assert [label.name for label in load(folder, map={"sign": "Sign"}).labels] == ["Sign"]


def test_sentences_without_document_marks_and_no_mention(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / f"{split}.tsv").write_text("No\tO\nfever\tO\n\nNo\tO\nrash\tO\n", encoding="utf-8")
    found = of(Conll(path=str(tmp_path)).load())
    assert found["mentions"].level == "error" and found["document_marks"].level == "warning"
    assert "shared_documents" not in found


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.jsonl", '{"tokenized_text": ["No"], "ner": []}', "gliner"),
        ("a.jsonl", '{"tokens": ["No"], "ner_tags": [0]}', "hf"),
        ("a.json", '[{"passages": [], "entities": []}]', "hf"),
        ("a.csv", "document,start,end,label\n", "csv"),
        ("a.tsv", "document\tstart\tend\tlabel\n", "csv"),
        ("a.tsv", "fever\tB-Sign\n", "conll"),
        ("folder/train.txt", "-DOCSTART- O\n\nfever NN B-Sign\n", "conll"),
        ("folder/test.txt", "10000|t|Fever\n10000|a|Rash\n", "pubtator"),
        ("folder/a.con", "", "i2b2"),
        ("folder/a.spacy", "", "spacy"),
        ("folder/train.parquet", "", "hf"),
    ],
)
def test_formats_are_recognised(tmp_path: Path, name: str, content: str, expected: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content, encoding="utf-8")
    assert corpus_format(path.parent if "/" in name else path) == expected
