"""`Annotator`: a program applied to texts. Load it once with `Annotator.load(...)`, then call it.

    from clinspan.programs.annotation.annotator import Annotator

    annotator = Annotator.load("runs/optimize/<date_time>")
    for mention in annotator("He has Wilson disease."):
        print(mention.start, mention.end, mention.label, mention.text, mention.confidence)

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
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload, TYPE_CHECKING

from clinspan.corpora import Sentence
from clinspan.corpora.annotated import Annotated
from clinspan.corpora.clinical import cut_long
from clinspan.corpora.errors import check_number
from clinspan.corpora.outline import Outline, Position
from clinspan.corpora.printable import plural
from clinspan.corpora.readers.notes import Note
from clinspan.corpora.types import Token
from clinspan.programs.annotation.annotation import Annotation
from clinspan.programs.annotation.min_confidence import MinConfidence, removed
from clinspan.programs.annotation.segmenter import Segmenter
from clinspan.programs.annotation.segments import full_annotations, merge_cut_sentences, merge_segments, sentence_mentions, Tagged
from clinspan.programs.annotation.texts import batches, checked, texts_of
from clinspan.programs.rundir.run_record import RunFacts

if TYPE_CHECKING:
    from clinspan.programs.inference.predictor import SentenceTagger

TagAll = Callable[[Sequence[Sentence]], Iterable[Tagged]]


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
    record: RunFacts = field(default_factory=RunFacts)
    content: dict[str, Any] = field(default_factory=dict)
    price: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of one note: `annotated`, or the kind of `error` of its first failed sentence.

    Attributes:
        id: Id of the note.
        annotated: The note with its mentions. None if a sentence failed: a partial result could be mistaken for a complete one.
        error: Name of the failure, see `programs.inference.failures.failure_name`.
        counts: `sentences`, `failed_sentences`, `cuts` (inside sentences that were too long), tokens used, and mentions that
            `min_confidence` removed, see `programs.annotation.min_confidence.removed`.
        repairs: Number of faults in answers, by name of the fault.
    """

    id: str
    annotated: Annotated | None
    error: str | None = None
    counts: Counter[str] = field(default_factory=Counter)
    repairs: Counter[str] = field(default_factory=Counter)

    @property
    def failure(self) -> str | None:
        """How many sentences failed, and of what; None: none did."""
        if self.annotated is not None:
            return None
        total = self.counts["sentences"]
        return f"{self.counts['failed_sentences']} of {total} {plural(total, 'sentence')} failed: {self.error}"


