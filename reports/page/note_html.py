"""An annotated note as one self-contained HTML file, and a list of such files."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from clinspan.corpora.annotated import Annotated, Mention
from clinspan.corpora.printable import plural
from clinspan.corpora.writers.brat_layers import COLOURS
from clinspan.reports.wording import confidence_words

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_TEXT = "pre{white-space:pre-wrap;overflow-wrap:anywhere;font:inherit}"
_MARKS = (
    "mark{border-radius:.2em;padding:.1em .15em;color:#111;print-color-adjust:exact;-webkit-print-color-adjust:exact}"
    "mark small{font-size:.7em;font-weight:600;margin-left:.35em;user-select:none}"
)
_LEGEND = "li{display:inline-block;margin-right:1.2em}ul{padding:0}"
_FRAGMENT = re.sub(r"(^|})(?=[a-z])", r"\1.clinspan-note ", _TEXT + _MARKS + _LEGEND)
_WEB = files("clinspan.reports") / "web"
_STYLE = _TEXT + _MARKS + _WEB.joinpath("note.css").read_text("utf-8")
_SCRIPT = _WEB.joinpath("note.js").read_text("utf-8")
_HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'{scripts}">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">
<title>{title}</title><style>{style}</style></head>
<body><h1>{title}</h1>
"""
_NOTE = """<ul class="types" aria-label="types">{legend}</ul>
<nav><button type="button" data-step="-1">previous</button> <button type="button" data-step="1">next</button>
<output>{count}</output> {slider}<span class="keys">keys: j, k</span> {index}
<button type="button" id="theme" value="as the system">Theme: as the system</button></nav>
<div class="review"><pre>
{text}</pre>
<aside aria-label="mentions"{hidden}><table><thead><tr>
<th scope="col" class="n" aria-sort="ascending"><button type="button" data-doubt="0" title="in text order">#</button></th>
<th scope="col">mention</th><th scope="col">type</th>
<th scope="col" class="n">{doubt}</th></tr></thead><tbody></tbody></table></aside></div>
<footer>{footer}</footer><script>{script}</script></body></html>
"""
_SLIDER = """<label>confidence from <input id="least" type="range" min="0" max="1" step="0.01" value="0">
<b id="least-said">.00</b></label>
"""
_DOUBT = '<button type="button" data-doubt="1" title="least confident first">confidence</button>'
_LIST = """<p>{count} notes, the lowest confidence first</p>
<div class="list"><table><thead><tr>{heads}</tr></thead>
<tbody>
{rows}
</tbody></table></div></body></html>
"""


@dataclass(frozen=True, slots=True)
class NoteRow:
    """A note in the list of notes.

    Attributes:
        id: Its id.
        link: The relative address of its page.
        lowest: The lowest confidence of its mentions; None if none is known.
        counts: The number of its mentions by type.
    """

    id: str
    link: str
    lowest: float | None
    counts: Mapping[str, int]


def note_page(note: Annotated, labels: Sequence[str], *, index: str = "") -> bytes:
    """Render a note as an HTML page, encoded in UTF-8.

    A script of the page goes through the mentions, lists them, and hides those of a type or below a confidence.

    Args:
        note: The note. All of its text is escaped, and control characters are shown as Unicode control pictures.
        labels: All types. Their order sets their colours, so a type has the same colour on every page.
        index: The relative address of the list of notes; empty for none.
    """
    _, body = _drawn(note, labels)
    known = any(mention.confidence is not None for mention in note.mentions)
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    head = _HEAD.format(title=_escaped(note.id), style=_STYLE, scripts=f"; script-src 'sha256-{digest}'")
    number = len(note.mentions)
    page = _NOTE.format(
        legend=_switches(note, labels),
        count=f"{number} {plural(number, 'mention')}",
        slider=_SLIDER if known else "",
        doubt=_DOUBT if known else "",
        hidden="" if number else " hidden",
        index=f'<a href="{_escaped(index)}">all notes</a> ' if index else "",
        text=body,
        footer=f"found by {_escaped(note.model)}, program {_escaped(note.program)}",
        script=_SCRIPT,
    )
    return (head + page).encode()


