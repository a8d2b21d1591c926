"""A program that may be the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from corpora import Corpus
from programs.compiled import dump_program, plain_demos
from programs.formats import Format
from programs.tagger import Ensemble, Tagger


@dataclass(frozen=True)
class Candidate:
    """
    Attributes:
        tagger: The program.
        adapter: Its format.
        corpus: Train and dev.
        by: What made it, in a word or two.
    """

    tagger: Tagger | Ensemble
    adapter: Format
    corpus: Corpus
    by: str

    @property
    def single(self) -> Tagger:
        """The program as one tagger, which it is unless it votes."""
        assert isinstance(self.tagger, Tagger)
        return self.tagger

    def student(self) -> Tagger:
        """A copy of it that DSPy's optimizers may change; some change instructions in place, and copies share them."""
        copied: Tagger = self.single.deepcopy()
        copied.tag.signature = copied.tag.signature.with_instructions(copied.tag.signature.instructions)
        return copied

    def dump(self) -> dict[str, Any]:
        """The content of its `program.json`."""
        return dump_program(self.tagger, self.corpus)

    def with_tagger(self, tagger: Tagger, by: str) -> Candidate:
        """The same format with another program, whose demonstrations are put in our own form."""
        copied = replace(self, tagger=tagger).student()
        copied.tag.demos = plain_demos(copied.tag.demos)
        return replace(self, tagger=copied, by=by)

    def with_demos(self, demos: Sequence[Mapping[str, Any]], by: str) -> Candidate:
        """The same instructions with other demonstrations."""
        tagger = self.single.deepcopy()
        tagger.tag.demos = list(demos)
        return self.with_tagger(tagger, by)
