"""Writer of gold and predicted annotations side by side in brat: the types have the prefixes `Gold_` and `Predicted_`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clinspan.corpora.file_names import file_name
from clinspan.corpora.types import Entity
from clinspan.corpora.writers.brat import annotation_lines, brat_type

GOLD, PREDICTED = "Gold_", "Predicted_"
# Okabe and Ito's colours (2008), lightened so that black text can be read on them
COLOURS = ("#fbd38a", "#a8dcf7", "#8fe0c6", "#f7ee8a", "#9cc7ea", "#f5b58c", "#ecbad6", "#d0d0d0")


@dataclass(frozen=True, slots=True)
class TwoLayers:
    """A document with two layers of annotations.

    Attributes:
        id: Its id.
        text: Its text as written.
        gold: The annotations of the corpus.
        predicted: The predicted ones.
        notes: One note for each predicted annotation, empty for none.
    """

    id: str
    text: str
    gold: Sequence[Entity]
    predicted: Sequence[Entity]
    notes: Sequence[str]


def write_layers(document: TwoLayers, folder: Path) -> None:
    """Write the `.txt` and the `.ann` of a document."""
    layers = [(GOLD, document.gold), (PREDICTED, document.predicted)]
    entities = [Entity(prefix + entity.label, entity.fragments) for prefix, layer in layers for entity in layer]
    stem = folder / file_name(document.id)
    stem.parent.mkdir(parents=True, exist_ok=True)
    stem.with_name(stem.name + ".txt").write_bytes(document.text.encode())
    lines = annotation_lines(document.text, entities, [*("" for _ in document.gold), *document.notes])
    stem.with_name(stem.name + ".ann").write_bytes(lines.encode())


def layer_configuration(labels: Sequence[str]) -> dict[str, str]:
    """brat's `annotation.conf` with the types of both layers, and its `visual.conf`: gold is filled, predicted is framed."""
    types = [(prefix, label) for label in labels for prefix in (GOLD, PREDICTED)]
    names = [brat_type(prefix + label) for prefix, label in types]
    overlaps = "<OVERLAP>\tArg1:<ENTITY>, Arg2:<ENTITY>, <OVL-TYPE>:<ANY>"
    annotation = ["[entities]", *names, "", "[relations]", overlaps, "", "[events]", "", "[attributes]", ""]
    layer = {GOLD: "gold", PREDICTED: "predicted"}
    words = [f"{name} | {layer[prefix]} {label} | {label}" for name, (prefix, label) in zip(names, types, strict=True)]
    drawing = []
    for number, label in enumerate(labels):
        colour = COLOURS[number % len(COLOURS)]
        drawing.append(f"{brat_type(GOLD + label)}\tbgColor:{colour}, fgColor:black, borderColor:darken")
        drawing.append(f"{brat_type(PREDICTED + label)}\tbgColor:white, fgColor:black, borderColor:{colour}")
    visual = ["[labels]", *words, "", "[drawing]", *drawing, ""]
    return {"annotation.conf": "\n".join(annotation), "visual.conf": "\n".join(visual)}
