"""Readers of the files that runs write: predictions, scores, programs, the resume state, recorded outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from clinspan.corpora import Corpus, InputError, Label
from clinspan.corpora.errors import read_text
from clinspan.lms import ModelError
from clinspan.lms.replay import load_outputs
from clinspan.programs.annotation.state import ResumeState
from clinspan.programs.building.load_program import check_labels, read_program
from clinspan.programs.compare import check_alike, compare_runs, flipped, load_run
from clinspan.programs.tagging.drafts import Recorded
from clinspan.programs.tagging.instructions import bare
from clinspan.programs.tagging.saved_program import CLASSIFIER, fingerprint, member_states
from clinspan.programs.tagging.tagger import Tagger
from fuzz.target import Target, written

LABELS = (Label("Sign"), Label("A"))
CORPUS = Corpus("c", {}, LABELS)
_STATE = Tagger(bare(LABELS)).dump_state()
_GROUP = {"choice": "x"}
_SETTINGS = {"format": _GROUP, "strategy": _GROUP, "alignment": "tokens", "label_order": "corpus", "label_wording": "corpus"}
PROGRAM: dict[str, Any] = {"clinspan": 1, "labels": ["A", "Sign"], **_STATE, "settings": _SETTINGS}
RUN: dict[str, Any] = {
    "status": "finished",
    "config": {"metric": {"mode": "conlleval"}},
    "choices": {},
    "tokens": {},
    "seconds": 1.0,
}
_SCORE = {"f1": 0.5, "precision": 0.5, "recall": 0.5}
SCORES: dict[str, Any] = {"signature": "s", "macro": _SCORE, "micro": _SCORE, "per_type": {"Sign": _SCORE, "A": _SCORE}}
ROW: dict[str, Any] = {
    "id": "d:0", "document": "d", "tokens": ["a", "b"], "gold": ["B-Sign", "O"], "pred": ["O", "B-A"], "confidence": None,
    "raw": "x", "repairs": {}, "usage": {}, "error": None,
}  # fmt: skip
FILES = {"run.json": RUN, "scores.json": SCORES, "program.json": PROGRAM, "predictions.jsonl": ROW}


def folder_with(name: str, data: bytes) -> Path:
    """Write a valid run folder in which one file has the given content."""
    for file, content in FILES.items():
        path = written(f"run/{file}", data if file == name else json.dumps(content).encode() + b"\n")
    return path.parent


def read_run(name: str, data: bytes) -> None:
    """Check that a folder is refused as documented, or can be compared with itself."""
    folder = folder_with(name, data)
    try:
        run = load_run(folder)
        check_alike(run, run)
        run.about()
        flipped(run, run)
        if run.rows:
            assert all(part.difference == 0 for part in compare_runs(run, run, samples=2, seed=0).values())
    except InputError as error:
        assert error.path is not None or "cannot be compared" in str(error)


def read_draft(data: bytes) -> None:
    try:
        drafter = Recorded(written("predictions.jsonl", data), CORPUS)
    except InputError as error:
        assert error.path is not None
        return
    assert len(drafter("d:0", ["a", "b"])) == 2


def load_program(data: bytes) -> None:
    """Check that a program is refused as documented, or that a tagger loads its state."""
    path = written("program.json", data)
    try:
        content = read_program(path)
        check_labels(content, CORPUS)
    except InputError:
        return
    fingerprint(content)
    for state in [] if CLASSIFIER in content else member_states(content):
        tagger = Tagger("x")
        tagger.load_state(
            {"tag": {**tagger.tag.dump_state(), "signature": state["tag"]["signature"], "demos": state["tag"]["demos"]}}
        )
        assert len(tagger.tag.demos) == len(state["tag"]["demos"])
        assert isinstance(tagger.tag.signature.instructions, str)


def read_resume_state(data: bytes) -> None:
    path = written("state.jsonl", data)
    try:
        state = ResumeState(path)
    except InputError as error:
        assert error.path is not None
        assert error.line is not None
        return
    for name, (digest, by, _) in list(state._places.items()):
        entry = state.find(name, digest, by)
        assert entry is not None
        entry.annotated("No fever", (), "m", "p")
        state.add(entry)
        assert state.find(name, digest, by) == entry


def replay(data: bytes) -> None:
    try:
        outputs = load_outputs(written("outputs.jsonl", data), ["a", "b"], ["a", "b"])
    except ModelError:
        return
    assert {key for key, _ in outputs} == {"a", "b"}


def read_any_text(data: bytes) -> None:
    try:
        assert read_text(written("any.txt", data)).encode() == data
    except InputError as error:
        assert error.line is not None


def _line(row: Any) -> bytes:
    return json.dumps(row).encode() + b"\n"


_ENTRY = {
    "id": "a",
    "sha256": "0",
    "by": "b",
    "to": ["brat"],
    "entities": [[3, 8, "Sign", 0.5]],
    "counts": {"sentences": 1},
    "repairs": {},
}
_DEEP = b'{"id": ' + b"[" * 2000
_LONG = b'{"id": ' + b"9" * 5000 + b"}\n"
_KEYS = ('"id": ', '"tokens": ', '"gold": ', '"pred": ', '"B-Sign"', "null", "[]", "{}", "true", "-1", "1.5", '"document": ', '"x"')


def _broken(content: dict[str, Any]) -> tuple[bytes, ...]:
    """A valid file, versions that each lack one key, and versions that each have another value under one key."""
    changed = [{k: v for k, v in content.items() if k != key} for key in content]
    changed += [{**content, key: value} for key in content for value in (None, [], {}, 1, "x", [None], {"x": None})]
    return (_line(content), *map(_line, changed), _DEEP, _LONG)


TARGETS = {
    "predictions": Target(lambda data: read_run("predictions.jsonl", data), _broken(ROW), _KEYS),
    "run_json": Target(lambda data: read_run("run.json", data), _broken(RUN), (*_KEYS, '"status": "finished"', '"config": ')),
    "scores_json": Target(lambda data: read_run("scores.json", data), _broken(SCORES), (*_KEYS, '"per_type": ', '"micro": ')),
    "draft": Target(read_draft, _broken(ROW), _KEYS),
    "program_json": Target(load_program, _broken(PROGRAM), (*_KEYS, '"tag": ', '"demos": ', '"signature": ', '"settings": ')),
    "state": Target(read_resume_state, _broken(_ENTRY), (*_KEYS, '"sha256": ', '"by": ', '"entities": ')),
    "replay": Target(
        replay,
        (
            b'{"output": "x"}\n{"output": "y"}\n',
            b'{"id": "a", "output": "x"}\n{"id": "b", "question": "", "output": "y"}',
            _DEEP,
            _LONG,
        ),
        ('"output": ', '"question": ', *_KEYS),
    ),
    "text": Target(read_any_text, (b"a\n\xff", b"a\0", "\ufeffé".encode()), ()),
}
