"""Conversion of tags to IOB2 from IOB1, IO, IOBES, BILOU or BMES, and from bare `B` and `I`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain

from clinspan.corpora.bio import check_tag
from clinspan.corpora.errors import InputError
from clinspan.corpora.readers.columns import is_tag

SCHEMES = ("auto", "IOB1", "IOB2", "IOBES", "BILOU")
BARE = "Entity"
_TO_IOB2 = {"E": "I", "S": "B", "L": "I", "U": "B", "M": "I"}
_PREFIXES = {"IOB1": "BIO", "IOB2": "BIO", "IOBES": "BIOES", "BILOU": "BILOU"}


def check_scheme(scheme: str) -> None:
    """Check `corpus.scheme`.

    Raises:
        InputError: It is not one of `SCHEMES`.
    """
    if scheme not in SCHEMES:
        raise InputError(f"corpus.scheme={scheme} is not known", remedy=f"Use one of {', '.join(SCHEMES)}.")


@lru_cache(maxsize=1024)
def fault_of(tag: str) -> tuple[str, str] | None:
    """What is wrong with a tag of any scheme, and what can be done about it; None for a valid tag."""
    if not is_tag(tag):
        return f"{tag[:40]!r} is not a BIO tag", "Tags are O, B-label or I-label; IOBES and BILOU have E-, S-, L- and U- too."
    if len(tag) > 1:
        try:
            check_tag("B" + tag[1:])
        except ValueError as error:
            return str(error), "Rename the label."
    return None


def outside_scheme(tags: Iterable[str], scheme: str) -> str | None:
    """The first tag in alphabetical order that is not part of a scheme, or None."""
    allowed = _PREFIXES.get(scheme)
    return min((tag for tag in tags if allowed and tag[0] not in allowed), default=None)


def is_iob1(sentences: Sequence[Sequence[str]]) -> bool:
    """Whether tags are IOB1: spans open with `I-`, and each `B-` directly follows a span of the same label.

    >>> is_iob1([["I-Sign", "B-Sign", "O"]]), is_iob1([["B-Sign", "O", "I-Sign"]])
    (True, False)
    """
    opened_by_i = False
    for tags in sentences:
        for before, tag in zip(["O", *tags], tags, strict=False):
            if tag[0] == "B" and before[2:] != tag[2:]:
                return False
            opened_by_i |= tag[0] == "I" and before[2:] != tag[2:]
    return opened_by_i


def iob1_to_iob2(tags: Sequence[str]) -> list[str]:
    """
    >>> iob1_to_iob2(["I-Sign", "I-Sign", "B-Sign", "O"])
    ['B-Sign', 'I-Sign', 'B-Sign', 'O']
    """
    pairs = zip(["O", *tags], tags, strict=False)
    return [f"B-{tag[2:]}" if tag[0] == "I" and before[2:] != tag[2:] else tag for before, tag in pairs]


def to_iob2(sentences: Sequence[Sequence[str]], *, scheme: str, bare: str, files: int = 1) -> tuple[list[list[str]], Counter[str]]:
    """Convert the tags of a whole split to IOB2, and count what was converted.

    Args:
        sentences: Tags by sentence, in any scheme.
        scheme: One of `SCHEMES`; under `IOB2` and `auto` an `I-` that opens a span is kept and counted.
        bare: The label for tags that have none.
        files: The number of files that the tags come from.
    """
    acts: Counter[str] = Counter()
    counts = Counter(chain.from_iterable(sentences))
    acts["bare_tags"] = sum(n for tag, n in counts.items() if len(tag) == 1 and tag != "O")
    names = {tag: f"{tag}-{bare}" if len(tag) == 1 and tag != "O" else tag for tag in counts}
    prefixes = {tag[0] for tag in counts}
    converted = bool(prefixes & set(_TO_IOB2)) or scheme in ("IOBES", "BILOU")
    if converted:
        acts["bilou_files" if prefixes & {"L", "U"} or scheme == "BILOU" else "iobes_files"] += files
        names = {tag: _TO_IOB2.get(name[0], name[0]) + name[1:] for tag, name in names.items()}
    rows = [[names[tag] for tag in tags] for tags in sentences]
    if not converted and (scheme == "IOB1" or (scheme == "auto" and is_iob1(rows))):
        acts["iob1_files"] += files
        return [iob1_to_iob2(tags) for tags in rows], +acts
    acts["orphan_i_kept"] += sum(map(_orphans, rows))
    return rows, +acts


def _orphans(tags: Sequence[str]) -> int:
    if tags.count("O") == len(tags):
        return 0
    return sum(tag[0] == "I" and before[2:] != tag[2:] for before, tag in zip(["O", *tags], tags, strict=False))
