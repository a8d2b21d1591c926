"""Baselines: other ways to generate the same answers from the same weights, to be timed against the engine.

Where a way does not end by itself with the format, it is made to say as many tokens as the engine's own answer has,
so that all do the same work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from clinspan.corpora import Sentence
from clinspan.lms import ModelError, OpenAIModel, Wire
from clinspan.lms.local.decoding import shared_prefix
from clinspan.lms.local.engine import TransformersEngine
from clinspan.lms.local.reference import plain_attention
from clinspan.lms.local.sequence import Answer, Prompt
from clinspan.programs.app.build_run import RunComponents
from clinspan.programs.formats.base import shown_tokens


@dataclass(frozen=True, slots=True)
class Task:
    """What is timed: sentences, their prompts in order of length, and the answers that every way has to be as long as."""

    parts: RunComponents
    sentences: Sequence[Sentence]
    prompts: Sequence[Prompt]
    answers: Sequence[Answer]

    @property
    def engine(self) -> TransformersEngine:
        engine: TransformersEngine = self.parts.lm.engine
        return engine

    def every(self, n: int) -> Task:
        """Each n-th sentence, for ways that are too slow for all."""
        return Task(self.parts, self.sentences[::n], self.prompts[::n], self.answers[::n])


@dataclass(frozen=True, slots=True)
class Baseline:
    """One contender.

    Attributes:
        name: What it is called in tables.
        says: What it does, in a few words.
        run: Does the whole task; gives the number of forward passes, or None where it is not known.
        every: It is given each n-th sentence only.
        plain: The model computes with PyTorch's own linear layers, as transformers loads them.
    """

    name: str
    says: str
    run: Callable[[Task], int | None]
    every: int = 1
    plain: bool = False


def one_by_one(task: Task) -> int:
    """`generate` for each sentence, nothing shared."""
    model = task.engine.model
    with plain_attention(model), torch.inference_mode():
        for prompt, answer in zip(task.prompts, task.answers, strict=True):
            _generate(model, [prompt.ids], len(answer.ids))
    return sum(len(answer.ids) for answer in task.answers)


def batched(task: Task) -> int:
    """`generate` for batches, padded on the left."""
    model, size, passes = task.engine.model, task.engine.spec.batch_size, 0
    with plain_attention(model), torch.inference_mode():
        for at in range(0, len(task.prompts), size):
            longest = max(len(answer.ids) for answer in task.answers[at : at + size])
            _generate(model, [prompt.ids for prompt in task.prompts[at : at + size]], longest)
            passes += longest
    return passes


def _generate(model: Any, prompts: Sequence[Sequence[int]], new: int) -> None:
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(p)) + list(p) for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    model.generate(ids, attention_mask=mask, max_new_tokens=new, min_new_tokens=new, do_sample=False, pad_token_id=0)


def continuous(task: Task) -> None:
    """Transformers' continuous batching."""
    from transformers import ContinuousBatchingConfig, GenerationConfig

    model = task.engine.model
    longest = max(len(answer.ids) for answer in task.answers)
    tokens = sum(len(p.ids) for p in task.prompts) + longest * len(task.prompts)
    blocks = ContinuousBatchingConfig(num_blocks=max(64, 2 * tokens // 256), max_batch_tokens=512)
    wanted = GenerationConfig(max_new_tokens=longest, min_new_tokens=longest, do_sample=False, pad_token_id=0, eos_token_id=-1)
    with plain_attention(model), torch.no_grad():
        prompts = [list(p.ids) for p in task.prompts]
        found = model.generate_batch(prompts, generation_config=wanted, continuous_batching_config=blocks)
    if any(len(output.generated_tokens) < longest for output in found.values()) or len(found) < len(prompts):
        raise ModelError("transformers' continuous batching did not answer every prompt")


def served(address: str, name: str, *, grammar: bool) -> Callable[[Task], None]:
    """A server that speaks OpenAI's chat completions, asked through `model=openai`, with our grammar or without.

    Without it llama.cpp's server is made to say as many tokens as the engine's answer has by its own `min_tokens`.
    """
    from clinspan import lms

    lm = lms.build(OpenAIModel(name="openai", id=name, api_base=address, timeout=600))

    def run(task: Task) -> None:
        form, tagger = task.parts.adapter, task.parts.tagger
        before, form.wire = form.wire, Wire(grammar="llama_cpp" if grammar else None)
        try:
            for sentence, answer in zip(task.sentences, task.answers, strict=True):
                demos, context = tagger.surroundings(sentence.words)
                words = shown_tokens(sentence.words)
                for _, request in form.requests(lm, tagger.tag.signature.instructions, demos, words, context, name=sentence.id):
                    said = len(answer.ids)
                    extensions = {**(request.config.extensions or {}), **({} if grammar else {"min_tokens": said})}
                    lm(replace(request, config=replace(request.config, max_tokens=said, extensions=extensions)))
        finally:
            form.wire = before

    return run


def ours(*, prefix: bool, draft: bool) -> Callable[[Task], int]:
    """The engine, with or without its gifts."""

    def run(task: Task) -> int:
        decoder, size = task.engine.decoder, task.engine.spec.batch_size
        before = decoder.passes
        prompts = [p if draft else replace(p, draft=()) for p in task.prompts]
        decoder.sharing = prefix
        try:
            decoder.decode(prompts[::-1], rows=size)
        finally:
            decoder.sharing = True
        return decoder.passes - before

    return run


def floor(task: Task) -> int:
    """One teacher-forced pass a sentence over what is new in prompt and answer, by transformers, the prefix read beforehand."""
    model = task.engine.model
    with plain_attention(model), torch.inference_mode():
        shared = max(1, shared_prefix(task.prompts))
        begun = model(input_ids=torch.tensor([task.prompts[0].ids[:shared]]), use_cache=True, logits_to_keep=1).past_key_values
        for prompt, answer in zip(task.prompts, task.answers, strict=True):
            new = [*prompt.ids[shared:], *answer.ids]
            model(input_ids=torch.tensor([new]), past_key_values=begun, use_cache=True, logits_to_keep=1)
            begun.crop(-len(new))
    return len(task.prompts)
