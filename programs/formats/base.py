"""The base class of output formats: DSPy adapters that write the prompt and read the answer."""

from __future__ import annotations

import asyncio
import copy
import functools
import json
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args, Literal

import dspy

from clinspan.corpora import InputError, Label
from clinspan.corpora.bio import renamed, without_marks
from clinspan.corpora.json_text import without_lone_surrogates
from clinspan.corpora.printable import printable
from clinspan.corpora.words import Words
from clinspan.lms import Grammar, lm15, Wire
from clinspan.lms.protocols import CollectingEngine, LocalEngine
from clinspan.lms.remote.audit import asking, current_sentence_id, demonstrating
from clinspan.programs.formats.answered import Answered, being_read, mention_fields, reading
from clinspan.programs.formats.generation import Generation, is_served, sampled_together, wire_config
from clinspan.programs.formats.responses import answer_text, chosen_pieces, confidence_of, Piece
from clinspan.programs.formats.types import around, Decoded, in_context, Question, shown_tokens, tags_tokens
from clinspan.programs.rundir.origin import documents_of
from clinspan.programs.rundir.sent import noted

Alignment = Literal["tokens", "positional"]
Drafter = Callable[[str, Sequence[str]], Sequence[str]]
_CHARS_PER_TOKEN = 2.0
_MARGIN = 32


