"""What every format is: a DSPy adapter that owns the prompt's shape and the reading of the answer."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args, Literal

import dspy
from dspy import lm15

from corpora import InputError, Label

Alignment = Literal["tokens", "positional"]
_CHARS_PER_TOKEN = 2.0
_MARGIN = 32


@dataclass(frozen=True, slots=True)
class Decoded:
    """An answer as tags, one a token, always legal BIO; `repairs` counts what the answer had wrong."""

    tags: list[str]
    repairs: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Question:
    """One request about a sentence: its key among the sentence's requests, and the turns that end in it."""

    key: str
    turns: tuple[tuple[str, str], ...]


class Format(dspy.Adapter):
    """Tags to text and back.

    Args:
        labels: The corpus' labels, in order.
        alignment: How an answer's pieces find their tokens: `tokens` by edit alignment of what the answer
            echoes, `positional` the n-th piece to the n-th token.
    """

    lines: int | None = None
    """How many lines more than tokens an answer may have before what follows is surplus; None: no such bound."""

    def __init__(self, *, labels: Sequence[Label], alignment: Alignment = "tokens") -> None:
        super().__init__()
        if alignment not in get_args(Alignment):
            raise InputError(f"alignment={alignment} is not known", remedy="Use tokens or positional.")
        self.labels = tuple(labels)
        self.alignment = alignment

    @abstractmethod
    def rules(self) -> str:
        """The part of the instructions that says how to answer."""

    @abstractmethod
    def answer(self, tokens: Sequence[str], tags: Sequence[str], key: str = "") -> str:
        """What the right answer looks like: a demonstration's."""

    @abstractmethod
    def read(self, answers: Mapping[str, str], tokens: Sequence[str]) -> Decoded:
        """Tags from the answers by question key. Never raises on what a model says."""

    def longest(self, tokens: Sequence[str], key: str = "") -> str:
        """A text that no honest answer exceeds, from which the answer's token budget is counted."""
        widest = max((label.name for label in self.labels), key=len, default="")
        return self.answer(tokens, [f"B-{widest}"] * len(tokens), key)

    def questions(self, tokens: Sequence[str], context: Sequence[str]) -> list[Question]:
        """The requests that a sentence needs; one, unless a format says otherwise."""
        return [Question("", (("user", self.shown(tokens, context)),))]

    def shown(self, tokens: Sequence[str], context: Sequence[str]) -> str:
        """The sentence as the model sees it, behind its retrieved context if there is any."""
        sentence = self.sentence(tokens)
        if not context:
            return sentence
        chunks = "\n\n".join(context)
        return f"Context that may help; do not tag it:\n{chunks}\n\nSentence to tag:\n{sentence}"

    def sentence(self, tokens: Sequence[str]) -> str:
        return " ".join(tokens)

    def messages(
        self, instructions: str, demos: Sequence[Mapping[str, Any]], question: Question
    ) -> tuple[str, list[tuple[str, str]]]:
        """The system text and the turns of one request: demonstrations first, what changes last."""
        turns: list[tuple[str, str]] = []
        for demo in demos:
            asked = next(q for q in self.questions(demo["tokens"], ()) if q.key == question.key)
            turns += [*asked.turns, ("assistant", self.answer(demo["tokens"], demo["tags"], question.key))]
        return f"{instructions}\n\n{self.rules()}", turns + list(question.turns)

    def format(self, signature: Any, demos: list[dict[str, Any]], inputs: dict[str, Any]) -> list[dict[str, Any]]:
        """DSPy's view of the prompt: the first question's messages as role/content dictionaries."""
        question = self.questions(inputs["tokens"], inputs.get("context") or ())[0]
        system, turns = self.messages(signature.instructions, demos, question)
        return [{"role": role, "content": content} for role, content in [("system", system), *turns]]

    def parse(self, signature: Any, completion: str) -> dict[str, Any]:
        """Not possible here: an answer is read together with its tokens, which `read` is given."""
        raise NotImplementedError("an answer is read by Format.read, which knows the tokens")

    def __call__(
        self, lm: Any, lm_kwargs: dict[str, Any], signature: Any, demos: list[dict[str, Any]], inputs: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Ask every question about one sentence and read the answers together."""
        tokens = list(inputs["tokens"])
        answers: dict[str, str] = {}
        used: Counter[str] = Counter()
        for question in self.questions(tokens, inputs.get("context") or ()):
            system, turns = self.messages(signature.instructions, demos, question)
            config = self._config(lm, tokens, question, str(lm_kwargs.get("sentence_id", "")))
            messages = tuple(_message(role, content) for role, content in turns)
            response = lm(lm15.Request(model=lm.model, system=system, messages=messages, config=config))
            answers[question.key] = response.message.text or ""
            used["prompt_tokens"] += response.usage.input_tokens or 0
            used["answer_tokens"] += response.usage.output_tokens or 0
            used["cached_tokens"] += response.usage.cache_read_tokens or 0
            used[f"ended_by_{response.finish_reason}"] += 1
        decoded = self.read(answers, tokens)
        return [{"tags": decoded.tags, "repairs": dict(+decoded.repairs), "answers": answers, "usage": dict(+used)}]

    def _config(self, lm: Any, tokens: Sequence[str], question: Question, name: str) -> lm15.Config:
        longest = self.longest(tokens, question.key)
        if isinstance(lm.engine, str):  # a server gets what its protocol knows
            budget = int(len(longest.encode()) / _CHARS_PER_TOKEN) + _MARGIN
            return lm15.Config(temperature=0.0, max_tokens=budget)
        extensions: dict[str, Any] = {"longest": longest, "id": name, "question": question.key}
        if self.lines is not None:
            extensions["lines"] = len(tokens) + self.lines
        return lm15.Config(temperature=0.0, extensions=extensions)


def _message(role: str, content: str) -> lm15.Message:
    return lm15.Message.user(content) if role == "user" else lm15.Message.assistant(content)
