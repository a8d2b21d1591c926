"""One decoded sequence on byte tokens, without a network: plain constrained decoding, and a model that is a hash or a text."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import llguidance.hf
import llguidance.numpy
import numpy as np
from llguidance import LLMatcher

from clinspan.lms.local.sequence import Answer, Prompt, SequenceState
from support.tiny_models import byte_tokenizer

TOKENIZER = byte_tokenizer()
END = TOKENIZER.eos_token_id
VOCABULARY = llguidance.hf.from_tokenizer(TOKENIZER, n_vocab=len(TOKENIZER))
PROMPT = (5, 6, 7, 8)
Choose = Callable[[Sequence[int], Sequence[int]], int]


def ids_of(text: str) -> tuple[int, ...]:
    return tuple(TOKENIZER(text, add_special_tokens=False)["input_ids"])


def matcher_of(lark: str) -> LLMatcher:
    matcher = LLMatcher(VOCABULARY, LLMatcher.grammar_from_lark(lark))
    assert not matcher.is_error(), matcher.get_error()
    return matcher


def sequence_of(prompt: Prompt, shared: int = 0, **changes: Any) -> SequenceState:
    options = {"tokenizer": TOKENIZER, "vocabulary": len(TOKENIZER), "ends": frozenset({END}), "special": {}, **changes}
    return SequenceState(prompt, shared, **options)


def by_hash(seed: int) -> Choose:
    """A model: which of the allowed tokens is best depends on all tokens before, and on nothing else."""

    def choose(before: Sequence[int], allowed: Sequence[int]) -> int:
        digest = hashlib.blake2b(repr((seed, list(before))).encode(), digest_size=8).digest()
        return sorted(allowed)[int.from_bytes(digest, "little") % len(allowed)]

    return choose


def allowed_by(matcher: LLMatcher) -> list[int]:
    bits = llguidance.numpy.allocate_token_bitmask(1, len(TOKENIZER))
    llguidance.numpy.fill_next_token_bitmask(matcher, bits, 0)
    return np.flatnonzero(np.unpackbits(bits[0].view(np.uint8), bitorder="little")[: len(TOKENIZER)]).tolist()


def plain_decoding(prompt: Prompt, choose: Choose) -> tuple[list[int], list[bool], str]:
    """The answer, whether each token was chosen among several or as the end, and why it ended: one token at a time.

    The tokenizer's pieces are bytes, so text that the grammar forces is one allowed token after the other. The budget may be
    exceeded by forced text only.
    """
    said: list[int] = []
    chosen: list[bool] = []
    matcher = prompt.matcher.deep_copy()
    while True:
        while not matcher.is_stopped() and len(allowed := allowed_by(matcher)) == 1 and allowed != [END]:
            said, chosen = [*said, *allowed], [*chosen, False]
            assert matcher.consume_tokens(allowed)
        if matcher.is_stopped() or len(said) >= prompt.budget:
            return said, chosen, "stop" if matcher.is_stopped() else "length"
        token = choose([*prompt.ids, *said], allowed)
        said, chosen = [*said, token], [*chosen, True]
        if token == END:
            return said, chosen, "stop"
        assert matcher.consume_tokens([token])
        if not matcher.is_stopped() and len(said) >= prompt.budget:
            return said, chosen, "length"


def decoded(sequence: SequenceState, choose: Choose, *, overhead: float = 0.0, most: int = 1000, shared: int = 0) -> Answer:
    """Decode with a cache of tokens in place of a model: a choice sees the tokens that are stored up to its place."""
    stored = dict(enumerate(sequence.prompt.ids[:shared]))
    everything = list(range(len(TOKENIZER)))
    while not sequence.finish:
        if sequence.idle:
            assert sequence.unread == len(sequence._fresh) > 0
            sequence.plan(overhead)
        place = shared + sequence.kept + sequence.fed
        left = sequence.unread
        tokens, due = sequence.read(most)
        assert len(tokens) == min(most, left) and (sequence.idle or sequence.unread == left - len(tokens))
        for n, token in enumerate(tokens):
            stored[place + n] = token
        for point, at in due:
            before = [stored[i] for i in range(place + at + 1)]
            allowed = everything if point.allowed is None else point.allowed.tolist()
            point.chosen = (choose(before, allowed), -1.0)
        if sequence.idle:
            sequence.resolve()
    return sequence.answer()


def follow(text: str) -> Choose:
    """A model that says a text, whatever the grammar."""
    said = ids_of(text)

    def choose(before: Sequence[int], allowed: Sequence[int]) -> int:
        place = len(before) - len(PROMPT)
        return said[place] if place < len(said) else END

    return choose


class Forced:
    """A scripted matcher: forces some tokens, then any text is over."""

    def __init__(self, *steps: list[int], takes: bool = True) -> None:
        self.steps, self.takes, self.taken = list(steps), takes, []

    def deep_copy(self) -> Forced:
        return Forced(*self.steps, takes=self.takes)

    def is_stopped(self) -> bool:
        return not self.steps

    def compute_ff_tokens(self) -> list[int]:
        return self.steps[0]

    def consume_tokens(self, tokens: list[int]) -> bool:
        self.taken += tokens
        self.steps[0] = self.steps[0][len(tokens) :] if tokens == self.steps[0][: len(tokens)] else []
        self.steps = self.steps if self.steps[0] else self.steps[1:]
        return self.takes

    def get_error(self) -> str:
        return "no such token\nat all"
