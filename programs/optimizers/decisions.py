"""Fits the decisions of `format=phrases`: when a phrase is a mention, and of which type."""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from clinspan.corpora import InputError, Sentence
from clinspan.corpora.bio import span_tags, tag_spans
from clinspan.corpora.words import Words
from clinspan.decisions.fit import fit_decisions, FitSettings, Mention, ScoredSentence
from clinspan.decisions.rule import Decisions
from clinspan.lms.protocols import LocalEngine
from clinspan.programs.formats import Phrases
from clinspan.programs.optimizers.candidate import Candidate
from clinspan.programs.optimizers.context import OptimizationContext, Optimizer
from clinspan.programs.optimizers.effort import Asked, Effort, Extent
from clinspan.programs.tagging.prompt_fingerprint import prompt_fingerprint

_WITHOUT = "without the model"


@dataclass(frozen=True, kw_only=True)
class FittedDecisions(Optimizer):
    """Fits the parameters by which probabilities become mentions, for the start program's prompt and model.

    There are two candidates: offsets on the model's own probabilities, or on those of a logistic regression. The latter needs more
    data. With `format.train_counts=true` it also weighs how often train annotates phrases like a phrase, where those of a train
    sentence's own document do not count. With `format.dictionary` it also weighs whether a phrase is a name. Then a third candidate
    has these alone, which shows what the model adds.

    The model scores dev and `examples` train sentences once; the fit itself takes seconds. Dev is scored by parameters that were
    fitted to other documents, and the program gets those fitted to all of them.

    Attributes:
        examples: Train sentences to fit to, besides dev. Where the nearest demonstrations are looked up, none of a sentence's own
            document is shown with it. None are used where a saved program looks them up.
        regression: Whether the regression is tried too.
        strength: Inverse of the regression's regularization.
        folds: Number of folds of documents.
    """

    examples: int = 300
    regression: bool = True
    strength: float = 1.0
    folds: int = 6
    least: ClassVar[Mapping[str, float]] = {"examples": 0, "strength": 1e-6, "folds": 2}
    chooses_demos: ClassVar[bool] = False

    def check(self, context: OptimizationContext) -> None:
        super().check(context)
        if not isinstance(context.start.adapter, Phrases):
            raise InputError("optimizer=decisions fits the decisions of format=phrases", remedy="Add format=phrases.")
        if not isinstance(context.lm.engine, LocalEngine):
            problem = "optimizer=decisions needs the probabilities of all types, which servers do not give"
            raise InputError(problem, remedy="Use a local model.")
        if context.start.single.votes > 1:
            raise InputError("optimizer=decisions needs one answer to each sentence", remedy="Leave strategy.votes out.")
        if len({sentence.document for sentence in context.evaluator.sentences}) < self.folds:
            problem = f"the dev split has fewer documents than optimizer.folds={self.folds}"
            raise InputError(problem, remedy="Set optimizer.folds lower, or give more dev documents.")

    def effort(self, extent: Extent) -> Effort:
        examples = min(self.examples, extent.train)
        least = 0 if extent.nearest else max(0, examples - extent.shown)  # none are asked where a saved program looks them up
        return Effort(3 if self.regression else 1, Asked(least, examples))

    def compile(self, context: OptimizationContext) -> None:
        start, adapter = context.start, context.start.adapter
        assert isinstance(adapter, Phrases)
        context.evaluator.score(start, whole=True)
        answers = context.evaluator.records(context.evaluator.trial(start))
        sentences = _scored(adapter, context.evaluator.sentences, answers, in_train=False) + self._train(context)
        labels = [label.name for label in context.corpus.labels]
        for name in self._tried(adapter):
            how: Any = {"regression": name != "offsets", "model": name != _WITHOUT}
            settings = FitSettings(**how, strength=self.strength, folds=self.folds, seed=context.seed)
            fitted = fit_decisions(sentences, labels, settings)
            by = f"{name}, rate {fitted.rate:g}"
            records = [_decided(record, fitted.predictions.get(record["id"], ())) for record in answers]
            context.evaluator.derive(_with_decisions(context, fitted.decisions, by), records)

    def _tried(self, adapter: Phrases) -> list[str]:
        other = [_WITHOUT] if adapter.train_counts or adapter.dictionary else []
        return ["regression", *other, "offsets"] if self.regression else ["offsets"]

    def _train(self, context: OptimizationContext) -> list[ScoredSentence]:
        """Train sentences with the model's probabilities."""
        start, adapter = context.start, context.start.adapter
        assert isinstance(adapter, Phrases)
        shown = {demo.get("id") for demo in start.single.tag.demos} | {sentence.id for sentence in context.evaluator.sentences}
        pool = [sentence for sentence in context.spoken if sentence.id not in shown]
        chosen = random.Random(context.seed).sample(pool, min(self.examples, len(pool)))
        asked = start if start.single.nearest is None else _without_own(context)
        return [] if asked is None else _scored(adapter, chosen, context.evaluator.answers(asked, chosen), in_train=True)


