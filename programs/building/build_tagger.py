"""Builds one tagger and its format from a config."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from clinspan import lms
from clinspan.corpora import Corpus, InputError, Label, Sentence
from clinspan.corpora.sources import RareMini
from clinspan.lms.remote.audit import asking
from clinspan.lms.weights.find import cache_folder
from clinspan.programs.building.build_demonstrations import build_demonstrations
from clinspan.programs.building.build_instructions import build_instructions, instruction_files
from clinspan.programs.building.protected_texts import protected_texts
from clinspan.programs.config.composition import build, object_of
from clinspan.programs.config.privacy import check_chroma, Permission
from clinspan.programs.config.setting_files import file_fact
from clinspan.programs.formats import Format
from clinspan.programs.rundir.origin import Origin
from clinspan.programs.rundir.run_record import RunFacts
from clinspan.programs.tagging.drafts import build_drafter
from clinspan.programs.tagging.instructions import with_types_reversed
from clinspan.programs.tagging.knowledge_search import open_knowledge_base
from clinspan.programs.tagging.label_names import present_labels
from clinspan.programs.tagging.prompt_fingerprint import check_decisions
from clinspan.programs.tagging.saved_program import settings_of
from clinspan.programs.tagging.strategy import as_demonstration, demonstration_pool, Strategy
from clinspan.programs.tagging.tagger import Tagger
from clinspan.programs.telemetry.tracing import traced

if TYPE_CHECKING:
    from clinspan.retrievers import Embedder, EmbedderSpec
    from clinspan.retrievers.dictionaries import Dictionary


@dataclass(frozen=True, slots=True)
class BuiltTagger:
    """A tagger before its model is loaded.

    Attributes:
        tagger: The tagger.
        adapter: Its format.
        facts: What the record says about its demonstrations, its retrieval and the files that the prompt comes from.
        format_of: Makes the same format for labels as prompts show them.
    """

    tagger: Tagger
    adapter: Format
    facts: RunFacts
    format_of: Callable[[Sequence[Label]], Format]

    def with_types_reversed(self) -> BuiltTagger:
        """The same tagger with the types in reverse order in its prompt."""
        labels = self.adapter.labels
        tagger: Tagger = self.tagger.deepcopy()
        signature = tagger.tag.signature
        tagger.tag.signature = signature.with_instructions(with_types_reversed(signature.instructions, labels))
        return replace(self, tagger=tagger, adapter=self.format_of(labels[::-1]))


def build_tagger(
    config: DictConfig,
    corpus: Corpus,
    sentences: Sequence[Sentence],
    spec: lms.ModelSpec,
    *,
    chosen: Mapping[str, str],
    state: Mapping[str, Any] | None = None,
    origin: Origin | None = None,
    trained: Mapping[str, Any] | None = None,
) -> BuiltTagger:
    """Build one tagger and its format from the config. Instructions and demonstrations of `state` replace those of the config.

    Args:
        origin: Where the demonstrations and instructions of `state` come from.
        trained: The saved settings of weights that were trained for the tagger.
    """
    config = with_mentions(with_knowledge(config, corpus), corpus)
    labels, called = present_labels(corpus, config.label_order, config.label_wording)
    drafter = build_drafter(config.get("draft", "none"), corpus, pays=object_of(config.format._target_).drafts_pay)
    options = {"alignment": config.alignment, "constrained": config.get("constrained", True), "drafter": drafter}
    options |= {"wire": getattr(spec, "wire", None), "called": called}
    if config.format.get("train_counts"):
        options["counted"] = list(corpus.sentences("train"))[: config.strategy.get("pool")]
    dictionary = _dictionary(config)
    if dictionary is not None:
        options["looked_up"] = dictionary.names

    def format_of(shown: Sequence[Label]) -> Format:
        form: Format = build(config.format, labels=shown, **options)
        return form

    adapter = format_of(labels)
    settings = settings_of(OmegaConf.to_container(config, resolve=True), chosen)  # type: ignore[arg-type]
    settings |= {} if trained is None else {"adapter": dict(trained)}
    saved = None if state is None else state.get("demos")
    instructions = None if state is None or "signature" not in state else str(state["signature"]["instructions"])
    tagger, facts = make_tagger(
        config, labels, corpus, sentences, instructions=instructions, saved=saved, settings=settings, origin=origin
    )
    if state is not None:
        tagger.load_state({"tag": {**tagger.tag.dump_state(), **_with_own_fields(state, tagger)}})
        facts = facts.plus(RunFacts(demonstrations=[demo.get("id") for demo in tagger.tag.demos]))
    check_decisions(tagger, adapter, spec)
    facts = facts if dictionary is None else facts.plus(RunFacts(dictionary=dictionary.facts))
    return BuiltTagger(tagger, adapter, facts, format_of)


def _dictionary(config: DictConfig) -> Dictionary | None:
    """The dictionary by which `format=phrases` decides, if there is one."""
    if config.format.get("dictionary") is None:
        return None
    from clinspan.retrievers.dictionaries import load_hpo_names

    return load_hpo_names()


def _with_own_fields(state: Mapping[str, Any], tagger: Tagger) -> dict[str, Any]:
    """The saved state, with the tagger's own fields of the signature where the saved program had others."""
    own, saved = tagger.tag.signature.dump_state()["fields"], state.get("signature")
    if saved is None or len(saved["fields"]) == len(own):
        return dict(state)
    return {**state, "signature": {**saved, "fields": own}}


