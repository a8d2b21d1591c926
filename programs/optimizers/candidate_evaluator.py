"""Evaluates candidates on dev by successive halving, ranked by corpus F1.

All measurements are on disk, in one folder per candidate, named by a fingerprint of the candidate. So measuring the same program
again, in this process or after an interruption, costs nothing.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dspy

from clinspan.corpora import check_number, Sentence
from clinspan.metrics.seqeval_f1 import SeqevalF1
from clinspan.programs.inference.predictor import first_asked, Predictor, PromptTagger
from clinspan.programs.inference.spending import Price, Spending, spent_on
from clinspan.programs.optimizers.candidate import Candidate
from clinspan.programs.rundir.prompt_log import PromptLog
from clinspan.programs.rundir.run_folder import RunFolder
from clinspan.programs.tagging.saved_program import fingerprint

Watch = Callable[[str, int, int, float], None]
ABOUT = "candidate.json"
"""File in a candidate's folder that says what made the candidate and which model it was for."""


@dataclass(frozen=True, kw_only=True)
class Halving:
    """Successive halving (Jamieson and Talwalkar 2016).

    Attributes:
        rungs: Number of samples; 1 measures every candidate on all of dev.
        keep: One in `keep` candidates advances to the next sample, which is `keep` times larger.
        least: Sentences of the smallest sample; fewer would not be informative.
    """

    rungs: int = 3
    keep: int = 3
    least: int = 20

    def __post_init__(self) -> None:
        for name, least in (("rungs", 1), ("keep", 2), ("least", 1)):
            check_number(f"halving.{name}", getattr(self, name), least)

    def sizes(self, n: int) -> list[int]:
        """Return the number of sentences of each rung, out of `n` sentences.

        >>> Halving(rungs=3, keep=3).sizes(270), Halving().sizes(50), Halving().sizes(9)
        ([30, 90, 270], [20, 50], [9])
        """
        return sorted({min(n, max(self.least, math.ceil(n / self.keep**power))) for power in range(self.rungs)})


@dataclass
class Trial:
    """Measurements of a candidate.

    Attributes:
        candidate: The candidate.
        key: Its fingerprint.
        number: Its number, in the order of their making.
        f1: Its F1 on each sample, by number of sentences.
        tokens: Tokens of its answers.
        requests: Number of its answers.
        derived: Whether its predictions follow from the answers of another candidate, so that they cost nothing.
    """

    candidate: Candidate
    key: str
    number: int
    f1: dict[int, float] = field(default_factory=dict)
    tokens: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    derived: bool = False

    @property
    def reached(self) -> int:
        return max(self.f1, default=0)

    @property
    def rank(self) -> tuple[int, float, int]:
        """Sort key, larger is better: number of sentences measured, then F1 on them, then the earlier trial."""
        return self.reached, self.f1.get(self.reached, 0.0), -self.number

    def as_dict(self) -> dict[str, Any]:
        f1 = {str(n): value for n, value in self.f1.items()}
        return {"number": self.number, "key": self.key, "by": self.candidate.by, "f1": f1, "tokens": dict(self.tokens)}


