"""Checks of the fixed demonstrations of a program, before anything is sent or paid for."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from clinspan.corpora import Corpus, InputError, Sentence
from clinspan.corpora.bio import renamed, split_tag, tag_spans
from clinspan.corpora.printable import plural, printable
from clinspan.programs.building.build_tagger import BuiltTagger
from clinspan.programs.formats import Format
from clinspan.programs.formats.types import shown_tokens

_LEAST_TOKENS = 5
"""Shorter sentences, such as headings, are often the same in several documents."""
_NAMED = 3
Demonstrations = Sequence[Mapping[str, Any]]


def check_demonstrations(
    member: BuiltTagger, corpus: Corpus, sentences: Sequence[Sentence], *, saved: bool = False, quiet: bool = False
) -> None:
    """Check the fixed demonstrations of a tagger, and say on standard error what may be wrong with them.

    Args:
        member: The tagger.
        corpus: The corpus.
        sentences: The sentences that are tagged.
        saved: Whether they come from a saved program. What new ones do not show is said where they are drawn.
        quiet: Whether nothing is said.

    Raises:
        InputError: A demonstration has a tag that the corpus lacks.
    """
    labels, demos = [label.name for label in corpus.labels], member.tagger.tag.demos
    for demo in demos:
        check_tags(demo, labels)
    if not quiet:
        for line in [*remarks(demos, member.adapter, sentences), *(unshown(demos, labels) if saved else ())]:
            print(f"clinspan: ⚠ {printable(line)}", file=sys.stderr)


def check_tags(demo: Mapping[str, Any], labels: Collection[str]) -> None:
    """Refuse a demonstration whose tags are not those of the corpus.

    Raises:
        InputError: One is not; the message names the demonstration, not its text.
    """
    name = f"demonstration {demo.get('id') or 'without an id'}"
    remedy = "Repair the program's program.json, or choose other demonstrations with strategy=few_shot."
    for tag in demo["tags"]:
        parts = split_tag(tag)
        if tag != "O" and (parts is None or parts[1] not in labels):
            raise InputError(f"{name} has the tag {tag}, which is none of the corpus", remedy=remedy)


def remarks(demos: Demonstrations, adapter: Format, sentences: Sequence[Sentence]) -> Iterator[str]:
    """What may be wrong with demonstrations: mentions that are not found in their text, and texts that are tagged themselves."""
    lost = [demo for demo in demos if lost_mentions(demo, adapter)]
    if lost:
        number = sum(lost_mentions(demo, adapter) for demo in lost)
        yield (
            f"demonstrations: {number} {plural(number, 'mention is', 'mentions are')} not found again in the text "
            f"when the shown answer is read ({_names(lost)})"
        )
    tagged = {sentence.words for sentence in sentences}
    seen = [demo for demo in demos if len(demo["tokens"]) >= _LEAST_TOKENS and tuple(demo["tokens"]) in tagged]
    if seen:
        yield (
            f"demonstrations: {len(seen)} {plural(len(seen), 'is a sentence', 'are sentences')} that "
            f"{plural(len(seen), 'is', 'are')} tagged, so scores are too high ({_names(seen)})"
        )


def lost_mentions(demo: Mapping[str, Any], adapter: Format) -> int:
    """How many mentions of a demonstration are not found when the answer that the prompt shows is read."""
    tokens = shown_tokens(demo["tokens"], demo.get("joined") or ())
    tags = renamed(demo["tags"], adapter.called)
    answers = {question.key: adapter.answer(tokens, tags, question.key) for question in adapter.questions(tokens, ())}
    return len(set(tag_spans(tags)) - set(tag_spans(adapter.read(answers, tokens).tags)))


def unshown(demos: Demonstrations, labels: Sequence[str]) -> Iterator[str]:
    """The labels that demonstrations do not show."""
    shown = {label for demo in demos for _, _, label in tag_spans(demo["tags"])}
    missing = [label for label in labels if label not in shown]
    if demos and missing:
        yield f"demonstrations: the program's {plural(len(demos), 'sentence shows', 'sentences show')} no {', '.join(missing)}"


def _names(demos: Demonstrations) -> str:
    names = [str(demo.get("id") or "without an id") for demo in demos]
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
