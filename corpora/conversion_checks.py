"""Checks of the conversion of annotations to tags: mentions that tags widen, cut, divide or lose, and triggers of events."""

from __future__ import annotations

from collections.abc import Iterator

from clinspan.corpora.printable import plural
from clinspan.corpora.verdict import Check, Level, listed, Parts, Verdict

_MANY = 0.1
"""Share of lost or widened mentions that makes a warning an error."""
_LOST = ("overlap_longest", "overlap_first", "overlap_last", "empty_dropped", "partial_drop", "discontinuous_drop", "crossing_drop")


def widened(parts: Parts) -> Iterator[Verdict]:
    """Mentions that cut a token and are extended to whole tokens."""
    number = parts.counts["partial_expand"]
    cut = (parts.corpus.cut or {}).get("tokenizer")
    remedy = "corpus.tokenizer=clinical cuts at letters and digits" if cut in ("punctuation", "whitespace") else ""
    remedy = remedy or (
        "corpus.tokenizer=fit cuts where train needs it"
        if cut == "clinical"
        else "Scores on character offsets are beside those on tokens"
    )
    yield _conversion(parts, "widened", number, "widened to whole tokens", remedy=remedy, fine="no mention ends inside a token")


def lost(parts: Parts) -> Iterator[Verdict]:
    """Mentions that no tag has, as another mention has their tokens or a policy drops them."""
    number = sum(parts.counts[name] for name in _LOST)
    remedy = "corpus.overlap chooses which of two mentions is kept, 'corpus.map={LABEL: null}' leaves a label out"
    yield _conversion(
        parts, "lost", number, "overlapping or cut, not in the tags", remedy=remedy, fine="no mention is lost to another"
    )


def in_pieces(parts: Parts) -> Iterator[Verdict]:
    """Mentions in pieces, which flat tags cannot express."""
    number = parts.counts["discontinuous_first"] + parts.counts["discontinuous_envelope"]
    remedy = "corpus.discontinuous=first|envelope|drop says what is tagged, corpus.mentions=full keeps all pieces beside the tags"
    yield _conversion(
        parts, "discontinuous", number, "in pieces, made flat", remedy=remedy, fine="no mention is in pieces", most=1.0
    )


def crossing(parts: Parts) -> Iterator[Verdict]:
    """Mentions over the end of a sentence."""
    number = parts.counts["crossing_split"] + parts.counts["crossing_first"]
    remedy = "Compare corpus.sentences=clinical|punctuation|lines, and look at these mentions"
    yield _conversion(
        parts,
        "crossing",
        number,
        "over the end of a sentence, divided there",
        remedy=remedy,
        fine="no mention crosses a sentence end",
    )


def twice(parts: Parts) -> Iterator[Verdict]:
    """Mentions that are annotated twice."""
    number = parts.counts["duplicate_dropped"]
    yield _conversion(
        parts,
        "duplicates",
        number,
        "annotated twice, kept once",
        remedy="Remove the copies",
        fine="no mention is annotated twice",
        most=1.0,
    )


def misplaced(parts: Parts) -> Iterator[Verdict]:
    """Mentions whose text in the file is another one than at their offsets."""
    number = parts.counts["mention_differs_from_text"]
    remedy = "Give the version of the texts that was annotated"
    yield _conversion(
        parts, "misplaced", number, "with another text than at their offsets", remedy=remedy, fine="each mention has its own text"
    )


def triggers(parts: Parts) -> Iterator[Verdict]:
    """Labels that are types of events."""
    found = {name.removeprefix("trigger_"): number for name, number in parts.counts.items() if name.startswith("trigger_")}
    kept = sorted(found.keys() & {label.name for label in parts.corpus.labels})
    if kept:
        number = sum(found[name] for name in kept)
        text = f"{number:,} triggers of events are read as mentions: {listed(kept)}"
        yield Verdict("triggers", "warning", number, text, "corpus.triggers=drop leaves them out")


def _conversion(parts: Parts, check: str, number: int, what: str, *, remedy: str, fine: str, most: float = _MANY) -> Verdict:
    if not number:
        return Verdict(check, "ok", 0, fine)
    total = max(parts.annotations, number)
    level: Level = "error" if number > most * total else "warning"
    share = f"{100 * number / total:.1f} %" if number >= total / 1000 else "<0.1 %"
    return Verdict(check, level, number, f"{number:,} {plural(number, 'mention')} ({share}) {what}", remedy)


CONVERSION_CHECKS: tuple[Check, ...] = (widened, lost, in_pieces, crossing, twice, misplaced, triggers)
