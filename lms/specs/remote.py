"""Specifications of models behind a server: what all of them take, Azure OpenAI, and OpenAI-compatible servers."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args, Literal

from clinspan.lms.errors import ModelError, UnavailableError
from clinspan.lms.remote.entra import SCOPE
from clinspan.lms.remote.hosts import check_address, hosts_outside
from clinspan.lms.remote.request_settings import is_reasoning_model, REASONING_TOKENS, RequestSettings, Route, TokenLimit

WireGrammar = Literal["structured_outputs", "llama_cpp", "json_schema"]
_BATCH_SHARE = 0.5  # of the price of single requests: OpenAI's and Azure's list prices


@dataclass(frozen=True, kw_only=True)
class Wire:
    """What a request asks of a server beyond a chat completion.

    Attributes:
        grammar: How the server takes a grammar: vLLM's `structured_outputs`, `llama_cpp`'s grammar, OpenAI's
            `json_schema` (for formats whose answers are JSON), or null.
        logprobs: Whether to ask for the probabilities of the answer's tokens.
        prediction: Whether to send the draft as OpenAI's predicted output.
    """

    grammar: WireGrammar | None = None
    logprobs: bool = False
    prediction: bool = False

    def __post_init__(self) -> None:
        if self.grammar not in (None, *get_args(WireGrammar)):
            raise ModelError(f"model.wire.grammar={self.grammar} is not known: use {', '.join(get_args(WireGrammar))} or null")


@dataclass(frozen=True, kw_only=True)
class _Remote:
    name: str
    concurrency: int = 8
    retries: int = 6
    timeout: float = 120.0
    price_input: float | None = None
    price_output: float | None = None
    batch: bool = False
    poll_seconds: float = 60.0
    connect_timeout: float = 10.0
    check_timeout: float = 5.0
    longest_pause: float = 60.0
    max_answer_mib: float = 8.0
    temperature: float | Literal["auto"] | None = "auto"
    reasoning_effort: str | None = None
    reasoning_tokens: int | Literal["auto"] = "auto"
    seed: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    route: Route = "chat"
    token_limit: TokenLimit = "auto"
    wire: Wire = Wire()

    def __post_init__(self) -> None:
        if isinstance(self.temperature, str) and self.temperature != "auto":
            raise ModelError(f"model.temperature={self.temperature} is not a number: use a number, auto or null")
        if isinstance(self.reasoning_tokens, str) and self.reasoning_tokens != "auto":
            raise ModelError(f"model.reasoning_tokens={self.reasoning_tokens} is not a number: use a number or auto")
        if self.batch and self.route != "chat":
            raise ModelError("model.batch=true takes model.route=chat")
        _ = self.request_settings
        for key in ("connect_timeout", "check_timeout", "longest_pause", "max_answer_mib"):
            if getattr(self, key) <= 0:
                raise ModelError(f"model.{key} must be positive")
        if self.concurrency < 1 or self.retries < 0 or self.timeout <= 0:
            raise ModelError("model.concurrency and model.timeout must be positive, model.retries not negative")
        if self.poll_seconds <= 0:
            raise ModelError("model.poll_seconds must be positive")

    @property
    def price(self) -> tuple[float, float] | None:
        """US dollars per million prompt tokens and per million answer tokens, if both are known. Batches cost half."""
        if self.price_input is None or self.price_output is None:
            return None
        share = _BATCH_SHARE if self.batch else 1.0
        return self.price_input * share, self.price_output * share

    @property
    def asked_for(self) -> str:
        """The model's name on the server."""
        raise NotImplementedError

    @property
    def request_settings(self) -> RequestSettings:
        """Settings of every request. `auto` is resolved from the model's name and from whether a reasoning effort is set."""
        is_reasoning = self.reasoning_effort is not None or is_reasoning_model(self.asked_for)
        temperature, budget, limit = self.temperature, self.reasoning_tokens, self.token_limit
        return RequestSettings(
            temperature=(None if is_reasoning else 0.0) if isinstance(temperature, str) else temperature,
            reasoning_effort=self.reasoning_effort,
            reasoning_tokens=(REASONING_TOKENS if is_reasoning else 0) if isinstance(budget, str) else budget,
            seed=self.seed,
            parameters=self.parameters,
            route=self.route,
            token_limit="max_completion_tokens" if limit == "auto" and is_reasoning else limit,
        )

    @property
    def endpoints(self) -> tuple[str, ...]:
        raise NotImplementedError

    @property
    def remote_host(self) -> str | None:
        """The hosts outside this machine that requests can go to, or None."""
        return hosts_outside(self.endpoints)


