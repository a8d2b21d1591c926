"""`Annotator`: a program applied to texts. Load it once with `Annotator.load(...)`, then call it.

    from clinspan.programs.annotation.annotator import Annotator

    annotator = Annotator.load(program="runs/optimize/<date_time>")
    for entity in annotator("He has Wilson disease."):
        print(entity.start, entity.end, entity.label, entity.text, entity.confidence)

The labels come from the first source that applies:

1. A token classifier: its classes.
2. `corpus=...` among the settings: that corpus.
3. The default corpus, if the program was made for the same labels or there is no program. Without a program, the handwritten
   prompt and the demonstrations come from this corpus too.
4. The program: `program.json` holds the labels in alphabetic order and without definitions.

A program always uses its own instructions and demonstrations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TYPE_CHECKING

from clinspan.corpora import Sentence
from clinspan.corpora.annotated import Annotated, Mention
from clinspan.corpora.bio import tag_spans
from clinspan.corpora.clinical import cut_long
from clinspan.corpora.errors import InputError
from clinspan.corpora.json_text import is_text
from clinspan.corpora.printable import plural
from clinspan.corpora.readers.notes import Note
from clinspan.corpora.types import Token
from clinspan.metrics.calibration import entity_confidence
from clinspan.programs.annotation.segmenter import Segmenter
from clinspan.programs.rundir.errors import RunError

if TYPE_CHECKING:
    from clinspan.programs.inference.predictor import SentenceTagger

Tagged = tuple[Sentence, dict[str, Any]]
TagAll = Callable[[Sequence[Sentence]], Iterable[Tagged]]
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Facts:
    """Identity of an annotator: its labels, model and program.

    Attributes:
        labels: Entity types that it can find, in order.
        model: Id of the model, with its revision where it has one.
        program: Id of the program: a fingerprint of the content of its `program.json`.
        by: Fingerprint of everything that can change the results; it tells annotators apart.
        record: Facts about model and program for a run's `run.json`.
        content: The content of `program.json`.
        price: US dollars for a million prompt tokens and for a million answer tokens, if known.
    """

    labels: tuple[str, ...]
    model: str
    program: str
    by: str
    record: dict[str, Any] = field(default_factory=dict)
    content: dict[str, Any] = field(default_factory=dict)
    price: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of one note: `annotated`, or the kind of `error` of its first failed sentence.

    Attributes:
        id: Id of the note.
        annotated: The note with its mentions. None if a sentence failed: a partial result could be mistaken for a complete one.
        error: Name of the failure, see `programs.inference.failures.failure_name`.
        counts: `sentences`, `failed_sentences`, `cuts` (inside sentences that were too long), tokens used.
        repairs: Number of faults in answers, by name of the fault.
    """

    id: str
    annotated: Annotated | None
    error: str | None = None
    counts: Counter[str] = field(default_factory=Counter)
    repairs: Counter[str] = field(default_factory=Counter)


class Annotator:
    """Finds entities in texts. Load it once; several threads may call it at the same time.

    Args:
        tagger: Tags sentences.
        facts: Identity of the annotator.
        segmenter: Splits texts into sentences; None: one with default settings.
    """

    def __init__(self, tagger: SentenceTagger, facts: Facts, segmenter: Segmenter | None = None) -> None:
        self.tagger, self.facts, self.segmenter = tagger, facts, segmenter or Segmenter()

    @property
    def batches(self) -> bool:
        """Whether the tagger works in batches. Answers then come late and all together, so many notes should be passed at once."""
        return bool(getattr(self.tagger, "batches", False))

    @classmethod
    def load(
        cls,
        *,
        program: str | Path | None = None,
        model: str | None = None,
        phi: bool = True,
        allow_remote: bool = False,
        settings: Sequence[str] = (),
    ) -> Annotator:
        """Load a program and its model.

        Args:
            program: A compiled program, or the folder of a run or training; None: the handwritten prompt.
            model: Same values as `model=` on the command line; None: the program's own model or the default.
            phi: Whether texts may hold protected health information.
            allow_remote: Whether such texts may leave this machine.
            settings: Further overrides as on the command line of `programs.annotate`, such as `strategy=knn`.

        Raises:
            InputError: An override is unknown, or the program cannot be read or is for other labels.
            ModelError: The model is not available.
            RunError: The model is remote, texts may hold protected health information, and `allow_remote` is not set.
        """
        from clinspan.programs.annotation.build_annotator import load_annotator

        return load_annotator(program=program, model=model, phi=phi, allow_remote=allow_remote, settings=settings)

    def __call__(self, text: str) -> list[Mention]:
        """Return the entities of a text in text order; `text[entity.start:entity.end] == entity.text`.

        Raises:
            InputError: The text contains a lone surrogate, so it is not valid Unicode.
            RunError: A sentence could not be tagged; the message names the kind of failure.
        """
        if not is_text(text):
            raise InputError("the text contains a lone surrogate", remedy="Decode it again from its bytes.")
        (outcome,) = self.annotate([Note("text", text)])
        if outcome.annotated is None:
            counts = outcome.counts
            total = counts["sentences"]
            raise RunError(f"{counts['failed_sentences']} of {total} {plural(total, 'sentence')} failed: {outcome.error}")
        return list(outcome.annotated.mentions)

    def annotate(self, notes: Sequence[Note], *, tag_all: TagAll | None = None) -> list[Outcome]:
        """Return the outcome of each note, in order. All sentences are tagged together, which is faster than one by one.

        Args:
            notes: The notes.
            tag_all: Tags sentences; None: the annotator's own tagger.
        """
        tag_all = tag_all or self.tagger.tag_all
        cuts = [self.segmenter(note) for note in notes]
        tagged: list[list[tuple[Sentence, dict[str, Any]]]] = [[] for _ in notes]
        halved: Counter[int] = Counter()
        todo = {
            f"{n}:{i}": (n, Sentence(f"{n}:{i}", note.id, tokens, ("O",) * len(tokens)))
            for n, (note, (cut, *_)) in enumerate(zip(notes, cuts, strict=True))
            for i, tokens in enumerate(cut)
        }
        while todo:
            remaining: dict[str, tuple[int, Sentence]] = {}
            for sentence, record in tag_all([sentence for _, sentence in todo.values()]):
                n = todo[sentence.id][0]
                if record["error"] == "prompt_too_long" and len(sentence.tokens) > 1:
                    halves = _halves(notes[n].text, sentence)
                    remaining.update((half.id, (n, half)) for half in halves)
                    halved[n] += len(halves) - 1
                    cuts[n][2].update(half.tokens[0].start for half in halves[1:])
                else:
                    tagged[n].append((sentence, record))
            todo = remaining
        cutting = [(cut, cut_count + halved[n], boundaries) for n, (cut, cut_count, boundaries) in enumerate(cuts)]
        return [self._outcome(note, *cutting[n], tagged[n]) for n, note in enumerate(notes)]

    def _outcome(
        self, note: Note, cut: list[tuple[Token, ...]], cuts: int, boundaries: set[int], tagged: Sequence[Tagged]
    ) -> Outcome:
        counts, repairs = Counter(sentences=len(tagged), cuts=cuts), Counter[str]()
        errors: dict[int, str] = {}
        for sentence, record in tagged:
            counts.update(record["usage"])
            counts.update(f"{SERVED}{name}" for name in record.get("served", ()))
            repairs.update(record["repairs"])
            if record["error"] is not None:
                errors[sentence.tokens[0].start] = record["error"]
        if errors:
            counts["failed_sentences"] = len(errors)
            return Outcome(note.id, None, errors[min(errors)], counts, repairs)
        merged = merge_segments(tagged, boundaries)
        mentions = [mention for sentence, record in merged for mention in sentence_mentions(note.text, sentence, record)]
        sentences = merge_cut_sentences(cut, [(mention.start, mention.end) for mention in mentions])
        annotated = Annotated(note.id, note.text, tuple(sentences), tuple(mentions), self.facts.model, self.facts.program)
        return Outcome(note.id, annotated, None, counts, repairs)


