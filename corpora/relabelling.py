"""Labels merged, renamed or left out: `corpus.map={Sign: Finding, Procedure: null}`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from clinspan.corpora.bio import Policies, tag_sentences
from clinspan.corpora.errors import InputError
from clinspan.corpora.fidelity import has_offsets
from clinspan.corpora.labels import flat_definitions
from clinspan.corpora.types import Corpus, Document, Entity, Label, Sentence


def relabelled(
    corpus: Corpus,
    names: Mapping[str, str | None],
    policies: Policies,
    *,
    labels: Sequence[Label] = (),
    definitions: Mapping[str, str] | None = None,
) -> Corpus:
    """Give labels other names, or leave their mentions out (None); labels that are not named stay.

    Documents whose annotations have offsets are tagged again, so that a mention that was left out displaces no other. In other
    documents the tags are renamed.

    Args:
        corpus: The corpus.
        names: The new name of each label.
        policies: How annotations are converted to tags.
        labels: The labels of the result in order; empty: those of its tags in alphabetical order.
        definitions: Definitions of the new labels.

    Raises:
        InputError: The corpus has no such label, or has a label beside `labels`.
    """
    known = {label.name for label in corpus.labels} | {e.label for ds in corpus.splits.values() for d in ds for e in d.entities}
    if unknown := [name for name in names if name not in known]:
        raise InputError(
            f"corpus.map names {unknown[0]}, which is not a label", remedy=f"The labels are {', '.join(sorted(known))}."
        )
    conversion = {split: Counter(counts) for split, counts in corpus.conversion.items()}
    splits = {}
    for split, documents in corpus.splits.items():
        done = [_relabelled(document, names, policies) for document in documents]
        splits[split] = tuple(document for document, _ in done)
        for _, acts in done:
            conversion.setdefault(split, Counter()).update(acts)
    present = sorted({tag[2:] for ds in splits.values() for d in ds for s in d.sentences for tag in s.tags if tag != "O"})
    if labels and (extra := [name for name in present if name not in {label.name for label in labels}]):
        raise InputError(
            f"corpus {corpus.name} has tags of the label {extra[0]}, which corpus.labels lacks",
            remedy="Add it to corpus.labels, or leave it out with corpus.map={" + extra[0] + ": null}.",
        )
    texts = flat_definitions(definitions)
    chosen = tuple(labels) or tuple(Label(name, texts.get(name, "")) for name in present)
    return replace(corpus, splits=splits, labels=chosen, conversion=conversion)


def _relabelled(document: Document, names: Mapping[str, str | None], policies: Policies) -> tuple[Document, Counter[str]]:
    entities = [Entity(name, e.fragments) for e in document.entities if (name := names.get(e.label, e.label)) is not None]
    acts = Counter(left_out_by_map=len(document.entities) - len(entities))
    if has_offsets(document):
        rows, _ = tag_sentences([sentence.tokens for sentence in document.sentences], entities, policies)
    else:
        rows = [_renamed(sentence.tags, names) for sentence in document.sentences]
    sentences = [
        replace(sentence, tags=row, mentions=_mentions(sentence, names))
        for sentence, row in zip(document.sentences, rows, strict=True)
    ]
    return replace(document, entities=tuple(entities), sentences=tuple(sentences)), +acts


def _renamed(tags: Sequence[str], names: Mapping[str, str | None]) -> tuple[str, ...]:
    renamed = []
    for tag in tags:
        name = names.get(tag[2:], tag[2:]) if tag != "O" else None
        renamed.append("O" if name is None else tag[:2] + name)
    return tuple(renamed)


def _mentions(sentence: Sentence, names: Mapping[str, str | None]) -> tuple[Entity, ...] | None:
    if sentence.mentions is None:
        return None
    return tuple(Entity(name, e.fragments) for e in sentence.mentions if (name := names.get(e.label, e.label)) is not None)