@dataclass(frozen=True, kw_only=True)
class AzureModel(_Remote):
    """A deployment of Azure OpenAI, with a key from `AZURE_OPENAI_API_KEY` (never from a config) or with tokens from Entra ID.

    `AZURE_OPENAI_ENDPOINT` may name several resources that have the deployment, separated by commas. The key's variable then holds
    one key for all, or one each. Requests are spread over the resources.

    Attributes:
        name: The model's name in tables; the deployment's name if empty.
        deployment: Name of the deployment; `AZURE_OPENAI_DEPLOYMENT` if null.
        auth: `key`, or `entra` for tokens of Microsoft Entra ID (see `lms.remote.entra`).
        auth_scope: Scope of these tokens.
        temperature: Sampling temperature; `auto` is 0, or not sent to a reasoning model; null: never sent.
        reasoning_effort: How much the model reasons: `minimal`, `low`, `medium`, `high`, ...; null: not sent.
        reasoning_tokens: Tokens for reasoning, added to those of the answer; `auto` is 16,000 for a reasoning model, else 0.
        seed: Sampling seed, for servers that support one; null: not sent.
        parameters: Further fields of every request's body.
        route: `chat` (Chat Completions) or `responses` (the Responses API, without storage).
        token_limit: The field that holds an answer's token budget: `max_tokens`, `max_completion_tokens` or `auto`.
        concurrency: Requests in progress at once.
        retries: Retries of a request that met 408, 409, 429, 5xx or a broken connection, with exponential backoff or the server's
            own `Retry-After`.
        timeout: Seconds for one request, from connecting to the last byte of the answer.
        connect_timeout: Seconds of `timeout` for connecting.
        check_timeout: Seconds for a health check.
        longest_pause: Most seconds that a server may ask for with `Retry-After`; longer pauses are shortened.
        max_answer_mib: Maximum size of an answer in MiB after decompression; a larger one counts as failed.
        price_input: US dollars per million prompt tokens.
        price_output: US dollars per million answer tokens.
        batch: Whether to use the Batch API, which answers at half the price and within a day; see `lms.remote.batch.engine`.
        poll_seconds: Seconds between two polls of a batch.
    """

    name: str = ""
    deployment: str | None = None
    auth: Literal["key", "entra"] = "key"
    auth_scope: str = SCOPE

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.auth not in ("key", "entra"):
            raise ModelError(f"model.auth={self.auth} is not known: use key or entra")
        if self.auth == "entra" and self.batch:
            raise ModelError("model.batch=true takes model.auth=key")
        if not self.name:
            object.__setattr__(self, "name", self.asked_for or "azure")

    @property
    def asked_for(self) -> str:
        return self.deployment or os.environ.get("AZURE_OPENAI_DEPLOYMENT") or self.name

    @property
    def deployed(self) -> str:
        """The deployment's name.

        Raises:
            UnavailableError: No deployment is given.
        """
        if not self.deployment and not os.environ.get("AZURE_OPENAI_DEPLOYMENT") and self.name == "azure":
            raise UnavailableError("model=azure needs model.deployment=NAME, the deployment's name, or AZURE_OPENAI_DEPLOYMENT")
        return self.asked_for

    @property
    def endpoints(self) -> tuple[str, ...]:
        value = os.environ.get("AZURE_OPENAI_ENDPOINT", "")
        if not value.strip(" ,"):
            raise UnavailableError(
                f"model={self.name} needs AZURE_OPENAI_ENDPOINT (https://RESOURCE.openai.azure.com) and "
                "AZURE_OPENAI_API_KEY in the environment; AZURE_OPENAI_API_VERSION is optional"
            )
        return _addresses(value.split(","), "AZURE_OPENAI_ENDPOINT")


@dataclass(frozen=True, kw_only=True)
class OpenAIModel(_Remote):
    """Any server that speaks OpenAI's chat completions: vLLM, SGLang, llama.cpp, Ollama, OpenAI itself.

    Attributes:
        id: The model's name on the server.
        api_base: The server's base address up to `/v1`, or a list of the addresses of several servers that have the model;
            `OPENAI_BASE_URL` (several separated by commas) if null.
        key_variable: The environment variable that holds the key; it may be unset if the server needs no key.

    The other settings are those of `AzureModel`.
    """

    id: str | None = None
    api_base: str | Sequence[str] | None = None
    key_variable: str = "OPENAI_API_KEY"

    @property
    def asked_for(self) -> str:
        return self.id or ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", self.key_variable):
            raise ModelError("model.key_variable is the name of an environment variable that holds the key, not the key")
        if self.api_base:
            _addresses(self._given, "model.api_base")

    @property
    def _given(self) -> list[str]:
        return [self.api_base] if isinstance(self.api_base, str) else list(self.api_base or ())

    @property
    def endpoints(self) -> tuple[str, ...]:
        if addresses := self._given:
            return _addresses(addresses, "model.api_base")
        value = os.environ.get("OPENAI_BASE_URL", "")
        if not value.strip(" ,"):
            raise ModelError("model=openai needs model.api_base=http://HOST:PORT/v1 or OPENAI_BASE_URL in the environment")
        return _addresses(value.split(","), "OPENAI_BASE_URL")

    @property
    def key(self) -> str:
        """The key, or `no-key` for servers that need none.

        Raises:
            ModelError: The variable holds characters that a key cannot have.
        """
        return sound_key(os.environ.get(self.key_variable, ""), self.key_variable) or "no-key"


def sound_key(value: str, variable: str) -> str:
    """Strip the white space around a key, such as the line end of the file that it was read from.

    Raises:
        ModelError: The key contains white space, a control character or a non-ASCII character.

    >>> sound_key("sk-abc\\n", "OPENAI_API_KEY")
    'sk-abc'
    """
    key = value.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ModelError(f"{variable} holds a blank, a line end or a non-ASCII character inside, so it is not a key: set it again")
    return key


def _addresses(addresses: Sequence[str], key: str) -> tuple[str, ...]:
    """Check addresses and remove duplicates.

    Raises:
        ModelError: One of them is not valid.
    """
    return tuple(dict.fromkeys(check_address(address.strip(), key) for address in addresses if address.strip()))
