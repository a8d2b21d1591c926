"""Reconstructs the prompt of a run from its folder, without loading a model, a corpus or an index.

Instructions, rules of the format and fixed demonstrations are the same for every sentence and are in the folder. Nearest
demonstrations and retrieved chunks are not recorded: if a run had them, a note says so.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import OmegaConf

from clinspan.conf import CONF
from clinspan.corpora import Corpus, Label
from clinspan.programs.formats import Format
from clinspan.programs.formats.types import Question
from clinspan.programs.tagging.label_names import present_labels
from clinspan.programs.tagging.saved_program import member_states

_SLOT = "\ue000"  # placeholder for the sentence, from Unicode's private use area
_NEAREST = "The prompt also had the {} nearest training sentences as demonstrations; they are not recorded."
_RETRIEVED = "The prompt also had the chunks that were retrieved for the sentence; they are not recorded."
_FREQUENT = "The labels were ordered by their frequency in the train split; here they have the corpus' order."
_DROPPED = (
    "Repairs named demonstration_dropped count the demonstrations that were left out of a sentence's prompt, the first ones first."
)
_UNREAD = "The format of this run cannot be built from its record: only instructions and demonstrations are shown."


def recorded_prompt(record: Mapping[str, Any], program: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any] | None:
    """The prompt of a run without its sentence.

    Args:
        record: The content of `run.json`.
        program: The content of `program.json`.
        labels: The corpus' labels, in order.

    Returns:
        A dictionary with `questions`, `slot` and `notes`, or None if the program has no prompt. Each question has a `key`, its
        `turns` as `[role, text]`, and a `separator`. The last turn contains the slot, which stands for the sentence's tokens,
        joined by the separator. The notes name other content of the prompt.
    """
    states = [state for state in member_states(program) if isinstance(state, Mapping) and isinstance(state.get("tag"), Mapping)]
    if not states:
        return None
    questions: list[dict[str, Any]] = []
    notes: dict[str, None] = {}
    for number, state in enumerate(states):
        prefix = f"{number}:" if len(states) > 1 else ""
        member_questions, member_notes = _member(record, state, labels)
        questions += [{**question, "key": f"{prefix}{question['key']}"} for question in member_questions]
        notes |= dict.fromkeys(member_notes)
    return {"questions": questions, "slot": _SLOT, "notes": list(notes)}


def _member(record: Mapping[str, Any], state: Mapping[str, Any], labels: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """The questions and notes of one tagger."""
    config = dict(record.get("config") or {})
    settings = state.get("settings") or {}
    config |= {key: value for key, value in settings.items() if key not in ("format", "strategy")}
    strategy = {**(config.get("strategy") or {}), **(settings.get("strategy") or {})}
    instructions, demos = str(state["tag"].get("signature", {}).get("instructions", "")), list(state["tag"].get("demos", []))
    notes = []
    if strategy.get("demonstrations") == "nearest":
        notes.append(_NEAREST.format(strategy.get("k")))
        demos = []
    if strategy.get("context") == "retrieved":
        notes.append(_RETRIEVED)
    if config.get("label_order") in ("frequent", "rare"):
        notes.append(_FREQUENT)
    if demos and strategy.get("overflow") == "drop":
        notes.append(_DROPPED)
    try:
        return _asked(_format(config, settings, labels), instructions, demos), notes
    except (AttributeError, KeyError, StopIteration, TypeError, ValueError):  # a record of another version
        return [_plain(instructions, demos)], [*notes, _UNREAD]


def _format(config: Mapping[str, Any], settings: Mapping[str, Any], names: Sequence[str]) -> Format:
    """Build the run's format from its record alone. Only classes that `conf/format/` names are used."""
    texts = config["corpus"].get("definitions") or {}
    labels = tuple(Label(name, texts.get(name, "")) for name in names)
    order = config.get("label_order", "corpus")
    known = order if order in ("corpus", "alphabetical") else "corpus"
    shown, called = present_labels(Corpus("", {}, labels), known, config.get("label_wording", "corpus"))
    keys = {**config["format"], **(settings.get("format") or {})}
    form = _formats()[keys.pop("_target_")]
    keys.pop("choice", None)
    return form(labels=shown, alignment=config.get("alignment", "tokens"), called=called, **keys)


@functools.cache
def _formats() -> dict[str, type[Format]]:
    """The format classes that `conf/format/` names, by their `_target_`."""
    targets = {str(OmegaConf.select(OmegaConf.load(path), "_target_")) for path in sorted((CONF / "format").glob("*.yaml"))}
    places = {target: target.rpartition(".") for target in targets}
    return {target: getattr(importlib.import_module(module), name) for target, (module, _, name) in places.items()}


def _asked(form: Format, instructions: str, demos: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The turns of every question, as the format writes them."""
    questions = []
    for question in form.questions([_SLOT], ()):
        system, turns = form.messages(instructions, demos, Question(question.key, question.turns))
        separator = form.sentence(["a", "b"])[1:-1]
        questions.append({"key": question.key, "turns": [["system", system], *map(list, turns)], "separator": separator})
    return questions


def _plain(instructions: str, demos: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Instructions and demonstrations as they are in the program."""
    turns = [["system", instructions]]
    for demo in demos:
        pairs = zip(demo.get("tokens", []), demo.get("tags", []), strict=False)
        turns.append(["demonstration", " ".join(f"{token}/{tag}" for token, tag in pairs)])
    return {"key": "", "turns": [*turns, ["user", _SLOT]], "separator": " "}
