"""The DSPy engine on transformers: one request in, one response out, batched across the threads that call."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from dspy import lm15

from lms.batching import Batcher
from lms.decoding import Answer, Decoder, Prompt
from lms.errors import ModelError, PromptTooLongError
from lms.specs import LocalModel
from lms.templates import Message, STOPS, TEMPLATES
from lms.weights import find_weights, Weights

_MARGIN = 16
_FALLBACK_BUDGET = 512


class TransformersEngine:
    """A loaded model behind DSPy's engine interface.

    Of `Config.extensions` it reads `longest`, a text that no honest answer exceeds: the answer's budget is its
    number of tokens and a margin; and `lines`, a number of lines after which nothing honest comes. Answers are greedy.

    Args:
        spec: Which model and how.
    """

    def __init__(self, spec: LocalModel) -> None:
        self.spec = spec
        self.weights: Weights = find_weights(spec)
        self.model, self.tokenizer = _load(spec, self.weights)
        self.context = int(getattr(self.model.config.get_text_config(), "max_position_embeddings", 1 << 30))
        self._decoder = Decoder(self.model, self.tokenizer)
        self._batcher: Batcher[Prompt, Answer] = Batcher(self._decode, size=spec.batch_size, order=lambda p: (len(p.ids), *p.ids))
        self._fixed = functools.lru_cache(maxsize=1024)(self._fixed_ids)

    def expect(self, threads: int) -> AbstractContextManager[Callable[[], None]]:
        """See `Batcher.expect`."""
        return self._batcher.expect(threads)

    def complete(self, request: lm15.Request) -> lm15.Response:
        """Answer one request.

        Raises:
            PromptTooLongError: The prompt and its longest answer do not fit the model's context.
        """
        prompt = self.prompt(request)
        answer = self._batcher.submit(prompt)
        usage = lm15.Usage(input_tokens=len(prompt.ids), output_tokens=answer.tokens, total_tokens=len(prompt.ids) + answer.tokens)
        return lm15.Response(
            id=None,
            model=request.model,
            message=lm15.Message.assistant(answer.text),
            finish_reason="stop" if answer.finish == "stop" else "length",
            usage=usage,
        )

    def prompt(self, request: lm15.Request) -> Prompt:
        """The request as token ids, with its budget."""
        messages = request_messages(request)
        ids = self._encode(messages)
        fixed = self._fixed(tuple(messages[:-1]), messages[-1][0])
        shared = next((i for i, (a, b) in enumerate(zip(ids, fixed, strict=False)) if a != b), min(len(ids), len(fixed)))
        budget = self._budget(request.config)
        if len(ids) + budget > self.context:
            raise PromptTooLongError(prompt=len(ids), answer=budget, context=self.context)
        stops = (*STOPS[self.spec.template], *self.spec.stop, *request.config.stop)
        lines = (request.config.extensions or {}).get("lines")
        return Prompt(ids, shared, budget, stops, lines if isinstance(lines, int) else 0)

    def _budget(self, config: lm15.Config) -> int:
        longest = (config.extensions or {}).get("longest")
        if isinstance(longest, str):
            return len(self.tokenizer(longest, add_special_tokens=False)["input_ids"]) + _MARGIN
        return config.max_tokens or _FALLBACK_BUDGET

    def _encode(self, messages: Sequence[Message]) -> tuple[int, ...]:
        text = TEMPLATES[self.spec.template](messages, self.tokenizer)
        special = self.spec.template != "chat"  # a chat template writes its special tokens itself
        return tuple(self.tokenizer(text, add_special_tokens=special)["input_ids"])

    def _fixed_ids(self, before: tuple[Message, ...], role: str) -> tuple[int, ...]:
        one, other = (self._encode([*before, (role, probe)]) for probe in ("a", "7"))
        same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
        return one[:same]

    def _decode(self, prompts: Sequence[Prompt]) -> Sequence[Answer | Exception]:
        try:
            answers: list[Answer] = self._decoder.decode(prompts)
            return answers
        except torch.OutOfMemoryError as error:
            if len(prompts) == 1:
                return [ModelError(f"out of memory with one sentence of {len(prompts[0].ids)} prompt tokens ({error})")]
        half = len(prompts) // 2
        return [*self._decode(prompts[:half]), *self._decode(prompts[half:])]

    def dump_state(self) -> dict[str, Any]:
        """What DSPy saves of this engine with a program: the spec, no weights."""
        return dataclasses.asdict(self.spec)

    @classmethod
    def load_state(cls, state: dict[str, Any]) -> TransformersEngine:
        return cls(LocalModel(**state))

    def stream(self, request: lm15.Request) -> Any:
        return lm15.response_to_events(self.complete(request))

    def close(self) -> None:
        """Nothing to release: weights go with the object."""


def request_messages(request: lm15.Request) -> list[Message]:
    """The request as `(role, content)` pairs, the system text first if there is one."""
    system = request.system
    text = system if isinstance(system, str) else "".join(getattr(p, "text", "") for p in system or ())
    messages: list[Message] = [("system", text)] if text else []
    return messages + [(message.role, message.text or "") for message in request.messages]


def _load(spec: LocalModel, weights: Weights) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    device = spec.device if spec.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    options: dict[str, Any] = {"dtype": getattr(torch, spec.dtype)}
    if spec.quantization:
        options["quantization_config"] = _quantization(spec, device)
        options["device_map"] = device
    try:
        tokenizer = AutoTokenizer.from_pretrained(weights.folder)
        model: Any = AutoModelForCausalLM.from_pretrained(weights.folder, **options)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"the model in {weights.folder} cannot be loaded: {first}") from None
    if not spec.quantization:
        model = model.to(device)
    return model.eval(), tokenizer


def _quantization(spec: LocalModel, device: str) -> Any:
    try:
        import bitsandbytes  # noqa: F401
    except ImportError:
        raise ModelError(f"model.quantization={spec.quantization} needs bitsandbytes: pip install bitsandbytes") from None
    if not device.startswith("cuda"):
        raise ModelError(f"model.quantization={spec.quantization} needs a CUDA device; here the device is {device}")
    from transformers import BitsAndBytesConfig

    if spec.quantization == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)