class Annotator:
    """Finds entities in texts. Load it once; several threads may call it at the same time.

    Args:
        tagger: Tags sentences.
        facts: Identity of the annotator.
        segmenter: Splits texts into sentences; None: one with default settings.
        min_confidence: Which mentions are left out; None: none.
    """

    def __init__(
        self,
        tagger: SentenceTagger,
        facts: Facts,
        segmenter: Segmenter | None = None,
        min_confidence: MinConfidence | None = None,
    ) -> None:
        self.tagger, self.facts, self.segmenter = tagger, facts, segmenter or Segmenter()
        self.min_confidence = min_confidence or MinConfidence()

    @property
    def batches(self) -> bool:
        """Whether the tagger works in batches. Answers then come late and all together, so many notes should be passed at once."""
        return bool(getattr(self.tagger, "batches", False))

    @classmethod
    def load(
        cls,
        program: str | Path | None = None,
        *,
        model: str | None = None,
        phi: bool = True,
        allow_remote: bool = False,
        min_confidence: float | Mapping[str, float] | None = None,
        settings: Sequence[str] = (),
    ) -> Annotator:
        """Load a program and its model.

        Args:
            program: A compiled program, or the folder of a run or training; None: the handwritten prompt.
            model: Same values as `model=` on the command line; None: the program's own model or the default.
            phi: Whether texts may hold protected health information.
            allow_remote: Whether such texts may leave this machine.
            min_confidence: Mentions with a lower confidence, 0 to 1, are left out: one number, or a number by label.
            settings: Further overrides as on the command line of `programs.annotate`, such as `strategy=knn`.

        Raises:
            InputError: An override is unknown, the program cannot be read or is for other labels, or `min_confidence` names an
                unknown label or the model gives no confidences.
            ModelError: The model is not available.
            RunError: The model is remote, texts may hold protected health information, and `allow_remote` is not set.
        """
        from clinspan.programs.annotation.build_annotator import load_annotator

        config: dict[str, Any] = {"phi": phi, "allow_remote": allow_remote, "min_confidence": min_confidence}
        return load_annotator(program=program, model=model, settings=settings, **config)

    @overload
    def __call__(self, text: str) -> Annotation: ...

    @overload
    def __call__(self, text: list[str] | tuple[str, ...]) -> list[Annotation]: ...

    def __call__(self, text: str | list[str] | tuple[str, ...]) -> Annotation | list[Annotation]:
        """Return the mentions of a text, or a list with those of each text of a list.

        The texts of a list are tagged together, which is faster than one by one. For more texts than memory holds use `pipe`.

        Raises:
            InputError: The argument or an item of the list is no text, or contains a lone surrogate, so it is not valid Unicode.
            RunError: A sentence of the single text could not be tagged; the message names the kind of failure. Texts of a list
                that fail are in it with their `error`.
        """
        texts = texts_of(text)
        found = self._annotations(texts)
        if isinstance(text, str):
            _ = found[0].mentions  # raises what failed
            return found[0]
        return found

    def pipe(self, texts: Iterable[str], *, batch_size: int = 64) -> Generator[Annotation]:
        """Yield the mentions of each text, in order. Memory holds one batch of texts.

        Args:
            texts: The texts, such as a generator that reads them one by one.
            batch_size: Number of texts that are tagged together.

        Raises:
            InputError: `texts` is a single text, an item of it is no text, or `batch_size` is not a positive whole number. A text
                that fails is among the results, with its `error`.
        """
        check_number("batch_size", batch_size, 1)
        numbered = enumerate(batches(checked(texts), batch_size))
        return (one for number, batch in numbered for one in self._annotations(batch, number * batch_size))

    def _annotations(self, texts: Sequence[str], first: int = 0) -> list[Annotation]:
        outcomes = self.annotate([Note(str(number), text) for number, text in enumerate(texts, first)])
        return [
            Annotation(text, self.facts.labels, outcome.annotated, outcome.failure, removed(outcome.counts))
            for text, outcome in zip(texts, outcomes, strict=True)
        ]

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
        within_words = self.segmenter.cutting().within_words
        sentences = [(n, one) for n, note in enumerate(notes) for one in _sentences(n, note, cuts[n][0], within_words)]
        todo = {sentence.id: (n, sentence) for n, sentence in sentences}
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
        mentions = self.min_confidence.kept(mentions, counts)
        full = full_annotations(merged)
        if full is not None:
            full = [one for one in full if self.min_confidence.certain(one.entity.label, one.confidence)]
        sentences = merge_cut_sentences(cut, [(mention.start, mention.end) for mention in mentions])
        who = self.facts.model, self.facts.program
        in_full = None if full is None else tuple(full)
        annotated = Annotated(note.id, note.text, tuple(sentences), tuple(mentions), *who, full=in_full)
        return Outcome(note.id, annotated, None, counts, repairs)


SERVED = "served_by:"
"""Prefix of counts of sentences by the model name that the server reported."""


def _sentences(number: int, note: Note, cut: Sequence[tuple[Token, ...]], within_words: bool) -> Iterator[Sentence]:
    """The sentences of a note, which prompts show with the same spacing as those of a corpus that was cut this way."""
    outline = Outline(note.text, cut)
    spaced = note.cut is not None or not within_words
    for n, tokens in enumerate(cut):
        yield Sentence(f"{number}:{n}", note.id, tokens, ("O",) * len(tokens), spaced=spaced, position=Position(outline, n))


def _halves(text: str, sentence: Sentence) -> list[Sentence]:
    parts = cut_long(text, sentence.tokens, (len(sentence.tokens) + 1) // 2)
    positions = sentence.position.parted(parts) if sentence.position is not None else [None] * len(parts)
    return [
        replace(sentence, id=f"{sentence.id}.{n}", tokens=part, tags=("O",) * len(part), position=position)
        for n, (part, position) in enumerate(zip(parts, positions, strict=True))
    ]
