"""`Annotator`: a program applied to texts. Load it once with `Annotator.load(...)`, then call it.

    from clinspan.programs.annotation.annotator import Annotator

    annotator = Annotator.load(program="runs/optimize/<date_time>")
    for entity in annotator("He has Wilson disease."):
        print(entity.start, entity.end, entity.label, entity.text, entity.confidence)

Where labels come from: of a token classifier, from its classes; with `corpus=...` among the settings, from that; else from
the default corpus, if the program was made for the same labels (or there is no program, so that the handwritten prompt and
the demonstrations are that corpus'); else from the program, in alphabetic order and without definitions, as a `program.json`
has them. Its instructions and demonstrations are its own in each case.
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
    """What an annotator is.

    Attributes:
        labels: The types that it can find, in order.
        model: Id of the model, with its revision where it has one.
        program: Id of the program: a fingerprint of what is in its `program.json`.
        by: Tells apart whatever can make another annotator's results differ.
        record: What a run's record says of model and program.
        content: The content of `program.json`.
        price: US dollars for a million prompt and a million answer tokens, if known.
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
    """What became of a note: `annotated`, or the kind of `error` of its first sentence that failed.

    Attributes:
        id: The note's.
        annotated: The note with its mentions; None if a sentence failed, as half a result can be taken for a whole one.
        error: As `programs.inference.failures.failure_name` calls it.
        counts: `sentences`, `failed_sentences`, `cuts` (made inside sentences that were too long), tokens used.
        repairs: What answers had wrong, by name.
    """

    id: str
    annotated: Annotated | None
    error: str | None = None
    counts: Counter[str] = field(default_factory=Counter)
    repairs: Counter[str] = field(default_factory=Counter)


