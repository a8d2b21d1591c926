"""From a run's config to the parts that do it: corpus, model, format, program."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TYPE_CHECKING

import dspy
from omegaconf import DictConfig

import lms
from corpora import Corpus, InputError, Sentence, SPLITS
from lms.specs import host_outside
from lms.weights import cache_folder
from programs.door import build
from programs.drafts import build_drafter
from programs.errors import RunError
from programs.formats import Format
from programs.scoring import Metric
from programs.strategy import as_demonstration, demonstration_pool, fixed_demonstrations, Strategy
from programs.tagger import Tagger

if TYPE_CHECKING:
    from retrievers import Embedder, EmbedderSpec


@dataclass
class Parts:
    """What a run is made of. The model is built last, because it takes longest."""

    corpus: Corpus
    sentences: list[Sentence]
    split_ids: list[str]
    spec: lms.ModelSpec
    adapter: Format
    metric: Metric
    tagger: Tagger
    lm: dspy.LM
    facts: dict[str, Any] = field(default_factory=dict)


def load_corpus(config: DictConfig) -> Corpus:
    """The corpus that the config names."""
    corpus: Corpus = build(config.corpus).load()
    return corpus


def choose_sentences(corpus: Corpus, split: str, limit: int | None) -> tuple[list[Sentence], list[str]]:
    """The run's sentences and the ids of the whole split.

    Raises:
        InputError: The split is unknown, missing or empty, or the limit is not positive.
    """
    if split not in SPLITS:
        raise InputError(f"split={split} is not known", remedy=f"Use one of {', '.join(SPLITS)}.")
    if limit is not None and limit < 1:
        raise InputError(f"limit={limit} leaves no sentence", remedy="Use a positive number, or null for all.")
    sentences = list(corpus.sentences(split))
    if not sentences:
        there = [name for name in SPLITS if any(corpus.sentences(name))]
        remedy = f"It has {', '.join(there)}: choose with split=..." if there else "Check corpus.path."
        raise InputError(f"the {split} split of {corpus.name} has no sentence", remedy=remedy)
    return sentences[:limit], [sentence.id for sentence in sentences]


def check_privacy(corpus: Corpus, what: str, host: str | None, allow_remote: bool) -> None:
    """Refuse to send protected health information to another machine.

    Args:
        corpus: Says whether it may hold such information.
        what: What would be sent to, as the user chose it.
        host: Where that is, or None if it is this machine.
        allow_remote: The user's leave.

    Raises:
        RunError: The corpus may hold it, the host is elsewhere, and the user has not allowed it.
    """
    if corpus.phi and host is not None and not allow_remote:
        raise RunError(
            f"corpus {corpus.name} may hold protected health information (corpus.phi=true) and {what} is at {host}: nothing "
            "was sent. Use one on this machine, set corpus.phi=false if the texts are public, or allow it with allow_remote=true"
        )


def build_parts(config: DictConfig, started: Callable[[Corpus, lms.ModelSpec], None]) -> Parts:
    """Build everything that a run needs.

    Args:
        config: The run's config.
        started: Called as soon as corpus and model are known, before anything heavy is loaded.
    """
    metric: Metric = build(config.metric)
    strategy: Strategy = build(config.strategy)
    spec: lms.ModelSpec = build(config.model)
    corpus = load_corpus(config)
    sentences, split_ids = choose_sentences(corpus, config.split, config.limit)
    check_privacy(corpus, f"model={spec.name}", spec.remote_host, config.allow_remote)
    adapter: Format = build(
        config.format,
        labels=corpus.labels,
        alignment=config.alignment,
        constrained=config.constrained,
        drafter=build_drafter(config.draft, corpus),
        wire=getattr(spec, "wire", None),
    )
    started(corpus, spec)
    outputs = _recorded(spec, split_ids, config.limit)
    facts: dict[str, Any] = {}
    tagger = build_tagger(config, corpus, sentences, strategy, facts)
    lm = lms.build(spec, outputs=outputs)
    weights = getattr(lm.engine, "weights", None)
    facts["model"] = {"name": spec.name, "id": getattr(weights, "id", lm.model), "revision": getattr(weights, "revision", None)}
    return Parts(corpus, sentences, split_ids, spec, adapter, metric, tagger, lm, facts)


def _recorded(spec: lms.ModelSpec, split_ids: Sequence[str], limit: int | None) -> dict[tuple[str, str], str] | None:
    if not isinstance(spec, lms.ReplayModel):
        return None
    from lms.replay import load_outputs

    if not spec.path:
        raise InputError("model=replay needs recorded outputs", remedy="Add model.path=FILE.jsonl.")
    return load_outputs(Path(spec.path).expanduser(), split_ids, limit)


def build_tagger(
    config: DictConfig, corpus: Corpus, sentences: Sequence[Sentence], strategy: Strategy, facts: dict[str, Any]
) -> Tagger:
    """The program; what retrieval found is added to `facts`."""
    instructions = build(config.prompt, labels=corpus.labels)
    fixed: list[dict[str, Any]] = []
    nearest = retrieve = None
    texts = [" ".join(sentence.words) for sentence in sentences]
    if strategy.demonstrations == "fixed":
        fixed = fixed_demonstrations(demonstration_pool(corpus, strategy), strategy.k, config.seed)
        facts["demonstrations"] = [demo["id"] for demo in fixed]
    if strategy.demonstrations == "nearest" or strategy.context == "retrieved":
        from retrievers import build_base, NearestSentences, Retriever

        retriever: Retriever = build(config.retriever)
        embedder = _embedder(retriever.embedder)
        if strategy.demonstrations == "nearest":
            cache = None if corpus.phi else cache_folder() / "vectors"  # vectors of patient text stay in memory
            pool = demonstration_pool(corpus, strategy)
            found = NearestSentences(pool, embedder, k=strategy.k, cache=cache)
            nearest = _lookup(texts, lambda some: [[as_demonstration(s) for s in row] for row in found.find(some)])
            facts["embedder"] = embedder.id
        if strategy.context == "retrieved":
            host = host_outside(retriever.url) if retriever.url else None
            check_privacy(corpus, "the Chroma server of retriever.url", host, config.allow_remote)
            base = build_base(retriever, embedder, sentences, cache_folder())
            retrieve = _lookup(texts, base.find)
            facts["retrieval"] = base.facts
    return Tagger(instructions, demonstrations=fixed, nearest=nearest, retrieve=retrieve, overflow=strategy.overflow)


@functools.lru_cache(maxsize=1)
def _embedder(spec: EmbedderSpec) -> Embedder:
    """The embedder, loaded once for all jobs of a sweep."""
    from retrievers import Embedder

    return Embedder(spec)


def _lookup(texts: Sequence[str], find: Callable[[list[str]], Sequence[Sequence[Any]]]) -> Callable[[str], Sequence[Any]]:
    """Look-ups done for all sentences of the run beforehand, in one batch; other texts are looked up when they come."""
    table = dict(zip(texts, find(list(texts)), strict=True))
    return lambda text: table[text] if text in table else find([text])[0]
