"""One decision per phrase: every candidate phrase of a sentence gets one of the types, or none.

A local model generates nothing. It is asked for the probabilities of all types behind each phrase, in one pass
(`lms.local.choices`), and `Decisions` choose the mentions. The recorded answer has one line per phrase:

    Wilson disease : Disease -2.041, RareDisease -0.139, Sign -9.2, None -5.6 | -3.067 -1.889 -1.435

with the logarithms of the probabilities of the types, of the phrase, of its end (the separator behind it), and of any type behind
it. Other models answer with lines `phrase : type`; a phrase without a line is no mention.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from clinspan.corpora import InputError, Label, Sentence
from clinspan.corpora.bio import span_tags, tag_spans
from clinspan.corpora.labels import folded_label
from clinspan.corpora.words import Words
from clinspan.decisions.candidates import candidates, WORDS
from clinspan.decisions.name_lookup import NameLookup
from clinspan.decisions.rule import decide, Decisions, NONE, Phrase, read_decisions
from clinspan.decisions.train_counts import TrainCounts
from clinspan.lms import Grammar, lm15, Rule
from clinspan.lms.grammars import Alternatives
from clinspan.programs.formats.base import Format
from clinspan.programs.formats.matching import MentionFinder
from clinspan.programs.formats.replies import without_thoughts
from clinspan.programs.formats.tags import TagReader
from clinspan.programs.formats.types import Decoded

_SEPARATOR = " :"
_SCORED = re.compile(r"(?P<stem>.+ :) (?P<types>[^:|]+ -?[\d.]+(?:, [^:|]+ -?[\d.]+)+) \| (?P<scores>-?[\d.]+ -?[\d.]+ -?[\d.]+)")
_STEMS = ("phrase", "ending", "typed")
_MARKS = " \t`*\"'-"


class Phrases(Format):
    """Lines `phrase : type`, of which a local model gives all probabilities at once.

    Args:
        labels: The corpus' labels.
        words: Most words of a candidate phrase.
        contrasts: Number of phrases without a type that each demonstration shows, and of phrases that overlap a mention.
        decisions: How probabilities become mentions: parameters that `optimizer=decisions` fits; None: the default ones.
        train_counts: Whether fitted decisions also weigh how often the train split annotates phrases like a phrase.
        prune_below: With `train_counts`: the model is not asked about phrases with less support (`TrainCounts.supports`), unless
            they are names of the dictionary; None: it is asked about all.
        dictionary: `hpo`: fitted decisions also weigh whether a phrase is a name of the Human Phenotype Ontology.
        counted: The sentences of the train split, for `train_counts`.
        looked_up: The names of `dictionary` by kind.
        options: See `Format`; `alignment` has no meaning here, since phrases are found by their words.

    Raises:
        InputError: A label is called `None`, `decisions` cannot be used, `train_counts` lack a train split, or `prune_below` lacks
            `train_counts`.
    """

    def __init__(
        self,
        *,
        labels: Sequence[Label],
        words: int = WORDS,
        contrasts: int = 2,
        decisions: Mapping[str, Any] | None = None,
        train_counts: bool = False,
        prune_below: float | None = None,
        dictionary: Literal["hpo"] | None = None,
        counted: Sequence[Sentence] = (),
        looked_up: Mapping[str, Sequence[str]] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(labels=labels, **options)
        self.words, self.contrasts = words, contrasts
        self._reader = TagReader(self.labels)
        if any(folded_label(label.name) == folded_label(NONE) for label in self.labels):
            raise InputError(f"a label is called {NONE}, as format=phrases calls a phrase without a type", remedy="Rename it.")
        if train_counts and not counted:
            problem = "format.train_counts=true counts the phrases of a train split, and the corpus has none"
            raise InputError(problem, remedy="Use the corpus that the program was made for, or a program without these counts.")
        labelled = [self._names.get(label.name, label.name) for label in labels]
        self.train_counts = TrainCounts(counted, labelled, words) if train_counts else None
        if prune_below is not None and not train_counts:
            problem = "format.prune_below leaves out phrases by counts of the train split, which format.train_counts=false has not"
            raise InputError(problem, remedy="Add format.train_counts=true, or leave format.prune_below out.")
        self.prune_below = prune_below
        self.dictionary = NameLookup(looked_up) if dictionary is not None and looked_up else None
        self.decisions: Decisions = read_decisions(decisions, labelled)

    def rules(self) -> str:
        return (
            "Answer with one line for each phrase of the sentence: the phrase, a colon and its type, "
            f"or {NONE} if it is no mention of any type."
        )

    def answer(self, tokens: Sequence[str], tags: Sequence[str], key: str = "") -> str:
        """The mentions, and some phrases that are none, in the order of the sentence; which ones depends on the sentence alone."""
        words = Words.as_given(tokens)
        shown = {(start, end): label for start, end, label in tag_spans(tags)}
        phrases = candidates(words, self.words)
        apart = [span for span in phrases if not any(_overlap(span, mention) for mention in shown)]
        partial = [span for span in phrases if span not in shown and any(_overlap(span, mention) for mention in shown)]
        for some, most in ((apart, self.contrasts), (partial, self.contrasts // 2)):
            chosen = sorted(some, key=lambda span: _mixed(words.text(*span)))[:most]
            shown |= dict.fromkeys(chosen, NONE)
        return "\n".join(f"{words.text(*span)}{_SEPARATOR} {shown[span]}" for span in sorted(shown))

    def grammar(self, tokens: Sequence[str], key: str = "") -> Grammar:
        """A grammar of any number of lines, each with a candidate phrase and a type, in any order."""
        stems = self._stems(Words.as_given(tokens))
        if not stems:
            return Grammar({"start": [[NONE]]})
        rules: dict[str, Alternatives] = {"start": [[Rule("line")], [Rule("line"), "\n", Rule("start")]]}
        rules |= {"line": [[Rule("phrase"), " ", Rule("type")]], "phrase": [[stem] for stem in stems]}
        return Grammar({**rules, "type": [[name] for name in self._types]})

    def choices(self, tokens: Sequence[str], key: str = "") -> dict[str, list[str]] | None:
        stems = self._stems(Words.as_given(tokens))
        return {"stems": stems, "options": [f" {name}\n" for name in self._types]} if stems else None

    def longest(self, tokens: Sequence[str], key: str = "") -> str:
        widest = max(self._types, key=len)
        return "\n".join(f"{stem} {widest}" for stem in self._stems(Words.as_given(tokens))) or NONE

    def answer_text(self, response: lm15.Response, tokens: Sequence[str], key: str = "") -> str:
        """The answer, with probabilities where the model gives them."""
        data = response.provider_data or {}
        if "choices" not in data:
            return super().answer_text(response, tokens, key)
        lines = []
        for stem, row, score in zip(self._stems(Words.as_given(tokens)), data["choices"], data["stems"], strict=True):
            types = ", ".join(f"{name} {value:.3f}" for name, value in zip(self._types, row, strict=True))
            lines.append(f"{stem} {types} | {' '.join(f'{value:.3f}' for value in score)}")
        return "\n".join(lines)

    def read(self, answers: Mapping[str, str], tokens: Sequence[str]) -> Decoded:
        text = without_thoughts(answers.get("", ""))
        words = Words.as_given(tokens)
        scored = self.scored(text, words)
        return self._decided(scored, words) if scored else self._listed(text, words)

    def scored(self, text: str, words: Words, document: str | None = None) -> list[Phrase]:
        """The candidate phrases with the probabilities that an answer gives them; none if it gives no probabilities.

        Args:
            text: The answer.
            words: The tokens.
            document: The document that a train sentence is from, which then is left out of `train_counts`.
        """
        rows: dict[str, tuple[dict[str, float], list[float]]] = {}
        for line in text.splitlines():
            if match := _SCORED.fullmatch(line):
                pairs = [part.rpartition(" ") for part in match["types"].split(", ")]
                types = {self._names.get(name, name): float(value) for name, _, value in pairs}
                rows[match["stem"]] = types, [float(value) for value in match["scores"].split()]
        found, folded = [], [word.casefold() for word in words]
        own = () if document is None else (document,)
        for start, end in candidates(words, self.words) if rows else ():
            if (row := rows.get(words.text(start, end) + _SEPARATOR)) is not None:
                further = self.train_counts.rates(folded, (start, end), own) if self.train_counts else {}
                further |= self.dictionary.features(words[start:end]) if self.dictionary else {}
                model = dict(zip(_STEMS, row[1], strict=True))
                found.append(Phrase(start, end, words.number(start, end), row[0], model, further))
        return found

    def _decided(self, phrases: Sequence[Phrase], words: Words) -> Decoded:
        found, confidence = decide(self.decisions, phrases, len(words))
        spans = [(start, end, self.called.get(name, name)) for start, end, name in found]
        return Decoded(span_tags(len(words), spans), confidence=confidence)

    def _listed(self, text: str, words: Words) -> Decoded:
        """Tags from lines `phrase : type`. Of mentions that share a token the longer one stands, then the first."""
        repairs: Counter[str] = Counter()
        spans: dict[tuple[int, int], str] = {}
        finder, missing = MentionFinder(words), list[str]()
        for line in filter(None, map(str.strip, text.splitlines())):
            phrase, colon, name = (part.strip(_MARKS) for part in line.rpartition(":"))
            if not colon or not phrase or folded_label(name) == folded_label(NONE):
                repairs["malformed_answer"] += not colon and folded_label(line) != folded_label(NONE)
                continue
            label = self._reader.label(name)
            if label is None:
                repairs["unknown_label"] += 1
                continue
            ranges = finder.places(phrase, repairs)
            missing += [] if ranges else [phrase]
            for place in ranges:
                repairs["repeated_mention"] += place in spans
                spans.setdefault(place, label)
        chosen: list[tuple[int, int, str]] = []
        taken: set[int] = set()
        for (start, end), label in sorted(spans.items(), key=lambda item: (item[0][0] - item[0][1], item[0][0])):
            if taken.isdisjoint(range(start, end)):
                taken.update(range(start, end))
                chosen.append((start, end, label))
            else:
                repairs["overlapping_mention"] += 1
        return Decoded(span_tags(len(words), chosen), repairs, missing=missing)

    @property
    def _types(self) -> list[str]:
        return [*(label.name for label in self.labels), NONE]

    def _stems(self, words: Words) -> list[str]:
        """The beginnings of the lines: each phrase once, however often the sentence has it."""
        return list(dict.fromkeys(words.text(*span) + _SEPARATOR for span in self._asked(words)))

    def _asked(self, words: Words) -> list[tuple[int, int]]:
        """The candidate phrases that the model is asked about."""
        spans = candidates(words, self.words)
        counts, least = self.train_counts, self.prune_below
        if counts is None or least is None:
            return spans
        supports = zip(spans, counts.supports(words, spans), strict=True)
        return [span for span, support in supports if support >= least or self._is_name(words[span[0] : span[1]])]

    def _is_name(self, phrase: Sequence[str]) -> bool:
        return self.dictionary is not None and self.dictionary.has(phrase)


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _mixed(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()
