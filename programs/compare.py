"""`python -m programs.compare RUN RUN [RUN ...]`: differences between runs, with intervals and p-values.

A RUN is the folder of a finished run, or stands for folders: the name of a run, the date that programs.runs shows, `latest`,
`previous`, a pattern, or a folder that holds runs. Or it is the settings of a run to execute first: `"strategy=knn limit=40"` in
one word, or `strategy=knn`. A single setting whose key belongs to this command (`runs`, `samples`, `seed`, `hydra`) applies to the
comparison.
"""

from __future__ import annotations

import difflib
import json
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from clinspan.corpora import InputError
from clinspan.corpora.printable import plural
from clinspan.metrics import compare_systems, Difference, Mode
from clinspan.metrics.counts import entities
from clinspan.metrics.scoring import count_documents
from clinspan.programs.app.hydra_app import run_app
from clinspan.programs.app.results import give
from clinspan.programs.config.composition import output_folder
from clinspan.programs.rundir.comparable import about_folds, common_ids, scores_of
from clinspan.programs.rundir.folds import shown_folder
from clinspan.programs.rundir.printed_commands import resume_command
from clinspan.programs.rundir.prompt_log import read_prompts
from clinspan.programs.rundir.records import RunScores
from clinspan.programs.rundir.run_folder import environment, now, read_object, RunFolder
from clinspan.programs.rundir.run_names import find_folders, scorable_below
from clinspan.programs.rundir.run_record import FinishedRun
from clinspan.programs.rundir.scores_fit import check_fit
from clinspan.programs.tagging.saved_program import compiled_by, with_saved
from clinspan.reports.sent_prompts import prompts_compared, SentPrompts
from clinspan.reports.settings import setting_changes
from clinspan.reports.terminal.comparison import markdown, print_comparison

_REMEDY = "Give the folders that programs.run printed."
_OWN = ("common", "runs", "samples", "seed")


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run, read from its folder."""

    path: Path
    record: FinishedRun
    scores: dict[str, Any]
    rows: dict[str, dict[str, Any]]
    prompts: SentPrompts | None

    @property
    def mode(self) -> Mode:
        return self.record.mode

    def about(self) -> dict[str, Any]:
        """The facts to show beside the differences: the run's choices, scores and cost."""
        used: Counter[str] = Counter()  # tokens of the answers: a compilation's record has those of the whole search
        for row in self.rows.values():
            used.update(row.get("usage") or {})
        n = max(1, len(self.rows))
        return {
            "path": str(self.path),
            "choices": self.record.choices,
            "compiled_by": compiled_by(self.record.content()),
            "signature": self.scores["signature"],
            "sentences": len(self.rows),
            "documents": len({row["document"] for row in self.rows.values()}),
            "failed": sum(row["error"] is not None for row in self.rows.values()),
            "macro": self.scores["macro"],
            "micro": self.scores["micro"],
            "per_type": self.scores["per_type"],
            "prompt_tokens_per_sentence": used["prompt_tokens"] / n,
            "answer_tokens_per_sentence": used["answer_tokens"] / n,
            "seconds": self.record.seconds,
            "cost": self.record.cost,
        }


def load_run(path: Path) -> Run:
    """Read a run's folder.

    Raises:
        InputError: The folder does not hold a run, or the run has not finished.
    """
    if not (path / "run.json").is_file():
        raise InputError("holds no run.json, so it is not a run", path=path, remedy=_REMEDY)
    content = read_object(path / "run.json")
    if content.get("status") != "finished":
        raise InputError("has not finished", path=path, remedy=f"Finish it: {resume_command(path)}")
    scores = read_object(path / "scores.json")
    record = FinishedRun.checked(content, path / "run.json", _REMEDY)
    RunScores.checked(scores, path / "scores.json", _REMEDY)
    rows = RunFolder(path).load_predictions()
    check_fit(list(rows.values()), scores, record.mode, path)
    saved = read_object(shown_folder(path, record) / "program.json")
    return Run(path, with_saved(record, saved), scores, rows, read_prompts(path))


