"""Tests of `prompts.jsonl`: what was sent, read back as it was, whatever the order of threads and interruptions."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clinspan.corpora import InputError
from clinspan.programs.rundir.prompt_log import NAME, PromptLog, read_prompts, write_prompts
from clinspan.programs.rundir.sent import Attempt, SentRequest
from clinspan.retrievers.chunks import Passage
from conftest import lines

CHUNKS = {"fever.txt:0": "Fever is a sign.", "fever.txt:1": "Cough is one too."}


def attempt(n: int, *, key: str = "", demo: str = "t:1", chunks: dict[str, str] | None = None) -> Attempt:
    last = "".join(f"{text}\n\n" for text in (chunks or {}).values()) + f"sentence {n}"
    turns = (("system", "Tag."), ("user", f"demonstration {demo}"), ("assistant", "O"), ("user", last))
    return Attempt((demo, None), chunks or {}, [SentRequest(key, turns, f"<s>{turns}")])


def test_what_was_sent_is_read_back_and_each_text_is_stored_once(tmp_path: Path) -> None:
    log = PromptLog(tmp_path, first="d:0")
    for n in range(3):
        log.write(f"d:{n}", [attempt(n, chunks=CHUNKS)])
    prompts = read_prompts(tmp_path)
    assert prompts is not None
    assert prompts.turns("d:2") == list(attempt(2, chunks=CHUNKS).requests[0].turns)
    assert prompts.names("d:2", "demonstrations") == ["t:1", None]
    assert prompts.names("d:2", "chunks") == list(CHUNKS)
    assert prompts.digests("d:0") == (attempt(0, chunks=CHUNKS).requests[0].digest,) != prompts.digests("d:1")
    assert prompts.rendered == {"d:0": attempt(0, chunks=CHUNKS).requests[0].rendered}
    text = (tmp_path / NAME).read_text()
    assert text.count("demonstration t:1") == 2  # once in a part, once in the rendered prompt
    assert text.count("Fever is a sign.") == 2


def test_equal_runs_leave_equal_files_in_whatever_order_threads_finish(tmp_path: Path) -> None:
    ids = [f"d:{n}" for n in range(40)]
    files = []
    for name, order in (("a", ids), ("b", ids[::-1])):
        (tmp_path / name).mkdir()
        log = PromptLog(tmp_path / name, first="d:0")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(log.write, order, [[attempt(int(id[2:]), demo=f"t:{int(id[2:]) % 7}")] for id in order]))
        write_prompts([tmp_path / name], ids, tmp_path / name)
        files.append((tmp_path / name / NAME).read_bytes())
    assert files[0] == files[1]
    assert [line["id"] for line in lines(tmp_path / "a" / NAME) if "asked" in line] == ids


def test_a_resumed_run_continues_the_file_after_a_torn_line(tmp_path: Path) -> None:
    PromptLog(tmp_path, first="d:0").write("d:0", [attempt(0)])
    with (tmp_path / NAME).open("ab") as file:
        file.write(b'{"id": "d:1", "asked": [{"quest')
    log = PromptLog(tmp_path, first="d:0")
    log.write("d:1", [attempt(1)])
    log.write("d:0", [attempt(0, demo="t:2")])  # a sentence that failed is tagged again: the last line counts
    prompts = read_prompts(tmp_path)
    assert prompts is not None
    assert prompts.names("d:0", "demonstrations") == ["t:2", None]
    assert prompts.turns("d:1") == list(attempt(1).requests[0].turns)
    parts = [line["part"] for line in lines(tmp_path / NAME) if "part" in line]
    assert parts == list(range(len(parts)))


def test_members_of_an_ensemble_have_an_attempt_each(tmp_path: Path) -> None:
    PromptLog(tmp_path).write("d:0", [attempt(0, key="Sign"), attempt(0, demo="t:9")])
    write_prompts([tmp_path], ["d:0"], tmp_path)
    prompts = read_prompts(tmp_path)
    assert prompts is not None
    first, second = prompts.asked["d:0"]
    assert (first["questions"][0]["question"], second["demonstrations"]) == ("Sign", ["t:9", None])
    assert "question" not in second["questions"][0]
    assert prompts.rendered == {}


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"part": 7, "text": "x"}',
        '{"part": 0, "text": ["a", 3]}',
        '{"id": "d:0", "asked": [{"questions": [{"sha": "0", "turns": [4]}]}]}',
        '{"id": "d:0", "asked": 3}',
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / NAME).write_text(f"{line}\n")
    with pytest.raises(InputError, match=r"prompts.jsonl:1: is not a record of prompts"):
        read_prompts(tmp_path)


def test_a_run_without_the_file_has_no_prompts(tmp_path: Path) -> None:
    assert read_prompts(tmp_path) is None
    write_prompts([tmp_path], ["d:0"], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_prompts_of_several_runs_become_one_file(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for n, folder in enumerate(folders):
        folder.mkdir()
        PromptLog(folder, first=f"d:{n}").write(f"d:{n}", [attempt(n, chunks=CHUNKS)])
    write_prompts(folders, ["d:1", "d:0"], tmp_path)
    prompts = read_prompts(tmp_path)
    assert prompts is not None
    assert list(prompts.asked) == list(prompts.rendered) == ["d:1", "d:0"]
    assert [prompts.turns(f"d:{n}") for n in (0, 1)] == [list(attempt(n, chunks=CHUNKS).requests[0].turns) for n in (0, 1)]
    assert len(prompts.parts) == 7  # two chunks and three turns of both, and the question of each


def test_a_passage_is_its_text_and_has_an_id() -> None:
    passage = Passage.of("Fever is a sign.", "fever.txt:0")
    assert (passage, passage.id) == ("Fever is a sign.", "fever.txt:0")
    assert json.dumps([passage]) == '["Fever is a sign."]'
