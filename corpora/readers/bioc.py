"""BioC collections (Comeau et al. 2013) as a corpus: XML or JSON, many documents of passages each.

A document's text is its passages, each where its offset says, so that offsets of annotations are those of the file where they count
characters. An annotation's type is its infon `type`. Relations are counted and passed over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from clinspan.corpora.bio import check_tag, Policies
from clinspan.corpora.build import build_corpus, build_document, Cutting
from clinspan.corpora.errors import InputError, read_text
from clinspan.corpora.json_text import parse_json
from clinspan.corpora.offsets import fit, Placed
from clinspan.corpora.splits import files_below, kind, split_files, split_folders, Splits
from clinspan.corpora.types import Corpus, Document, Entity, Label

SUFFIXES = (".xml", ".json")
_TYPES = ("type", "class", "label")


def load_bioc(
    path: Path,
    *,
    name: str,
    labels: tuple[Label, ...],
    definitions: dict[str, str],
    phi: bool,
    cutting: Cutting,
    policies: Policies,
) -> Corpus:
    """Read one file as `test`, files named by their split, or folders named so, with any number of files in each."""
    splits: dict[str, list[Document]] = {}
    conversion: dict[str, Counter[str]] = {}
    files, passed_over = _files(path)
    for split, members in files.items():
        splits[split], conversion[split] = [], Counter()
        for file in members:
            for record in _records(file):
                try:
                    document, acts = _document(record, cutting, policies)
                except (KeyError, TypeError, ValueError, AttributeError) as error:
                    problem = f"document {str(record.get('id', '?'))[:40]} cannot be read ({_reason(error)})"
                    remedy = "It has to be BioC: passages with offset and text, annotations with infons.type and locations."
                    raise InputError(problem, path=file, remedy=remedy) from None
                splits[split].append(document)
                conversion[split] += acts
    return build_corpus(
        name, splits, labels=labels, definitions=definitions, phi=phi, conversion=conversion, passed_over=passed_over
    )


def _reason(error: Exception) -> str:
    return f"it lacks {error}" if isinstance(error, KeyError) else str(error)


def _files(path: Path) -> tuple[dict[str, list[Path]], Counter[str]]:
    if path.is_dir():
        try:
            found = split_files(path, SUFFIXES, {})
        except InputError:
            found = Splits({})
        if not found.places:
            folders = split_folders(path)
            passed_over, places = folders.passed_over, {}
            for split, folder in folders.places.items():
                files, more = files_below(folder)
                passed_over += more + Counter(kind(file) for file in files if kind(file) not in SUFFIXES)
                places[split] = [file for file in files if kind(file) in SUFFIXES]
            if not any(places.values()):
                raise InputError("holds no .xml and no .json file", path=path, remedy="Set corpus.path to BioC files.")
            return {split: files for split, files in places.items() if files}, passed_over
    else:
        found = split_files(path, SUFFIXES, {})
    return {split: [file] for split, file in found.places.items()}, found.passed_over


def _records(path: Path) -> list[Mapping[str, Any]]:
    text = read_text(path).removeprefix("\ufeff")
    if kind(path) == ".json":
        try:
            value = parse_json(text)
            documents = value["documents"] if isinstance(value, dict) else [one for part in value for one in part["documents"]]
        except (ValueError, KeyError, TypeError):
            raise InputError("is no BioC collection in JSON", path=path, remedy="It has to have documents.") from None
        return list(documents)
    if "<!ENTITY" in text:
        raise InputError("defines entities of its own, which can be endless", path=path, remedy="Write them out.")
    try:
        root = ElementTree.fromstring(text.encode())
    except ElementTree.ParseError as error:
        raise InputError(f"is no XML ({error.msg})", path=path, line=error.position[0], remedy="Repair the file.") from None
    if root.tag != "collection":
        raise InputError(f"has the root {root.tag[:40]}, not collection", path=path, remedy="Give a BioC collection.")
    return [_from_xml(document) for document in root.iter("document")]


def _from_xml(document: ElementTree.Element) -> dict[str, Any]:
    """A document as BioC's JSON form has it, as far as it is read here."""

    def annotations(element: ElementTree.Element) -> list[dict[str, Any]]:
        return [
            {
                "infons": {infon.get("key"): infon.text for infon in one.findall("infon")},
                "text": one.findtext("text"),
                "locations": [{key: int(place.get(key, "")) for key in ("offset", "length")} for place in one.findall("location")],
            }
            for one in element.findall("annotation")
        ]

    def part(element: ElementTree.Element) -> dict[str, Any]:
        return {"offset": element.findtext("offset"), "text": element.findtext("text"), "annotations": annotations(element)}

    passages = [
        {**part(passage), "sentences": [part(sentence) for sentence in passage.findall("sentence")]}
        for passage in document.findall("passage")
    ]
    relations = list(document.iter("relation"))
    return {"id": document.findtext("id"), "passages": passages, "annotations": annotations(document), "relations": relations}


def _document(record: Mapping[str, Any], cutting: Cutting, policies: Policies) -> tuple[Document, Counter[str]]:
    text, found = "", list(_placed(record, 0))
    acts = Counter(relations=len(record.get("relations") or ()))
    for passage in record["passages"]:
        acts["relations"] += len(passage.get("relations") or ())
        for part in [passage] if passage.get("text") else passage.get("sentences") or ():
            offset, words = int(part["offset"]), part.get("text") or ""
            if offset > len(text):
                text += "\n" + " " * (offset - len(text) - 1)
            shift = len(text) - offset  # of passages that overlap, or are counted in other units
            text += words
            found += _placed(part, shift)
        if passage.get("text"):
            for sentence in passage.get("sentences") or ():
                found += _placed(sentence, shift)
    reading = fit(text, found)
    for entity in reading.entities:
        if entity.end > len(reading.text):
            raise ValueError(f"an annotation ends at {entity.end}, past the end of the text")
    document, done = build_document(str(record["id"]), reading.text, reading.entities, cutting=cutting, policies=policies)
    return document, +(acts + reading.acts + done)


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
