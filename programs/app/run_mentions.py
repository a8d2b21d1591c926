"""The gold and predicted mentions of a finished run as rows of tables and as two layers of annotations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from clinspan.corpora import Document, Entity, FullMention, Sentence
from clinspan.corpora.fidelity import has_offsets, tagged_entities
from clinspan.corpora.writers.brat_layers import TwoLayers
from clinspan.corpora.writers.csv_table import Cell
from clinspan.metrics.counts import Span
from clinspan.metrics.mention_rows import CORRECT, mention_pairs, MentionPair
from clinspan.programs.building.run_corpus import run_corpus, tagged_sentences
from clinspan.programs.rundir.run_folder import read_object, read_record
from clinspan.programs.rundir.run_record import RunRecord
from clinspan.programs.rundir.scored_run import load_scored, ScoredRun
from clinspan.programs.rundir.scores_fit import check_fit

MENTION_COLUMNS = (
    "document",
    "start",
    "end",
    "text",
    "gold_label",
    "predicted_label",
    "kind",
    "confidence",
    "predicted_start",
    "predicted_end",
    "predicted_text",
)
ERROR_COLUMNS = (*MENTION_COLUMNS, "sentence_id", "sentence_text")


@dataclass(frozen=True, slots=True)
class TaggedMentions:
    """The mentions of one sentence of a run.

    Attributes:
        document: Its document.
        sentence: The sentence.
        pairs: Its gold and predicted mentions.
        full: The predicted full mentions with the note of each; None: the model gave tags alone.
    """

    document: Document
    sentence: Sentence
    pairs: list[MentionPair]
    full: list[tuple[FullMention, str]] | None = None


@dataclass(frozen=True, slots=True)
class RunMentions:
    """The mentions of a run.

    Attributes:
        run: The run.
        record: Its record.
        scores: The content of its `scores.json`.
        sentences: Its sentences in corpus order.
    """

    run: ScoredRun
    record: RunRecord
    scores: dict[str, Any]
    sentences: list[TaggedMentions]


def load_mentions(path: Path) -> RunMentions:
    """Read the folder of a finished run, and its corpus again.

    Raises:
        InputError: The folder holds no finished run, its files do not fit each other, or the corpus has changed.
    """
    run, record, scores = load_scored(path), read_record(path / "run.json"), read_object(path / "scores.json")
    check_fit(run.rows, scores, run.mode, path)
    rows = {str(row["id"]): row for row in run.rows}
    corpus = run_corpus(record, path / "run.json")
    pairs = tagged_sentences(corpus, record.corpus.split if record.corpus else "", rows, path / "predictions.jsonl")
    sentences = []
    for document, sentence in pairs:
        row = rows[sentence.id]
        mentions = mention_pairs(row["gold"], row["pred"], row["confidence"], run.mode)
        sentences.append(TaggedMentions(document, sentence, mentions, _full(row)))
    return RunMentions(run, record, scores, sentences)


def mention_table(mentions: RunMentions) -> Iterator[list[Cell]]:
    """The rows of `mentions.csv`, one for each pair; see `MENTION_COLUMNS`.

    `start`, `end` and `text` are the gold mention's, or the predicted one's if it is invented.
    """
    for one in mentions.sentences:
        for pair in one.pairs:
            yield _cells(one, pair)


def error_table(mentions: RunMentions) -> Iterator[list[Cell]]:
    """The rows of `errors.csv`: those of `mentions.csv` that are not correct, with the id and the text of the sentence."""
    for one in mentions.sentences:
        tokens = one.sentence.tokens
        for pair in one.pairs:
            if pair.kind != CORRECT:
                text = one.document.text[tokens[0].start : tokens[-1].end]
                yield [*_cells(one, pair), one.sentence.id, text]


def _cells(one: TaggedMentions, pair: MentionPair) -> list[Cell]:
    place = _place(one, pair.gold or pair.pred)
    labels = [None if span is None else span[0] for span in (pair.gold, pair.pred)]
    return [one.document.id, *place, *labels, pair.kind, pair.confidence, *_place(one, pair.pred)]


def _place(one: TaggedMentions, span: Span | None) -> list[Cell]:
    """Start, end and text of a span; no offsets if the corpus has none of its own."""
    if span is None:
        return [None, None, None]
    start, end = _ends(one.sentence, span)
    offsets: list[Cell] = [start, end] if has_offsets(one.document) else [None, None]
    return [*offsets, one.document.text[start:end]]


def _ends(sentence: Sentence, span: Span) -> tuple[int, int]:
    return sentence.tokens[span[1]].start, sentence.tokens[span[2]].end


def two_layers(mentions: RunMentions) -> Iterator[TwoLayers]:
    """The documents of a run with their gold annotations, as they were made, and the predicted mentions, right and wrong.

    Of a document that was tagged in part, the gold annotations are those that begin in its tagged sentences. The note of a
    predicted mention is its kind of error, if it is wrong, and its confidence.
    """
    for _, group in groupby(mentions.sentences, key=lambda one: one.document.id):
        sentences = list(group)
        document = sentences[0].document
        predicted, notes = [], []
        for one in sentences:
            flat = [(_of_span(pair.pred), note_of(pair)) for pair in one.pairs if pair.pred is not None]
            for mention, note in flat if one.full is None else one.full:
                pieces = tuple(_ends(one.sentence, (mention.label, start, end - 1)) for start, end in mention.fragments)
                predicted.append(Entity(mention.label, pieces))
                notes.append(note)
        yield TwoLayers(document.id, document.text, _gold(document, [one.sentence for one in sentences]), predicted, notes)


def _of_span(span: Span) -> FullMention:
    return FullMention(span[0], ((span[1], span[2] + 1),))


def _full(row: dict[str, Any]) -> list[tuple[FullMention, str]] | None:
    """The predicted full mentions of a line of `predictions.jsonl`; one that is not among its gold ones is noted as `wrong`."""
    if row.get("pred_mentions") is None:
        return None
    gold = None if row.get("gold_mentions") is None else {FullMention.of(one) for one in row["gold_mentions"]}
    found = []
    for one in row["pred_mentions"]:
        mention = FullMention.of(one)
        parts = [] if gold is None or mention in gold else ["wrong"]
        parts += [] if one.get("confidence") is None else [f"confidence {one['confidence']:.2f}"]
        found.append((mention, ", ".join(parts)))
    return found


def _gold(document: Document, tagged: list[Sentence]) -> list[Entity]:
    if not has_offsets(document):
        return tagged_entities(Document(document.id, document.text, (), tuple(tagged)))
    return [entity for sentence in tagged for entity in sentence.mentions or ()]


def note_of(pair: MentionPair) -> str:
    """What brat shows of a predicted mention besides its type.

    >>> note_of(MentionPair(None, ("Sign", 0, 1), "invented", 0.625))
    'invented, confidence 0.62'
    """
    parts = [] if pair.kind == CORRECT else [pair.kind]
    parts += [] if pair.confidence is None else [f"confidence {pair.confidence:.2f}"]
    return ", ".join(parts)
