"""Decoding state of one sequence: grammar, draft, forced tokens, speculative verification."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import llguidance.numpy
import numpy as np
from numpy.typing import NDArray

from clinspan.lms.errors import GrammarError
from clinspan.lms.local.sampling import Sampling, uniform

Allowed = NDArray[np.int64]
_CLUES = (3, 2, 1)
_PRIOR = (9, 10)
MOST = 192
"""Tokens that a row's feed may have before it takes no further guess."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request as token ids.

    Attributes:
        ids: The prompt.
        fixed: How many of them do not depend on the last message.
        budget: Most tokens of an answer.
        stops: Texts that end an answer without a grammar.
        lines: The line at which an answer without a grammar ends (0: any number).
        matcher: An llguidance matcher at its beginning, which is copied; None: any text.
        draft: Token ids of a likely answer, of use with a grammar only.
        sampling: How tokens are drawn; None: the most probable one is taken.
        choices: Answers to be compared instead of one to be generated: token ids by stem and option. None: an answer is generated.
    """

    ids: tuple[int, ...]
    fixed: int
    budget: int
    stops: tuple[str, ...] = ()
    lines: int = 0
    matcher: Any = None
    draft: tuple[int, ...] = ()
    sampling: Sampling | None = None
    choices: tuple[tuple[tuple[int, ...], ...], ...] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it was said.

    Attributes:
        text: The text up to the stop.
        ids: Its tokens, that which ended it included.
        logprobs: For each token the logarithm of its probability among the tokens that were allowed there, 0 where
            no other was.
        finish: `stop` or `length`.
        passes: Forward passes that read tokens of this answer's row.
        choices: Logarithms of the probabilities of a prompt's `choices`, by stem and option; `ids` are then all tokens that
            were read behind the prompt.
        stems: For each stem of the `choices` its `StemScore`.
    """

    text: str
    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish: str
    passes: int
    choices: tuple[tuple[float, ...], ...] = ()
    stems: tuple[tuple[float, float, float], ...] = ()


Done = Callable[[int, Answer | Exception], None]


@dataclass(slots=True)
class DecisionPoint:
    """A place where a token has to be chosen: behind token `at` of the feed, among `allowed` (None: all).

    Attributes:
        uniform: The random number by which the token is drawn; None: the most probable one is taken.
    """

    at: int
    allowed: Allowed | None
    sampling: Sampling | None = None
    uniform: float | None = None
    guess: int | None = None
    chosen: tuple[int, float] | None = None


