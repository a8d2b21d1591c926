"""`errors.json`: the error analysis of a run, computed from its files and the corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clinspan.corpora import check_number, Corpus
from clinspan.corpora.printable import plural
from clinspan.metrics import Mode
from clinspan.metrics.analysis import analyse, count_mentions
from clinspan.metrics.errors import KINDS
from clinspan.programs.rundir.run_folder import RunFolder

FILE = "errors.json"
_NOT_READ = "the corpus was not read"


@dataclass(frozen=True, kw_only=True)
class ErrorAnalysis:
    """Settings of the error analysis.

    Attributes:
        sentences: Size of a random sample of sentences whose kinds of errors are also counted separately; None: no sample.
        mentions: Number of the most frequent missed and invented mentions that are listed.
    """

    sentences: int | None = 50
    mentions: int = 20

    def __post_init__(self) -> None:
        if self.sentences is not None:
            check_number("errors.sentences", self.sentences, 1)
        check_number("errors.mentions", self.mentions, 0)


def train_mentions(corpus: Corpus) -> Counter[str] | None:
    """How often each text is a mention of the train split; None if the corpus has no train split."""
    sentences = [(sentence.words, sentence.tags) for sentence in corpus.sentences("train")]
    return count_mentions(sentences) if sentences else None


def write_analysis(
    folder: RunFolder, corpus: Corpus | None, settings: ErrorAnalysis, *, mode: Mode, seed: int, split: str, why: str = _NOT_READ
) -> dict[str, Any]:
    """Write `errors.json` from a folder's `predictions.jsonl` and `scores.json`. The corpus text in it goes nowhere else.

    Args:
        folder: The folder of a run whose scores are written.
        corpus: The corpus whose train split gives the rarity of mentions. None leaves rarity out, and a note says so.
        settings: The settings of the analysis.
        mode: How tags are read.
        seed: The seed of the sample of sentences.
        split: The split that was tagged.
        why: Why there is no corpus, for the note.

    Returns:
        The content of the file.

    Raises:
        InputError: A file is missing or damaged.
    """
    rows = list(folder.load_predictions().values())
    labels = list(folder.read("scores.json")["per_type"])
    train = None if corpus is None else train_mentions(corpus)
    report = analyse(rows, labels, mode, train=train, sample=settings.sentences, seed=seed, mentions=settings.mentions)
    report["notes"] = _notes(rows, split, corpus, train, why)
    folder.write(FILE, report)
    return report


def read_analysis(folder: RunFolder) -> dict[str, Any]:
    """Read a finished run's `errors.json`. If there is none, or it has other kinds, compute it without rarity and do not write it.

    Raises:
        InputError: A file is missing or damaged.
    """
    if (folder.path / FILE).is_file() and set((content := folder.read(FILE))["kinds"]["total"]) == set(KINDS):
        return content
    record = folder.read("run.json")
    config = record.get("config") or {}
    rows, labels = list(folder.load_predictions().values()), list(folder.read("scores.json")["per_type"])
    mode = (config.get("metric") or {}).get("mode", "conlleval")
    report = analyse(rows, labels, mode, sample=ErrorAnalysis.sentences, seed=int(record.get("seed") or 0))
    return {**report, "notes": _notes(rows, str(config.get("split")), None, None)}


def _notes(
    rows: Sequence[Mapping[str, Any]], split: str, corpus: Corpus | None, train: Counter[str] | None, why: str = _NOT_READ
) -> list[str]:
    """Notes for readers of the analysis, without text of the corpus."""
    notes = []
    if train is None:
        reason = why if corpus is None else f"{corpus.name} has no train split"
        notes.append(f"rarity of mentions is left out: {reason}")
    elif split == "train":
        notes.append("the tagged sentences are the train split themselves, so no gold mention is unseen")
    failed = sum(row.get("error") is not None for row in rows)
    if failed:
        notes.append(f"{failed} {plural(failed, 'sentence')} failed: all {plural(failed, 'its', 'their')} mentions count as missed")
    return notes
