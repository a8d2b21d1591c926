"""Writer of BioC (Comeau et al. 2013), XML and JSON: one collection with one document per note, offsets in characters.

In JSON the text is one passage. XML can neither hold nor escape control characters such as form feeds. Instead of replacing them,
the XML leaves them out and starts a new passage. Each passage gives the character at which it begins.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from clinspan.corpora.annotated import Annotated, Mention

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LEGAL = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE collection SYSTEM "BioC.dtd">\n'
_ABOUT = {"offsets": "characters"}


def bioc_json(note: Annotated) -> bytes:
    """The note in BioC's JSON form; the date is left empty, so that equal results give equal files."""
    annotations = [
        {
            "id": f"T{n}",
            "infons": _infons(mention),
            "text": mention.text,
            "locations": [{"offset": mention.start, "length": mention.end - mention.start}],
        }
        for n, mention in enumerate(note.mentions, 1)
    ]
    passage: dict[str, Any] = {"offset": 0, "infons": {}, "text": note.text, "sentences": [], "annotations": annotations}
    document = {"id": note.id, "infons": _origin(note), "passages": [passage | {"relations": []}], "relations": []}
    collection = {"source": "clinspan", "date": "", "key": "", "infons": _ABOUT, "documents": [document]}
    return (json.dumps(collection, ensure_ascii=False, indent=1) + "\n").encode()


def bioc_xml(note: Annotated) -> bytes:
    """The note in BioC's XML form. A mention with a character that XML cannot hold has several locations."""
    parts = [(match.start(), match.end()) for match in _LEGAL.finditer(note.text)] or [(0, 0)]
    passages = []
    done, begins = 0, [mention.start for mention in note.mentions]
    for start, end in parts:
        here = bisect_left(begins, end) if end < parts[-1][1] else len(begins)
        marks = "".join(_annotation(n + 1, note.mentions[n], note.text) for n in range(done, here))
        done = here
        passages.append(f"<passage><offset>{start}</offset><text>{_escaped(note.text[start:end])}</text>{marks}</passage>\n")
    about, origin = _xml_infons(_ABOUT), _xml_infons(_origin(note))
    head = f"<collection><source>clinspan</source><date></date><key></key>{about}\n"
    document = f"<document><id>{_escaped(_shown(note.id))}</id>{origin}\n{''.join(passages)}</document></collection>\n"
    return (_HEAD + head + document).encode()


def _origin(note: Annotated) -> dict[str, str]:
    return {"model": note.model, "program": note.program}


def _infons(mention: Mention) -> dict[str, str]:
    confidence = {} if mention.confidence is None else {"confidence": str(mention.confidence)}
    return {"type": mention.label, **confidence}


def _xml_infons(infons: dict[str, str]) -> str:
    return "".join(f"<infon key={quoteattr(key)}>{_escaped(_shown(value))}</infon>" for key, value in infons.items())


def _annotation(number: int, mention: Mention, text: str) -> str:
    pieces = list(_pieces(mention, text))
    spans = [(start, len(piece)) for start, piece in pieces] or [(mention.start, mention.end - mention.start)]
    places = "".join(f'<location offset="{start}" length="{length}"/>' for start, length in spans)
    words = _escaped("".join(piece for _, piece in pieces))
    return f'<annotation id="T{number}">{_xml_infons(_infons(mention))}{places}<text>{words}</text></annotation>'


def _pieces(mention: Mention, text: str) -> Iterator[tuple[int, str]]:
    for match in _LEGAL.finditer(text, mention.start, mention.end):
        yield match.start(), match.group()


def _escaped(text: str) -> str:
    """Escape XML's special characters, and carriage returns, which an XML reader would turn into line feeds."""
    return escape(text, {"\r": "&#13;"})


def _shown(name: str) -> str:
    return _ILLEGAL.sub("\ufffd", name)
