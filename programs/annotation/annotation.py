"""`Annotation`: the mentions of a text, as `Annotator` gives them in Python."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from clinspan.corpora.annotated import Annotated, Mention
from clinspan.corpora.errors import InputError
from clinspan.corpora.printable import plural
from clinspan.programs.rundir.errors import RunError
from clinspan.reports.page.note_html import note_fragment

_COLUMNS = ("start", "end", "text", "label", "confidence")


@dataclass(frozen=True, slots=True, repr=False)
class Annotation(Sequence[Mention]):
    """The mentions of a text, in text order: `len`, iteration and indices as of a tuple. A notebook shows the marked text.

    Attributes:
        text: The unchanged text; `text[mention.start:mention.end] == mention.text`.
        labels: All types that the annotator knows, in order; they set the colours.
        found: The annotated text; None if it could not be annotated.
        error: What failed, in words; None: nothing. The mentions of a text that failed are not known, so every use of them raises
            `RunError`.
        removed: Number of mentions by type that `min_confidence` removed.
    """

    text: str
    labels: tuple[str, ...]
    found: Annotated | None
    error: str | None = None
    removed: Mapping[str, int] = field(default_factory=dict)

    @property
    def mentions(self) -> tuple[Mention, ...]:
        """The mentions.

        Raises:
            RunError: The text could not be annotated.
        """
        return self._note().mentions

    def __len__(self) -> int:
        return len(self.mentions)

    def __iter__(self) -> Iterator[Mention]:
        return iter(self.mentions)

    @overload
    def __getitem__(self, index: int) -> Mention: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Mention, ...]: ...

    def __getitem__(self, index: int | slice) -> Mention | tuple[Mention, ...]:
        return self.mentions[index]

    def __repr__(self) -> str:
        if self.found is None:
            return f"<Annotation: failed, {self.error}>"
        return f"<Annotation: {len(self)} {plural(len(self), 'mention')}>"

    def to_df(self) -> Any:
        """The mentions as a pandas DataFrame: one row each, with `start`, `end`, `text`, `label` and `confidence`.

        Raises:
            InputError: pandas is not installed.
            RunError: The text could not be annotated.
        """
        try:
            import pandas
        except ImportError:
            raise InputError("to_df needs pandas", remedy="Install it with: pip install pandas") from None
        return pandas.DataFrame([[getattr(mention, name) for name in _COLUMNS] for mention in self.mentions], columns=_COLUMNS)

    def to_json(self) -> str:
        """The text and its mentions as one line of JSON, in the form of `to=jsonl`, which `corpus=jsonl` reads.

        Raises:
            RunError: The text could not be annotated.
        """
        return json.dumps(self._note().record(), ensure_ascii=False)

    def _repr_html_(self) -> str | None:
        """The marked text for a notebook; None, so that `repr` is shown, if it could not be annotated."""
        return None if self.found is None else note_fragment(self.found, self.labels)

    def _note(self) -> Annotated:
        if self.found is None:
            raise RunError(str(self.error))
        return self.found
