"""What a prompt shows of the document around the sentence to tag: neighbours, heading, title. Demonstrations show none of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from clinspan.corpora.outline import Position

Title = Literal["none", "title"]
SETTINGS = ("neighbours", "heading", "document")
"""The keys of `strategy` that choose it."""


@dataclass(frozen=True, slots=True)
class NoteContext:
    """What is shown.

    Attributes:
        neighbours: Number of sentences before the sentence, and of sentences after it.
        heading: Whether the heading that the sentence stands under is shown.
        document: `title`: the title of the document, its first line; `none`: nothing.
    """

    neighbours: int = 0
    heading: bool = False
    document: Title = "none"

    def __bool__(self) -> bool:
        """Whether anything is shown."""
        return bool(self.neighbours or self.heading or self.document == "title")

    @property
    def identity(self) -> list[Any]:
        """What fitted decisions hang on: empty if nothing is shown."""
        return ["note", self.neighbours, self.heading, self.document] if self else []

    @property
    def name(self) -> str:
        """
        >>> NoteContext(neighbours=2, document="title").name
        '2 neighbours + title'
        """
        sentences = f"{self.neighbours} {'neighbour' if self.neighbours == 1 else 'neighbours'}"
        shown = ((self.neighbours, sentences), (self.heading, "heading"), (self.document == "title", "title"))
        return " + ".join(words for applies, words in shown if applies)

    def text(self, position: Position | None) -> str:
        """What is shown of a document around one of its sentences, one line each; empty if there is nothing.

        Args:
            position: The place of the sentence; None: not known.
        """
        if position is None or not self:
            return ""
        lines = {
            "Document": position.title if self.document == "title" else "",
            "Section": position.heading if self.heading else "",
            "Before": " ".join(position.before(self.neighbours)),
            "After": " ".join(position.after(self.neighbours)),
        }
        return "\n".join(f"{name}: {text}" for name, text in lines.items() if text)