def note_fragment(note: Annotated, labels: Sequence[str]) -> str:
    """Render a note as HTML for a notebook's cell: what its page shows of types and text, with a style for this part alone.

    Args:
        note: As for `note_page`.
        labels: As for `note_page`.
    """
    legend, body = _drawn(note, labels)
    return f'<div class="clinspan-note"><style>{_FRAGMENT}</style><ul>{legend}</ul><pre>\n{body}</pre></div>'


def _drawn(note: Annotated, labels: Sequence[str]) -> tuple[str, str]:
    """The list of types with their numbers of mentions, and the text with marked mentions."""
    legend = "".join(f"<li>{sample}</li>" for sample in _samples(note, labels))
    places = {label: n for n, label in enumerate(labels)}
    pieces, at = [], 0
    for mention in note.mentions:
        pieces += [_escaped(note.text[at : mention.start]), _mark(mention, places[mention.label])]
        at = mention.end
    return legend, "".join([*pieces, _escaped(note.text[at:])])


def _samples(note: Annotated, labels: Sequence[str]) -> list[str]:
    """Each type in its colour, with its number of mentions."""
    counts = Counter(mention.label for mention in note.mentions)
    return [f'<mark style="background:{_colour(n)}">{_escaped(label)}</mark> {counts[label]}' for n, label in enumerate(labels)]


def _switches(note: Annotated, labels: Sequence[str]) -> str:
    """The list of types as buttons that hide and show them."""
    button = '<li><button type="button" aria-pressed="true" data-type="{}" title="hide or show this type">{}</button></li>'
    return "".join(button.format(n, sample) for n, sample in enumerate(_samples(note, labels)))


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def index_page(rows: Iterable[NoteRow], labels: Sequence[str]) -> bytes:
    """Render a list of notes, those with the lowest confidence first, then those without confidences, then those without mentions.

    Args:
        rows: The notes.
        labels: All types, in order.
    """

    def doubt(row: NoteRow) -> tuple[bool, float, str]:
        return not row.counts, 2.0 if row.lowest is None else row.lowest, row.id

    ordered = sorted(rows, key=doubt)
    heads = "".join(f'<th scope="col">{_escaped(head)}</th>' for head in ("note", "lowest confidence", "mentions", *labels))
    body = "\n".join(_row(row, labels) for row in ordered)
    head = _HEAD.format(title="annotated notes", style=_STYLE, scripts="")
    return (head + _LIST.format(count=f"{len(ordered):,}", heads=heads, rows=body)).encode()


def _row(row: NoteRow, labels: Sequence[str]) -> str:
    lowest = "" if row.lowest is None else _escaped(confidence_words(row.lowest))
    cells = [lowest, sum(row.counts.values()), *(row.counts.get(label, 0) or "" for label in labels)]
    link = f'<th scope="row"><a href="{_escaped(row.link)}">{_escaped(row.id)}</a></th>'
    return f"<tr>{link}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _mark(mention: Mention, place: int) -> str:
    """A mention of the type at a place among the types; the page's script reads the place and the confidence."""
    confidence = "" if mention.confidence is None else f" {_escaped(confidence_words(mention.confidence))}"
    value = "" if mention.confidence is None else f' data-c="{mention.confidence:.4f}"'
    tooltip = _escaped(f"{mention.label}, characters {mention.start} to {mention.end}")
    shown = f"{_escaped(mention.text)}<small>{_escaped(mention.label)}{confidence}</small>"
    return f'<mark tabindex="-1" data-t="{place}"{value} style="background:{_colour(place)}" title="{tooltip}">{shown}</mark>'


def _escaped(text: str) -> str:
    return html.escape(_CONTROL.sub(lambda match: chr(0x2400 + min(ord(match.group()), 0x21)), text))