class SequenceState:
    """One row of a batch. What it says depends on the model's choices alone; a draft only saves passes.

    Args:
        prompt: What is answered.
        shared: How many tokens of the prompt are in the batch's prefix.
        tokenizer: For stop texts and the answer's text.
        vocabulary: How many logits the model gives.
        ends: Tokens that end an answer.
        special: Control tokens, and the tokens that spell the text by which each is known.
    """

    def __init__(
        self,
        prompt: Prompt,
        shared: int,
        *,
        tokenizer: Any,
        vocabulary: int,
        ends: frozenset[int],
        special: Mapping[int, Sequence[int]],
    ) -> None:
        self.prompt, self.tokenizer, self.ends, self.special = prompt, tokenizer, ends, special
        self._vocabulary = vocabulary
        self._bits = llguidance.numpy.allocate_token_bitmask(1, vocabulary)
        self.matcher: Any = None if prompt.matcher is None else prompt.matcher.deep_copy()
        self.output_ids: list[int] = []
        self.logprobs: list[float] = []
        self.finish = ""
        self.kept = 0
        """Own tokens of this row, from the prompt's first that is not shared, whose states are stored and right."""
        self.passes = self.fed = 0
        self.feed: list[int] = []
        self.decision_points: list[DecisionPoint] = []
        self._fresh = list(prompt.ids[shared:])
        self._place: int | None = 0
        self._right, self._guessed = _PRIOR
        self._behind = 0
        self._tail = 1 + max((len(stop.encode()) for stop in prompt.stops), default=0)  # a stop has no more tokens than bytes
        self._allowed: Allowed | None = None
        self._stream = prompt.sampling.stream(prompt.ids) if prompt.sampling else b""
        self._add(self._certain())

    @property
    def unread(self) -> int:
        """Tokens that are certain and not read yet."""
        return len(self._fresh) if self.idle else len(self.feed) - self.fed

    @property
    def idle(self) -> bool:
        """Whether all that was planned has been read."""
        return self.fed == len(self.feed)

    def plan(self, overhead: float = 0.0) -> None:
        """Set `feed` and `asks`: the tokens that are certain, then guessed ones as far as they pay.

        A guess that is right saves this row's share of a pass; one behind a wrong guess is read for nothing. So the
        draft is followed while the chance that it is right so far times `overhead` exceeds the chance that it is not
        times the tokens that the next guess adds; the chance is learnt from the guesses of this row.

        Args:
            overhead: What a pass costs, however few tokens it reads, in tokens and divided among the rows.
        """
        self.feed, self.fed = list(self._fresh), 0
        self.decision_points = [self._decision_point(len(self.output_ids))]
        if self.matcher is None or not self.prompt.draft or not overhead:
            return
        guessed, chance = 0, 1.0
        place = self._found_again()
        while place is not None and place < len(self.prompt.draft):
            decision_point, guess = self.decision_points[-1], self.prompt.draft[place]
            if decision_point.allowed is None or guess in self.ends or guess not in decision_point.allowed:
                break
            self._consume([guess])
            more = [guess, *self._certain()]
            guessed += len(more)
            chance *= self._right / self._guessed
            if self._allowed is None or chance * overhead < (1 - chance) * len(more) or len(self.feed) > MOST:
                break
            decision_point.guess = guess
            self.feed += more
            self.decision_points.append(self._decision_point(len(self.output_ids) + guessed))
            agreed = self.prompt.draft[place : place + len(more)] == tuple(more)
            place = place + len(more) if agreed else self._search(place, more)
        if guessed:
            self.matcher.rollback(guessed)
        self._allowed = self.decision_points[0].allowed

    def _decision_point(self, position: int) -> DecisionPoint:
        """The decision behind the last token of the feed, at this position of the answer."""
        number = uniform(self._stream, position) if self.prompt.sampling else None
        return DecisionPoint(len(self.feed) - 1, self._allowed, self.prompt.sampling, number)

    def read(self, most: int) -> tuple[list[int], list[tuple[DecisionPoint, int]]]:
        """The next tokens of the feed, at most so many, and the asks among them with their places there."""
        begin, self.fed = self.fed, min(len(self.feed), self.fed + most)
        self.passes += self.fed > begin
        due = [
            (decision_point, decision_point.at - begin)
            for decision_point in self.decision_points
            if begin <= decision_point.at < self.fed
        ]
        return self.feed[begin : self.fed], due

    def resolve(self) -> None:
        """Take in what was chosen at the asks, up to the first choice that was not guessed."""
        base = self.kept
        for decision_point in self.decision_points:
            assert decision_point.chosen is not None
            token, logprob = decision_point.chosen
            self.kept = base + decision_point.at + 1
            self._fresh = []
            self._guessed += decision_point.guess is not None
            self._right += token == decision_point.guess
            self.take(token, logprob)
            if self.finish or token != decision_point.guess:
                return

    def take(self, token: int, logprob: float = 0.0) -> None:
        """Go on with this token, and with whatever the grammar forces behind it."""
        if token in self.ends:
            self.output_ids.append(token)
            self.logprobs.append(logprob)
            self.finish = "stop"
            return
        self._consume([token])
        self._add([token], logprob)
        if not self.finish:
            self._add(self._certain())

    def _add(self, tokens: Sequence[int], logprob: float = 0.0) -> None:
        for token in tokens:
            self.output_ids.append(token)
            self.logprobs.append(logprob)
            self._fresh.append(token)
            self._follow(token)
        self.finish = self._ended()

    def _ended(self) -> str:
        prompt, output_ids = self.prompt, self.output_ids
        if self.matcher is not None and self.matcher.is_stopped():
            return "stop"
        if output_ids and self.matcher is None:
            if prompt.stops:
                tail = self.tokenizer.decode(output_ids[-self._tail :], skip_special_tokens=False)
                if any(stop in tail for stop in prompt.stops):
                    return "stop"
            newline = prompt.lines and "\n" in self.tokenizer.decode(output_ids[-1:])
            if newline and self.tokenizer.decode(output_ids).count("\n") >= prompt.lines:
                return "stop"
        return "length" if len(output_ids) >= prompt.budget else ""

    # the grammar

    def _certain(self) -> list[int]:
        """Consume and give the tokens to which there is no alternative, and set what is allowed behind them.

        Where the tokenizer would read a control token into the text, the text is spelt instead.
        """
        self._allowed = None
        if self.matcher is None:
            return []
        found: list[int] = []
        while not self.matcher.is_stopped():
            forced = self.matcher.compute_ff_tokens()
            some = forced[: next((i for i, token in enumerate(forced) if token in self.special), len(forced))]
            if forced and not some:
                some = list(self.special[forced[0]])
            elif not forced:
                self._allowed = self._mask()
                if len(self._allowed) != 1 or int(self._allowed[0]) in self.ends:
                    break
                some = [int(self._allowed[0])]
            self._consume(some)
            found += some
        return found

    def _consume(self, tokens: Sequence[int]) -> None:
        if self.matcher is not None and not self.matcher.consume_tokens(list(tokens)):
            raise GrammarError(f"the grammar does not take its own tokens: {self.matcher.get_error().splitlines()[0]}")

    def _mask(self) -> Allowed:
        llguidance.numpy.fill_next_token_bitmask(self.matcher, self._bits, 0)
        allowed: Allowed = np.flatnonzero(np.unpackbits(self._bits[0].view(np.uint8), bitorder="little")[: self._vocabulary])
        if not len(allowed):
            raise GrammarError("the grammar allows no token of this tokenizer")
        return allowed

    # the draft

    def _follow(self, token: int) -> None:
        draft = self.prompt.draft
        if self._place is not None and self._place < len(draft) and draft[self._place] == token:
            self._place += 1
            self._behind = self._place
        else:
            self._place = None

    def _found_again(self) -> int | None:
        if self._place is None:
            self._place = self._search(self._behind, self.output_ids)
        return self._place

    def _search(self, start: int, heard: Sequence[int]) -> int | None:
        """Where the draft goes on: behind the next place, from `start`, that reads like the last tokens heard."""
        draft = self.prompt.draft
        for width in _CLUES:
            clue = tuple(heard[-width:])
            for at in range(start, len(draft) - width + 1):
                if draft[at : at + width] == clue:
                    return at + width
        return None

    # the end

    def answer(self) -> Answer:
        """What was said."""
        body = self.output_ids[:-1] if self.output_ids and self.output_ids[-1] in self.ends else self.output_ids
        text = self.tokenizer.decode(body, skip_special_tokens=True)
        for stop in self.prompt.stops if self.matcher is None else ():
            text = text.split(stop, 1)[0]
        return Answer(text, tuple(self.output_ids), tuple(self.logprobs), self.finish, self.passes)
