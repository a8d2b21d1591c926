"""An annotated note as one self-contained HTML file, and a list of such files."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from clinspan.corpora.annotated import Annotated, Mention
from clinspan.corpora.writers.brat_layers import COLOURS

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_STYLE = (
    "body{font:16px/1.7 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#111;background:#fff}"
    "h1{font-size:1.5rem;overflow-wrap:anywhere}a{color:#0a5a9c}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;font:inherit}"
    "mark{border-radius:.2em;padding:.1em .15em;color:#111;print-color-adjust:exact;-webkit-print-color-adjust:exact}"
    "mark small{font-size:.7em;font-weight:600;margin-left:.35em;user-select:none}mark:focus{outline:3px solid #111}"
    "li{display:inline-block;margin-right:1.2em}ul{padding:0}footer{color:#555;font-size:.85em}"
    "nav{position:sticky;top:0;background:#fff;border-bottom:1px solid #ccc;padding:.4rem 0}"
    "button{font:inherit}nav>*{margin-right:.6rem}"
    "div{overflow-x:auto}table{border-collapse:collapse}th,td{text-align:right;padding:.15rem .6rem;border-bottom:1px solid #ccc}"
    "tr>:first-child{text-align:left;font-weight:400;overflow-wrap:anywhere;min-width:9rem}thead th{border-bottom:2px solid #111}"
    "@media print{nav{display:none}}@media (max-width:40rem){nav span{display:none}}"
)
_SCRIPT = """
"use strict";
const marks = [...document.querySelectorAll("pre mark")], count = document.querySelector("output");
let at = -1;
function go(step) {
  if (!marks.length) return;
  at = at < 0 ? (step > 0 ? 0 : marks.length - 1) : (at + step + marks.length) % marks.length;
  marks[at].focus({ preventScroll: true });
  marks[at].scrollIntoView({ block: "center" });
  count.textContent = `${at + 1} / ${marks.length}`;
}
const steps = { n: 1, j: 1, p: -1, k: -1 };
document.addEventListener("keydown", (event) => {
  if (event.key in steps && !event.ctrlKey && !event.metaKey && !event.altKey) go(steps[event.key]);
});
for (const button of document.querySelectorAll("button")) button.addEventListener("click", () => go(Number(button.value)));
marks.forEach((mark, n) => mark.addEventListener("focus", () => { at = n; count.textContent = `${n + 1} / ${marks.length}`; }));
"""
_HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'{scripts}">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">
<title>{title}</title><style>{style}</style></head>
<body><h1>{title}</h1>
"""
_NOTE = """<ul>{legend}</ul>
<nav><button value="-1">previous</button> <button value="1">next</button> <output>{count}</output>
{index}<span>keys: n, p</span></nav>
<pre>
{text}</pre>
<footer>{footer}</footer><script>{script}</script></body></html>
"""
_LIST = """<p>{count} notes, the lowest confidence first</p>
<div><table><thead><tr>{heads}</tr></thead>
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


def note_page(note: Annotated, labels: list[str], *, index: str = "") -> bytes:
    """Render a note as an HTML page, encoded in UTF-8.

    Args:
        note: The note. All of its text is escaped, and control characters are shown as Unicode control pictures.
        labels: All types. Their order sets their colours, so a type has the same colour on every page.
        index: The relative address of the list of notes; empty for none.
    """
    colours = {label: COLOURS[n % len(COLOURS)] for n, label in enumerate(labels)}
    counts = {label: sum(mention.label == label for mention in note.mentions) for label in labels}
    legend = "".join(f'<li><mark style="background:{colours[x]}">{_escaped(x)}</mark> {n}</li>' for x, n in counts.items())
    pieces, at = [], 0
    for mention in note.mentions:
        pieces += [_escaped(note.text[at : mention.start]), _mark(mention, colours[mention.label])]
        at = mention.end
    body = "".join([*pieces, _escaped(note.text[at:])])
    footer = f"found by {_escaped(note.model)}, program {_escaped(note.program)}"
    link = f'<a href="{_escaped(index)}">all notes</a> ' if index else ""
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    head = _HEAD.format(title=_escaped(note.id), style=_STYLE, scripts=f"; script-src 'sha256-{digest}'")
    count = f"{len(note.mentions)} mentions"
    return (head + _NOTE.format(legend=legend, count=count, index=link, text=body, footer=footer, script=_SCRIPT)).encode()


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
    lowest = "" if row.lowest is None else _said(row.lowest)
    cells = [lowest, sum(row.counts.values()), *(row.counts.get(label, 0) or "" for label in labels)]
    link = f'<th scope="row"><a href="{_escaped(row.link)}">{_escaped(row.id)}</a></th>'
    return f"<tr>{link}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _mark(mention: Mention, colour: str) -> str:
    confidence = "" if mention.confidence is None else f" {_said(mention.confidence)}"
    tooltip = _escaped(f"{mention.label}, characters {mention.start} to {mention.end}")
    words, label = _escaped(mention.text), _escaped(mention.label)
    return f'<mark tabindex="-1" style="background:{colour}" title="{tooltip}">{words}<small>{label}{confidence}</small></mark>'


def _said(confidence: float) -> str:
    """
    >>> _said(0.926), _said(0.9999), _said(0.0)
    ('.93', '1.00', '.00')
    """
    return f"{confidence:.2f}".removeprefix("0")


def _escaped(text: str) -> str:
    return html.escape(_CONTROL.sub(lambda match: chr(0x2400 + min(ord(match.group()), 0x21)), text))