class CandidateEvaluator:
    """Measures candidates on dev.

    Args:
        sentences: The dev sentences. Their documents are shuffled, in the same order for the same seed.
        objective: The metric.
        lm: The model, for candidates without their own.
        concurrency: Number of concurrent requests.
        halving: How the sample grows.
        folder: Has a subfolder for each candidate.
        seed: Seed for the order of documents.
        watch: Called with a candidate's name, the sentences done, their total, and the best F1 so far.
        stop_after: Number of consecutive failures that ends the evaluation.
        measured: Called after each prediction run of a candidate.
        prices: US dollars for a million prompt tokens and for a million answer tokens, by the id of the model.

    Attributes:
        spending: Counts the money, and ends the compilation when its budget is spent; None: neither.
    """

    def __init__(
        self,
        sentences: Sequence[Sentence],
        objective: SeqevalF1,
        *,
        lm: dspy.LM,
        concurrency: int,
        halving: Halving,
        folder: Path,
        seed: int,
        watch: Watch,
        stop_after: int = 10,
        measured: Callable[[], None] = lambda: None,
        prices: Mapping[str, Price] | None = None,
    ) -> None:
        self.objective, self.lm, self.concurrency, self.folder = objective, lm, concurrency, folder
        self.halving, self.watch, self.stop_after, self.measured = halving, watch, stop_after, measured
        self.prices = dict(prices or {})
        self.spending: Spending | None = None
        self.sentences = _by_document(sentences, seed)
        self.sizes = halving.sizes(len(self.sentences))
        self.trials: dict[str, Trial] = {}
        self._seen: dict[int, list[float]] = defaultdict(list)

    @property
    def complete(self) -> list[Trial]:
        """Trials measured on all of dev, the best first."""
        whole = [trial for trial in self.trials.values() if trial.reached == self.sizes[-1]]
        return sorted(whole, key=lambda trial: trial.rank, reverse=True)

    @property
    def best_f1(self) -> float:
        return max((trial.f1[self.sizes[-1]] for trial in self.complete), default=0.0)

    def rank(self, candidates: Sequence[Candidate], *, finalists: int = 1) -> list[Trial]:
        """Measure candidates on the first sample, and the best third (by default) of them on each larger one.

        Args:
            candidates: Equal candidates count once.
            finalists: At least this number of candidates is measured on all of dev.

        Returns:
            All trials, the best first.
        """
        trials = list({trial.key: trial for trial in map(self.trial, candidates)}.values())
        alive = trials
        for size in self.sizes:
            for trial in alive:
                self.measure(trial, size)
            alive = sorted(alive, key=lambda trial: (-trial.f1[size], trial.number))  # not `rank`: one may know a larger sample
            if size != self.sizes[-1]:
                alive = alive[: max(finalists, math.ceil(len(alive) / self.halving.keep))]
        return sorted(trials, key=lambda trial: trial.rank, reverse=True)

    def score(self, candidate: Candidate, *, whole: bool = False) -> float:
        """Measure one candidate of a sequence that is not known in advance (asynchronous halving, Li et al. 2020).

        Args:
            candidate: Advances to the next sample if it is in the best third (by default) of all scores on the current one.
            whole: Measure on all of dev in any case.

        Returns:
            Its F1 on dev. If it was dropped, its F1 on the last sample, limited to less than the best F1 on all of dev.
        """
        trial = self.trial(candidate)
        for size in self.sizes:
            already_measured = size in trial.f1
            f1 = self.measure(trial, size)
            if not already_measured:
                self._seen[size].append(f1)
            ahead = sum(other > f1 for other in self._seen[size])
            if size != self.sizes[-1] and not whole and ahead >= math.ceil(len(self._seen[size]) / self.halving.keep):
                return min(f1, max(0.0, self.best_f1 - 1e-6))
        return trial.f1[self.sizes[-1]]

    def measure(self, trial: Trial, size: int) -> float:
        """Return the F1 of a candidate on the first `size` sentences."""
        if size not in trial.f1:
            tags = self.predict(trial.candidate, self.sentences[:size], trial=trial)
            trial.f1[size] = self.objective.corpus_f1([(s.tags, tags[s.id]) for s in self.sentences[:size]])
        return trial.f1[size]

    def predict(self, candidate: Candidate, sentences: Sequence[Sentence], *, trial: Trial | None = None) -> dict[str, list[str]]:
        """Return the predicted tags by sentence id."""
        trial = trial or self.trial(candidate)
        folder = RunFolder(self.folder / trial.key)
        if not (folder.path / "program.json").exists():
            folder.write(ABOUT, {"by": candidate.by, "model": (candidate.lm or self.lm).model})
            folder.write("program.json", candidate.dump())
        lm = candidate.lm or self.lm
        asker = PromptTagger(
            tagger=candidate.tagger,
            lm=lm,
            adapter=candidate.adapter,
            concurrency=candidate.concurrency or self.concurrency,
            prompts=PromptLog(folder.path, first=first_asked(self.sentences)),
            price=self.prices.get(lm.model),
            spending=self.spending,
        )
        predictor = Predictor(
            asker=asker,
            folder=folder,
            labels=self.objective.labels,
            mode=self.objective.mode,
            home=self.folder.parent,
            stop_after=self.stop_after,
        )
        name = f"candidate {trial.number}, {candidate.by}"
        predictor.run(sentences, lambda done, f1: self.watch(self._with_money(name), done, len(sentences), self.best_f1))
        records = folder.load_predictions()
        _count(trial, records.values())
        self.measured()
        return {sentence.id: records[sentence.id]["pred"] for sentence in sentences}

    def _with_money(self, name: str) -> str:
        return name if self.spending is None else f"{name}, {self.spending.total:.4f} US$"

    def spent(self) -> float:
        """US dollars for all sentences that candidates have been measured on, in earlier processes too."""
        folders = [RunFolder(path.parent) for path in self.folder.glob(f"*/{ABOUT}")]
        return sum(spent_on(one.load_predictions().values(), self.prices.get(one.read(ABOUT)["model"])) for one in folders)

    def answers(self, candidate: Candidate, sentences: Sequence[Sentence]) -> list[dict[str, Any]]:
        """Return the prediction records of a candidate for other sentences than dev; they are kept in its folder too."""
        trial = self.trial(candidate)
        self.predict(candidate, sentences, trial=trial)
        records = RunFolder(self.folder / trial.key).load_predictions()
        return [records[sentence.id] for sentence in sentences]

    def derive(self, candidate: Candidate, records: Sequence[Mapping[str, Any]]) -> Trial:
        """Measure a candidate on all of dev by predictions that follow from answers which are known already.

        Args:
            candidate: The candidate.
            records: Its prediction records for all dev sentences.
        """
        trial = self.trial(candidate)
        trial.derived = True
        folder = RunFolder(self.folder / trial.key)
        folder.write(ABOUT, {"by": candidate.by, "model": (candidate.lm or self.lm).model})
        folder.write("program.json", candidate.dump())
        known = folder.load_predictions()
        for record in records:
            if record["id"] not in known:
                folder.append(record)
        for size in self.sizes:
            self.measure(trial, size)
        return trial

    def records(self, trial: Trial) -> list[dict[str, Any]]:
        """Return the prediction records of a candidate for the dev sentences, in sample order."""
        records = RunFolder(self.folder / trial.key).load_predictions()
        return [records[sentence.id] for sentence in self.sentences if sentence.id in records]

    def recall(self, build: Callable[[Mapping[str, Any], str], Candidate | None]) -> None:
        """Load measurements of an earlier process that this one did not repeat, as a restarted optimizer may try other candidates.

        Args:
            build: Builds a candidate from the content of its `program.json` and what made it; None if that is not possible.
        """
        for path in sorted(path.parent for path in self.folder.glob("*/program.json")):
            if path.name in self.trials or not (path / ABOUT).is_file():
                continue
            folder = RunFolder(path)
            about = folder.read(ABOUT)
            candidate = build(folder.read("program.json"), about["by"]) if about["model"] == self.lm.model else None
            if candidate is None or _key(candidate) != path.name:
                continue
            trial, records = self.trial(candidate), folder.load_predictions()
            for size in self.sizes:
                if all(sentence.id in records for sentence in self.sentences[:size]):
                    self.measure(trial, size)
            _count(trial, records.values())

    def trial(self, candidate: Candidate) -> Trial:
        """Return the trial of a candidate; equal programs share one."""
        key = _key(candidate)
        if key not in self.trials:
            self.trials[key] = Trial(candidate, key, len(self.trials))
        return self.trials[key]


def _key(candidate: Candidate) -> str:
    return fingerprint([candidate.dump(), None if candidate.lm is None else candidate.lm.model])


def _by_document(sentences: Sequence[Sentence], seed: int) -> list[Sentence]:
    documents: dict[str, list[Sentence]] = defaultdict(list)
    for sentence in sentences:
        documents[sentence.document].append(sentence)
    order = sorted(documents)
    random.Random(seed).shuffle(order)
    return [sentence for name in order for sentence in documents[name]]


def _count(trial: Trial, records: Iterable[Mapping[str, Any]]) -> None:
    """Set the tokens and the number of answers of a trial by its records; a sentence that failed counts as one answer."""
    used: Counter[str] = Counter()
    trial.requests = 0
    for record in records:
        used.update({key: n for key, n in record["usage"].items() if key.endswith("_tokens")})
        trial.requests += max(1, len(record["raw"])) if isinstance(record["raw"], dict) else 1
    trial.tokens = used
