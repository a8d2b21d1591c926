"""One format of each kind, over the same two labels."""

from __future__ import annotations

from clinspan.corpora import Label
from clinspan.programs.formats import BioLines, Entities, Format, Inline
from clinspan.programs.formats.phrases import Phrases

LABELS = [Label("Disease"), Label("Sign")]
FORMATS: dict[str, Format] = {
    "bio_lines": BioLines(labels=LABELS),
    "inline": Inline(labels=LABELS),
    "entities": Entities(labels=LABELS),
    "entities_by_type": Entities(labels=LABELS, per_type=True),
    "phrases": Phrases(labels=LABELS),
}