def is_config(word: str) -> bool:
    """Whether a word holds settings of a run to execute.

    It does if it holds several settings, or one setting whose key is unlike the keys of this command.

    >>> [is_config(word) for word in ("strategy=knn", "seed=1 limit=40", "seed=1", "sample=500", "hydra.run.dir=x", "runs/1")]
    [True, True, False, False, False, False]
    """
    parts = word.split()
    if not parts or "=" not in parts[0] or Path(word).expanduser().is_dir():
        return False
    key = parts[0].partition("=")[0].lstrip("+~")
    own = key.split(".")[0].split("/")[0] == "hydra" or difflib.get_close_matches(key, _OWN, cutoff=0.75)
    return not own or sum("=" in part for part in parts) > 1


def run_config(word: str) -> Path:
    """Run the settings in a separate process and return the run's folder. Progress goes to standard error.

    Raises:
        InputError: The settings cannot be parsed, or the run failed and has printed the reason.
    """
    try:
        words = shlex.split(word)
    except ValueError as error:
        raise InputError(f"{word!r} cannot be read ({error})", remedy="Close the quotation mark.") from None
    print(f"clinspan: running {word}", file=sys.stderr, flush=True)
    child = subprocess.run([sys.executable, "-m", "clinspan.programs.run", *words], stdout=subprocess.PIPE, text=True, check=False)
    lines = child.stdout.strip().splitlines()
    if child.returncode or not lines:
        raise InputError(f"the run of {word!r} failed", remedy="See its error message above.")
    return Path(lines[-1])


def run_paths(word: str) -> list[Path]:
    """The folders of the runs that a word means, see `find_folders`; of a folder without a record, the scored runs below it."""
    paths: list[Path] = []
    for path in find_folders(word):
        below = [] if (path / "run.json").is_file() else [run.path for run in scorable_below(path) if run.scored]
        paths += below or [path]
    return paths


def load_all(words: Sequence[str]) -> list[Run]:
    """Load the runs, in the order of the words. Folders are read first, so that a wrong folder fails before any run starts.

    Raises:
        InputError: They are fewer than two, a folder holds no finished run, or a run failed.
    """
    runs = {word: [load_run(path) for path in run_paths(word)] for word in words if not is_config(word)}
    if sum(len(runs[word]) if word in runs else 1 for word in words) < 2:
        raise InputError("there are fewer than two runs to compare", remedy="Give two or more run folders or settings to run.")
    for word in words:
        if word not in runs:
            runs[word] = [load_run(run_config(word))]
    return [run for word in words for run in runs[word]]


def check_alike(first: Run, second: Run) -> None:
    """Refuse runs that differ in their sentences, gold tags, labels or the mode in which tags are read.

    The alignment of answers to tokens may differ. The printed signatures show it.

    Raises:
        InputError: The runs differ; the message names the difference.
    """
    remedy = "Only runs over the same sentences and gold can be compared."

    def refuse(difference: str) -> InputError:
        return InputError(f"{first.path} and {second.path} cannot be compared: {difference}", remedy=remedy)

    if lone := sorted(first.rows.keys() ^ second.rows.keys()):
        owner = first if lone[0] in first.rows else second
        sentences_occur = plural(len(lone), "sentence occurs", "sentences occur")
        remedy = "Add common=true to compare the sentences that both have."
        raise refuse(f"{len(lone)} {sentences_occur} in only one of them, such as {lone[0]} in {owner.path}")
    for key, row in first.rows.items():
        for field in ("tokens", "gold", "document"):
            if row[field] != second.rows[key][field]:
                raise refuse(f"the {field} of sentence {key} differ")
    if first.mode != second.mode:
        raise refuse(f"one reads tags in the mode {first.mode}, the other {second.mode}")
    if list(first.scores["per_type"]) != list(second.scores["per_type"]):
        raise refuse(f"one has the labels {', '.join(first.scores['per_type'])}, the other {', '.join(second.scores['per_type'])}")


def on_common(first: Run, second: Run) -> tuple[Run, Run, dict[str, Any]]:
    """Both runs with the sentences alone that both have, scored on these, and how many these are.

    Raises:
        InputError: There are none, or the texts were cut differently.
    """
    ids = common_ids(first.rows, second.rows, (first.scores["signature"], second.scores["signature"]))
    parts = []
    for run in (first, second):
        rows = {key: run.rows[key] for key in ids}
        parts.append(replace(run, rows=rows, scores={**run.scores, **scores_of(rows, list(run.scores["per_type"]), run.mode)}))
    documents = [len({row["document"] for row in run.rows.values()}) for run in (first, second, parts[0])]
    facts = {"sentences": len(ids), "of": [len(first.rows), len(second.rows)]}
    return parts[0], parts[1], {**facts, "documents": documents[2], "of_documents": documents[:2]}


