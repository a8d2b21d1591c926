"""`Tagger`: the DSPy module that tags one sentence."""

from __future__ import annotations

import asyncio
import copy
import functools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import dspy
from dspy.utils.exceptions import ContextWindowExceededError

from clinspan.corpora.bio import split_tag
from clinspan.corpora.outline import Position
from clinspan.corpora.words import Words
from clinspan.lms import PromptTooLongError
from clinspan.lms.remote.audit import sentence_id
from clinspan.programs.rundir.origin import Origin
from clinspan.programs.rundir.sent import begin_attempt, withdraw_attempt
from clinspan.programs.tagging.calibrated import Calibrated
from clinspan.programs.tagging.note_context import NoteContext
from clinspan.programs.tagging.signature import build_signature
from clinspan.programs.tagging.strategy import Overflow
from clinspan.programs.tagging.votes import combined

Lookup = Callable[[str], Sequence[Any]]
DEMONSTRATION_KEYS = ("id", "tokens", "tags", "joined", "mentions")
"""What programs keep of a demonstration."""


def plain_demos(demos: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Demonstrations with only the keys that programs store, without the keys that an optimizer added."""
    plain = []
    for demo in demos:
        kept = {key: demo[key] for key in DEMONSTRATION_KEYS if key in demo}
        tokens = Words.as_given(kept["tokens"], kept.get("joined") or ())
        kept |= {"tokens": list(tokens), "tags": list(kept["tags"])}
        plain.append(kept | ({"joined": sorted(tokens.joined)} if tokens.joined else {}))
    return plain


Setting = Callable[[], AbstractContextManager[Any]]


class Tagger(Calibrated):
    """Tags a sentence. The format is the adapter that DSPy is configured with.

    Args:
        instructions: What the model is told; optimizers may rewrite it.
        demonstrations: Fixed demonstrations (`tokens` and `tags`); optimizers may replace them.
        nearest: Gives further demonstrations for a sentence's text, nearest last. Prompts show them after the fixed ones.
        retrieve: Gives the chunks of a sentence's text, best first.
        note: What the prompt shows of the document around a sentence, where the sentence's `position` is given.
        overflow: What to do with a prompt that does not fit: `error` or `drop`.
        votes: How many answers are sampled and vote; 1: one greedy answer.
        temperature: Of sampled answers.
        setting: The model and the format it runs with, where those are not DSPy's current ones: an optimizer has another
            model and another adapter to write prompts with.
        settings: What is saved with it, see `programs.building.load_program`.
        origin: Where its instructions and demonstrations come from, if they were loaded; None: from the corpus at hand.
    """

    def __init__(
        self,
        instructions: str,
        *,
        demonstrations: Sequence[dict[str, Any]] = (),
        nearest: Lookup | None = None,
        retrieve: Lookup | None = None,
        note: NoteContext | None = None,
        overflow: Overflow = "error",
        votes: int = 1,
        temperature: float = 0.7,
        setting: Setting = nullcontext,
        settings: Mapping[str, Any] | None = None,
        origin: Origin | None = None,
    ) -> None:
        super().__init__()
        self.note = note or NoteContext()
        self.tag = dspy.Predict(build_signature(instructions, note=bool(self.note)))
        self.tag.demos = list(demonstrations)
        self.nearest, self.retrieve, self.overflow, self.setting = nearest, retrieve, overflow, setting
        self.votes, self.temperature = votes, temperature
        self.settings, self.origin = dict(settings or {}), origin

    def on(self, lm: dspy.LM, adapter: dspy.Adapter, **options: Any) -> Tagger:
        """The same program with a model and a format of its own, whatever DSPy is configured with.

        Args:
            lm: The model.
            adapter: The format.
            options: Further settings of `dspy.context`, such as `disable_history=True`.

        Copies of the same model that DSPy's optimizers make to sample from it (`lm.copy(rollout_id=1, temperature=1.0)`) stay
        in force where they are DSPy's current model.
        """
        bound = copy.copy(self)
        bound.setting = functools.partial(_bound, lm, adapter, options)
        return bound

    def dump_state(self, json_mode: bool = True) -> dict[str, Any]:
        """DSPy's state without a model, and the settings. Of demonstrations only `DEMONSTRATION_KEYS` are kept."""
        state = super().dump_state(json_mode=json_mode)
        tag = {**state["tag"], "demos": plain_demos(self.tag.demos), "lm": None}
        settings = dict(self.settings)
        if self.nearest and "strategy" in settings:
            settings["strategy"] = {**settings["strategy"], "shared": len(self.tag.demos)}
        return {**state, "tag": tag, "settings": settings, **self.saved_map}

    def load_state(self, state: Mapping[str, Any], *, allow_unsafe_lm_state: bool = False) -> None:
        """Take over what `dump_state` gave: DSPy's state, the settings, and the map of confidences."""
        super().load_state(state, allow_unsafe_lm_state=allow_unsafe_lm_state)
        self.settings = dict(state.get("settings", self.settings))
        self.load_map(state)

    def surroundings(self, tokens: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
        """The demonstrations and the chunks that go with a sentence."""
        text = Words.as_given(tokens).text()
        demos = [*self.tag.demos, *(self.nearest(text) if self.nearest else ())]
        return demos, list(self.retrieve(text)) if self.retrieve else []

    def forward(self, tokens: Sequence[str], id: str = "", position: Position | None = None) -> dspy.Prediction:
        """Tag one sentence.

        Args:
            tokens: Its tokens.
            id: Its id.
            position: Its place in its document, `Sentence.position`; None: the prompt shows nothing around it.

        Returns:
            `tags`, `confidence` (the probability of each tag as far as it is known, or None), `repairs` (counts by
            name), `answers` (raw texts by question) and `usage`; `mentions` too (label, token ranges, confidence), if the format
            lists them in full.

        Raises:
            PromptTooLongError: The prompt does not fit, and nothing is left to drop or dropping is not allowed.
        """
        with self.setting():
            return self._tagged(tokens, id, self.note.text(position))

    async def aforward(self, tokens: Sequence[str], id: str = "", position: Position | None = None) -> dspy.Prediction:
        """As `forward`, in a thread of its own."""
        return await asyncio.to_thread(self.forward, tokens, id, position)

    def _tagged(self, tokens: Sequence[str], id: str, note: str) -> dspy.Prediction:
        demos, context = self.surroundings(tokens)
        inputs: dict[str, Any] = {"tokens": Words.as_given(tokens), "context": context} | ({"note": note} if self.note else {})
        inputs["config"] = {"n": self.votes, "temperature": self.temperature} if self.votes > 1 else {}
        dropped: Counter[str] = Counter()
        while True:
            left = demos[dropped["demonstration_dropped"] :]
            begin_attempt(left, context)
            try:
                with sentence_id(id):
                    found = self.tag(**inputs, demos=left)
            except Exception as error:
                if not is_overflow(error):
                    raise
                withdraw_attempt()
                if self.overflow == "error" or not (inputs.get("note") or left):
                    raise
                dropped["context_dropped" if inputs.get("note") else "demonstration_dropped"] += 1
                inputs |= {"note": ""} if self.note else {}
                continue
            if self.votes > 1:
                found = _voted(found, len(tokens))
            _complete(found, len(tokens))
            self.map_confidence(found)
            if dropped:
                found.repairs = {**found.repairs, **+dropped}
            return found


def _complete(found: dspy.Prediction, length: int) -> None:
    """Give what another adapter than a format answered the fields of a prediction, and as many legal tags as there are tokens."""
    for key, value in (("confidence", None), ("repairs", {}), ("answers", {}), ("usage", {}), ("served", [])):
        if key not in found:
            found[key] = value
    tags = [str(tag) for tag in found.tags]
    legal = [tag if split_tag(tag) else "O" for tag in tags[:length]]
    counts = Counter(unknown_tag=sum(a != b for a, b in zip(tags, legal, strict=False)), surplus_tag=max(0, len(tags) - length))
    counts["missing_tag"] = length - len(legal)
    if +counts:
        found.tags = legal + ["O"] * (length - len(legal))
        found.repairs = {**found.repairs, **+counts}


def _bound(lm: dspy.LM, adapter: dspy.Adapter, options: Mapping[str, Any]) -> AbstractContextManager[Any]:
    """DSPy's context with this format, and this model or a copy of it that is the current one."""
    current = dspy.settings.lm
    copied = isinstance(current, dspy.LM) and current.engine is lm.engine and not isinstance(lm.engine, str)
    context: AbstractContextManager[Any] = dspy.context(lm=current if copied else lm, adapter=adapter, **options)
    return context


class Ensemble(Calibrated):
    """Several taggers that vote: a span stands if more than half of them found it.

    Args:
        members: The taggers, each with its own `setting`.
    """

    def __init__(self, members: Sequence[Tagger]) -> None:
        super().__init__()
        self.members = list(members)

    def forward(self, tokens: Sequence[str], id: str = "", position: Position | None = None) -> dspy.Prediction:
        """Tag one sentence; `answers` are the members' by their number, `confidence` is each tag's share of the votes."""
        found = combined([member(tokens=tokens, id=id, position=position) for member in self.members])
        self.map_confidence(found)
        return found

    def dump_state(self, json_mode: bool = True) -> dict[str, Any]:
        return {"members": [member.dump_state(json_mode=json_mode) for member in self.members], **self.saved_map}

    def load_state(self, state: Mapping[str, Any], *, allow_unsafe_lm_state: bool = False) -> None:
        for member, part in zip(self.members, state["members"], strict=True):
            member.load_state(part, allow_unsafe_lm_state=allow_unsafe_lm_state)
        self.load_map(state)


def _voted(sampled: dspy.Prediction, length: int) -> dspy.Prediction:
    """The prediction that the samples of a sentence vote for."""
    fields = dict(sampled.completions.items())
    predictions = [
        dspy.Prediction(**{name: values[number] for name, values in fields.items()}) for number in range(len(fields["tags"]))
    ]
    for prediction in predictions:
        _complete(prediction, length)
    return combined(predictions)


def is_overflow(error: BaseException | None) -> bool:
    """Whether an error is, or was caused by, a prompt that is too long."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:  # `raise e from e` is its own cause
        if isinstance(error, (PromptTooLongError, ContextWindowExceededError)):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False
