"""The prediction loop: concurrent and resumable. Each prediction is recorded as soon as it is available."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import as_completed, ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import dspy

from clinspan.corpora import Sentence
from clinspan.corpora.words import Words
from clinspan.lms import ModelError
from clinspan.lms.protocols import CollectingEngine, LocalEngine
from clinspan.lms.remote.audit import asking
from clinspan.metrics import count_sentence, Counts, Mode
from clinspan.programs.formats import Format
from clinspan.programs.formats.generation import is_served
from clinspan.programs.inference.failures import failure_name, is_deferred, LASTING, LastUnexpected
from clinspan.programs.inference.spending import BudgetError, Price, Spending
from clinspan.programs.rundir.errors import RunError
from clinspan.programs.rundir.printed_commands import resume_command
from clinspan.programs.rundir.prompt_log import PromptLog
from clinspan.programs.rundir.run_folder import RunFolder
from clinspan.programs.rundir.sent import noting
from clinspan.programs.tagging.tagger import Ensemble, Tagger

Progress = Callable[[int, float], None]


class SentenceTagger(Protocol):
    """Tags sentences: `PromptTagger` with prompts, `programs.inference.token_classifier.ClassifierTagger` without."""

    def tag_all(self, sentences: Sequence[Sentence]) -> Generator[tuple[Sentence, dict[str, Any]]]:
        """Yield each sentence with its record for `predictions.jsonl`, in any order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptTagger:
    """Tags sentences with a program on a model and stores nothing.

    Attributes:
        tagger: The program.
        lm: The model.
        adapter: The format.
        concurrency: Requests in progress at once.
        prompts: Where what was sent is recorded; None: it is not.
        price: US dollars for a million prompt tokens and for a million answer tokens, if known.
        spending: Counts the money, and ends the tagging when its budget is spent; None: neither.
    """

    tagger: Tagger | Ensemble
    lm: dspy.LM
    adapter: Format
    concurrency: int
    prompts: PromptLog | None = None
    price: Price = None
    spending: Spending | None = None

    def tag_all(self, sentences: Sequence[Sentence]) -> Generator[tuple[Sentence, dict[str, Any]]]:
        """Yield each sentence with its record for `predictions.jsonl`, as soon as it is available.

        Closing the generator cancels the remaining sentences.

        Raises:
            RunError: Every further sentence would fail too.
            BudgetError: The budget does not allow a further sentence; all that was paid for has been yielded.
        """
        pool = ThreadPoolExecutor(self.concurrency)
        try:
            for group in self._groups(sentences):
                waiting = yield from self._tag_group(pool, group)
                while waiting:
                    self._fetch()
                    waiting = yield from self._tag_group(pool, waiting)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # an interruption does not wait for a server

    def _groups(self, sentences: Sequence[Sentence]) -> Iterator[list[Sentence]]:
        """Groups of sentences that are submitted together: `concurrency` of similar length for a local model; else all."""
        if not isinstance(self.lm.engine, LocalEngine):
            yield list(sentences)
            return
        ordered = sorted(sentences, key=lambda s: len(s.tokens))
        for start in range(0, len(ordered), self.concurrency):
            yield ordered[start : start + self.concurrency]

    def _fetch(self) -> None:
        """Send the next batch and wait for its answers.

        Raises:
            RunError: The service cannot be used.
        """
        try:
            self.lm.engine.fetch()
        except ModelError as error:
            raise RunError(str(error)) from None

    @property
    def gives_confidences(self) -> bool:
        """Whether mentions can have a confidence: by votes, or by the token probabilities that a local model or a server gives."""
        votes = isinstance(self.tagger, Ensemble) or self.tagger.votes > 1
        return votes or not is_served(self.lm) or self.adapter.wire.logprobs

    @property
    def batches(self) -> bool:
        """Whether answers come in batches, so that all sentences should be submitted at once."""
        return isinstance(self.lm.engine, CollectingEngine)

    def _tag_group(
        self, pool: ThreadPoolExecutor, group: Sequence[Sentence]
    ) -> Generator[tuple[Sentence, dict[str, Any]], None, list[Sentence]]:
        """Yield each record of a group as soon as it is available. Return the sentences that wait for the next batch."""
        waiting: list[Sentence] = []
        engine = self.lm.engine
        with engine.expect(len(group)) if isinstance(engine, LocalEngine) else nullcontext() as leave:

            def work(sentence: Sentence) -> dict[str, Any] | None:
                try:
                    return self._paid(sentence)
                finally:
                    if leave is not None:
                        leave()

            futures = {pool.submit(work, sentence): sentence for sentence in group}
            try:
                for future in as_completed(futures):
                    record = future.result()
                    if record is None:
                        waiting.append(futures[future])
                    else:
                        yield futures[future], record
            finally:
                for future in futures:
                    future.cancel()
        if self.spending is not None:
            self.spending.check()
        return waiting

    def _paid(self, sentence: Sentence) -> dict[str, Any] | None:
        """The sentence's record, as `_tag` gives it, with its cost counted; None if the budget does not allow it."""
        if self.spending is None:
            return self._tag(sentence)
        with self.spending.sentence(self.price) as used:
            if used is None:
                return None
            record = self._tag(sentence)
            used.update({} if record is None else record["usage"])
            return record

    def _tag(self, sentence: Sentence) -> dict[str, Any] | None:
        """The sentence's record, after what was sent is recorded; None if its answers come with a later batch."""
        if self.prompts is None:
            return self._tagged(sentence)
        with noting() as attempts:
            record = self._tagged(sentence)
        if record is not None:
            self.prompts.write(sentence.id, attempts)
        return record

    def _tagged(self, sentence: Sentence) -> dict[str, Any] | None:
        record = blank_record(sentence)
        try:
            with dspy.context(lm=self.lm, adapter=self.adapter, disable_history=True, trace=None), asking(sentence.document):
                prediction = self.tagger(tokens=Words.of(sentence), id=sentence.id, position=sentence.position)
        except Exception as error:  # named, recorded and counted, or raised again by failure_name
            if is_deferred(error):
                return None
            return failed_record(sentence, failure_name(error))
        repairs = Counter(prediction.repairs)
        repairs["cut_by_budget"] += prediction.usage.get("ended_by_length", 0)
        raw = prediction.answers.get("", prediction.answers)
        refused = "content_filter" if prediction.usage.get("ended_by_content_filter") else None
        pred = ["O"] * len(sentence.tokens) if refused else list(prediction.tags)
        usage = {key: n for key, n in prediction.usage.items() if key.endswith("_tokens") or key == "passes"}
        outcome = {"pred": pred, "confidence": None if refused else prediction.confidence, "raw": raw}
        if (mentions := prediction.get("mentions")) is not None:
            outcome["pred_mentions"] = [] if refused else list(mentions)
        served = {"served": list(prediction.served)} if prediction.get("served") else {}
        return {**record, **outcome, "repairs": dict(+repairs), "usage": usage, **served, "error": refused}


