"""The reference for every fault: undisturbed runs, and a count of what a disturbed run lost."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clinspan.corpora.bio import bio_classes
from support.faulty_server import FaultyServer
from support.fork_server import Ended, ForkServer
from support.llama_family import random_llama_family
from support.tiny_models import random_bert

LABELS = ["Disease", "RareDisease", "SkinRareDisease", "Sign", "Symptom"]
SENTENCES = 12
NOTES = 20
_CLOSE = 1e-6
SMALL = [f"limit={SENTENCES}"]


@dataclass
class Told:
    """A line of the table."""

    group: str
    fault: str
    outcome: str
    lost: int


@dataclass
class Bench:
    """A folder, a fork server and a model server for all faults.

    Attributes:
        root: The working directory of commands.
        fork_server: The server that runs commands.
        server: The model server that commands use.
        told: The outcome of each fault.
    """

    root: Path
    fork_server: ForkServer
    server: FaultyServer
    told: list[Told] = field(default_factory=list)
    _whole: dict[str, Path] = field(default_factory=dict)
    _number: int = 0

    def fresh(self, name: str) -> Path:
        """The path of a folder that does not exist yet."""
        self._number += 1
        return self.root / f"{name}{self._number}"

    def remote(self, *more: str) -> list[str]:
        """Overrides for the scripted server."""
        base = f"model.api_base={self.server.address}/v1"
        return ["model=openai", "model.id=x", base, "strategy=zero_shot", "model.retries=1", "model.concurrency=2", *SMALL, *more]

    def words(self, kind: str) -> list[str]:
        """The overrides of a command, by kind."""
        return {"remote": self.remote, "local": self._local, "classifier": self._classifier}[kind]()

    def _local(self) -> list[str]:
        if not (self.root / "llama").exists():
            random_llama_family(self.root / "llama")
        own = ["model=smollm2", "model.path=llama", "model.template=plain", "model.batch_size=4"]
        return [*own, "strategy=zero_shot", "prompt=bare", "format=inline", *SMALL]

    def _classifier(self) -> list[str]:
        folder = self.root / "bert"
        if not folder.exists():
            from transformers import BertForTokenClassification

            random_bert(folder, head=True, positions=128)
            names = dict(enumerate(bio_classes(LABELS)))
            options = {"num_labels": len(names), "id2label": names, "ignore_mismatched_sizes": True}
            BertForTokenClassification.from_pretrained(folder, **options).save_pretrained(folder)
        return ["model=bioclinicalbert", "model.path=bert", "model.batch_size=4", *SMALL]

    def notes(self) -> list[str]:
        """Write the notes, and return the overrides of their annotation."""
        source = self.root / "notes"
        source.mkdir(exist_ok=True)
        for n in range(NOTES):
            (source / f"n{n:02}.txt").write_text(f"Fever number {n}.\nNo rash.", encoding="utf-8")
        server = [word for word in self.remote() if word not in SMALL]
        return ["input=notes", "to=[brat,jsonl]", *server]

    def annotated_whole(self) -> dict[str, bytes]:
        """The files of an undisturbed annotation."""
        folder = self.root / "annotated"
        if not folder.exists():
            self.server.heal()
            ended = self.run(*self.notes(), f"output={folder}", command="annotate")
            assert ended.code == 0, ended.err
        return annotated(folder)

    def whole(self, kind: str) -> Path:
        """The folder of an undisturbed run of a kind."""
        if kind not in self._whole:
            self.server.heal()
            folder = self.fresh("whole")
            ended = self.run(*self.words(kind), f"hydra.run.dir={folder}")
            assert ended.code == 0, ended.err
            self._whole[kind] = folder
        return self._whole[kind]

    def run(self, *words: str, fault: Sequence[Any] = (), env: dict[str, str] | None = None, command: str = "run") -> Ended:
        """Call a command in the bench's folder."""
        return self.fork_server.call(command, *words, cwd=self.root, fault=fault, env=env)

    def copied(self, kind: str) -> Path:
        """A copy of an undisturbed run's folder, which a test can damage."""
        folder = self.fresh("copy")
        shutil.copytree(self.whole(kind), folder)
        return folder

    def resumed(self, folder: Path, kind: str, env: dict[str, str] | None = None) -> Ended:
        """Resume a run. If it stopped before it wrote `run.json`, start it again in the same folder."""
        if (folder / "run.json").exists():
            return self.run(f"resume={folder}", env=env)
        return self.run(*self.words(kind), f"hydra.run.dir={folder}", env=env)

    def note(self, group: str, fault: str, outcome: str, lost: int) -> None:
        """Add a fault to the table, and check that it lost nothing."""
        self.told.append(Told(group, fault, outcome, lost))
        assert lost == 0, f"{fault}: {lost} lost"

    def lost(self, folder: Path, kind: str) -> int:
        """The number of an undisturbed run's sentences that this run lacks or has with other content.

        With the scripted server, files are equal byte for byte. A local model's confidences may differ in their last digits,
        because floats depend on the batch. Scores that are computed from confidences may differ too.
        """
        whole = self.whole(kind)
        names = ("predictions.jsonl", "scores.json", "errors.json")
        if all((whole / name).read_bytes() == (folder / name).read_bytes() for name in names):
            return 0
        ours = {row["id"]: row for row in rows(folder)}
        lost = sum(not _alike(row, ours.get(row["id"], {})) for row in rows(whole))
        assert lost or kind != "remote", "the files differ, and no sentence does"
        scores = [_counted(json.loads((run_folder / "scores.json").read_text())) for run_folder in (whole, folder)]
        assert lost or scores[0] == scores[1]
        assert (folder / "run.json").exists() and json.loads((folder / "run.json").read_text())["status"] == "finished"
        return lost


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]


def _alike(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Whether two lines are equal, except for the last digits of confidences and the number of passes."""
    if not second or first.keys() != second.keys():
        return False
    confidences = [[value for value in row["confidence"] or [] if value is not None] for row in (first, second)]
    close = len(confidences[0]) == len(confidences[1]) and all(math.isclose(a, b, abs_tol=_CLOSE) for a, b in zip(*confidences))
    plain = [{**row, "confidence": None, "usage": {**row["usage"], "passes": None}} for row in (first, second)]
    return close and plain[0] == plain[1]


def _counted(scores: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in scores.items() if key not in ("calibration", "tokens")}


def annotated(folder: Path) -> dict[str, bytes]:
    """The files of an annotation that hold its results."""
    return tree(folder, lambda path: path.name in ("run.json", "run.log", "state.jsonl", "spent.json"))


def tree(folder: Path, leave: Callable[[Path], bool]) -> dict[str, bytes]:
    """The content of each file below a folder, by relative path."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and not leave(p)}
