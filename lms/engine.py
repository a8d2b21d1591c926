"""The DSPy engine on transformers: one request in, one response out, batched across the threads that call."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from dspy import lm15

from lms.answers import Answer, Prompt
from lms.batching import Batcher
from lms.decoding import Decoder, Done, shared_prefix
from lms.errors import GrammarError, ModelError, PromptTooLongError
from lms.linear import pack
from lms.specs import LocalModel
from lms.templates import LEADS, Message, STOPS, TEMPLATES
from lms.weights import find_weights, Weights

_MARGIN = 16
_FALLBACK_BUDGET = 512
_OPEN, _CLOSE = "\ue000", "\ue001"


class TransformersEngine:
    """A loaded model behind DSPy's engine interface.

    Of `Config.extensions` it reads `grammar`, a Lark grammar that the answer keeps to; `draft`, what the answer
    probably is, which changes its cost and not its text; `longest`, a text that no honest answer exceeds: the
    answer's budget is its number of tokens and a margin; and, where there is no grammar, `lines`, a number of lines
    after which nothing honest comes. Answers are greedy.

    Args:
        spec: Which model and how.
    """

    takes_grammar = True

    def __init__(self, spec: LocalModel) -> None:
        self.spec = spec
        self.weights: Weights = find_weights(spec)
        self.model, self.tokenizer = _load(spec, self.weights)
        self.context = int(getattr(self.model.config.get_text_config(), "max_position_embeddings", 1 << 30))
        memory = int(spec.states_gib * (1 << 30)) // 2
        self.decoder = Decoder(self.model, self.tokenizer, prefix_bytes=memory if spec.share_prefix else 0)
        self._row_bytes = memory
        self._batcher: Batcher[Prompt, Answer] = Batcher(self._decode, size=spec.concurrency, order=lambda p: (-len(p.ids), *p.ids))
        self._fixed = functools.lru_cache(maxsize=1024)(self._fixed_ids)
        self._matcher = functools.lru_cache(maxsize=1024)(self._compile)

    def expect(self, threads: int) -> AbstractContextManager[Callable[[], None]]:
        """See `Batcher.expect`."""
        return self._batcher.expect(threads)

    def complete(self, request: lm15.Request) -> lm15.Response:
        """Answer one request.

        Raises:
            PromptTooLongError: The prompt and its longest answer do not fit the model's context.
            GrammarError: The grammar cannot be used.
        """
        prompt = self.prompt(request)
        answer = self._batcher.submit(prompt)
        said = len(answer.ids)
        usage = lm15.Usage(input_tokens=len(prompt.ids), output_tokens=said, total_tokens=len(prompt.ids) + said)
        text = answer.text.removeprefix(LEADS[self.spec.template]) if prompt.matcher else answer.text
        return lm15.Response(
            id=None,
            model=request.model,
            message=lm15.Message.assistant(text),
            finish_reason="stop" if answer.finish == "stop" else "length",
            usage=usage,
            logprobs=self._logprobs(answer),
            provider_data={"passes": answer.passes},
        )

    def prompt(self, request: lm15.Request) -> Prompt:
        """The request as token ids, with its budget."""
        messages = request_messages(request)
        ids = self._encode(messages)
        fixed = self._fixed(tuple(messages[:-1]), messages[-1][0])
        shared = next((i for i, (a, b) in enumerate(zip(ids, fixed, strict=False)) if a != b), min(len(ids), len(fixed)))
        extensions = request.config.extensions or {}
        budget = self._budget(request.config)
        if len(ids) + budget > self.context:
            raise PromptTooLongError(prompt=len(ids), answer=budget, context=self.context)
        lines = extensions.get("lines")
        grammar, draft = extensions.get("grammar"), extensions.get("draft")
        return Prompt(
            ids,
            shared,
            budget,
            stops=(*STOPS[self.spec.template], *self.spec.stop, *request.config.stop),
            lines=lines if isinstance(lines, int) else 0,
            matcher=self._matcher(grammar) if isinstance(grammar, str) else None,
            draft=self.decoder.plain(LEADS[self.spec.template] + draft) if isinstance(draft, str) else (),
        )

    def _budget(self, config: lm15.Config) -> int:
        longest = (config.extensions or {}).get("longest")
        if isinstance(longest, str):
            return len(self.decoder.plain(longest)) + _MARGIN
        return config.max_tokens or _FALLBACK_BUDGET

    def _encode(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """The prompt as tokens; what looks like a control token inside a message is text."""
        template = TEMPLATES[self.spec.template]
        special = self.spec.template != "chat"  # a chat template writes its special tokens itself
        if not any(mark in content for _, content in messages for mark in self._control):
            return tuple(self.tokenizer(template(messages, self.tokenizer), add_special_tokens=special)["input_ids"])
        held = [(role, f"{_OPEN}{number}{_CLOSE}") for number, (role, _) in enumerate(messages)]
        ids: list[int] = []
        for number, piece in enumerate(re.split(f"{_OPEN}(\\d+){_CLOSE}", template(held, self.tokenizer))):
            if number % 2:
                ids += self.decoder.plain(messages[int(piece)][1])
            else:
                ids += self.tokenizer(piece, add_special_tokens=special and not number)["input_ids"]
        return tuple(ids)

    @functools.cached_property
    def _control(self) -> tuple[str, ...]:
        added = getattr(self.tokenizer, "added_tokens_decoder", {}).values()
        return tuple({str(token) for token in added if token.special} | set(self.tokenizer.all_special_tokens))

    def _fixed_ids(self, before: tuple[Message, ...], role: str) -> tuple[int, ...]:
        one, other = (self._encode([*before, (role, probe)]) for probe in ("a", "7"))
        same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
        return one[:same]

    def _compile(self, grammar: str) -> Any:
        """A matcher at the grammar's beginning; only copies of it are moved."""
        from llguidance import LLMatcher

        lead = LEADS[self.spec.template]
        text = re.sub(r"^start:", f'start: "{lead}" answer\nanswer:', grammar, count=1, flags=re.MULTILINE) if lead else grammar
        matcher = LLMatcher(self._vocabulary, LLMatcher.grammar_from_lark(text))
        if matcher.is_error():
            raise GrammarError(f"llguidance refuses the grammar: {str(matcher.get_error()).splitlines()[0]}")
        return matcher

    @functools.cached_property
    def _vocabulary(self) -> Any:
        import llguidance.hf

        return llguidance.hf.from_tokenizer(self.tokenizer, n_vocab=self.decoder.vocabulary)

    def _logprobs(self, answer: Answer) -> tuple[lm15.TokenLogprob, ...]:
        """The answer's text in pieces: each token that was chosen among several, and what was certain between them."""
        pieces: list[lm15.TokenLogprob] = []
        text = ""
        cut = len(LEADS[self.spec.template]) if answer.text.startswith(LEADS[self.spec.template]) else 0

        def add(end: int, logprob: float) -> None:
            nonlocal text
            after = self.tokenizer.decode(answer.ids[:end], skip_special_tokens=True)
            piece = after[max(len(text), cut) :]
            pieces.extend([lm15.TokenLogprob(token=piece, logprob=logprob)] if piece else [])
            text = after

        for number, logprob in enumerate(answer.logprobs):
            if logprob != 0.0:
                add(number, 0.0)
                add(number + 1, logprob)
        add(len(answer.ids), 0.0)
        return tuple(pieces)

    def _decode(self, prompts: Sequence[Prompt], done: Done) -> None:
        """Decode a batch with as many rows at once as the memory for states has room for."""
        shared = shared_prefix(prompts) if self.spec.share_prefix else 0
        longest = max(len(p.ids) - shared + p.budget for p in prompts)
        rows = min(self.spec.batch_size, max(1, self._row_bytes // (self.decoder.token_bytes * longest)))
        left = dict(enumerate(prompts))

        def end(number: int, result: Answer | Exception) -> None:
            done(numbers[number], result)
            del left[numbers[number]]

        while left:
            numbers = list(left)
            try:
                self.decoder.decode([left[number] for number in numbers], rows=rows, done=end)
            except torch.OutOfMemoryError as error:
                if rows == 1:
                    number = numbers[0]
                    done(number, ModelError(f"out of memory with one sentence of {len(left[number].ids)} prompt tokens ({error})"))
                    del left[number]
                rows = max(1, rows // 2)

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
        pack(model.eval().requires_grad_(False))
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