class Format(dspy.Adapter):
    """Tags to text and back.

    Args:
        labels: The corpus' labels, in order.
        alignment: How an answer's pieces find their tokens: `tokens` by edit alignment of what the answer
            echoes, `positional` the n-th piece to the n-th token.
        constrained: Hold local models to the format's grammar.
        drafter: Gives likely tags from a sentence's id and tokens, which save passes and change no answer.
        wire: What a server is asked for, where the model is behind one.
        called: What prompts and answers call a label, by its name in the corpus; `labels` then has those words as names.
    """

    drafts_pay: bool = False
    """Whether a local model answers faster with an all-O draft: so where few of an answer's tokens are decisions."""
    lines: int | None = None
    """How many lines more than tokens an answer may have before what follows is surplus; None: no such bound."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Leave inherited methods alone: DSPy wraps `format` and `parse` in each subclass, and callbacks would see them twice."""
        own = set(vars(cls))
        super().__init_subclass__(**options)
        for name in {"format", "parse"} - own:
            delattr(cls, name)

    def __init__(
        self,
        *,
        labels: Sequence[Label],
        alignment: Alignment = "tokens",
        constrained: bool = True,
        drafter: Drafter | None = None,
        wire: Wire | None = None,
        called: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        if alignment not in get_args(Alignment):
            raise InputError(f"alignment={alignment} is not known", remedy="Use tokens or positional.")
        self.labels = tuple(labels)
        self.alignment = alignment
        self.constrained, self.drafter, self.wire = constrained, drafter, wire or Wire()
        self.called = dict(called or {})
        self._names = {word: name for name, word in self.called.items()}

    @abstractmethod
    def rules(self) -> str:
        """The part of the instructions that says how to answer."""

    @abstractmethod
    def answer(self, tokens: Sequence[str], tags: Sequence[str], key: str = "") -> str:
        """What the right answer looks like: a demonstration's."""

    def shown_answer(self, tokens: Sequence[str], example: Mapping[str, Any], key: str = "") -> str:
        """The right answer of a demonstration or a training sentence: `tags` in the corpus' own labels, and maybe `mentions`."""
        return self.answer(tokens, renamed(example["tags"], self.called), key)

    @abstractmethod
    def grammar(self, tokens: Sequence[str], key: str = "") -> Grammar:
        """What an answer may be; the right answer is always among it."""

    def schema(self, key: str = "") -> dict[str, Any] | None:
        """A JSON schema of answers, the same for every sentence so that prompts begin alike; None if they are no JSON objects."""
        return None

    @abstractmethod
    def read(self, answers: Mapping[str, str], tokens: Sequence[str]) -> Decoded:
        """Tags from the answers by question key. Never raises on what a model says."""

    def choices(self, tokens: Sequence[str], key: str = "") -> dict[str, list[str]] | None:
        """The `stems` and `options` that a local model compares instead of generating an answer; None: it generates one."""
        return None

    def answer_text(self, response: lm15.Response, tokens: Sequence[str], key: str = "") -> str:
        """The answer as it is recorded and read.

        Raises:
            NoAnswerError: The model answered nothing.
        """
        return answer_text(response)

    def split(self) -> Format | None:
        """The format that asks for less at a time where an answer reached the limit of answer tokens; None: there is none."""
        return None

    def longest(self, tokens: Sequence[str], key: str = "") -> str:
        """A text that no honest answer exceeds, from which the answer's token budget is counted."""
        widest = max((label.name for label in self.labels), key=len, default="")
        return self.answer(tokens, [f"B-{widest}"] * len(tokens), key)

    def questions(self, tokens: Sequence[str], context: Sequence[str], note: str = "") -> list[Question]:
        """The requests that a sentence needs; one, unless a format says otherwise."""
        return [Question("", (("user", self.shown(tokens, context, note)),))]

    def shown(self, tokens: Sequence[str], context: Sequence[str], note: str = "") -> str:
        """The sentence as the model sees it, behind retrieved chunks and its own context in the document if there are any."""
        return in_context(self.sentence(tokens), context, note)

    def sentence(self, tokens: Sequence[str]) -> str:
        return Words.as_given(tokens).text()

    def messages(
        self, instructions: str, demos: Sequence[Mapping[str, Any]], question: Question
    ) -> tuple[str, list[tuple[str, str]]]:
        """The system text and the turns of one request: demonstrations first, what changes last."""
        turns: list[tuple[str, str]] = []
        for demo in demos:
            tokens = shown_tokens(demo["tokens"], demo.get("joined") or ())
            asked = next(q for q in self.questions(tokens, ()) if q.key == question.key)
            turns += [*asked.turns, ("assistant", self.shown_answer(tokens, demo, question.key))]
        return f"{instructions}\n\n{self.rules()}", turns + list(question.turns)

    def format(self, signature: Any, demos: list[dict[str, Any]], inputs: dict[str, Any]) -> list[dict[str, Any]]:
        """The first question's messages as role/content dictionaries, as DSPy's callbacks see the prompt."""
        question = self.questions(shown_tokens(inputs["tokens"]), *around(inputs))[0]
        system, turns = self.messages(signature.instructions, demos, question)
        return [{"role": role, "content": content} for role, content in [("system", system), *turns]]

    def parse(self, signature: Any, completion: str) -> dict[str, Any]:
        """Read the answers about the sentence that this thread is tagging: `tags`, `confidence`, `repairs`, and any `mentions`.

        Args:
            signature: Not used.
            completion: The answer, or the answers to several questions as a JSON object; for DSPy's callbacks.

        Raises:
            ValueError: No sentence is being tagged: an answer cannot be read without its tokens. `read` takes both.
        """
        current = being_read()
        if current is None:
            raise ValueError("an answer is read together with its tokens: use Format.read")
        decoded = self.read(current.answers, current.tokens) if current.tokens else Decoded([])
        current.name_copies(decoded)
        tags = decoded.tags
        if self.alignment == "tokens":  # the paper's scorer kept them
            tags, decoded.repairs["mention_without_letter"] = without_marks(tags, current.tokens)
        full = {} if decoded.mentions is None else {"mentions": mention_fields(decoded.mentions, current, self._names)}
        return {
            "tags": renamed(tags, self._names),
            "confidence": confidence_of(decoded.places, current.pieces) if decoded.confidence is None else decoded.confidence,
            "repairs": dict(+decoded.repairs),
            **full,
        }

    def __call__(
        self, lm: Any, lm_kwargs: dict[str, Any], signature: Any, demos: list[dict[str, Any]], inputs: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Ask every question about one sentence and read the answers together.

        A signature that tags no tokens, as other modules of a program have, goes to DSPy's `ChatAdapter`.

        Raises:
            InputError: The signature has fields beside `context`, `tokens` and `tags`: prompts and answers have no place for them.
        """
        if not tags_tokens(signature):
            return dspy.ChatAdapter()(lm, lm_kwargs, signature, demos, inputs)  # type: ignore[no-any-return]
        generation = Generation.of(lm, lm_kwargs)
        if dspy.settings.callbacks and inputs["tokens"]:
            self.format(signature, demos, inputs)  # for the callbacks alone: requests() writes the prompts of all questions
        ask = functools.partial(self._sample, lm, signature, demos, inputs, generation=generation, name=current_sentence_id())
        if generation.samples == 1:
            return [ask(0)]
        if not generation.temperature and not is_served(lm):
            first = ask(0)  # greedy answers are all the same
            return [first] + [copy.deepcopy(first) for _ in range(generation.samples - 1)]
        return sampled_together(lm, ask, generation.samples)

    def _sample(
        self,
        lm: Any,
        signature: Any,
        demos: list[dict[str, Any]],
        inputs: dict[str, Any],
        number: int,
        *,
        generation: Generation,
        name: str,
    ) -> dict[str, Any]:
        """One answer about a sentence, the `number`-th of those that are asked for, as fields of a prediction."""
        tokens = shown_tokens(inputs["tokens"])
        answers: dict[str, str] = {}
        pieces: dict[str, list[Piece]] = {}
        used: Counter[str] = Counter()
        served: list[str] = []
        context, note = around(inputs)
        texts = (signature.instructions, demos, tokens, context)
        requests = self.requests(lm, *texts, note=note, name=name, generation=generation, number=number)
        with demonstrating(*documents_of(demos)):
            for key, response in self._answers(lm, requests if number else noted(lm, requests), name):
                answers[key] = without_lone_surrogates(self.answer_text(response, tokens, key))
                pieces[key] = chosen_pieces(response.logprobs)
                used["prompt_tokens"] += response.usage.input_tokens or 0
                used["answer_tokens"] += max(response.usage.output_tokens or 0, response.usage.reasoning_tokens or 0)
                used["reasoning_tokens"] += response.usage.reasoning_tokens or 0
                if is_served(lm):
                    served += [printable(response.model)[:80]] if printable(response.model)[:80] not in served else []
                used["cached_tokens"] += response.usage.cache_read_tokens or 0
                used["passes"] += (response.provider_data or {}).get("passes", 0)
                used[f"ended_by_{response.finish_reason}"] += 1
        smaller = self.split() if used["ended_by_length"] else None
        if smaller is not None:
            return _again(smaller._sample(lm, signature, demos, inputs, number, generation=generation, name=name), used)
        completion = answers.get("", "") if answers.keys() <= {""} else json.dumps(answers, ensure_ascii=False)
        with reading(Answered(tokens, answers, pieces, demos, note)):
            fields = self.parse(signature, completion)
        return {**fields, "answers": answers, "usage": dict(+used), "served": served}

    async def acall(
        self, lm: Any, lm_kwargs: dict[str, Any], signature: Any, demos: list[dict[str, Any]], inputs: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """As `__call__`, in a thread of its own: models that answer sentences of many threads do so in one batch."""
        return await asyncio.to_thread(self.__call__, lm, lm_kwargs, signature, demos, inputs)

    def _answers(self, lm: Any, requests: Iterable[tuple[str, lm15.Request]], name: str) -> Iterator[tuple[str, lm15.Response]]:
        """Ask one after the other; where answers come in batches, all of a sentence's questions go into the same one."""
        with asking(*filter(None, [name.rpartition(":")[0]])):
            if isinstance(lm.engine, CollectingEngine):
                requests = list(requests)
                lm.engine.collect([request for _, request in requests])
            for key, request in requests:
                yield key, lm(request)

    def requests(
        self,
        lm: Any,
        instructions: str,
        demos: Sequence[Mapping[str, Any]],
        tokens: Sequence[str],
        context: Sequence[str],
        *,
        name: str,
        note: str = "",
        generation: Generation | None = None,
        number: int = 0,
    ) -> Iterator[tuple[str, lm15.Request]]:
        """What one sentence asks of a model, by question key; nothing if it has no token.

        Args:
            lm: The model.
            instructions: The signature's.
            demos: Demonstrations.
            tokens: The sentence.
            context: Retrieved chunks.
            name: The sentence's id.
            note: What the document says around it.
            generation: How answers are generated; None: greedily, or as a server is configured.
            number: The number of the sample.
        """
        generation = generation or Generation()
        for question in self.questions(tokens, context, note) if tokens else ():
            system, turns = self.messages(instructions, demos, question)
            messages = tuple(_message(role, content) for role, content in turns)
            config = self._config(lm, tokens, question, name)
            config = generation.applied(config, number, local=not is_served(lm))
            yield question.key, lm15.Request(model=lm.model, system=system, messages=messages, config=config)

    def _config(self, lm: Any, tokens: Sequence[str], question: Question, name: str) -> lm15.Config:
        longest = self.longest(tokens, question.key)
        draft = (
            None if self.drafter is None else self.answer(tokens, renamed(self.drafter(name, tokens), self.called), question.key)
        )
        if is_served(lm):  # a server gets what its protocol knows
            budget = max(int(len(longest.encode()) / _CHARS_PER_TOKEN) + _MARGIN, lm.kwargs.get("max_tokens") or 0)
            return wire_config(self.wire, budget, self.grammar(tokens, question.key), self.schema(question.key), draft)
        extensions: dict[str, Any] = {"longest": longest, "id": name, "question": question.key}
        if self.constrained and isinstance(lm.engine, LocalEngine) and lm.engine.takes_grammar:
            choices = self.choices(tokens, question.key)
            grammar = {"grammar": self.grammar(tokens, question.key).lark(), "draft": draft}
            extensions |= grammar if choices is None else {"choices": choices}
        elif self.lines is not None:
            extensions["lines"] = len(tokens) + self.lines
        return lm15.Config(extensions=extensions)


def _again(fields: dict[str, Any], used: Counter[str]) -> dict[str, Any]:
    """The fields of a prediction that was asked for again, one type at a time, since the answer to all of them was cut."""
    used = Counter({key: n for key, n in used.items() if not key.startswith("ended_by_")})
    repairs = {**fields["repairs"], "asked_by_type": 1}
    return {**fields, "repairs": repairs, "usage": dict(+(used + Counter(fields["usage"])))}


def _message(role: str, content: str) -> lm15.Message:
    return lm15.Message.user(content) if role == "user" else lm15.Message.assistant(content)
