"""Request parameters besides the prompt: temperature, token budget, reasoning effort, seed, further fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, get_args, Literal

from clinspan.lms import lm15
from clinspan.lms.errors import ModelError

Route = Literal["chat", "responses"]
TokenLimit = Literal["auto", "max_tokens", "max_completion_tokens"]
REASONING_TOKENS = 16_000
"""Token budget of a reasoning model beside its answer; DSPy refuses a smaller one for such models."""
_OWN = {
    "messages": None,
    "input": None,
    "instructions": None,
    "prompt": None,
    "model": None,
    "stream": None,
    "n": None,
    "temperature": "model.temperature",
    "seed": "model.seed",
    "reasoning_effort": "model.reasoning_effort",
    "max_tokens": "model.reasoning_tokens",
    "max_completion_tokens": "model.reasoning_tokens",
    "max_output_tokens": "model.reasoning_tokens",
}


def is_reasoning_model(name: str) -> bool:
    """Whether a model reasons before it answers, by DSPy's rule on names (o1, o3, o4-mini, gpt-5 and similar ones, not gpt-5-chat).

    >>> is_reasoning_model("gpt-5-mini"), is_reasoning_model("o3"), is_reasoning_model("gpt-4o")
    (True, True, False)
    """
    from dspy.clients.lm import _is_openai_reasoning_model  # DSPy has no public name for its rule

    return bool(_is_openai_reasoning_model(name))


@dataclass(frozen=True, kw_only=True)
class RequestSettings:
    """Settings of a server's model that are applied to every request.

    Attributes:
        temperature: Sent if a request names none; None: never sent, because reasoning models refuse it.
        reasoning_effort: How much the model reasons (`minimal`, `low`, `medium`, `high`, ...); None: not sent.
        reasoning_tokens: Tokens for reasoning, added to those of the answer because both share one budget.
        seed: Sent if a request names none; None: not sent.
        parameters: Further fields of the request's body, by the server's names.
        route: Chat Completions or the Responses API.
        token_limit: The field that holds the budget; `auto` leaves the choice to the client.
    """

    temperature: float | None = 0.0
    reasoning_effort: str | None = None
    reasoning_tokens: int = 0
    seed: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    route: Route = "chat"
    token_limit: TokenLimit = "auto"

    def __post_init__(self) -> None:
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise ModelError(f"model.temperature={self.temperature} is not between 0 and 2; null leaves it out")
        if self.reasoning_effort is not None and not re.fullmatch("[a-z]{2,20}", self.reasoning_effort):
            raise ModelError(f"model.reasoning_effort={self.reasoning_effort!r} is not a word such as low, medium or high")
        if self.reasoning_tokens < 0:
            raise ModelError("model.reasoning_tokens must not be negative")
        if self.route not in get_args(Route):
            raise ModelError(f"model.route={self.route} is not known: use {' or '.join(get_args(Route))}")
        if self.token_limit not in get_args(TokenLimit):
            raise ModelError(f"model.token_limit={self.token_limit} is not known: use {', '.join(get_args(TokenLimit))}")
        for name in self.parameters:
            if name in _OWN:
                setting = _OWN[name]
                raise ModelError(
                    f"model.parameters.{name} is not allowed: " + (f"use {setting}" if setting else "it is sent anyway")
                )

    def applied(self, request: lm15.Request) -> lm15.Request:
        """Apply these settings to a request. Its own values take precedence, except for a temperature that is never sent."""
        config = request.config
        extensions: dict[str, Any] = {**self.parameters, **(config.extensions or {})}
        limit = config.max_tokens
        if limit is not None:
            limit += self.reasoning_tokens
            if self.token_limit != "auto" and self.route == "chat":
                extensions[self.token_limit] = limit
                limit = None
        if self.reasoning_effort is not None:
            if self.route == "responses":
                extensions.setdefault("reasoning", {"effort": self.reasoning_effort})
            else:
                extensions.setdefault("reasoning_effort", self.reasoning_effort)
        default = self.temperature if config.temperature is None else config.temperature
        changed = replace(
            config,
            temperature=None if self.temperature is None else default,
            max_tokens=limit,
            seed=self.seed if config.seed is None else config.seed,
            store=False if self.route == "responses" else config.store,  # otherwise the service stores texts for a month
            extensions=extensions or None,
        )
        return replace(request, config=changed)
