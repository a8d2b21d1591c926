"""The DSPy engine on transformers: one request in, one response out, batched across the calling threads."""

from __future__ import annotations

import dataclasses
import functools
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self, TYPE_CHECKING

from dspy.utils.exceptions import LMUnsupportedFeatureError

from clinspan.lms import lm15
from clinspan.lms.errors import GrammarError, PromptTooLongError
from clinspan.lms.local.batching import Batcher
from clinspan.lms.local.encoding import Encoder
from clinspan.lms.local.oom import free_cached_memory, is_out_of_memory, OutOfMemoryError
from clinspan.lms.local.sampling import Sampling
from clinspan.lms.local.sequence import Answer, Done, Prompt
from clinspan.lms.local.starting import started
from clinspan.lms.specs import LocalModel
from clinspan.lms.templates import Message, STOPS, template_of
from clinspan.lms.weights.find import find_weights, Weights
from clinspan.lms.weights.load import import_ahead, load_model
from clinspan.lms.weights.outlook import tell_outlook, Workload
from clinspan.lms.weights.placement import devices_of, dtype_of, is_spread

if TYPE_CHECKING:
    from clinspan.lms.local.decoding import Decoder

_MARGIN = 16
_UNSUPPORTED = ("response_format", "tool_choice", "reasoning", "frequency_penalty", "presence_penalty", "probabilities")
_FALLBACK_BUDGET = 512