def with_knowledge(config: DictConfig, corpus: Corpus) -> DictConfig:
    """The config with the bundled knowledge base, if none is named and the corpus is raremini, for which it was written.

    Raises:
        InputError: The strategy retrieves passages, no knowledge base is named, and the corpus is another one.
    """
    retrieves = config.strategy.get("context") == "retrieved"
    if not retrieves or config.retriever.get("knowledge", "") is not None:
        return config
    if object_of(config.corpus._target_) is not RareMini or not corpus.splits:
        problem = f"the strategy retrieves passages, and no knowledge base is named for {corpus.name}"
        ways = "retriever.knowledge=FOLDER (your .txt and .md files), hpo, or bundled (articles on the diseases of raremini)"
        raise InputError(problem, remedy=f"Set {ways}.")
    own = config.copy()
    own.retriever.knowledge = "bundled"
    return own


def with_mentions(config: DictConfig, corpus: Corpus) -> DictConfig:
    """The config with a format that lists full mentions, if it can, does not say otherwise, and the corpus has them."""
    if not corpus.full or config.format.get("mentions", "flat") is not None:
        return config
    own = config.copy()
    own.format.mentions = "full"
    return own


def make_tagger(
    config: DictConfig,
    labels: Sequence[Label],
    corpus: Corpus,
    sentences: Sequence[Sentence],
    *,
    instructions: str | None,
    saved: Sequence[dict[str, Any]] | None,
    settings: Mapping[str, Any],
    origin: Origin | None = None,
) -> tuple[Tagger, RunFacts]:
    """Build the tagger.

    Args:
        labels: The labels as prompts show them.
        instructions: Saved instructions; None: those of the config.
        saved: The fixed demonstrations of a saved state; None: those of the config.
        settings: The settings that are saved with the tagger.
        origin: Where the saved state comes from.
    """
    strategy: Strategy = build(config.strategy)
    files = {} if instructions is not None else instruction_files(config)
    instructions = build_instructions(config, labels, corpus) if instructions is None else instructions
    fixed = list(saved or ())
    facts = RunFacts()
    nearest = retrieve = None
    texts = [sentence.text for sentence in sentences]
    if (strategy.demonstrations == "fixed" or strategy.shared) and saved is None:
        fixed = build_demonstrations(config, strategy, corpus)
        files |= file_fact(config, "strategy.examples")
        if strategy.demonstrations == "fixed":
            settings = {**settings, "strategy": {**settings["strategy"], "k": len(fixed)}}
        facts = facts.plus(RunFacts(demonstrations=[demo["id"] for demo in fixed]))
    facts = facts.plus(RunFacts(files=files)) if files else facts
    if strategy.demonstrations == "nearest" or strategy.context == "retrieved":
        from clinspan.retrievers import LEXICAL, NearestSentences, PassageFinder, Retriever

        retriever: Retriever | PassageFinder = build(config.retriever)
        by = retriever.by if isinstance(retriever, Retriever) else None
        needed = by not in LEXICAL or strategy.context == "retrieved"  # chunks are measured in the embedder's tokens
        embedder = _embedder(retriever.embedder) if isinstance(retriever, Retriever) and needed else None
        if strategy.demonstrations == "nearest":
            if by is None:
                problem = f"{type(retriever).__name__} has no embedder to find the nearest demonstrations with"
                raise InputError(problem, remedy="Use retriever=minilm or bge_large.")
            cache = None if corpus.phi else cache_folder() / "vectors"  # vectors of patient text stay in memory
            pool, shown = demonstration_pool(corpus, strategy), {demo.get("id") for demo in fixed}
            index = NearestSentences(pool, embedder, k=strategy.k + len(shown), cache=cache, by=by, diversity=strategy.diversity)

            def others(batch: list[str]) -> list[list[dict[str, Any]]]:
                found = ([as_demonstration(s) for s in row if s.id not in shown] for row in index.find(batch))
                return [row[-strategy.k :] for row in found]

            nearest = _lookup(texts, others, kind="nearest")
            facts = facts.plus(RunFacts(embedder=by if embedder is None else embedder.id))
        if strategy.context == "retrieved":
            check_chroma(protected_texts(config, corpus), url=getattr(retriever, "url", None), leave=Permission.of(config))
            find, about = open_knowledge_base(retriever, embedder, sentences)
            facts = facts.plus(RunFacts(retrieval=dict(about)))
            with asking(*dict.fromkeys(sentence.document for sentence in sentences)):
                retrieve = _lookup(texts, find, kind="context")
    tagger = Tagger(
        instructions,
        demonstrations=fixed,
        nearest=nearest,
        retrieve=retrieve,
        note=strategy.note,
        overflow=strategy.overflow,
        votes=strategy.votes,
        temperature=strategy.temperature,
        settings=settings,
        origin=origin,
    )
    return tagger, facts


@functools.lru_cache(maxsize=1)
def _embedder(spec: EmbedderSpec) -> Embedder:
    """The embedder, loaded once for all jobs of a sweep."""
    from clinspan.retrievers import Embedder

    return Embedder(spec)


def _lookup(
    texts: Sequence[str], find: Callable[[list[str]], Sequence[Sequence[Any]]], *, kind: str
) -> Callable[[str], Sequence[Any]]:
    """A lookup function whose results for `texts` are computed in advance, in one batch. Other texts are searched on demand.

    A lock admits one thread at a time, since embedders do not support concurrent calls.
    """
    lock = threading.Lock()

    def search(batch: list[str]) -> Sequence[Sequence[Any]]:
        with lock, traced("retrieval", kind=kind, searches=len(batch)):
            return find(batch)

    table = dict(zip(texts, search(list(texts)), strict=True)) if texts else {}
    return lambda text: table[text] if text in table else search([text])[0]
