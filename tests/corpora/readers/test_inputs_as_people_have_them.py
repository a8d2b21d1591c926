"""Corpora in the formats of annotation tools and public corpora, which are read correctly or refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clinspan.corpora import Corpus, InputError
from clinspan.corpora.readers.notes import Note, read_notes
from clinspan.corpora.sources import BioC, Brat, Conll, I2b2, Jsonl, PubTator
from clinspan.corpora.tokens import ascii_punctuation_tokens, punctuation_tokens
from conftest import Command

TEXT = "Has rash and fever."


def put(folder: Path, **files: str | bytes) -> Path:
    """Write files; in the keywords, `__` stands for `/` and `_DOT_` for the last full stop."""
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def mentions(corpus: Corpus, split: str = "test") -> list[tuple[str, str]]:
    """The label and the text of each mention, according to the tags."""
    from clinspan.corpora.fidelity import tagged_entities

    return [
        (entity.label, document.text[entity.start : entity.end])
        for document in corpus.splits[split]
        for entity in tagged_entities(document)
    ]


def brat(folder: Path, ann: str | bytes, text: str | bytes = TEXT) -> Corpus:
    return Brat(path=str(put(folder, d_DOT_txt=text, d_DOT_ann=ann)), sentences="punctuation").load()


@pytest.mark.parametrize(
    ("ann", "acts"),
    [
        ("\ufeffT1\tSign 4 8\trash\n", {}),
        ("T1\tSign 4 8\trash\r#1\tAnnotatorNotes T1\tyes\r", {"other_lines": 1}),
        ("T1\tSign 4 8\trash\n#1\tAnnotatorNotes T1\tfirst line\nand a second\nR2D2\n", {"other_lines": 1}),
        ("# made by a tool\nT1\tSign 4 8\trash\n#\n", {"comment_lines": 2}),
        ("T1\tSign 4 8\trash\nR1\tLinks Arg1:T1 Arg2:T1 Arg3:T1\nR2\tSame T1 T1\n", {"relations": 2}),
        ("T1\tSign 4 8\trash\n*\tEquiv T1 T1\nE1\tSign:T1\n", {"other_lines": 2, "trigger_Sign": 1}),
    ],
    ids=["byte order mark", "carriage returns", "a note of several lines", "comments", "relations of any form", "events"],
)
def test_brat_files_of_many_tools_are_read(tmp_path: Path, ann: str, acts: dict[str, int]) -> None:
    corpus = brat(tmp_path, ann)
    assert mentions(corpus) == [("Sign", "rash")]
    assert corpus.conversion["test"] == acts


@pytest.mark.parametrize("ann", ["T1\tSign 0 10;11 20\tchest pain and cough\n", "T1\tSign 0 20\tchest pain\nand cough\n"])
def test_a_mention_over_a_line_end_is_one_mention(tmp_path: Path, ann: str) -> None:
    corpus = brat(tmp_path, ann, "chest pain\nand cough here.")
    assert mentions(corpus) == [("Sign", "chest pain\nand cough")]
    assert "discontinuous_first" not in corpus.conversion["test"]


def test_a_mention_in_pieces_with_words_between_stays_in_pieces(tmp_path: Path) -> None:
    corpus = brat(tmp_path, "T1\tSign 0 5;10 14\tchest pain\n", "chest and pain.")
    assert corpus.conversion["test"]["discontinuous_first"] == 1


def test_folders_of_other_names_and_depths_are_read_as_splits(tmp_path: Path) -> None:
    files = {
        f"{folder}__a_DOT_{suffix}": content
        for folder in ("Training", "valid", "test__ward 1", "test__ward 2", "pilot")
        for suffix, content in (("TXT", "Has rash."), ("ANN", "T1\tSign 4 8\trash\n"))
    }
    corpus = Brat(path=str(put(tmp_path, **files, README_DOT_md="about"))).load()
    assert {split: [d.id for d in documents] for split, documents in corpus.splits.items()} == {
        "train": ["a"],
        "dev": ["a"],
        "test": ["ward 1/a", "ward 2/a"],
    }
    assert mentions(corpus) == [("Sign", "rash")] * 2
    assert corpus.passed_over == {"pilot/": 1, ".md": 1}


def test_two_folders_of_one_split_are_refused(tmp_path: Path) -> None:
    put(tmp_path, dev__a_DOT_txt="a", valid__a_DOT_txt="a")
    with pytest.raises(InputError, match="holds dev and valid"):
        Brat(path=str(tmp_path)).load()


def test_the_two_files_of_the_bionlp_tasks_are_read_and_triggers_are_no_mentions(tmp_path: Path) -> None:
    put(
        tmp_path,
        d_DOT_txt=TEXT,
        d_DOT_a1="T1\tSign 4 8\trash\n",
        d_DOT_a2="T2\tSign 13 18\tfever\nT3\tCause 0 3\tHas\nE1\tCause:T3 Of:T1\n",
    )
    corpus = Brat(path=str(tmp_path)).load()
    assert mentions(corpus) == [("Sign", "rash"), ("Sign", "fever")]
    assert corpus.conversion["test"]["event_triggers"] == 1


@pytest.mark.parametrize(
    ("text", "ann", "act"),
    [
        ("🤢🤢🤢🤢 has rash and fever.", "T1\tSign 13 17\trash\n", "utf16_offsets"),
        ("Größe, Höhe: Fieber und Öl.", "T1\tSign 16 22\tFieber\n", "utf8_offsets"),
        ("No\nsign\nof rash.", "T1\tSign 13 17\trash\n", "crlf_offsets"),
        ("No\r\nsign\r\nof rash.", "T1\tSign 11 15\trash\n", "text_normalised"),
    ],
)
def test_offsets_in_another_unit_are_recognised_by_the_text_of_the_mention(tmp_path: Path, text: str, ann: str, act: str) -> None:
    corpus = brat(tmp_path, ann, text.encode())
    assert [mention for _, mention in mentions(corpus)] == [ann.split("\t")[2].strip()]
    assert corpus.conversion["test"] == {act: 1}
    record = {"id": "d", "text": text, "entities": [{"label": "Sign", "text": ann.split("\t")[2].strip()}]}
    record["entities"][0] |= dict(zip(("start", "end"), map(int, ann.split("\t")[1].split()[1:]), strict=True))  # type: ignore[index]
    (tmp_path / "test.jsonl").write_text(json.dumps(record))
    assert Jsonl(path=str(tmp_path / "test.jsonl")).load().conversion["test"] == {act: 1}


def test_offsets_that_fit_nothing_are_counted_and_kept(tmp_path: Path) -> None:
    corpus = brat(tmp_path, "T1\tSign 0 3\tcough\n")
    assert corpus.conversion["test"] == {"mention_differs_from_text": 1}
    assert mentions(corpus) == [("Sign", "Has")]


EXPORTS: dict[str, dict[str, Any]] = {
    "doccano": {"id": 1, "text": TEXT, "label": [[4, 8, "Sign"], [13, 18, "Sign"]]},
    "doccano, plural": {"id": 1, "text": TEXT, "labels": [[4, 8, "Sign"], [13, 18, "Sign"]], "Comments": []},
    "doccano with relations": {
        "id": 1,
        "text": TEXT,
        "entities": [{"id": n, "label": "Sign", "start_offset": a, "end_offset": b} for n, a, b in ((1, 4, 8), (2, 13, 18))],
        "relations": [{"id": 1, "from_id": 1, "to_id": 2, "type": "R"}],
    },
    "doccano of old": {"id": 1, "data": TEXT, "label": [[4, 8, "Sign"], [13, 18, "Sign"]]},
    "Prodigy": {
        "text": TEXT,
        "_input_hash": 5,
        "tokens": [{"text": "Has", "start": 0, "end": 3, "id": 0}],
        "spans": [{"start": 4, "end": 8, "token_start": 1, "label": "Sign"}, {"start": 13, "end": 18, "label": "Sign"}],
        "answer": "accept",
        "meta": {"id": "n1"},
    },
    "Label Studio": {
        "id": 7,
        "data": {"text": TEXT, "ward": 3},
        "annotations": [
            {"was_cancelled": True, "result": []},
            {
                "result": [
                    {"type": "labels", "value": {"start": 4, "end": 8, "text": "rash", "labels": ["Sign"]}},
                    {"type": "labels", "value": {"start": 13, "end": 18, "text": "fever", "labels": ["Sign"]}},
                    {"type": "choices", "value": {"choices": ["sure"]}},
                ]
            },
            {"result": []},
        ],
        "predictions": [],
    },
    "Label Studio, JSON-MIN": {"id": 7, "text": TEXT, "label": [{"start": 4, "end": 8, "text": "rash", "labels": ["Sign"]},
                                                                 {"start": 13, "end": 18, "text": "fever", "labels": ["Sign"]}]},
    "triples": {"id": "x", "text": TEXT, "entities": [[4, 8, "Sign"], [13, 18, "Sign"]]},
}  # fmt: skip


@pytest.mark.parametrize("tool", EXPORTS)
def test_exports_of_annotation_tools_are_read(tmp_path: Path, tool: str) -> None:
    (tmp_path / "train.jsonl").write_text(json.dumps(EXPORTS[tool]) + "\n")
    (tmp_path / "test.json").write_text(json.dumps([EXPORTS[tool]], indent=1))
    corpus = Jsonl(path=str(tmp_path)).load()
    for split in ("train", "test"):
        assert mentions(corpus, split) == [("Sign", "rash"), ("Sign", "fever")]
    if tool == "Label Studio":
        assert corpus.conversion["test"] == {"further_annotators": 1, "answers_not_accepted": 1, "other_results": 1}


def test_rejected_annotations_are_counted_and_give_no_document(tmp_path: Path) -> None:
    rows = [{**EXPORTS["Prodigy"], "answer": answer} for answer in ("accept", "reject", "ignore")]
    (tmp_path / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    corpus = Jsonl(path=str(tmp_path)).load()
    assert len(corpus.splits["test"]) == 1
    assert corpus.conversion["test"]["answers_not_accepted"] == 2


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"annotations": [{"label": 2, "start_offset": 4, "end_offset": 8}]}, "doccano's number of a label"),
        ({"mentions": [{"start": 4, "end": 8, "label": "Sign"}]}, "under the key mentions; known keys are entities"),
        ({"entities": [{"start": 4, "end": 8, "label": None}]}, "has no label"),
        ({"entities": [{"start": 4, "end": 8, "labels": ["A", "B"]}]}, "2 labels"),
        ({"entities": [{"start": 8, "end": 4, "label": "Sign"}]}, "the span 8 4 ends before it begins"),
        ({"entities": "rash"}, "entities is not a list"),
        ({"entities": [{"begin": 4, "end": 8, "label": "Sign"}]}, "has no start"),
    ],
)
def test_unreadable_annotations_are_refused_with_a_message(tmp_path: Path, record: dict[str, Any], message: str) -> None:
    (tmp_path / "test.jsonl").write_text(json.dumps({"id": 1, "text": TEXT, **record}))
    with pytest.raises(InputError, match=message) as caught:
        Jsonl(path=str(tmp_path)).load()
    assert caught.value.line == 1


def test_differing_mention_texts_and_missing_annotations_are_counted(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "text": TEXT, "entities": [{"start": 4, "end": 8, "label": "Sign", "text": "cough"}]},
        {"id": "b", "text": "No."},
    ]
    (tmp_path / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert Jsonl(path=str(tmp_path)).load().conversion["test"] == {
        "mention_differs_from_text": 1,
        "documents_without_annotations": 1,
    }


def test_a_json_array_in_a_file_of_lines_is_reported(tmp_path: Path) -> None:
    (tmp_path / "test.jsonl").write_text(json.dumps([EXPORTS["triples"]], indent=1))
    with pytest.raises(InputError, match=r"is one JSON array.*test\.json"):
        Jsonl(path=str(tmp_path)).load()


def conll(folder: Path, content: str, **options: Any) -> Corpus:
    (folder / "test.tsv").write_text(content)
    return Conll(path=str(folder), **options).load()


@pytest.mark.parametrize(
    ("content", "tags"),
    [
        ("No\tO\nskin\tB\nrash\tI\n", "O B-Entity I-Entity"),
        ("No\tO\nskin\tB-Sign\nrash\tE-Sign\ncough\tS-Sign\n", "O B-Sign I-Sign B-Sign"),
        ("No\tO\nskin\tB-Sign\nrash\tL-Sign\ncough\tU-Sign\n", "O B-Sign I-Sign B-Sign"),
        ("No\tO\nvery\tB-Sign\nbad\tM-Sign\nrash\tE-Sign\n", "O B-Sign I-Sign I-Sign"),
        ("###MEDLINE:1\n\nNo\tO\nrash\tB-Sign\n\n###MEDLINE:2\n\nNo\tO\n", "O B-Sign O"),
        ("# id 17 domain=O\nNo\tO\nrash\tB-Sign\n# the end\n", "O B-Sign"),
        ("# a note\nNo O\n# O\nrash B-Sign\n", "O O B-Sign"),
        (
            "# sent_id = 1\n1\tNo\tO\t-\t-\n2-3\tskinrash\t_\t-\t-\n2\tskin\tB-Sign\t-\t-\n3\trash\tI-Sign\t-\t-\n",
            "O B-Sign I-Sign",
        ),
        ("No\tO\n\u00a0\tO\nrash\tB-Sign\n", "O O B-Sign"),
        ("No O O\nrash B-X B-Sign\n", "O B-Sign"),
    ],
    ids=["bare", "IOBES", "BILOU", "BMES", "markers", "comments", "a token #", "CoNLL-U", "white space", "two columns of tags"],
)
def test_columns_of_many_kinds_are_read(tmp_path: Path, content: str, tags: str) -> None:
    assert " ".join(tag for s in conll(tmp_path, content).sentences("test") for tag in s.tags) == tags


def test_bare_tags_take_the_single_given_label_and_the_scheme_can_be_set(tmp_path: Path) -> None:
    corpus = conll(tmp_path, "No\tO\nskin\tB\nrash\tI\n", labels="Sign")
    assert next(corpus.sentences("test")).tags == ("O", "B-Sign", "I-Sign")
    assert conll(tmp_path, "a\tS-Sign\n", scheme="IOBES").conversion["test"]["iobes_files"] == 1
    with pytest.raises(InputError, match=r"has the tag S-Sign, which is not part of IOB2.*scheme=auto"):
        conll(tmp_path, "a\tS-Sign\n", scheme="IOB2")


def test_markers_begin_documents_and_other_files_of_the_folder_are_reported(tmp_path: Path) -> None:
    put(tmp_path, train_DOT_iob2="a\tO\n", valid_DOT_iob2="b\tO\n", notes_DOT_md="x")
    corpus = conll(tmp_path, "###MEDLINE:1\n\nNo\tO\n\n###MEDLINE:2\n\nNo\tO\n")
    assert {split: len(documents) for split, documents in corpus.splits.items()} == {"train": 1, "dev": 1, "test": 2}
    assert corpus.passed_over == {".md": 1}


def test_conll_notes_keep_their_tokens_and_nothing_else(tmp_path: Path) -> None:
    content = "# sent_id = 1\n# text = No fever\n1\tNo\tO\t-\t-\n2\t\u00a0\tO\t-\t-\n3\tfever\tB-Sign\t-\t-\n"
    (tmp_path / "in.conll").write_text(content)
    (note,) = read_notes(tmp_path / "in.conll")
    assert isinstance(note, Note) and note.text == "No \u00a0 fever"
    assert note.cut is not None and [token.text for token in note.cut[0]] == ["No", "\u00a0", "fever"]
    (tmp_path / "one.conll").write_text("No\nfever\n\n# a remark\n#\nagain\n")
    (note,) = read_notes(tmp_path / "one.conll")
    assert isinstance(note, Note) and note.text == "No fever\n# again"


def test_i2b2_concepts_are_read_by_line_and_word(tmp_path: Path) -> None:
    text = "Admission Date :\nThe patient has  chest pain , no fever .\n"
    con = 'c="chest pain" 2:3 2:4||t="problem"\nc="a fever" 2:7 2:7||t="problem"\n'
    put(tmp_path, train__txt__n1_DOT_txt=text, train__concept__n1_DOT_con=con, train__ast__n1_DOT_ast="x", test__n2_DOT_txt="No .")
    corpus = I2b2(path=str(tmp_path)).load()
    assert mentions(corpus, "train") == [("problem", "chest pain"), ("problem", "fever")]
    assert corpus.conversion["train"] == {"mention_differs_from_text": 1}
    assert corpus.conversion["test"] == {"documents_without_con": 1}
    assert corpus.passed_over == {".ast": 1}
    for line, message in (
        ('c="x" 9:0 9:0||t="problem"', "9:0 9:0 is not a position in the text"),
        ('c="x" 2:4 2:3||t="problem"', "ends before it begins"),
        ("chest pain", "is not a concept"),
    ):
        (tmp_path / "train" / "concept" / "n1.con").write_text(con + line + "\n")
        with pytest.raises(InputError, match=message) as caught:
            I2b2(path=str(tmp_path)).load()
        assert caught.value.line == 3


def test_i2b2_documents_of_one_name_are_refused_and_none_is_lost(tmp_path: Path) -> None:
    put(tmp_path, test__a__n1_DOT_txt="No fever .", test__b__n1_DOT_txt="Cough .")
    with pytest.raises(InputError, match="has the same name as"):
        I2b2(path=str(tmp_path)).load()


def test_pubtator_is_read_with_splits_from_the_file_names(tmp_path: Path) -> None:
    entry = "12|t|Rash after Größe.\n12|a|No fever.\n12\t0\t4\tRash\tSign\tD1\n12\t21\t26\tfever\tSign\n12\tCID\tD1\tD2\n"
    names = {"CDR_TrainingSet.PubTator.txt": f"{entry}\n13|t|Cough\n13|a|\n", "CDR_TestSet.PubTator.txt": entry, "README.md": "x"}
    put(tmp_path, **names)
    corpus = PubTator(path=str(tmp_path)).load()
    assert [document.id for document in corpus.splits["train"]] == ["12", "13"]
    assert mentions(corpus) == [("Sign", "Rash"), ("Sign", "fever")]
    assert corpus.conversion["test"] == {"relations": 1}
    (tmp_path / "one.txt").write_text(entry + "12\t5\n")
    with pytest.raises(InputError, match="is not a PubTator mention"):
        PubTator(path=str(tmp_path / "one.txt")).load()
    (tmp_path / "one.txt").write_text(entry + "12\t²\t²\tx\tSign\n")  # a digit by Unicode, and no number
    assert PubTator(path=str(tmp_path / "one.txt")).load().conversion["test"] == {"relations": 2}


BIOC = """<?xml version="1.0"?><collection><source>s</source><document><id>d1</id>
<passage><offset>0</offset><text>Rash today.</text>
<annotation id="1"><infon key="type">Sign</infon><location offset="0" length="4"/><text>Rash</text></annotation></passage>
<passage><offset>20</offset><sentence><offset>20</offset><text>No fever.</text>
<annotation id="2"><infon key="type">Sign</infon><location offset="23" length="5"/><text>fever</text></annotation>
</sentence></passage>
<relation id="r"/></document></collection>"""


def test_bioc_is_read_as_xml_and_as_json(tmp_path: Path) -> None:
    locations = [{"offset": 3, "length": 5}]
    annotation = {"id": "1", "infons": {"type": "Sign"}, "text": "fever", "locations": locations}
    document = {"id": "d2", "passages": [{"offset": 0, "text": "No fever.", "annotations": [annotation]}]}
    put(tmp_path, train_DOT_json=json.dumps({"documents": [document]}), test_DOT_xml=BIOC)
    corpus = BioC(path=str(tmp_path)).load()
    assert mentions(corpus) == [("Sign", "Rash"), ("Sign", "fever")]
    assert mentions(corpus, "train") == [("Sign", "fever")]
    assert corpus.conversion["test"] == {"relations": 1}
    for name, content, message in (
        ("a.xml", "<collection>", "is not XML"),
        ("b.xml", '<!DOCTYPE x [<!ENTITY a "b">]><collection/>', "defines its own XML entities"),
        ("c.xml", "<html/>", "has the root html"),
        ("d.json", "{}", "is not a BioC collection"),
        ("f.json", '{"documents": ["x"]}', "is not a BioC collection"),
        ("g.json", '{"documents": 5}', "is not a BioC collection"),
        ("h.json", "[5]", "is not a BioC collection"),
        ("i.xml", BIOC.replace('offset="23"', 'offset="x"'), "document d1: a location has no whole number"),
        ("e.xml", BIOC.replace('key="type"', 'key="sort"'), "has no infon type"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError, match=message):
            BioC(path=str(tmp_path / name)).load()


def test_bioc_reads_back_what_it_wrote(tmp_path: Path) -> None:
    from clinspan.corpora.annotated import Annotated, Mention
    from clinspan.corpora.writers.bioc import bioc_json, bioc_xml

    text = "Größe 🤢: rash\fand\tfever.\r\n"
    signs = tuple(Mention(text.index(word), text.index(word) + len(word), "Sign", word) for word in ("rash", "fever"))
    note = Annotated("n/1", text, (), signs, "m", "p")
    put(tmp_path, train__n_DOT_xml=bioc_xml(note), test__n_DOT_json=bioc_json(note))
    corpus = BioC(path=str(tmp_path)).load()
    for split in ("train", "test"):
        assert mentions(corpus, split) == [("Sign", "rash"), ("Sign", "fever")]
        assert corpus.splits[split][0].id == "n/1"


def test_only_the_raredis_protocol_keeps_punctuation_beyond_ascii_in_tokens(tmp_path: Path) -> None:
    corpus = brat(tmp_path, "T1\tSign 9 14\tfever\n", "He said “fever” and … «rash»—left.")
    assert mentions(corpus) == [("Sign", "fever")]
    assert [t.text for t in punctuation_tokens("¿«rash»… ≥38° naïve")] == ["¿", "«", "rash", "»", "…", "≥", "38°", "naïve"]
    assert [t.text for t in ascii_punctuation_tokens("“fever”.")] == ["“fever”", "."]


@pytest.mark.parametrize("labels", [["cell_line", "cell-line"], ["Sign", "SIGN"], ["Rare Disease", "RareDisease"]])
def test_labels_that_an_answer_could_not_tell_apart_are_refused_when_read(tmp_path: Path, labels: list[str]) -> None:
    content = "".join(f"x\tB-{label}\n" for label in labels)
    with pytest.raises(InputError, match="two labels that answers cannot tell apart"):
        conll(tmp_path, content)


@pytest.mark.parametrize("labels", [[None], [""], [True], ["Sign", "Sign"], [["Sign"]]])
def test_invalid_labels_are_refused(tmp_path: Path, labels: Any) -> None:
    with pytest.raises(InputError, match=r"corpus\.labels has"):
        conll(tmp_path, "x\tO\n", labels=labels)


def stats(command: Command, *words: str) -> Any:
    done = command("stats", "--json", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["splits"]


def test_overrides_may_be_numbers_and_special_characters_need_quotes(command: Command, tmp_path: Path) -> None:
    put(tmp_path, **{f"{folder}__test__a_DOT_{suffix}": content for folder in ("2024", "date=2024", "notes (1)")
                     for suffix, content in (("txt", "No fever today."), ("ann", "T1\t1 3 8\tfever\n"))})  # fmt: skip
    assert stats(command, "corpus=brat", "corpus.path=2024", "corpus.labels=[1]")["test"]["entities"] == {"1": 1}
    assert stats(command, "corpus=brat", "corpus.path=2024", "corpus.labels=1")["test"]["entities"] == {"1": 1}
    for path in ("date=2024", "notes (1)"):
        done = command("stats", "corpus=brat", f"corpus.path={path}")
        assert done.returncode == 2
        assert f"'corpus.path={path}' cannot be read" in done.stderr and f"'corpus.path=\"{path}\"'" in done.stderr
        assert stats(command, "corpus=brat", f'corpus.path="{path}"')["test"]["documents"] == 1


def test_a_label_with_a_full_stop_can_be_defined(command: Command, tmp_path: Path) -> None:
    put(tmp_path, d__a_DOT_txt="No fever.", d__a_DOT_ann="T1\tICD.Code 3 8\tfever\n")
    for word in ("+corpus.definitions.ICD.Code=a code", "+corpus.definitions={ICD.Code: a code}"):
        assert stats(command, "corpus=brat", "corpus.path=d", word)["test"]["entities"] == {"ICD.Code": 1}
    done = command("stats", "corpus=brat", "corpus.path=d", "+corpus.definitions.ICD.Cod=a code")
    assert done.returncode == 2 and "defines ICD.Cod, which is not a label" in done.stderr


def test_a_corpus_without_a_label_is_refused_before_a_model_is_asked(command: Command, tmp_path: Path) -> None:
    put(tmp_path, test_DOT_tsv="No\tO\n", out_DOT_jsonl='{"id": "test-0:0", "output": "No : O"}\n')
    words = ("corpus=conll", "corpus.path=.", "model=replay", "model.path=out.jsonl", "strategy=zero_shot", "corpus.phi=false")
    done = command("run", *words)
    assert done.returncode == 2
    assert "has no entity and corpus.labels names none. Name the labels: corpus.labels=[...]" in done.stderr
    assert command("run", *words, "corpus.labels=[Sign]").returncode == 0


def test_unread_files_are_reported(command: Command, tmp_path: Path) -> None:
    put(tmp_path, c__train__a_DOT_txt="a", c__train__a_DOT_json="{}", c__old__b_DOT_txt="b", c__README_DOT_md="x")
    done = command("stats", "corpus=brat", "corpus.path=c")
    assert done.returncode == 0
    assert "clinspan: corpus c: not read: .json, .md, old/" in done.stderr