class TransformersEngine:
    """A loaded model behind DSPy's engine interface.

    Of `Config.extensions` it reads `grammar`, a Lark grammar that the answer keeps to; `draft`, what the answer
    probably is, which changes its cost and not its text; `longest`, a text that no honest answer exceeds: the
    answer's budget is its number of tokens and a margin; and, where there is no grammar, `lines`, a number of lines
    after which nothing honest comes. With `choices`, a mapping of `stems` and `options` (lists of texts), nothing is
    generated: `provider_data["choices"]` holds the logarithms of the probabilities of each stem's options, `["stems"]` the
    `StemScore` of each stem.

    Answers are greedy unless a request has a temperature. Then tokens are drawn among those that the grammar allows, by
    `temperature`, `top_p` and `top_k`. A request with a `seed` gets the same answer each time. Without a seed each repetition
    of a request gets another sample.

    Args:
        spec: Which model and how.
        workload: Gives what will be asked of it; see `tell_outlook`.
    """

    takes_grammar = True
    remedy = "set model.engine=generate"

    def __init__(self, spec: LocalModel, workload: Callable[[], Workload] | None = None) -> None:
        self.spec: LocalModel = spec
        import_ahead()
        self.weights: Weights = find_weights(spec)
        tell_outlook(spec, self.weights.folder, workload)
        self.dtype = dtype_of(spec, self.weights.folder)
        self.model, self.tokenizer = load_model(spec, self.weights)
        self.context = int(getattr(self.model.config.get_text_config(), "max_position_embeddings", 1 << 30))
        memory = int(spec.states_gib * (1 << 30)) // 2
        start = functools.partial(self._new_decoder, memory)
        decoder, self.spec = started(spec, self.model, start, self._generating, self.remedy)
        self.decoder: Decoder = decoder
        template = template_of(spec.template, self.tokenizer)
        self.encoder = Encoder(self.tokenizer, template, plain=self.decoder.plain, options=spec.chat_options)
        if template == "chat":
            self.decoder.ends |= {self.encoder.end}  # a GGUF file names no further ends, and some templates end turns otherwise
        self._row_bytes = memory
        self._batcher: Batcher[Prompt, Answer] = Batcher(self._decode, size=spec.concurrency, order=_order)
        self._repetitions: Counter[bytes] = Counter()
        self._counting = threading.Lock()
        self._matcher = functools.lru_cache(maxsize=1024)(self._compile)

    def _generating(self) -> Any:
        from clinspan.lms.local.generate_engine import GenerateDecoder

        return GenerateDecoder(self.model, self.tokenizer, context=self.context)

    def _new_decoder(self, memory: int) -> Decoder:
        from clinspan.lms.local.decoding import Decoder
        from clinspan.lms.local.packed_linear import pack

        if not self.spec.quantization and not is_spread(self.model):
            pack(self.model.requires_grad_(False))
        decoder = Decoder(self.model, self.tokenizer, prefix_bytes=memory if self.spec.share_prefix else 0)
        decoder.check()
        return decoder

    @property
    def computing(self) -> dict[str, Any]:
        """For a run's record: the number format of the weights, the devices that hold them, and the engine in use."""
        return {"dtype": self.dtype, "devices": devices_of(self.model), "engine": self.spec.engine}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: optimizers copy programs with their models all the time, and there is one model."""
        return self

    def expect(self, threads: int) -> AbstractContextManager[Callable[[], None]]:
        """See `Batcher.expect`."""
        return self._batcher.expect(threads)

    def branch(self, threads: int) -> AbstractContextManager[Callable[[], None]]:
        """See `Batcher.branch`."""
        return self._batcher.branch(threads)

    def count_tokens(self, text: str) -> int:
        """How many tokens a text has, without the marks of a template."""
        return len(self.decoder.plain(text))

    @property
    def writes_system(self) -> bool:
        """Whether prompts contain the system text of a conversation."""
        return self.encoder.writes_system

    def rendered(self, request: lm15.Request) -> str:
        """The prompt of a request as text, as the model's template writes it."""
        return self.encoder.written(request_messages(request))

    def complete(self, request: lm15.Request) -> lm15.Response:
        """Answer one request.

        Raises:
            PromptTooLongError: The prompt and its longest answer do not fit the model's context.
            GrammarError: The grammar cannot be used.
            LMUnsupportedFeatureError: The request asks for something that this engine cannot do.
            OutOfMemoryError: Memory does not hold this request even alone.
        """
        prompt = self.prompt(request)
        answer = self._batcher.submit(prompt)
        output_ids = len(answer.ids)
        usage = lm15.Usage(input_tokens=len(prompt.ids), output_tokens=output_ids, total_tokens=len(prompt.ids) + output_ids)
        text = answer.text.removeprefix(self.encoder.lead) if prompt.matcher else answer.text
        choices = (
            {} if prompt.choices is None else {"choices": list(map(list, answer.choices)), "stems": list(map(list, answer.stems))}
        )
        return lm15.Response(
            id=None,
            model=request.model,
            message=lm15.Message.assistant(text),
            finish_reason="stop" if answer.finish == "stop" else "length",
            usage=usage,
            logprobs=None if choices else self._logprobs(answer),
            provider_data={"passes": answer.passes, **choices},
        )

    def prompt(self, request: lm15.Request) -> Prompt:
        """The request as token ids, with its budget."""
        refuse_unsupported(request)
        messages = request_messages(request)
        ids = self.encoder.prompt(messages)
        fixed = self.encoder.fixed(tuple(messages[:-1]), messages[-1][0])
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
            stops=(*STOPS[self.encoder.template], *self.spec.stop, *request.config.stop),
            lines=lines if isinstance(lines, int) else 0,
            matcher=self._matcher(grammar) if isinstance(grammar, str) else None,
            draft=self.decoder.plain(self.encoder.lead + draft) if isinstance(draft, str) else (),
            sampling=self._sampling(request.config, ids),
            choices=self._choices(extensions.get("choices")),
        )

    def _choices(self, asked: Any) -> tuple[tuple[tuple[int, ...], ...], ...] | None:
        """Token ids by stem and option."""
        if not isinstance(asked, Mapping):
            return None
        stems, options = asked["stems"], asked["options"]
        ids = iter(self.decoder.plain.each([self.encoder.lead + stem + option for stem in stems for option in options]))
        return tuple(tuple(next(ids) for _ in options) for _ in stems)

    def _sampling(self, config: lm15.Config, ids: tuple[int, ...]) -> Sampling | None:
        """How the answer is drawn; None if the temperature is 0 or is not given."""
        if not config.temperature:
            return None
        sampling = Sampling(config.temperature, config.top_p or 1.0, config.top_k or 0, config.seed or 0)
        if config.seed is not None:
            return sampling
        with self._counting:
            stream = sampling.stream(ids)
            number = self._repetitions[stream]
            self._repetitions[stream] += 1
        return dataclasses.replace(sampling, seed=number)

    def _budget(self, config: lm15.Config) -> int:
        longest = (config.extensions or {}).get("longest")
        if isinstance(longest, str):
            budget = len(self.decoder.plain(longest)) + _MARGIN
            return min(budget, config.max_tokens or budget)
        return config.max_tokens or _FALLBACK_BUDGET

    def _compile(self, grammar: str) -> Any:
        """A matcher at the grammar's beginning; only copies of it are moved."""
        from llguidance import LLMatcher

        lead = self.encoder.lead
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
        cut = len(self.encoder.lead) if answer.text.startswith(self.encoder.lead) else 0

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
        """Decode a batch with as many rows at once as the memory for states has room for, with fewer where memory runs out."""
        shared = self.decoder.shared(prompts)
        row = self.decoder.token_bytes * max(len(p.ids) - shared + p.budget for p in prompts)
        rows = min(self.spec.batch_size, max(1, self._row_bytes // row))
        left = dict(enumerate(prompts))

        while left:
            numbers = list(left)

            def end(place: int, result: Answer | Exception, numbers: list[int] = numbers) -> None:
                done(numbers[place], result)
                del left[numbers[place]]

            if self._decoded([left[number] for number in numbers], rows, end):
                return
            self.decoder.forget()
            free_cached_memory()
            if rows == 1:
                number, prompt = next(iter(left.items()))  # the one that was in progress: those before it are done
                done(number, OutOfMemoryError(len(prompt.ids) + prompt.budget))
                del left[number]
            rows = max(1, rows // 2)
            self._row_bytes = rows * row  # the next batch need not find out again

    def _decoded(self, prompts: Sequence[Prompt], rows: int, done: Done) -> bool:
        """Decode; gives whether memory was enough for all."""
        compared = [number for number, prompt in enumerate(prompts) if prompt.choices is not None]
        generated = [number for number, prompt in enumerate(prompts) if prompt.choices is None]
        try:
            if compared:
                self.decoder.compare([prompts[number] for number in compared], done=_numbered(done, compared))
            if generated:
                self.decoder.decode([prompts[number] for number in generated], rows=rows, done=_numbered(done, generated))
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            return False
        return True

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


def _numbered(done: Done, numbers: Sequence[int]) -> Done:
    """Tell of results by the numbers of all prompts, where some of them are decoded."""
    return lambda place, result: done(numbers[place], result)


def _order(prompt: Prompt) -> tuple[int, ...]:
    """Longest prompts first, and the same order whichever thread came first."""
    return (-len(prompt.ids), *prompt.ids, prompt.sampling.seed if prompt.sampling else 0)


def refuse_unsupported(request: lm15.Request) -> None:
    """Refuse settings that would have no effect.

    Raises:
        LMUnsupportedFeatureError: Names them.
    """
    config = request.config
    given = [name for name in _UNSUPPORTED if getattr(config, name) is not None]
    if getattr(request, "tools", None):
        given.append("tools")
    if given:
        raise LMUnsupportedFeatureError(f"a local model takes no {', '.join(given)}", model=request.model, features=given)


def request_messages(request: lm15.Request) -> list[Message]:
    """The request as `(role, content)` pairs, the system text first if there is one."""
    system = request.system
    text = system if isinstance(system, str) else "".join(getattr(p, "text", "") for p in system or ())
    messages: list[Message] = [("system", text)] if text else []
    return messages + [(message.role, message.text or "") for message in request.messages]