@dataclass(frozen=True, slots=True)
class Predictor:
    """Tags sentences and records each prediction.

    Attributes:
        asker: The tagger of the sentences.
        folder: Where predictions are appended.
        labels: Label names, for the running score.
        mode: How tags are read, for the running score.
        stop_after: Number of failures in a row after which the run stops. A run with fewer sentences stops when all fail.
            Failures in `LASTING`, such as content filters and long prompts, do not count.
        home: The folder to resume, if it is not `folder`.
    """

    asker: SentenceTagger
    folder: RunFolder
    labels: Sequence[str]
    mode: Mode
    stop_after: int
    home: Path | None = None

    def run(self, sentences: Sequence[Sentence], progress: Progress) -> None:
        """Tag the sentences that are not recorded yet.

        Args:
            sentences: All sentences of the run, in corpus order.
            progress: Called with the number of sentences recorded and the micro F1 so far.

        Raises:
            RunError: Every further sentence would fail too. The predictions so far are on disk.
        """
        records = self.folder.load_predictions()
        done = {key for key, record in records.items() if not may_pass(record)}
        score = _Running(self.labels, self.mode)
        for sentence in sentences:
            if sentence.id in done:
                score.add(sentence, records[sentence.id]["pred"])
        progress(score.sentences, score.f1)
        failures = 0
        bound = min(self.stop_after, len(sentences))
        todo = [sentence for sentence in sentences if sentence.id not in done]
        with self._resumable(), closing(self.asker.tag_all(todo)) as tagged:
            for sentence, record in tagged:
                self.folder.append(record)
                score.add(sentence, record["pred"])
                progress(score.sentences, score.f1)
                failures = failures + 1 if may_pass(record) else 0
                if failures >= bound:
                    raise RunError(
                        f"{failures} sentences in a row failed, the last with {record['error']}: fix the cause and continue "
                        f"with: {resume_command(self.home or self.folder.path)}"
                    ) from LastUnexpected.cause(record["error"])

    @contextmanager
    def _resumable(self) -> Iterator[None]:
        """Say how to continue after a budget is spent."""
        try:
            yield
        except BudgetError as error:
            again = resume_command(self.home or self.folder.path)
            raise RunError(f"{error}: continue with a larger budget: {again} budget={2 * error.budget:g}") from None


def first_asked(sentences: Sequence[Sentence]) -> str:
    """The id of the first sentence that a model is asked about: the first one with a token; empty if there is none."""
    return next((sentence.id for sentence in sentences if sentence.tokens), "")


def blank_record(sentence: Sentence) -> dict[str, Any]:
    """The part of a sentence's record for `predictions.jsonl` that is known before it is tagged."""
    about: dict[str, Any] = {"id": sentence.id, "document": sentence.document}
    about |= {"tokens": list(sentence.words), "gold": list(sentence.tags)}
    if sentence.full is not None:
        about["gold_mentions"] = [one.record() for one in sentence.full]
    if sentence.mentions is None:
        return about
    mentions = [{"label": one.label, "fragments": [list(piece) for piece in one.fragments]} for one in sentence.mentions]
    return {**about, "offsets": [[token.start, token.end] for token in sentence.tokens], "mentions": mentions}


def failed_record(sentence: Sentence, error: str) -> dict[str, Any]:
    """The record of a sentence that failed."""
    outcome: dict[str, Any] = {"confidence": None, "raw": None, "repairs": {}, "usage": {}, "error": error}
    return {**blank_record(sentence), "pred": ["O"] * len(sentence.tokens), **outcome}


def may_pass(record: dict[str, Any]) -> bool:
    """Whether a sentence failed with an error that a retry may not repeat."""
    return record["error"] is not None and record["error"] not in LASTING


class _Running:
    """The score so far; each sentence counts once."""

    def __init__(self, labels: Sequence[str], mode: Mode) -> None:
        self.labels, self.mode = labels, mode
        self.sentences = 0
        self.counts = Counts()

    def add(self, sentence: Sentence, pred: Sequence[str]) -> None:
        table = count_sentence(sentence.tags, pred, self.labels, self.mode)
        self.counts = sum(table.values(), self.counts)
        self.sentences += 1

    @property
    def f1(self) -> float:
        return self.counts.f1
