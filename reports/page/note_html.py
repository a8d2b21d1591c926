"""An annotated note as one self-contained HTML file."""

from __future__ import annotations

import html
import re

from clinspan.corpora.annotated import Annotated, Mention

# Okabe and Ito's colours (2008), lightened so that black text can be read on them
_COLOURS = ("#fbd38a", "#a8dcf7", "#8fe0c6", "#f7ee8a", "#9cc7ea", "#f5b58c", "#ecbad6", "#d0d0d0")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_STYLE = (
    "body{font:16px/1.7 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#111;background:#fff}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;font:inherit}mark{border-radius:.2em;padding:.1em .15em;color:#111}"
    "mark small{font-size:.7em;font-weight:600;margin-left:.35em;user-select:none}li{display:inline-block;margin-right:1.2em}"
    "ul{padding:0}footer{color:#555;font-size:.85em}"
)
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title><style>{style}</style></head>
<body><h1>{title}</h1>
<ul>{legend}</ul>
<pre>
{text}</pre>
<footer>{footer}</footer></body></html>
"""


def note_page(note: Annotated, labels: list[str]) -> bytes:
    """Render a note as an HTML page, encoded in UTF-8.

    Args:
        note: The note. All of its text is escaped, and control characters are shown as Unicode control pictures.
        labels: All types. Their order sets their colours, so a type has the same colour on every page.
    """
    colours = {label: _COLOURS[n % len(_COLOURS)] for n, label in enumerate(labels)}
    counts = {label: sum(mention.label == label for mention in note.mentions) for label in labels}
    legend = "".join(f'<li><mark style="background:{colours[x]}">{_escaped(x)}</mark> {n}</li>' for x, n in counts.items())
    pieces, at = [], 0
    for mention in note.mentions:
        pieces += [_escaped(note.text[at : mention.start]), _mark(mention, colours[mention.label])]
        at = mention.end
    body = "".join([*pieces, _escaped(note.text[at:])])
    footer = f"found by {_escaped(note.model)}, program {_escaped(note.program)}"
    return _PAGE.format(title=_escaped(note.id), style=_STYLE, legend=legend, text=body, footer=footer).encode()


def _mark(mention: Mention, colour: str) -> str:
    confidence = "" if mention.confidence is None else f", confidence {mention.confidence:.2f}"
    tooltip = _escaped(f"{mention.label}{confidence}, characters {mention.start} to {mention.end}")
    words, label = _escaped(mention.text), _escaped(mention.label)
    return f'<mark style="background:{colour}" title="{tooltip}">{words}<small>{label}</small></mark>'


def _escaped(text: str) -> str:
    return html.escape(_CONTROL.sub(lambda match: chr(0x2400 + min(ord(match.group()), 0x21)), text))
