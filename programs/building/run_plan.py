"""What a run will send and cost, worked out before any model is loaded and anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from clinspan import lms
from clinspan.corpora import InputError, Sentence
from clinspan.programs.building.build_run import build_program, Overrides, program_settings
from clinspan.programs.building.build_tagger import BuiltTagger
from clinspan.programs.building.chosen_sentences import sentences_of
from clinspan.programs.building.model_health import weights_here
from clinspan.programs.building.workload import workload_of
from clinspan.programs.config.all_folds import has_all_folds
from clinspan.programs.config.classifier_config import prompted
from clinspan.programs.config.composition import build, load_corpus
from clinspan.programs.formats.types import shown_tokens

_SAMPLE = 20
_CHARACTERS = 3.5  # of a token, about, in English prompts
Turns = list[tuple[str, str]]


@dataclass(frozen=True)
class RunPlan:
    """What a run will ask, about.

    Attributes:
        sentence: Id of the first sentence.
        prompt: Its prompt: as the model's template writes it, or the conversation that a server gets.
        sentences: Number of sentences.
        requests: Number of requests.
        prompt_tokens: Mean number of prompt tokens of a sentence.
        answer_tokens: Mean number of tokens of a sentence's right answers.
        counted: Whether tokens are counted by the model's tokenizer; else they are estimated from characters.
        seconds: How long a local model needs on this machine's CPU; None: not known.
        price: US dollars for a million prompt tokens and for a million answer tokens; None: not known.
        local: Whether the model is on this machine, so that it costs nothing.
        passes: How often each sentence is tagged: three times with `flips=true`.
    """

    sentence: str
    prompt: str
    sentences: int
    requests: int
    prompt_tokens: float
    answer_tokens: float
    counted: bool
    seconds: float | None
    price: tuple[float, float] | None
    local: bool
    passes: int = 1

    @property
    def cost(self) -> float | None:
        """US dollars for all sentences; None if the price is not known."""
        if self.price is None:
            return 0.0 if self.local else None
        return self.passes * self.sentences * (self.prompt_tokens * self.price[0] + self.answer_tokens * self.price[1]) / 1e6


def plan_run(config: DictConfig, overrides: Overrides) -> RunPlan:
    """Plan a run. No weights are loaded and nothing is sent; the tokenizer of a local model is loaded if it is on this machine.

    Raises:
        InputError: The settings cannot be used, or describe several runs, a resumed one or one without prompts.
    """
    if config.resume is not None or has_all_folds(config):
        raise InputError("plan=true is for one new run", remedy="Leave resume out, and set corpus.fold of a cross-validation.")
    config, chosen = program_settings(config, overrides)
    spec = prompted(build(config.model), "and plan=true shows one")
    corpus = load_corpus(config)
    sentences, _ = sentences_of(config, corpus)
    overrides = Overrides({**overrides.choices, **chosen}, overrides.keys)
    members = build_program(config, corpus, sentences, spec, overrides=overrides).members
    asked = what_is_asked(spec, members, sentences)
    passes = 3 if config.get("flips") else 1
    seconds = seconds_of(spec, members, sentences)
    return RunPlan(
        asked.sentence,
        asked.prompt,
        len(sentences),
        round(passes * asked.requests * len(sentences)),
        asked.prompt_tokens,
        asked.answer_tokens,
        counted=asked.counted,
        seconds=None if seconds is None else passes * seconds,
        price=spec.price,
        local=is_local(spec),
        passes=passes,
    )


@dataclass(frozen=True)
class AskedOfSentence:
    """What is asked about a sentence, on average over some sentences.

    Attributes:
        sentence: Id of the first sentence.
        prompt: Its prompt.
        requests: Number of requests.
        prompt_tokens: Number of prompt tokens.
        answer_tokens: Number of tokens of the right answers.
        counted: Whether tokens are counted by the model's tokenizer; else they are estimated from characters.
    """

    sentence: str
    prompt: str
    requests: float
    prompt_tokens: float
    answer_tokens: float
    counted: bool


def what_is_asked(spec: Any, members: Sequence[BuiltTagger], sentences: Sequence[Sentence]) -> AskedOfSentence:
    """What a program asks about a sentence, from the first one and a sample."""
    encoder = _encoder(spec)
    sample = [sentences[0], *sentences[1 :: max(1, len(sentences) // _SAMPLE)]]
    asked = [conversations(members, sentence) for sentence in sample]
    written = [[(_written(turns, encoder), answer) for turns, answer in each] for each in asked]
    count = _counter(encoder)
    prompts = sum(count(prompt) for each in written for prompt, _ in each) / len(sample)
    answers = sum(count(answer) for each in written for _, answer in each) / len(sample)
    requests = sum(map(len, asked)) / len(sample)
    return AskedOfSentence(sentences[0].id, written[0][0][0], requests, prompts, answers, encoder is not None)


def is_local(spec: Any) -> bool:
    """Whether a model is on this machine, so that it costs nothing."""
    return isinstance(spec, lms.LocalModel | lms.ReplayModel)


def conversations(members: Sequence[BuiltTagger], sentence: Sentence) -> list[tuple[Turns, str]]:
    """The requests about a sentence: the turns, with the system text first, and the right answer."""
    found = []
    tokens = shown_tokens(sentence.words)
    for member in members:
        demos, context = member.tagger.surroundings(sentence.words)
        for question in member.adapter.questions(tokens, context, member.tagger.note.text(sentence.position)):
            system, turns = member.adapter.messages(member.tagger.tag.signature.instructions, demos, question)
            found.append(([("system", system), *turns], member.adapter.answer(tokens, sentence.tags, question.key)))
    return found


def _encoder(spec: Any) -> Any:
    """The encoder of a local model whose tokenizer is on this machine; None if there is none."""
    folder = weights_here(spec) if isinstance(spec, lms.LocalModel) else None
    if folder is None:
        return None
    from transformers import AutoTokenizer

    from clinspan.lms.local.encoding import Encoder, PlainTokens
    from clinspan.lms.templates import template_of

    tokenizer = AutoTokenizer.from_pretrained(folder)
    template = template_of(spec.template, tokenizer)
    return Encoder(tokenizer, template, plain=PlainTokens(tokenizer), options=spec.chat_options)


def _written(turns: Turns, encoder: Any) -> str:
    if encoder is not None:
        return str(encoder.written(turns))
    return "\n\n".join(f"[{role}]\n{text}" for role, text in turns)


def _counter(encoder: Any) -> Callable[[str], float]:
    if encoder is None:
        return lambda text: len(text) / _CHARACTERS
    return lambda text: len(encoder.tokenizer(text, add_special_tokens=False)["input_ids"])


def seconds_of(spec: Any, members: Sequence[BuiltTagger], sentences: Sequence[Sentence]) -> float | None:
    """How long a local model takes on a CPU, by its number of parameters and the measured speed of matrix products."""
    folder = weights_here(spec) if isinstance(spec, lms.LocalModel) else None
    if folder is None:
        return None
    from clinspan.lms.weights.outlook import parameter_count, run_seconds
    from clinspan.lms.weights.placement import device_of

    count = parameter_count(folder)
    if count is None or device_of(spec) != "cpu":
        return None
    return run_seconds(count, workload_of(members, sentences), spec.batch_size, shares=spec.share_prefix)
