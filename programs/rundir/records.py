"""Typed records of the files in a run folder besides `run.json` (`run_record.py`). They validate files that are read back.

`docs/schemas/` holds their JSON schemas for other programs. `python -m clinspan.programs.rundir.records FOLDER` writes the schemas.
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from clinspan.corpora.bio import split_tag
from clinspan.programs.rundir.run_record import FinishedRun
from clinspan.programs.rundir.typed_json import Record


def _legal(tag: str) -> str:
    if split_tag(tag) is None:
        raise ValueError("is not a BIO tag")
    return tag


Tag = Annotated[str, AfterValidator(_legal)]
"""`O`, or `B-` or `I-` and a label."""
Range = Annotated[list[int], Field(min_length=2, max_length=2)]
"""Half-open characters of a document: start and end."""
Probability = Annotated[float, Field(allow_inf_nan=False)]


class DraftTags(Record):
    """What `draft=FILE` reads of a line of `predictions.jsonl`.

    >>> DraftTags.problem({"id": "d:0", "pred": ["B-Sign", "X"]}), DraftTags.problem({"id": "d:0", "pred": ["B-Sign", "O"]})
    ('pred.1: is not a BIO tag', None)
    """

    id: str
    pred: list[Tag]


class GoldMention(Record):
    """A mention of a sentence with all its pieces."""

    label: str
    fragments: list[Range] = Field(min_length=1, description="its pieces as half-open ranges of tokens, in text order")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        ends = [at for piece in self.fragments for at in piece]
        if ends[0] < 0 or any(b <= a if n % 2 == 0 else b < a for n, (a, b) in enumerate(pairwise(ends))):
            raise ValueError("the pieces are not ranges in text order")
        return self


class PredictedMention(GoldMention):
    """A mention that a model lists."""

    confidence: Probability | None = Field(None, description="the probability of its place in the answer; null if not known")


class TaggedSentence(DraftTags):
    """What a report shows of a line of `predictions.jsonl`. Gold and predicted tags, and confidences if any, are one a token."""

    document: str
    tokens: list[str]
    gold: list[Tag]
    confidence: list[Probability | None] | None = Field(None, description="a probability a tag; null where no choice decides it")
    gold_mentions: list[GoldMention] | None = Field(
        None, description="with corpus.mentions=full: all gold mentions, nested and overlapping ones and those in pieces too"
    )
    pred_mentions: list[PredictedMention] | None = Field(
        None, description="the predicted ones, where the format lists them in full; null: those of the tags"
    )
    repairs: dict[str, int] = Field({}, description="what was repaired in the answer, by kind")
    usage: dict[str, int | float] = Field({}, description="tokens and passes of the model")
    error: str | None = Field(None, description="why the sentence failed; null if it did not")

    @model_validator(mode="after")
    def _one_a_token(self) -> Self:
        for name, row in (("gold", self.gold), ("pred", self.pred), ("confidence", self.confidence)):
            if row is not None and len(row) != len(self.tokens):
                raise ValueError(f"{name} has {len(row)} entries for {len(self.tokens)} tokens")
        for mention in [*(self.gold_mentions or ()), *(self.pred_mentions or ())]:
            if mention.fragments[-1][1] > len(self.tokens):
                raise ValueError(f"a mention ends behind the {len(self.tokens)} tokens")
        return self


class AnnotatedMention(Record):
    """An annotation of the corpus."""

    label: str
    fragments: list[Range] = Field(min_length=1, description="its pieces as half-open characters of the document")


class Prediction(TaggedSentence):
    """A line of `predictions.jsonl` as runs write it."""

    confidence: list[Probability | None] | None
    offsets: list[Range] | None = Field(None, description="characters of each token in its document, half-open")
    mentions: list[AnnotatedMention] | None = Field(
        None, description="the annotations that begin in the sentence, as they were made; null if the corpus has tags alone"
    )
    raw: Any = Field(description="the model's answer, or its answers by label; null of a failed sentence and of a token classifier")
    repairs: dict[str, int] = Field(description="what was repaired in the answer, by kind")
    usage: dict[str, int | float] = Field(description="tokens and passes of the model")
    error: str | None = Field(description="why the sentence failed; null if it did not")


class SentPart(Record):
    """A turn that was sent, or a retrieved chunk, in a line of `prompts.jsonl`."""

    part: int
    role: str | None = None
    text: str | list[str | int] = Field(description="strings, and numbers of earlier parts")

    @property
    def pieces(self) -> list[str | int]:
        """The text in pieces."""
        return [self.text] if isinstance(self.text, str) else self.text


class RenderedPrompt(Record):
    """The whole prompt about a sentence in a line of `prompts.jsonl`, as the model's template writes it."""

    id: str
    rendered: str


class SentQuestion(Record):
    """A request about a sentence."""

    question: str = ""
    sha: str = Field(description="hash of the rendered prompt, or of the conversation that a server gets")
    turns: list[int] = Field(description="numbers of the parts that are the conversation")


class SentAttempt(Record):
    """What one tagger asked about a sentence."""

    demonstrations: list[str | None] = Field([], description="ids of the demonstrations in the prompt")
    chunks: list[str] = Field([], description="ids of the retrieved chunks in the prompt")
    questions: list[SentQuestion]


class SentencePrompts(Record):
    """What was sent about a sentence, in a line of `prompts.jsonl`: one attempt for each tagger of an ensemble."""

    id: str
    asked: list[SentAttempt]


class F1(Record):
    """The score by which a leaderboard ranks runs."""

    f1: float


class Rates(F1):
    """Scores between 0 and 1."""

    precision: float
    recall: float


class OffsetScores(Record):
    """Scores on the annotators' own character offsets, and what a perfect tagger would reach."""

    micro: F1
    ceiling: F1


class RankedScores(Record):
    """What a leaderboard reads of `scores.json`."""

    signature: str = Field(description="how the scores were computed")
    sentences: int
    micro: F1
    macro: F1
    offsets: OffsetScores | None = None


class RunScores(Record):
    """`scores.json`."""

    signature: str = Field(description="how the scores were computed")
    per_type: dict[str, Rates] = Field(min_length=1)
    micro: Rates
    macro: Rates


class SignatureField(Record):
    """A field of a saved DSPy signature."""

    prefix: str
    description: str


class SavedSignature(Record):
    """A signature as DSPy saves it."""

    instructions: str
    fields: list[SignatureField]


class Demonstration(Record):
    """A demonstration of a saved program."""

    tokens: list[str]
    tags: list[Tag]
    joined: list[int] = Field([], description="numbers of the tokens that prompts show without a blank before them")
    mentions: list[GoldMention] | None = Field(None, description="its mentions in full, where the corpus has them")

    @model_validator(mode="after")
    def _one_a_token(self) -> Self:
        if len(self.tags) != len(self.tokens):
            raise ValueError(f"tags has {len(self.tags)} entries for {len(self.tokens)} tokens")
        return self


class TagState(Record):
    """The state of the predictor `tag` in a `program.json`."""

    signature: SavedSignature
    demos: list[Demonstration]


SCHEMAS: dict[str, type[Record]] = {"predictions": Prediction, "scores": RunScores, "run": FinishedRun}
"""The record of each file that other programs read."""


def schema_text(record: type[Record]) -> str:
    """The JSON schema of a record, as `docs/schemas/` has it."""
    return json.dumps(record.model_json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    for name, record in SCHEMAS.items():
        (Path(sys.argv[1]) / f"{name}.schema.json").write_text(schema_text(record), encoding="utf-8")
