"""Encodes conversations as token ids, identically for inference and for training."""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tokenizers import AddedToken

from clinspan.lms.templates import LEADS, Message, TEMPLATES, writes_system

Plain = Callable[[str], tuple[int, ...]]
"""Makes a text into tokens."""
_MARK = re.compile(r"<[^<>\s]+>|\[[^\[\]\s]+\]")
_OPEN, _CLOSE = "\ue000", "\ue001"


def control_marks(tokenizer: Any) -> frozenset[str]:
    """The texts that a tokenizer reads as control tokens.

    Those are the tokens that it calls special, and others that were added to its vocabulary and are written like marks, such as
    `<think>`, `<tool_call>` or `[INST]`: models are trained on them in that place only.
    """
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    return frozenset({str(t) for t in added if t.special or _MARK.fullmatch(str(t))} | set(tokenizer.all_special_tokens))


class PlainTokens:
    """Makes texts into tokens none of which is a control token, whatever the texts look like.

    Args:
        tokenizer: The model's.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._own = copy.deepcopy(tokenizer)  # the switch is kept in the object, which threads share
        added = getattr(self._own, "added_tokens_decoder", {}).values()
        marks = control_marks(self._own).intersection(str(token) for token in added if not token.special)
        if marks and (backend := getattr(self._own, "backend_tokenizer", None)) is not None:
            backend.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in sorted(marks)])

    def __call__(self, text: str) -> tuple[int, ...]:
        return tuple(self._own(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])

    def each(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """The tokens of each text, by one call of the tokenizer; a call costs more than a short text."""
        if not texts:
            return []
        return list(map(tuple, self._own(list(texts), add_special_tokens=False, split_special_tokens=True)["input_ids"]))


def spelt_controls(tokenizer: Any, plain: Plain) -> dict[int, tuple[int, ...]]:
    """Control tokens, and the tokens that spell the text by which each is known.

    Args:
        tokenizer: The model's.
        plain: Its `PlainTokens`.
    """
    known = frozenset(getattr(tokenizer, "all_special_ids", ())) | frozenset(getattr(tokenizer, "added_tokens_decoder", ()))
    return {token: plain(tokenizer.convert_ids_to_tokens(token)) for token in known}


def end_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end an answer: those of the model's settings of generation, and the tokenizer's end token."""
    ends = getattr(model.generation_config, "eos_token_id", None)
    listed = ends if isinstance(ends, list) else [ends]
    return frozenset(int(i) for i in [*listed, tokenizer.eos_token_id] if i is not None)


class Encoder:
    """Messages as token ids.

    Args:
        tokenizer: The model's.
        template: One of `TEMPLATES`.
        plain: The tokenizer's `PlainTokens`.
        options: What a chat template knows beside messages.
    """

    def __init__(self, tokenizer: Any, template: str, *, plain: Plain, options: Mapping[str, Any] | None = None) -> None:
        self.tokenizer, self.template, self.plain = tokenizer, template, plain
        self.options = dict(options or {}) if template == "chat" else {}
        self.lead = LEADS[template]
        self.fixed = functools.lru_cache(maxsize=1024)(self._fixed)

    def prompt(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """The prompt as tokens; what looks like a control token inside a message is text."""
        if not self._controlled(messages):
            return self._tokens(self.written(messages), first=True)
        held = [(role, f"{_OPEN}{number}{_CLOSE}") for number, (role, _) in enumerate(messages)]
        first, *pieces = re.split(f"{_OPEN}(\\d+){_CLOSE}", self.written(held))
        ids = [*self._tokens(first, first=True)]
        begun = bool(first)
        for number, piece in enumerate(pieces):
            text, encode = (piece, self._inner) if number % 2 else (messages[int(piece)][1], self.plain)
            ids += self._behind(encode, text) if begun else encode(text)
            begun = begun or bool(text)
        return tuple(ids)

    def answer(self, messages: Sequence[Message], text: str) -> tuple[int, ...]:
        """The right answer to a prompt as tokens, the one that ends it included: what a model is trained to say.

        It is split as the tokenizer splits it behind the prompt, as far as the prompt's own tokens stay what they are.
        """
        output_ids = self.lead + text
        if self._controlled([*messages, ("assistant", text)]):
            return (*self._behind(self.plain, output_ids), self.end)
        before = self.prompt(messages)
        whole = self._tokens(self.written(messages) + output_ids, first=True)
        return (*(whole[len(before) :] if whole[: len(before)] == before else self._behind(self.plain, output_ids)), self.end)

    @functools.cached_property
    def writes_system(self) -> bool:
        """Whether prompts contain the system text of a conversation; see `templates.writes_system`."""
        return writes_system(self.template, self.tokenizer, self.options)

    @functools.cached_property
    def end(self) -> int:
        """The token that ends an answer: the control token that the template writes behind it, else the tokenizer's own."""
        probe = f"{_OPEN}{_CLOSE}"
        behind = self.written([("user", "a"), ("assistant", probe)]).partition(probe)[2]
        first = self.tokenizer(behind, add_special_tokens=False)["input_ids"][:1]
        if first and self.tokenizer.convert_ids_to_tokens(first[0]) in self._control:
            return int(first[0])
        return int(self.tokenizer.eos_token_id)

    def _fixed(self, before: tuple[Message, ...], role: str) -> tuple[int, ...]:
        """The tokens of a prompt that do not depend on its last message's content."""
        one, other = (self.prompt([*before, (role, probe)]) for probe in ("a", "7"))
        same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
        return one[:same]

    def _behind(self, encode: Plain, text: str) -> tuple[int, ...]:
        """The tokens of a text that stands behind another: where a tokenizer puts a space before every text, without that space."""
        return encode("\n" + text)[len(self._line_end) :] if self._line_end else encode(text)

    @functools.cached_property
    def _line_end(self) -> tuple[int, ...]:
        """The tokens of a line end where the tokenizer puts a space before every text, else none."""
        end, both = self.plain("\n"), self.plain("\na")
        return end if both != (*end, *self.plain("a")) and both[: len(end)] == end else ()

    def _inner(self, text: str) -> tuple[int, ...]:
        return self._tokens(text, first=False)

    def written(self, messages: Sequence[Message]) -> str:
        """The prompt as text, as the template writes it."""
        return TEMPLATES[self.template](messages, self.tokenizer, **self.options)

    def _tokens(self, text: str, *, first: bool) -> tuple[int, ...]:
        special = first and self.template != "chat"  # a chat template writes its special tokens itself
        return tuple(self.tokenizer(text, add_special_tokens=special)["input_ids"])

    def _controlled(self, messages: Sequence[Message]) -> bool:
        return any(mark in content for _, content in messages for mark in self._control)

    @functools.cached_property
    def _control(self) -> frozenset[str]:
        return control_marks(self.tokenizer)