class Annotator:
    """Finds entities in texts. Loaded once; may be called by several threads at once.

    Args:
        tagger: What tags sentences.
        facts: What it is.
        segmenter: How texts become sentences.
    """

    def __init__(self, tagger: SentenceTagger, facts: Facts, segmenter: Segmenter | None = None) -> None:
        self.tagger, self.facts, self.segmenter = tagger, facts, segmenter or Segmenter()

    @property
    def batches(self) -> bool:
        """Whether answers come together and late, so that many notes should be given at once."""
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
            program: A compiled program or a run's or training's folder; None: the handwritten prompt.
            model: As `model=` of the commands; None: the program's own or the default.
            phi: Whether texts may hold protected health information.
            allow_remote: Let such texts leave this machine.
            settings: Further words as on the command line of `programs.annotate`, such as `strategy=knn`.

        Raises:
            InputError: A word names nothing, the program cannot be read or is for other labels.
            ModelError: The model is not available.
            RunError: The model is elsewhere, texts may hold protected health information, and it is not allowed.
        """
        from clinspan.programs.annotation.build_annotator import load_annotator

        return load_annotator(program=program, model=model, phi=phi, allow_remote=allow_remote, settings=settings)

    def __call__(self, text: str) -> list[Mention]:
        """The entities of a text, in its order; `text[entity.start:entity.end] == entity.text`.

        Raises:
            InputError: It holds half of a surrogate pair, so it is no text.
            RunError: A sentence could not be tagged; says of what kind the problem is.
        """
        if not is_text(text):
            raise InputError("the text holds half of a surrogate pair", remedy="Decode it again from its bytes.")
        (found,) = self.annotate([Note("text", text)])
        if found.annotated is None:
            raise RunError(f"{found.counts['failed_sentences']} of {found.counts['sentences']} sentences failed: {found.error}")
        return list(found.annotated.mentions)

    def annotate(self, notes: Sequence[Note], *, tag_all: TagAll | None = None) -> list[Outcome]:
        """What becomes of each note, in their order. Their sentences are tagged together, which is faster than one by one.

        Args:
            notes: The notes.
            tag_all: Tags sentences; None: this annotator's tagger does.
        """
        tag_all = tag_all or self.tagger.tag_all
        cuts = [self.segmenter(note) for note in notes]
        found: list[list[tuple[Sentence, dict[str, Any]]]] = [[] for _ in notes]
        halved: Counter[int] = Counter()
        todo = {
            f"{n}:{i}": (n, Sentence(f"{n}:{i}", note.id, tokens, ("O",) * len(tokens)))
            for n, (note, (cut, *_)) in enumerate(zip(notes, cuts, strict=True))
            for i, tokens in enumerate(cut)
        }
        while todo:
            again: dict[str, tuple[int, Sentence]] = {}
            for sentence, record in tag_all([sentence for _, sentence in todo.values()]):
                n = todo[sentence.id][0]
                if record["error"] == "prompt_too_long" and len(sentence.tokens) > 1:
                    halves = _halves(notes[n].text, sentence)
                    again.update((half.id, (n, half)) for half in halves)
                    halved[n] += len(halves) - 1
                    cuts[n][2].update(half.tokens[0].start for half in halves[1:])
                else:
                    found[n].append((sentence, record))
            todo = again
        cutting = [(cut, made + halved[n], boundaries) for n, (cut, made, boundaries) in enumerate(cuts)]
        return [self._outcome(note, *cutting[n], found[n]) for n, note in enumerate(notes)]

    def _outcome(
        self, note: Note, cut: list[tuple[Token, ...]], cuts: int, boundaries: set[int], found: Sequence[Tagged]
    ) -> Outcome:
        counts, repairs = Counter(sentences=len(found), cuts=cuts), Counter[str]()
        errors: dict[int, str] = {}
        for sentence, record in found:
            counts.update(record["usage"])
            counts.update(f"{SERVED}{name}" for name in record.get("served", ()))
            repairs.update(record["repairs"])
            if record["error"] is not None:
                errors[sentence.tokens[0].start] = record["error"]
        if errors:
            counts["failed_sentences"] = len(errors)
            return Outcome(note.id, None, errors[min(errors)], counts, repairs)
        mentions = [one for tagged in merge_segments(found, boundaries) for one in sentence_mentions(note.text, *tagged)]
        sentences = merge_cut_sentences(cut, [(mention.start, mention.end) for mention in mentions])
        annotated = Annotated(note.id, note.text, tuple(sentences), tuple(mentions), self.facts.model, self.facts.program)
        return Outcome(note.id, annotated, None, counts, repairs)


SERVED = "served_by:"
"""Begins the names of counts that say which model a server answered as, in sentences."""


def merge_segments(found: Sequence[Tagged], boundaries: set[int]) -> list[Tagged]:
    """Tagged sentences in the order of the text, each that was cut whole again.

    A model that is shown the second half of a mention can only say that one begins there. So one that begins at a cut of ours
    is taken for the rest of one of the same label that ends there.

    Args:
        found: Sentences or parts of them, with their lines of `predictions.jsonl`.
        seams: Where the parts begin that stand behind a cut.
    """
    groups: list[list[Tagged]] = []
    for tagged in sorted(found, key=lambda tagged: tagged[0].tokens[0].start):
        if groups and tagged[0].tokens[0].start in boundaries:
            groups[-1].append(tagged)
        else:
            groups.append([tagged])
    return [_joined(group) if len(group) > 1 else group[0] for group in groups]


def _joined(parts: Sequence[Tagged]) -> Tagged:
    """The parts of a sentence as one."""
    pred: list[str] = []
    for _, record in parts:
        first, last = record["pred"][0], pred[-1] if pred else "O"
        pred += [f"I{last[1:]}" if last != "O" and first == f"B{last[1:]}" else first, *record["pred"][1:]]
    sure = [value for _, record in parts for value in record["confidence"] or [None] * len(record["pred"])]
    tokens = tuple(token for sentence, _ in parts for token in sentence.tokens)
    sentence = replace(parts[0][0], tokens=tokens, tags=("O",) * len(tokens))
    return sentence, {**parts[0][1], "pred": pred, "confidence": sure}


def merge_cut_sentences(cut: Sequence[tuple[Token, ...]], spans: Iterable[tuple[int, int]]) -> list[tuple[Token, ...]]:
    """The sentences, those made one that a mention goes across: else its second half would stand in a sentence without a begin.

    Args:
        cut: The sentences in order.
        spans: Start and end of each mention, in order.
    """
    whole: list[list[Token]] = []
    ends = iter(spans)
    start, end = next(ends, (-1, -1))
    for tokens in cut:
        while 0 <= end <= tokens[0].start:
            start, end = next(ends, (-1, -1))
        if whole and start < tokens[0].start < end:
            whole[-1] += tokens
        else:
            whole.append(list(tokens))
    return [tuple(tokens) for tokens in whole]


def sentence_mentions(text: str, sentence: Sentence, record: dict[str, Any]) -> list[Mention]:
    """The mentions that a sentence's tags say, in characters of its note's text. Confidences are rounded: their last digits
    depend on which sentences were read together."""
    found = []
    for first, last, label in tag_spans(record["pred"]):
        start, end = sentence.tokens[first].start, sentence.tokens[last - 1].end
        sure = entity_confidence(record["confidence"], first, last)
        found.append(Mention(start, end, label, text[start:end], None if sure is None else round(sure, _DIGITS)))
    return found


def _halves(text: str, sentence: Sentence) -> list[Sentence]:
    parts = cut_long(text, sentence.tokens, (len(sentence.tokens) + 1) // 2)
    return [Sentence(f"{sentence.id}.{n}", sentence.document, part, ("O",) * len(part)) for n, part in enumerate(parts)]
