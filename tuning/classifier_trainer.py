"""The Trainer of token classifiers: cross-entropy per word, model selection by entity F1 on dev."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Unpack

from torch import Tensor
from torch.nn import functional

from clinspan.corpora import Sentence
from clinspan.corpora.tag_layers import TagLayers
from clinspan.lms.classifiers.subwords import SubwordEncoder
from clinspan.lms.classifiers.token_classification import encode_all, read_windows, score_pieces
from clinspan.tuning.examples import build_examples, collate, LengthSampler
from clinspan.tuning.judging import judge_tables
from clinspan.tuning.options import Options
from clinspan.tuning.trainer import EpochTrainer, Where


def word_loss(model: Any, batch: Mapping[str, Tensor]) -> Tensor:
    """Negative log-likelihood of the words' tags in all layers, summed over a batch."""
    logits = score_pieces(model, batch["input_ids"], batch["seen"])
    rows, places = batch["places"].unbind(1)
    by_layer = logits[rows, places].float().reshape(len(batch["labels"]), -1)
    return functional.cross_entropy(by_layer, batch["labels"], reduction="sum")


class ClassifierTrainer(EpochTrainer):
    """Trains a classification head and the model below it.

    Args:
        model: The model, with an adapter or without.
        options: Training options.
        train: Sentences to train on.
        dev: Sentences to evaluate on.
        encoder: Splits words into the model's sub-words.
        layers: The classes of the head.
        folder: Folder for checkpoints.
        seed: Seed of the sentence order and of dropout.
        progress: Called after each step.
    """

    def __init__(
        self,
        model: Any,
        options: Options,
        train: Sequence[Sentence],
        dev: Sequence[Sentence],
        *,
        encoder: SubwordEncoder,
        layers: TagLayers,
        **where: Unpack[Where],
    ) -> None:
        examples = build_examples(train, encoder, layers)
        join = partial(collate, filler=encoder.filler)
        super().__init__(model, options, examples, judged=bool(dev), collate=join, best="f1", **where)
        self.order = LengthSampler([len(example.window.ids) for example in examples], options.batch_size, where["seed"])
        self.dev, self.layers = dev, layers
        self.windows, self.filler = encode_all(encoder, [sentence.words for sentence in dev]), encoder.filler

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthSampler:
        return self.order

    def total_loss(self, model: Any, batch: Mapping[str, Tensor]) -> Tensor:
        return word_loss(model, batch)

    def judge(self) -> dict[str, float]:
        """Mean loss per tag, and micro F1 of the mentions in the most probable legal tags, from counts over all of dev."""
        return judge_tables(self.dev, self.dev_tables(), self.layers)

    def dev_tables(self) -> list[Any]:
        """Log-probabilities of the words of each dev sentence."""
        self.model.eval()
        size = int(self.args.per_device_eval_batch_size)
        return list(read_windows(self.model, self.windows, batch_size=size, filler=self.filler))