def compare_runs(first: Run, second: Run, *, samples: int, seed: int) -> dict[str, Difference]:
    """Differences, second minus first, by label, `macro` and `micro`."""
    labels = list(first.scores["per_type"])
    tables = [count_documents(list(run.rows.values()), labels, run.mode) for run in (first, second)]
    paired = [[table[name] for name in tables[0]] for table in tables]
    return compare_systems(paired[0], paired[1], labels, samples=samples, seed=seed)


def compare(
    first: str | Path, second: str | Path, *, samples: int = 1000, seed: int = 0, common: bool = False
) -> dict[str, Difference]:
    """Compare two finished runs over the same sentences: second minus first, by label, `macro` and `micro`.

    Args:
        first: A run's folder.
        second: The folder of the other run.
        samples: Random swaps for p-values, where not all swaps are tried.
        seed: Seed of the swaps.
        common: Whether sentences that only one of the runs has are left out.

    Raises:
        InputError: A folder holds no finished run, or the runs differ in sentences, labels or metric.
    """
    before, after = load_run(Path(first)), load_run(Path(second))
    if common:
        before, after, _ = on_common(before, after)
    check_alike(before, after)
    return compare_runs(before, after, samples=samples, seed=seed)


def flipped(first: Run, second: Run) -> list[dict[str, Any]]:
    """Sentences whose entities are all correct in exactly one of the two runs."""
    flips = []
    for key, row in first.rows.items():
        gold = entities(row["gold"], first.mode)
        right = [entities(run.rows[key]["pred"], first.mode) == gold for run in (first, second)]
        if right[0] != right[1]:
            tags = {"gold": row["gold"], "first": row["pred"], "second": second.rows[key]["pred"]}
            flips.append({"id": key, "tokens": row["tokens"], **tags, "right": "second" if right[1] else "first"})
    return flips


def prompt_change(first: Run, second: Run) -> tuple[list[str], list[str]]:
    """How what was sent differs for the sentences of both runs: sentences that say so, and a diff of one sentence's prompts."""
    if any("strategy" not in run.record.config for run in (first, second)):
        return ["A token classifier has no prompt."], []
    return prompts_compared(first.prompts, second.prompts, [key for key in first.rows if key in second.rows])


def main(config: DictConfig) -> None:
    """Compare each run with the first; print tables and write `comparison.json`, `comparison.md` and `flipped.jsonl`."""
    runs = load_all([str(word) for word in config.runs])
    two = [on_common(runs[0], run) if config.common else (runs[0], run, None) for run in runs[1:]]
    for first, second, _ in two:
        check_alike(first, second)
    pairs = [_pair(first, second, common, config) for first, second, common in two]
    result = {"runs": [run.about() for run in runs], **pairs[0], "pairs": pairs}
    folder = RunFolder(output_folder())
    about = {"samples": config.samples, "seed": config.seed, "ended": now(), **environment().content()}
    folder.write("comparison.json", {**about, **result})
    changes = [prompt_change(runs[0], run)[1] for run in runs[1:]]
    (folder.path / "comparison.md").write_text(markdown(result, changes), encoding="utf-8")
    flips = [{"run": str(second.path), **row} for first, second, _ in two for row in flipped(first, second)]
    _write_lines(folder.path / "flipped.jsonl", flips)
    print_comparison(result)
    facts = {"samples": config.samples, "seed": config.seed, "runs": result["runs"], "pairs": pairs}
    give("compare", folder.path, lambda: facts)


def _pair(first: Run, second: Run, common: dict[str, Any] | None, config: DictConfig) -> dict[str, Any]:
    differences = compare_runs(first, second, samples=config.samples, seed=config.seed)
    labels = list(first.scores["per_type"])
    return {
        "first": str(first.path),
        "second": str(second.path),
        "common": None if common is None else {**common, "runs": [first.about(), second.about()]},
        "folds": about_folds(first.record.folds, second.record.folds),
        "macro": differences["macro"].as_dict(),
        "micro": differences["micro"].as_dict(),
        "per_type": {label: differences[label].as_dict() for label in labels},
        "flipped": len(flipped(first, second)),
        "settings": setting_changes(first.record.content(), second.record.content()),
        "prompts": prompt_change(first, second)[0],
    }


def _write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    run_app("compare", main, listed="runs", also=is_config)
