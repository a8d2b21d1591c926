"""Reader of BioC collections (Comeau et al. 2013), XML or JSON: many documents, each with several passages.

Each passage is placed at its own offset in the document's text. So the offsets of annotations stay those of the file if the file
counts characters. The type of an annotation is its infon `type`. The infon `section` or `section_type` of a passage
is the heading of its sentences. Relations are counted and skipped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Unpack
from xml.etree import ElementTree

from clinspan.corpora.bio import check_tag, Policies
from clinspan.corpora.build import build_document, Cutting
from clinspan.corpora.errors import InputError, read_text
from clinspan.corpora.headings import Heading
from clinspan.corpora.json_text import parse_json
from clinspan.corpora.listing import kind
from clinspan.corpora.offsets import fit, Placed
from clinspan.corpora.readers.bigbio import MOST_BETWEEN
from clinspan.corpora.readers.splitwise import About, Part, read_splits
from clinspan.corpora.splits import find_splits, Place
from clinspan.corpora.types import Corpus, Document, Entity

SUFFIXES = (".xml", ".json")
_TYPES = ("type", "class", "label")
_SECTIONS = ("section", "section_type")


def load_bioc(path: Path, *, cutting: Cutting, policies: Policies, **about: Unpack[About]) -> Corpus:
    """Read one file, or a folder with its splits."""

    def read(_: str, place: Place) -> Iterator[Part]:
        for file, record in ((one, record) for one in place.files for record in _records(one)):
            try:
                yield _document(record, cutting, policies)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                problem = f"document {str(record.get('id', '?'))[:40]} cannot be read ({_reason(error)})"
                remedy = "It has to be BioC: passages with offset and text, annotations with infons.type and locations."
                raise InputError(problem, path=file, remedy=remedy) from None

    return read_splits(find_splits(path, SUFFIXES), read, **about)


def _reason(error: Exception) -> str:
    return f"it lacks {error}" if isinstance(error, KeyError) else str(error)


def _records(path: Path) -> list[Mapping[str, Any]]:
    text = read_text(path).removeprefix("\ufeff")
    if kind(path) == ".json":
        try:
            value = parse_json(text)
            collections = [value] if isinstance(value, dict) else value
            documents = [document for collection in collections for document in collection["documents"]]
            if not all(isinstance(document, dict) for document in documents):
                raise TypeError
        except (ValueError, KeyError, TypeError):
            remedy = "Give an object with a list of objects under the key documents."
            raise InputError("is not a BioC collection in JSON", path=path, remedy=remedy) from None
        return documents
    if "<!ENTITY" in text:
        remedy = "Replace the entities by their text."
        raise InputError("defines its own XML entities, which is not allowed", path=path, remedy=remedy)
    try:
        root = ElementTree.fromstring(text.encode())
    except ElementTree.ParseError as error:
        raise InputError(f"is not XML ({error.msg})", path=path, line=error.position[0], remedy="Repair the file.") from None
    if root.tag != "collection":
        raise InputError(f"has the root {root.tag[:40]}, not collection", path=path, remedy="Give a BioC collection.")
    documents = []
    for document in root.iter("document"):
        try:
            documents.append(_from_xml(document))
        except ValueError:
            problem = f"document {document.findtext('id')}: a location has no whole number as offset or length"
            raise InputError(problem, path=path, remedy="Repair the location.") from None
    return documents


def _from_xml(document: ElementTree.Element) -> dict[str, Any]:
    """Convert an XML document to BioC's JSON form, with the fields that this reader uses."""

    def annotations(element: ElementTree.Element) -> list[dict[str, Any]]:
        return [
            {
                "infons": infons(annotation),
                "text": annotation.findtext("text"),
                "locations": [
                    {key: int(place.get(key, "")) for key in ("offset", "length")} for place in annotation.findall("location")
                ],
            }
            for annotation in element.findall("annotation")
        ]

    def part(element: ElementTree.Element) -> dict[str, Any]:
        return {"offset": element.findtext("offset"), "text": element.findtext("text"), "annotations": annotations(element)}

    def infons(element: ElementTree.Element) -> dict[str | None, str | None]:
        return {infon.get("key"): infon.text for infon in element.findall("infon")}

    passages = [
        {**part(passage), "infons": infons(passage), "sentences": [part(sentence) for sentence in passage.findall("sentence")]}
        for passage in document.findall("passage")
    ]
    relations = list(document.iter("relation"))
    return {"id": document.findtext("id"), "passages": passages, "annotations": annotations(document), "relations": relations}


def _document(record: Mapping[str, Any], cutting: Cutting, policies: Policies) -> tuple[Document, Counter[str]]:
    text, annotations, headings = "", list(_placed(record, 0)), list[Heading]()
    acts = Counter(relations=len(record.get("relations") or ()))
    for passage in record["passages"]:
        acts["relations"] += len(passage.get("relations") or ())
        for part in [passage] if passage.get("text") else passage.get("sentences") or ():
            offset, words = int(part["offset"]), part.get("text") or ""
            if offset > len(text) + MOST_BETWEEN:
                raise ValueError(f"a passage begins at {offset}, far behind the passage before it")
            if offset > len(text):
                text += "\n" + " " * (offset - len(text) - 1)
            shift = len(text) - offset  # not 0 if passages overlap or their offsets count another unit
            headings.append(_heading(passage, len(text)))
            text += words
            annotations += _placed(part, shift)
        if passage.get("text"):
            for sentence in passage.get("sentences") or ():
                annotations += _placed(sentence, shift)
    reading = fit(text, annotations)
    for entity in reading.entities:
        if entity.end > len(reading.text):
            raise ValueError(f"an annotation ends at {entity.end}, past the end of the text")
    named = reading.text == text and any(heading.text for heading in headings)
    how: dict[str, Any] = {"cutting": cutting, "policies": policies, "headings": headings if named else ()}
    document, tagging_acts = build_document(str(record["id"]), reading.text, reading.entities, **how)
    return document, +(acts + reading.acts + tagging_acts)


def _heading(passage: Mapping[str, Any], at: int) -> Heading:
    """The section of a passage that begins at `at`, empty if its infons name none."""
    infons = passage.get("infons") or {}
    name = next((str(infons[key]) for key in _SECTIONS if infons.get(key)), "")
    return Heading(" ".join(name.split()), at, at)


def _placed(part: Mapping[str, Any], shift: int) -> Iterator[Placed]:
    for annotation in part.get("annotations") or ():
        infons = annotation.get("infons") or {}
        label = next((infons[key] for key in _TYPES if infons.get(key)), None)
        if label is None:
            raise ValueError("an annotation has no infon type")
        check_tag(f"B-{label}")
        fragments = [(int(place["offset"]) + shift, int(place["length"])) for place in annotation["locations"]]
        if not fragments or any(length < 1 or start < 0 for start, length in fragments):
            raise ValueError("an annotation has no location, or an empty one")
        pieces = tuple((start, start + length) for start, length in fragments)
        yield Placed(Entity(str(label), pieces), annotation.get("text"))
