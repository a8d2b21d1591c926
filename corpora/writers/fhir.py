"""Writer of FHIR R4: one Bundle (type `collection`) for each note, with a DocumentReference and an Observation for each mention.

A mention is an observation about the text, not about a patient: no Condition is claimed, there is no subject, and the status is
`preliminary`. HL7's extension `derivation-reference` gives the offset and the length, in Unicode code points.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from clinspan.corpora.annotated import Annotated, Mention

DERIVATION = "http://hl7.org/fhir/StructureDefinition/derivation-reference"
LABELS = "urn:clinspan:label"


def fhir_bundle(note: Annotated) -> bytes:
    """The note's mentions as a Bundle. It holds the texts of the mentions, but not that of the note, whose SHA-1 and size it gives.

    Ids are made of the note's id and content, so equal results give equal files.
    """
    text = note.text.encode("utf-8", "surrogatepass")
    seed = f"{note.id}\0{hashlib.sha256(text).hexdigest()}\0{note.model}\0{note.program}"
    document = f"urn:uuid:{uuid5(NAMESPACE_URL, seed)}"
    entries = [_entry(document, _document(note, text))]
    for number, mention in enumerate(note.mentions, 1):
        name = f"urn:uuid:{uuid5(NAMESPACE_URL, f'{seed}{chr(0)}{number}')}"
        entries.append(_entry(name, _observation(note, mention, document)))
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    return (json.dumps(bundle, ensure_ascii=False, indent=1) + "\n").encode("utf-8", "backslashreplace")


def _entry(name: str, resource: dict[str, Any]) -> dict[str, Any]:
    return {"fullUrl": name, "resource": resource}


def _document(note: Annotated, text: bytes) -> dict[str, Any]:
    sha1 = base64.b64encode(hashlib.sha1(text, usedforsecurity=False).digest()).decode()  # FHIR's `hash` is a SHA-1
    attachment = {"contentType": "text/plain; charset=utf-8", "size": len(text), "hash": sha1, "title": note.id}
    return {
        "resourceType": "DocumentReference",
        "identifier": [{"value": note.id}],
        "status": "current",
        "content": [{"attachment": attachment}],
    }


def _observation(note: Annotated, mention: Mention, document: str) -> dict[str, Any]:
    place = [
        {"url": "reference", "valueReference": {"reference": document}},
        {"url": "path", "valueString": "DocumentReference.content[0].attachment"},
        {"url": "offset", "valueInteger": mention.start},
        {"url": "length", "valueInteger": mention.end - mention.start},
    ]
    components: list[dict[str, Any]] = [{"code": {"text": "text of the mention"}, "valueString": mention.text}]
    if mention.confidence is not None:
        value = {"value": mention.confidence, "unit": "probability", "system": "http://unitsofmeasure.org", "code": "1"}
        components.append({"code": {"text": "confidence"}, "valueQuantity": value})
    return {
        "resourceType": "Observation",
        "extension": [{"url": DERIVATION, "extension": place}],
        "status": "preliminary",
        "code": {"text": "mention found in a note by a model"},
        "focus": [{"reference": document}],
        "valueCodeableConcept": {"coding": [{"system": LABELS, "code": mention.label}], "text": mention.label},
        "method": {"text": f"clinspan: model {note.model}, program {note.program}"},
        "derivedFrom": [{"reference": document}],
        "component": components,
    }
