"""Tests of tags in a layer for each label."""

from __future__ import annotations

import pytest

from clinspan.corpora import FullMention, Sentence, Token
from clinspan.corpora.bio import bio_classes
from clinspan.corpora.tag_layers import layer_classes, TagLayers

LABELS = ("Sign", "Organ")
WORDS = ["acute", "renal", "failure", "now"]
NESTED = (FullMention("Organ", ((1, 2),)), FullMention("Sign", ((0, 3),)))


def sentence(full: tuple[FullMention, ...] | None = NESTED, words: list[str] = WORDS) -> Sentence:
    tokens = tuple(Token(word, n * 9, n * 9 + len(word)) for n, word in enumerate(words))
    tags = ("B-Sign", "I-Sign", "I-Sign", "O")[: len(words)]
    return Sentence("d:0", "d", tokens, tags, full=full)


def test_a_nested_mention_has_its_own_layer() -> None:
    layers = TagLayers.of(layer_classes(LABELS))
    assert (layers.labels, layers.by_label, layers.width) == (LABELS, True, 3)
    assert layers.tags(sentence()) == [["B-Sign", "I-Sign", "I-Sign", "O"], ["O", "B-Organ", "O", "O"]]
    assert layers.targets(sentence()) == [(1, 0), (2, 1), (2, 0), (0, 0)]


def test_one_layer_has_the_flat_tags() -> None:
    layers = TagLayers.of(bio_classes(LABELS))
    assert (layers.labels, layers.by_label, layers.width) == (LABELS, False, 5)
    assert layers.targets(sentence()) == [(1,), (2,), (2,), (0,)]


def test_a_layer_has_one_of_two_mentions_of_its_label_and_the_first_piece_of_others() -> None:
    pieces, inside = FullMention("Sign", ((0, 1), (3, 4))), FullMention("Sign", ((1, 2),))
    whole = FullMention("Sign", ((1, 3),))
    layers = TagLayers.of(layer_classes(LABELS))
    assert layers.tags(sentence((pieces, inside, whole)))[0] == ["B-Sign", "B-Sign", "I-Sign", "O"]


def test_sentences_without_full_mentions_or_words_have_layers_too() -> None:
    layers = TagLayers.of(layer_classes(LABELS))
    assert layers.tags(sentence(None))[1] == ["O"] * 4 and layers.targets(sentence((), [])) == []


@pytest.mark.parametrize("classes", [("O-Sign", "B-Sign"), ("B-Sign", "O-Sign", "I-Sign"), ("LABEL_0", "LABEL_1"), ()])
def test_other_classes_are_refused(classes: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="BIO tags"):
        TagLayers.of(classes)
