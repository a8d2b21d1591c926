"""What a compilation will send and cost, worked out before any model is loaded and anything is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from clinspan.corpora import InputError
from clinspan.programs.building.build_optimizer import check_writer, limited, refuse_test_demonstrations, with_pool, without_test
from clinspan.programs.building.build_run import build_program, Overrides
from clinspan.programs.building.chosen_sentences import choose_sentences
from clinspan.programs.building.run_plan import AskedOfSentence, is_local, seconds_of, what_is_asked
from clinspan.programs.config.all_folds import has_all_folds
from clinspan.programs.config.classifier_config import prompted
from clinspan.programs.config.composition import build, load_corpus
from clinspan.programs.inference.spending import Price
from clinspan.programs.optimizers import Halving, Optimizer
from clinspan.programs.optimizers.effort import Asked, Effort, Extent

Range = tuple[float, float]


@dataclass(frozen=True)
class OptimizationPlan:
    """What a compilation will ask, about.

    Attributes:
        asked: What the start program asks about a dev sentence.
        extent: The numbers of train and dev sentences.
        effort: What the optimizer asks for besides; None: not known.
        seconds: How long a local model needs for all of dev on this machine's CPU; None: not known.
        price: US dollars for a million prompt tokens and for a million answer tokens; None: not known.
        writer_price: The same of the `reflection_model`.
        local: Whether the model is on this machine, so that it costs nothing.
        local_writer: Whether the `reflection_model` is; true if there is none.
    """

    asked: AskedOfSentence
    extent: Extent
    effort: Effort | None
    seconds: float | None
    price: Price
    writer_price: Price
    local: bool
    local_writer: bool

    @property
    def sentences(self) -> Asked | None:
        """Fewest and most sentences that the program's model tags, the start's included; None: not known."""
        return None if self.effort is None else Asked.exactly(self.extent.dev) + self.effort.asked

    @property
    def requests(self) -> Asked | None:
        """Fewest and most requests about these sentences."""
        n, found = self.asked.requests, self.sentences
        return None if found is None else Asked(round(found.least * n), round(found.most * n))

    @property
    def time(self) -> Range | None:
        """Seconds of a local model for these sentences."""
        if self.seconds is None or self.sentences is None:
            return None
        per_sentence = self.seconds / self.extent.dev
        return self.sentences.least * per_sentence, self.sentences.most * per_sentence

    @property
    def cost(self) -> Range | None:
        """US dollars for these sentences and those that the `reflection_model` tags; None: not known."""
        if self.effort is None or self.sentences is None:
            return None
        one = self._of_sentence(self.price, local=self.local)
        taught = self._of_sentence(self.writer_price, local=self.local_writer or not self.effort.taught.most)
        if one is None or taught is None:
            return None
        least = self.sentences.least * one + self.effort.taught.least * taught
        return least, self.sentences.most * one + self.effort.taught.most * taught

    def _of_sentence(self, price: Price, *, local: bool) -> float | None:
        if price is None:
            return 0.0 if local else None
        return (self.asked.prompt_tokens * price[0] + self.asked.answer_tokens * price[1]) / 1e6


def plan_optimization(config: DictConfig, overrides: Overrides) -> OptimizationPlan:
    """Plan a compilation. No weights are loaded and nothing is sent; the tokenizer of a local model is loaded if it is here.

    Raises:
        InputError: The settings cannot be used, or describe several compilations or a resumed one.
    """
    if config.resume is not None or has_all_folds(config):
        raise InputError(
            "plan=true is for one new compilation", remedy="Leave resume out, and set corpus.fold of a cross-validation."
        )
    spec = prompted(build(config.model), "so there is no prompt to optimize")
    writer = build(config.reflection_model) if config.reflection_model else None
    check_writer(config, spec, overrides.choices["optimizer"])
    optimizer: Any = build(config.optimizer)
    whole = load_corpus(config)
    config = with_pool(config)
    corpus = limited(without_test(whole), "train", config.train_limit)
    dev, _ = choose_sentences(corpus, "dev", config.dev_limit)
    program = build_program(config, corpus, dev, spec, overrides=overrides)
    tagger = program.members[0].tagger
    refuse_test_demonstrations(tagger, whole)
    halving: Halving = build(config.halving)
    extent = Extent(
        sum(bool(sentence.tokens) for sentence in corpus.sentences("train")),
        halving.sizes(len(dev)),
        halving.keep,
        teacher=writer is not None,
        nearest=tagger.nearest is not None,
        shown=len(tagger.tag.demos),
    )
    return OptimizationPlan(
        what_is_asked(spec, program.members, dev),
        extent,
        optimizer.effort(extent) if isinstance(optimizer, Optimizer) else None,
        seconds_of(spec, program.members, dev),
        price=spec.price,
        writer_price=None if writer is None else writer.price,
        local=is_local(spec),
        local_writer=writer is None or is_local(writer),
    )
