"""How answers are generated: temperature, seeds and numbers of samples, as DSPy's models and calls name them."""

from __future__ import annotations

import contextvars
import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from dspy.utils.exceptions import LMUnsupportedFeatureError

from clinspan.lms import Grammar, lm15, Wire
from clinspan.lms.protocols import LocalEngine, ServedEngine


@dataclass(frozen=True, slots=True)
class Generation:
    """How answers are generated, as an LM's settings and a call say: DSPy's names.

    Attributes:
        temperature: None: 0 of a local model, of a server as it is configured.
        top_p: As of `dspy.LM`.
        top_k: As of `dspy.LM`.
        seed: Answers of a local model to the same request with the same seed are the same.
        rollout_id: Where the temperature is not 0, each id has an answer of its own.
        max_tokens: An upper bound of an answer beside the format's own.
        samples: DSPy's `n`, how many answers are asked for.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    rollout_id: int | None = None
    max_tokens: int | None = None
    samples: int = 1

    @classmethod
    def of(cls, lm: Any, config: Mapping[str, Any]) -> Generation:
        """The settings of an LM (`lm.kwargs`), and those of a call, which take precedence.

        Raises:
            LMUnsupportedFeatureError: The call has settings that a format does not pass on.
        """
        names = ("temperature", "top_p", "top_k", "seed", "rollout_id")
        unknown = sorted(key for key in config if key not in (*names, "max_tokens", "n", "cache") and config[key] is not None)
        if unknown:
            raise LMUnsupportedFeatureError(f"a format passes on no {', '.join(unknown)}", model=lm.model, features=unknown)
        settings = {**getattr(lm, "kwargs", {}), **config}
        return cls(
            **{name: settings.get(name) for name in names},
            max_tokens=config.get("max_tokens"),
            samples=settings.get("n") or 1,
        )

    def applied(self, config: lm15.Config, number: int, *, local: bool) -> lm15.Config:
        """The configuration of a request with these settings.

        Args:
            config: What the format asks for.
            number: The number of the sample: each has a seed of its own.
            local: Whether the model is on this machine, so that the seed decides the answer.
        """
        seed = self.seed
        if local and self.temperature:
            seed = _mixed(self.seed or 0, self.rollout_id or 0, number)
        elif seed is not None:
            seed += number
        bounds = [bound for bound in (config.max_tokens, self.max_tokens) if bound is not None]
        return replace(
            config,
            temperature=(self.temperature or 0.0) if local else self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            seed=seed,
            max_tokens=min(bounds) if bounds else None,
        )


def _mixed(seed: int, rollout_id: int, number: int) -> int:
    """A seed for each sample of each rollout; the first sample without a rollout has the seed itself.

    >>> _mixed(7, 0, 0), _mixed(7, 0, 1) == _mixed(7, 1, 0)
    (7, False)
    """
    if not rollout_id and not number:
        return seed
    text = f"{seed}:{rollout_id}:{number}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest(), "big")


def is_served(lm: Any) -> bool:
    """Whether a model is behind a server: through an engine of ours or one that DSPy chooses itself."""
    return isinstance(lm.engine, (str, ServedEngine))


def sampled_together(lm: Any, ask: Callable[[int], dict[str, Any]], samples: int) -> list[dict[str, Any]]:
    """So many samples at the same time, which a local model answers in one batch."""
    branch = lm.engine.branch(samples) if isinstance(lm.engine, LocalEngine) else nullcontext(lambda: None)
    with branch as leave, ThreadPoolExecutor(samples) as pool:

        def work(number: int) -> dict[str, Any]:
            try:
                return ask(number)
            finally:
                leave()

        futures = [pool.submit(contextvars.copy_context().run, work, number) for number in range(samples)]
        return [future.result() for future in futures]


def wire_config(wire: Wire, budget: int, grammar: Grammar, schema: dict[str, Any] | None, draft: str | None) -> lm15.Config:
    """What a server is asked for, beside the messages.

    Args:
        wire: What the server takes.
        budget: Most tokens of an answer.
        grammar: What an answer may be.
        schema: The same as a JSON schema; None if answers are no JSON objects.
        draft: What the answer probably is.
    """
    extensions: dict[str, Any] = {}
    form = None
    if wire.grammar == "structured_outputs":
        extensions["structured_outputs"] = {"grammar": grammar.lark()}
    elif wire.grammar == "llama_cpp":
        extensions["grammar"] = grammar.gbnf()
    elif wire.grammar == "json_schema" and schema is not None:
        form = {"type": "json_schema", "name": "mentions", "strict": True, "schema": schema}
    if wire.prediction and draft is not None:
        extensions["prediction"] = {"type": "content", "content": draft}
    return lm15.Config(
        max_tokens=None if "prediction" in extensions else budget,  # Azure takes no bound beside a prediction
        response_format=form,
        logprobs=0 if wire.logprobs else None,
        extensions=extensions or None,
    )
