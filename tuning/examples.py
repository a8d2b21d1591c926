"""Training examples of token classification: windows of sub-words, labelled at the first piece of each word."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import Sampler

from clinspan.corpora import Sentence
from clinspan.corpora.tag_layers import TagLayers
from clinspan.lms.classifiers.subwords import SubwordEncoder, Window
from clinspan.lms.classifiers.token_classification import pad

_POOL = 50


@dataclass(frozen=True, slots=True)
class Example:
    """A window, and for each word that it classifies the number of its tag in each layer."""

    window: Window
    classes: tuple[tuple[int, ...], ...]


def build_examples(sentences: Sequence[Sentence], encoder: SubwordEncoder, layers: TagLayers) -> list[Example]:
    """The windows of all sentences as examples; each word is classified in exactly one of them."""
    examples = []
    for sentence in sentences:
        targets = layers.targets(sentence)
        windows = encoder.windows(sentence.words)
        examples += [Example(window, tuple(targets[word] for word in window.words)) for window in windows]
    return examples


def collate(batch: Sequence[Example], *, filler: int) -> dict[str, Tensor]:
    """A batch: `input_ids` and `seen` (windows, pieces), `places` (words, 2) with each word's row and piece, and `labels`, those of
    all layers of the first word, then of the second and so on."""
    places = [(row, place) for row, example in enumerate(batch) for place in example.window.places]
    classes = [number for example in batch for numbers in example.classes for number in numbers]
    rows = pad([example.window for example in batch], filler)
    return {**rows, "places": torch.tensor(places), "labels": torch.tensor(classes)}


class LengthSampler(Sampler[int]):
    """Batches examples of similar length in random order. The order differs between epochs and depends on the seed alone.

    The examples are shuffled and sorted by length within pools of fifty batches. Then the batches are shuffled.

    Args:
        lengths: Lengths of the examples.
        batch_size: Examples per batch.
        seed: Seed of the order.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that comes next; the Trainer calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = random.Random(f"{self.seed}:{self.epoch}")
        order = list(range(len(self.lengths)))
        generator.shuffle(order)
        size, whole = self.batch_size * _POOL, len(order) - len(order) % self.batch_size
        batches = []
        for start in range(0, whole, size):
            pool = sorted(order[start : min(start + size, whole)], key=lambda n: -self.lengths[n])
            batches += [pool[at : at + self.batch_size] for at in range(0, len(pool), self.batch_size)]
        generator.shuffle(batches)
        return iter([*(n for batch in batches for n in batch), *order[whole:]])
