"""Datasets of Hugging Face from files and folders: tokens and tags, BigBIO's schema, splits, classes; no network, no copies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clinspan.corpora import Corpus, InputError
from clinspan.corpora.sources import HuggingFace
from conftest import Command, ROOT
from support.scripted_hub import scripted_hub

NAMES = ["O", "B-Sign", "I-Sign"]
WORDS = [["No", "fever", "."], ["Skin", "rash", "."]]
TAGS = [["O", "B-Sign", "O"], ["B-Sign", "I-Sign", "O"]]
NUMBERS = [[NAMES.index(tag) for tag in row] for row in TAGS]
KB: dict[str, Any] = {
    "id": "0",
    "document_id": "d1",
    "passages": [
        {"id": "1", "type": "title", "text": ["No fever."], "offsets": [[0, 9]]},
        {"id": "2", "type": "abstract", "text": ["Pain in arm and hand."], "offsets": [[10, 31]]},
    ],
    "entities": [
        {"id": "3", "type": "Sign", "text": ["fever"], "offsets": [[3, 8]], "normalized": []},
        {"id": "4", "type": "Symptom", "text": ["Pain", "hand"], "offsets": [[10, 14], [26, 30]], "normalized": []},
        {"id": "5", "type": "Sign", "text": [], "offsets": [], "normalized": []},
    ],
    "events": [],
    "coreferences": [],
    "relations": [{"id": "6", "type": "r", "arg1_id": "3", "arg2_id": "4", "normalized": []}],
}


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def rows(tags: list[Any], **keys: Any) -> list[dict[str, Any]]:
    return [{"tokens": words, "ner_tags": row, **keys} for words, row in zip(WORDS, tags)]


def write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def load(path: Path, **settings: Any) -> Corpus:
    return HuggingFace(path=str(path), **settings).load()


def content(corpus: Corpus, split: str = "test") -> tuple[list[list[str]], list[list[str]]]:
    sentences = list(corpus.sentences(split))
    return [list(s.words) for s in sentences], [list(s.tags) for s in sentences]


def dataset(tags: Any = None) -> Any:
    datasets = pytest.importorskip("datasets", reason="needs the extra datasets")
    datasets.disable_progress_bars()
    features = datasets.Features(
        {
            "id": datasets.Value("string"),
            "tokens": datasets.List(datasets.Value("string")),
            "ner_tags": datasets.List(datasets.ClassLabel(names=NAMES)),
        }
    )
    columns = {"id": ["a", "b"], "tokens": WORDS, "ner_tags": tags or NUMBERS}
    return datasets.Dataset.from_dict(columns, features=features)


@pytest.mark.parametrize(
    ("tags", "settings"),
    [
        (TAGS, {}),
        (NUMBERS, {"tag_names": NAMES}),
        (NUMBERS, {"labels": ["Sign"]}),
        ([["O", "S-Sign", "O"], ["B-Sign", "E-Sign", "O"]], {}),
        ([["O", "B", "O"], ["B", "I", "O"]], {"labels": ["Sign"]}),
    ],
    ids=["texts", "numbers with names", "numbers with labels", "IOBES", "bare"],
)
def test_tags_of_each_kind_are_read_from_json_lines(tmp_path: Path, tags: list[Any], settings: dict[str, Any]) -> None:
    corpus = load(write(tmp_path / "a.jsonl", lines(*rows(tags))), **settings)
    assert content(corpus) == (WORDS, TAGS)
    assert corpus.conversion["test"]["sentences_as_documents"] == 2 and corpus.cut is None


def test_columns_of_other_names_and_documents_of_several_rows(tmp_path: Path) -> None:
    records = [{"words": words, "labels": tags, "note": "n1"} for words, tags in zip(WORDS, TAGS)]
    path = write(tmp_path / "a.json", json.dumps(records))
    corpus = load(path, tokens_column="words", tags_column="labels", document_column="note")
    assert content(corpus) == (WORDS, TAGS)
    assert [document.id for document in corpus.splits["test"]] == ["n1"]
    with pytest.raises(InputError, match=r"has no column tokens\. Set corpus\.tokens_column to one of words, labels, note"):
        load(path)


@pytest.mark.parametrize(
    ("row", "line", "message"),
    [
        ({"tokens": ["a"], "ner_tags": ["O", "O"]}, 2, "has 1 tokens but 2 tags"),
        ({"tokens": ["a"], "ner_tags": [3]}, 2, r"has the tag 3, which has no name.*corpus\.tag_names"),
        ({"tokens": ["a"], "ner_tags": ["Sign"]}, 2, r"'Sign' is not a BIO tag.*corpus\.tag_names"),
        ({"tokens": ["a"], "ner_tags": [None]}, 2, "neither a text nor a whole number"),
        ({"tokens": [5], "ner_tags": ["O"]}, 2, "has a token that is not a text"),
        ({"tokens": ["\ud83e"], "ner_tags": ["O"]}, 2, "lone surrogate"),
        ({"tokens": "a", "ner_tags": ["O"]}, 2, "has no list in the column tokens"),
        ({"tokens": ["a"]}, 2, "has no list in the column ner_tags"),
    ],
)
def test_a_row_that_cannot_be_read_is_refused_with_its_line(tmp_path: Path, row: dict[str, Any], line: int, message: str) -> None:
    path = write(tmp_path / "a.jsonl", lines(rows(NUMBERS)[0], row))
    with pytest.raises(InputError, match=message) as caught:
        load(path, tag_names=NAMES)
    assert caught.value.path == path and caught.value.line == line


def test_empty_rows_and_tokens_of_white_space_are_counted(tmp_path: Path) -> None:
    empty = {"tokens": [], "ner_tags": []}
    blank = {"tokens": ["a", "", "b"], "ner_tags": ["O", "O", "B-Sign"]}
    corpus = load(write(tmp_path / "a.jsonl", lines(empty, blank)))
    assert content(corpus) == ([["a", " ", "b"]], [["O", "O", "B-Sign"]])
    assert corpus.conversion["test"] == {"sentences_as_documents": 1, "rows_without_tokens": 1, "tokens_of_white_space": 1}


def test_a_split_without_tags_is_passed_over_and_said(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", lines(*rows(NUMBERS)))
    write(tmp_path / "test.jsonl", lines(*rows([[-1, -1, -1]] * 2)))
    corpus = load(tmp_path, tag_names=NAMES)
    assert list(corpus.splits) == ["train"]
    assert corpus.passed_over == {"split test without tags": 1}


def test_saved_datasets_and_parquet_shards_are_read_with_their_classes(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="needs the extra datasets")
    made = dataset()
    both = datasets.DatasetDict(train=made, validation=made, unsupervised=made)
    both.save_to_disk(tmp_path / "saved")
    made.save_to_disk(tmp_path / "one")
    for number in range(2):
        (tmp_path / "hub" / "data").mkdir(parents=True, exist_ok=True)
        made.to_parquet(tmp_path / "hub" / "data" / f"train-0000{number}-of-00002.parquet")
    made.to_parquet(tmp_path / "hub" / "data" / "validation-00000-of-00001.parquet")
    saved = load(tmp_path / "saved")
    assert list(saved.splits) == ["train", "dev"]
    assert content(saved, "dev") == (WORDS, TAGS)
    assert saved.passed_over == {"split unsupervised": 1}
    assert content(load(tmp_path / "one")) == (WORDS, TAGS)
    (arrow,) = (tmp_path / "one").glob("*.arrow")
    assert content(load(arrow)) == (WORDS, TAGS)
    hub = load(tmp_path / "hub")
    assert content(hub, "train") == (WORDS * 2, TAGS * 2)
    assert content(hub, "dev") == (WORDS, TAGS)
    with pytest.raises(InputError, match=r"row 1 has the tag 1, which has no name"):
        load(tmp_path / "hub", tag_names=["O"])


def test_damaged_files_are_refused_without_their_content(tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="needs the extra datasets")
    for name in ("a.parquet", "a.arrow", "saved/state.json"):
        path = write(tmp_path / name, "patient Smith has fever")
        with pytest.raises(InputError, match=r"is not a complete Parquet file|cannot be read as a dataset") as caught:
            load(path.parent if name.startswith("saved") else path)
        assert "Smith" not in str(caught.value)


CARD = """---
configs:
- config_name: one
  data_files:
  - split: train
    path: x/*.jsonl
  - split: validation
    path: [b.jsonl]
- config_name: two
  data_files:
  - split: test
    path: {path}
dataset_info:
- config_name: one
  features:
  - name: ner_tags
    sequence:
      class_label:
        names:
          '0': O
          '1': B-Sign
          '2': I-Sign
---
# A dataset
"""


def test_the_card_of_a_folder_says_files_and_classes_but_leads_nowhere_else(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    write(folder / "README.md", CARD.replace("{path}", "https://example.org/a.parquet"))
    for name in ("x/a.jsonl", "b.jsonl", "other.jsonl"):
        write(folder / name, lines(*rows(NUMBERS)))
    corpus = load(folder, config="one")
    assert content(corpus, "train") == content(corpus, "dev") == (WORDS, TAGS)
    assert corpus.passed_over == {".jsonl": 1}
    with pytest.raises(InputError, match=r"several configurations\. Set corpus\.config to one of one, two"):
        load(folder)
    with pytest.raises(InputError, match=r"has no configuration three\. Set corpus\.config to one of one, two"):
        load(folder, config="three")
    write(tmp_path / "secret.jsonl", lines(*rows(TAGS)))
    (folder / "link.jsonl").symlink_to(tmp_path / "secret.jsonl")
    for path in ("https://example.org/a.parquet", "/etc/passwd", "../secret.jsonl"):
        write(folder / "README.md", CARD.replace("{path}", path))
        with pytest.raises(InputError, match="names files outside its folder"):
            load(folder, config="two")
    for path in ("link.jsonl", "nosuch.jsonl", "'**x'"):
        write(folder / "README.md", CARD.replace("{path}", path))
        with pytest.raises(InputError, match="which is not here"):
            load(folder, config="two")
    write(folder / "README.md", "---\na: [\n---\n")
    with pytest.raises(InputError, match="has a header that is not YAML"):
        load(folder)


@pytest.mark.parametrize("as_lists", [False, True])
def test_bigbio_documents_are_read_at_their_offsets(tmp_path: Path, as_lists: bool) -> None:
    record = dict(KB)
    if as_lists:  # as older versions of datasets store a list of objects
        for key in ("passages", "entities"):
            record[key] = {name: [item[name] for item in KB[key]] for name in KB[key][0]}
    corpus = load(write(tmp_path / "a.jsonl", lines(record)), discontinuous="envelope")
    (document,) = corpus.splits["test"]
    assert document.id == "d1" and document.text == "No fever.\nPain in arm and hand."
    assert [(entity.label, document.text[entity.start : entity.end]) for entity in document.entities] == [
        ("Sign", "fever"),
        ("Symptom", "Pain in arm and hand"),
    ]
    assert corpus.conversion["test"] == {"relations": 1, "entities_without_offsets": 1, "discontinuous_envelope": 1}
    assert corpus.cut is not None


def test_bigbio_survives_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist([KB]), tmp_path / "a.parquet")
    assert [entity.label for entity in load(tmp_path / "a.parquet").splits["test"][0].entities] == ["Sign", "Symptom"]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("entities", [{"type": "Sign", "text": ["x"], "offsets": [[3, 99]]}], "an entity ends at 99, past the end of the text"),
        ("entities", [{"type": "Sign", "text": ["x"], "offsets": [[3, 3]]}], "has a span that is empty"),
        ("entities", [{"type": "Sign", "text": ["x"]}], "it has no 'offsets'"),
        ("entities", ["x"], "lists of objects"),
        ("passages", [{"text": ["No fever."], "offsets": [[0, 9]]}, {"text": ["Pain"], "offsets": [[5, 9]]}], "inside the passage"),
        ("passages", [{"text": ["x"], "offsets": [[10**12, 10**12 + 1]]}], "far behind the passage before it"),
        ("passages", [{"text": ["\ud83e"], "offsets": [[0, 1]]}], "lone surrogate"),
        ("passages", [{"text": 5, "offsets": [[0, 1]]}], "not a document"),
    ],
)
def test_a_bigbio_document_that_cannot_be_read_is_refused(tmp_path: Path, key: str, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load(write(tmp_path / "a.jsonl", lines(KB, {**KB, key: value})))
    assert caught.value.line == 2


def test_a_repeated_passage_is_counted_and_the_text_stands_once(tmp_path: Path) -> None:
    corpus = load(write(tmp_path / "a.jsonl", lines({**KB, "passages": [KB["passages"][0], *KB["passages"]]})))
    assert corpus.splits["test"][0].text == "No fever.\nPain in arm and hand."
    assert corpus.conversion["test"]["repeated_passages"] == 1


SCRIPT = """
import os, sys
connections = []
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        connections.append(event)
        raise OSError("no network")
sys.addaudithook(hook)
from clinspan.corpora import InputError
from clinspan.corpora.sources import HuggingFace
for path in sys.argv[1:]:
    try:
        print(len(list(HuggingFace(path=path).load().sentences("test"))), len(connections))
    except InputError as error:
        print(error, len(connections))
print(sum(len(files) for _, _, files in os.walk(os.environ["HOME"])))
"""


def without_network(home: Path, *paths: str, **env: str) -> list[str]:
    home.mkdir()
    kept = {key: value for key, value in os.environ.items() if key not in ("HF_HOME", "XDG_CACHE_HOME", "HF_HUB_OFFLINE")}
    words = [sys.executable, "-c", SCRIPT, *paths]
    environment = {**kept, "HOME": str(home), **env}
    done = subprocess.run(words, capture_output=True, text=True, timeout=600, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def test_local_data_use_no_network_and_leave_no_copy(tmp_path: Path) -> None:
    made = dataset()
    made.save_to_disk(tmp_path / "one")
    made.to_parquet(tmp_path / "a.parquet")
    write(tmp_path / "a.jsonl", lines(*rows(TAGS)))
    places = [str(tmp_path / name) for name in ("one", "a.parquet", "a.jsonl", "missing/a")]
    found = without_network(tmp_path / "home", *places, "missing", "a/b.jsonl")
    assert found[:3] == ["2 0"] * 3
    assert all("there is no such file or folder" in line and line.endswith(" 0") for line in found[3:6])
    assert found[6] == "0"


def test_the_hub_is_not_asked_when_it_is_forbidden(tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="needs the extra datasets")
    message, files = without_network(tmp_path / "home", "nobody/nothing", HF_HUB_OFFLINE="1")
    assert message.startswith("nobody/nothing: is no path here, and cannot be loaded from the Hugging Face hub")
    assert "HF_HUB_OFFLINE forbids the connection: unset it, or download" in message and message.endswith(" 0")
    assert files == "0"


def from_hub(home: Path, *paths: str, **env: str) -> list[str]:
    words = [sys.executable, "-c", SCRIPT if "HF_HUB_OFFLINE" in env else SCRIPT.replace("sys.addaudithook(hook)", ""), *paths]
    kept = {key: value for key, value in os.environ.items() if key not in ("HF_HUB_OFFLINE", "XDG_CACHE_HOME")}
    env = {**kept, "HOME": str(home), "HF_HOME": str(home / "hf"), **env}
    done = subprocess.run(words, capture_output=True, text=True, timeout=600, cwd=ROOT, env=env, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()[:-1]


def test_a_dataset_of_a_scripted_hub_is_loaded_and_later_found_without_network(tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="needs the extra datasets")
    files = {f"data/{split}.jsonl": lines(*rows(TAGS)).encode() for split in ("train", "test")}
    with scripted_hub({**files, "README.md": b"# A dataset\n"}) as (address, asked):
        found, missing = from_hub(tmp_path, "some/set", "some/other", HF_ENDPOINT=address)
        assert any(path.endswith("data/test.jsonl") for path in asked)
    assert found == "2 0"
    assert "cannot be loaded from the Hugging Face hub (DatasetNotFoundError)" in missing
    assert from_hub(tmp_path, "some/set", HF_ENDPOINT=address, HF_HUB_OFFLINE="1") == ["2 0"]


def test_a_script_of_a_scripted_hub_is_never_run(tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="needs the extra datasets")
    script = f"open({str(tmp_path / 'ran')!r}, 'w')\n".encode()
    with scripted_hub({"set.py": script, "README.md": b"# A dataset\n"}) as (address, _):
        (refused,) = from_hub(tmp_path, "some/set", HF_ENDPOINT=address)
    assert "the dataset of the hub is a script. Scripts are never run" in refused
    assert not (tmp_path / "ran").exists()


def test_a_name_of_the_hub_is_loaded_without_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for `load_dataset`, because tests do not use the network: it records its arguments."""
    datasets = pytest.importorskip("datasets", reason="needs the extra datasets")
    asked: list[Any] = []

    def load_dataset(*words: Any, **keys: Any) -> Any:
        asked.append((words, keys))
        return datasets.DatasetDict(test=dataset())

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    corpus = HuggingFace(path="some/dataset", config="one", revision="abc").load()
    assert corpus.name == "dataset" and content(corpus) == (WORDS, TAGS)
    assert asked == [(("some/dataset", "one"), {"revision": "abc"})]
    write(tmp_path / "some" / "dataset" / "test.jsonl", lines(*rows(TAGS)))
    assert content(HuggingFace(path="some/dataset").load()) == (WORDS, TAGS)
    assert len(asked) == 1
    with pytest.raises(InputError, match=r"corpus\.revision is of the hub"):
        HuggingFace(path="some/dataset", revision="abc").load()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            ValueError("Config name is missing.\nPlease pick one among the available configs: ['a', 'b']"),
            "corpus.config to one of 'a', 'b'",
        ),
        (
            RuntimeError("Dataset scripts are no longer supported, but found x.py"),
            "Scripts are never run: try corpus.revision=refs/convert",
        ),
        (ConnectionError("x"), r"cannot be loaded from the Hugging Face hub \(ConnectionError\)"),
    ],
)
def test_what_the_hub_refuses_is_one_message(monkeypatch: pytest.MonkeyPatch, error: Exception, message: str) -> None:
    datasets = pytest.importorskip("datasets", reason="needs the extra datasets")

    def load_dataset(*words: Any, **keys: Any) -> Any:
        raise error

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(InputError, match=message):
        HuggingFace(path="some/dataset").load()


def test_a_missing_package_is_one_line_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "saved" / "state.json", "{}")
    write(tmp_path / "a.parquet", "x")
    for module in ("datasets", "pyarrow"):
        monkeypatch.setitem(sys.modules, module, None)
    for name in ("saved", "a.parquet"):
        with pytest.raises(InputError, match=r"pip install 'clinspan\[datasets\]'"):
            load(tmp_path / name)


def test_the_command_reads_a_dataset_with_overrides(command: Command, tmp_path: Path) -> None:
    write(tmp_path / "d" / "validation.jsonl", lines(*rows(NUMBERS)))
    done = command("stats", "corpus=hf", "corpus.path=d", "corpus.tag_names=[O,B-Sign,I-Sign]", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["splits"]["dev"]["entities"] == {"Sign": 2}
