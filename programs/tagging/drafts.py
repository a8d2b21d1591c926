"""Drafts for speculative decoding: likely tags of a sentence, which save passes and change no answer."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from clinspan.corpora import Corpus, InputError
from clinspan.corpora.bio import span_tags, tag_spans
from clinspan.programs.formats.base import Drafter
from clinspan.programs.rundir.records import DraftTags
from clinspan.programs.rundir.run_folder import load_records

CHOICES = ("auto", "none", "outside", "gazetteer")


def build_drafter(choice: str, corpus: Corpus, *, pays: bool = False) -> Drafter | None:
    """Build the drafter that `draft=` names: none, all O, the mentions of the train split, or a run's `predictions.jsonl`.

    Args:
        choice: The value of `draft=`. `auto` means all O if drafts pay, else none.
        corpus: The corpus. `gazetteer` reads its train split.
        pays: Whether verifying a draft costs less than it saves, as with formats that repeat the sentence around few decisions.

    Raises:
        InputError: The choice is neither a known name nor a file of predictions.
    """
    if choice == "none" or (choice == "auto" and not pays):
        return None
    if choice in ("auto", "outside"):
        return lambda name, tokens: ["O"] * len(tokens)
    if choice == "gazetteer":
        return Gazetteer(corpus)
    path = Path(choice).expanduser()
    if not path.is_file():
        remedy = f"Use {', '.join(CHOICES)}, or the path of a run's predictions.jsonl."
        raise InputError(f"draft={choice} is not known", remedy=remedy)
    return Recorded(path, corpus)


class Gazetteer:
    """Tags the mentions of the train split, the longest match first, each with its most frequent label.

    Args:
        corpus: Its train split is read.
    """

    def __init__(self, corpus: Corpus) -> None:
        seen: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        for sentence in corpus.sentences("train"):
            for start, end, label in tag_spans(sentence.tags):
                seen[tuple(word.casefold() for word in sentence.words[start:end])][label] += 1
        self._labels = {words: labels.most_common(1)[0][0] for words, labels in seen.items()}
        self._longest = max(map(len, self._labels), default=0)

    def __call__(self, name: str, tokens: Sequence[str]) -> list[str]:
        words = [token.casefold() for token in tokens]
        spans: list[tuple[int, int, str]] = []
        at = 0
        while at < len(words):
            lengths = range(min(self._longest, len(words) - at), 0, -1)
            length = next((n for n in lengths if tuple(words[at : at + n]) in self._labels), 0)
            if length:
                spans.append((at, at + length, self._labels[tuple(words[at : at + length])]))
            at += length or 1
        return span_tags(len(tokens), spans)


class Recorded:
    """Drafts the tags that another run predicted; all O for a sentence that this run lacks.

    Args:
        path: The `predictions.jsonl` of the run.
        corpus: The corpus. Tags with labels that it lacks become O.
    """

    def __init__(self, path: Path, corpus: Corpus) -> None:
        names = {label.name for label in corpus.labels}
        self._tags: dict[str, list[str]] = {}
        for key, record in load_records(path, DraftTags).items():
            self._tags[key] = [tag if tag[2:] in names else "O" for tag in record["pred"]]

    def __call__(self, name: str, tokens: Sequence[str]) -> list[str]:
        tags = self._tags.get(name, [])
        return tags if len(tags) == len(tokens) else ["O"] * len(tokens)