def _without_own(context: OptimizationContext) -> Candidate | None:
    """The start program, which shows a train sentence the nearest ones of other documents; None if it is a saved program."""
    start = context.start
    k = int(start.single.settings["strategy"]["k"])
    longest = max(Counter(sentence.document for sentence in context.train).values())
    more = {"strategy.k": k + longest}
    try:
        context.allow(more)
    except InputError:
        return None
    find = context.variant(more, start.by).single.nearest
    assert find is not None
    documents = {sentence.id: sentence.document for sentence in context.train}
    asked = {Words.of(sentence).text(): sentence.document for sentence in context.spoken}

    def others(text: str) -> list[Any]:
        return [demo for demo in find(text) if documents[demo["id"]] != asked[text]][-k:]

    tagger = copy.copy(start.single)
    tagger.nearest = others
    return replace(start, tagger=tagger)


def _with_decisions(context: OptimizationContext, decisions: Decisions, by: str) -> Candidate:
    """The start program with these decisions, bound to its prompt and model."""
    tagger = context.start.single.deepcopy()
    adapter = copy.copy(context.start.adapter)
    assert isinstance(adapter, Phrases)
    own: dict[str, Any] = {}
    if not decisions.weights and adapter.prune_below is None:  # nothing weighs counts and names, or chooses phrases by them
        adapter.train_counts = adapter.dictionary = None
        own = {key: value for key, value in (("train_counts", False), ("dictionary", None)) if key in tagger.settings["format"]}
    adapter.decisions = replace(decisions, fingerprint=prompt_fingerprint(tagger, adapter, context.spec))
    own["decisions"] = adapter.decisions.as_dict()
    tagger.settings = {**tagger.settings, "format": {**tagger.settings["format"], **own}}
    return Candidate(tagger.on(context.lm, adapter, disable_history=True), adapter, context.corpus, by)


def _scored(
    adapter: Phrases, sentences: Sequence[Sentence], records: Sequence[Mapping[str, Any]], *, in_train: bool
) -> list[ScoredSentence]:
    """The sentences with the probabilities of their recorded answers; those that failed are left out."""
    known = {sentence.id: sentence for sentence in sentences}
    found = []
    for record in records:
        sentence = known[record["id"]]
        if record["error"] is None:
            raw = record["raw"] if isinstance(record["raw"], str) else ""
            gold = list(tag_spans(sentence.tags))
            phrases = adapter.scored(raw, Words.of(sentence), sentence.document if in_train else None)
            found.append(ScoredSentence(sentence.id, sentence.document, gold, phrases))
    return found


def _decided(record: Mapping[str, Any], mentions: Sequence[Mention]) -> dict[str, Any]:
    """A record with other mentions, out of the same answer."""
    if record["error"] is not None:
        return dict(record)
    confidence: list[float | None] = [None] * len(record["tokens"])
    for start, end, _, probability in mentions:
        confidence[start:end] = [probability] * (end - start)
    spans = [(start, end, label) for start, end, label, _ in mentions]
    return {**record, "pred": span_tags(len(record["tokens"]), spans), "confidence": confidence}
