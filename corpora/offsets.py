"""Detection of the offset unit: characters, UTF-16 code units or UTF-8 bytes, by each mention's own text.

Some tools count offsets in UTF-16 code units (JavaScript, Java) or UTF-8 bytes, with other line ends, or without the byte order
mark of the text. The reading that fits most mentions is used. Plain characters win a tie.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from clinspan.corpora.types import Entity

_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class Placed:
    """An annotation whose offsets are still in the unit of its file.

    Attributes:
        entity: Its label and pieces.
        mention: Its text according to the file; None if the file gives none.
    """

    entity: Entity
    mention: str | None


@dataclass(frozen=True, slots=True)
class Reading:
    """How a text and its annotations fit together.

    Attributes:
        text: The text that the offsets refer to.
        entities: The annotations in characters of that text; one that lies outside it keeps its own offsets.
        acts: Counts of `mention_differs_from_text`, and of the conversion used, if any: `text_normalised`, `utf16_offsets`,
            `utf8_offsets` or `crlf_offsets`.
    """

    text: str
    entities: list[Entity]
    acts: Counter[str]


def fit(raw: str, annotations: Sequence[Placed], *, characters_only: bool = False) -> Reading:
    """Find the reading of a text that fits most of its annotations.

    Args:
        raw: The text as its file has it.
        annotations: Its annotations.
        characters_only: Whether the offsets are known to count characters of this exact text.
    """
    best: tuple[int, str, str, list[Entity]] | None = None
    for act, text, unit in _readings(raw):
        entities = (
            [_converted(placed.entity, unit) for placed in annotations] if unit else [placed.entity for placed in annotations]
        )
        wrong = sum(not _fits(text, entity, placed.mention) for entity, placed in zip(entities, annotations, strict=True))
        if best is None or wrong < best[0]:
            best = (wrong, act, text, entities)
        if not wrong or characters_only:
            break
    assert best is not None
    wrong, act, text, entities = best
    acts = Counter({"mention_differs_from_text": wrong, act: 1} if act else {"mention_differs_from_text": wrong})
    return Reading(text, entities, +acts)


def _readings(raw: str) -> Iterator[tuple[str, str, Callable[[int], int | None] | None]]:
    """Yield the name of each reading, its text, and a function from its offsets to characters (None: no conversion needed)."""
    yield "", raw, None
    lines = raw.replace("\r\n", "\n")
    for text in dict.fromkeys((raw.removeprefix(_BOM), lines, lines.removeprefix(_BOM))):
        if text != raw:
            yield "text_normalised", text, None
    for text in dict.fromkeys((raw, raw.removeprefix(_BOM))):
        if not text.isascii():
            yield "utf16_offsets", text, _unit(text, lambda char: 1 + (char > "\uffff"))
            yield "utf8_offsets", text, _unit(text, lambda char: len(char.encode(errors="surrogatepass")))
        if "\n" in text and "\r" not in text:
            yield "crlf_offsets", text, _unit(text, lambda char: 1 + (char == "\n"))


def _unit(text: str, size: Callable[[str], int]) -> Callable[[int], int | None]:
    places = {at: number for number, at in enumerate(accumulate((size(char) for char in text), initial=0))}
    return places.get


def _converted(entity: Entity, unit: Callable[[int], int | None]) -> Entity:
    fragments = []
    for start, end in entity.fragments:
        first, last = unit(start), unit(end)
        if first is None or last is None:
            return entity
        fragments.append((first, last))
    return Entity(entity.label, tuple(fragments))


def _fits(text: str, entity: Entity, mention: str | None) -> bool:
    if mention is None:
        return entity.end <= len(text)
    return " ".join(text[start:end] for start, end in entity.fragments).split() == mention.split()


def joined(text: str, entity: Entity) -> Entity:
    """Merge fragments of a mention that only white space separates: brat splits mentions at line ends.

    >>> joined("chest\\npain", Entity("Sign", ((0, 5), (6, 10)))).fragments
    ((0, 10),)
    """
    whole: list[tuple[int, int]] = []
    for start, end in entity.fragments:
        if whole and whole[-1][1] <= start and not text[whole[-1][1] : start].strip():
            whole[-1] = (whole[-1][0], end)
        else:
            whole.append((start, end))
    return Entity(entity.label, tuple(whole))