SERVED = "served_by:"
"""Prefix of counts of sentences by the model name that the server reported."""


def merge_segments(found: Sequence[Tagged], boundaries: set[int]) -> list[Tagged]:
    """Return the tagged sentences in text order, with the parts of each cut sentence joined again.

    A model that sees only the second half of a mention can only tag it as the beginning of a mention. So a mention that
    begins at a cut is treated as the rest of a mention of the same label that ends at this cut.

    Args:
        found: Sentences or parts of sentences, with their lines of `predictions.jsonl`.
        boundaries: Start offsets of the parts that follow a cut.
    """
    groups: list[list[Tagged]] = []
    for tagged in sorted(found, key=lambda tagged: tagged[0].tokens[0].start):
        if groups and tagged[0].tokens[0].start in boundaries:
            groups[-1].append(tagged)
        else:
            groups.append([tagged])
    return [_joined(group) if len(group) > 1 else group[0] for group in groups]


def _joined(parts: Sequence[Tagged]) -> Tagged:
    """Join the parts of a sentence."""
    pred: list[str] = []
    for _, record in parts:
        first, last = record["pred"][0], pred[-1] if pred else "O"
        pred += [f"I{last[1:]}" if last != "O" and first == f"B{last[1:]}" else first, *record["pred"][1:]]
    confidence = [value for _, record in parts for value in record["confidence"] or [None] * len(record["pred"])]
    tokens = tuple(token for sentence, _ in parts for token in sentence.tokens)
    sentence = replace(parts[0][0], tokens=tokens, tags=("O",) * len(tokens))
    return sentence, {**parts[0][1], "pred": pred, "confidence": confidence}


def merge_cut_sentences(cut: Sequence[tuple[Token, ...]], spans: Iterable[tuple[int, int]]) -> list[tuple[Token, ...]]:
    """Return the sentences; merge those that one mention crosses, so that each mention begins and ends in the same sentence.

    Args:
        cut: The sentences in order.
        spans: Start and end of each mention, in order.
    """
    merged: list[list[Token]] = []
    remaining_spans = iter(spans)
    start, end = next(remaining_spans, (-1, -1))
    for tokens in cut:
        while 0 <= end <= tokens[0].start:
            start, end = next(remaining_spans, (-1, -1))
        if merged and start < tokens[0].start < end:
            merged[-1] += tokens
        else:
            merged.append(list(tokens))
    return [tuple(tokens) for tokens in merged]


def sentence_mentions(text: str, sentence: Sentence, record: dict[str, Any]) -> list[Mention]:
    """Return the mentions in a sentence's tags, with character offsets in the note's text.

    Confidences are rounded, because their last digits depend on which sentences were in the same batch.
    """
    mentions = []
    for first, last, label in tag_spans(record["pred"]):
        start, end = sentence.tokens[first].start, sentence.tokens[last - 1].end
        confidence = entity_confidence(record["confidence"], first, last)
        rounded = None if confidence is None else round(confidence, _DIGITS)
        mentions.append(Mention(start, end, label, text[start:end], rounded))
    return mentions


def _halves(text: str, sentence: Sentence) -> list[Sentence]:
    parts = cut_long(text, sentence.tokens, (len(sentence.tokens) + 1) // 2)
    return [Sentence(f"{sentence.id}.{n}", sentence.document, part, ("O",) * len(part)) for n, part in enumerate(parts)]
