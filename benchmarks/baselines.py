"""Baselines: other ways to generate the same answers from the same weights, to be timed against the engine.

A baseline that does not stop by itself at the end of the format has to generate as many tokens as the engine's answer
has, so that all baselines do the same work.
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
from clinspan.programs.building.build_run import RunComponents
from clinspan.programs.formats.types import shown_tokens


@dataclass(frozen=True, slots=True)
class Task:
    """What is timed: sentences, their prompts in order of length, and the engine's answers, whose length all baselines match."""

    parts: RunComponents
    sentences: Sequence[Sentence]
    prompts: Sequence[Prompt]
    answers: Sequence[Answer]

    @property
    def engine(self) -> TransformersEngine:
        engine: TransformersEngine = self.parts.lm.engine
        return engine

    def every(self, n: int) -> Task:
        """A task of every n-th sentence, for baselines that are too slow for all sentences."""
        return Task(self.parts, self.sentences[::n], self.prompts[::n], self.answers[::n])


@dataclass(frozen=True, slots=True)
class Baseline:
    """One way to generate the answers.

    Attributes:
        name: Name in tables.
        says: Short description.
        run: Does the whole task and returns the number of forward passes, or None if it is not known.
        every: The baseline gets only every n-th sentence.
        plain: The model computes with PyTorch's own linear layers, as transformers loads them.
    """

    name: str
    says: str
    run: Callable[[Task], int | None]
    every: int = 1
    plain: bool = False


def one_by_one(task: Task) -> int:
    """`generate` for each sentence alone, with nothing shared."""
    model = task.engine.model
    with plain_attention(model), torch.inference_mode():
        for prompt, answer in zip(task.prompts, task.answers, strict=True):
            _generate(model, [prompt.ids], len(answer.ids))
    return sum(len(answer.ids) for answer in task.answers)


def batched(task: Task) -> int:
    """`generate` for batches that are padded on the left."""
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
        outputs = model.generate_batch(prompts, generation_config=wanted, continuous_batching_config=blocks)
    if any(len(output.generated_tokens) < longest for output in outputs.values()) or len(outputs) < len(prompts):
        raise ModelError("transformers' continuous batching did not answer every prompt")


def served(address: str, name: str, *, grammar: bool) -> Callable[[Task], None]:
    """A server with OpenAI's chat completions API, called through `model=openai`, with or without our grammar.

    Without the grammar, llama.cpp's option `min_tokens` makes the server generate as many tokens as the engine's answer has.
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
                how = (lm, tagger.tag.signature.instructions, demos, words, context)
                note = tagger.note.text(sentence.position)
                for _, request in form.requests(*how, name=sentence.id, note=note):
                    length = len(answer.ids)
                    extensions = {**(request.config.extensions or {}), **({} if grammar else {"min_tokens": length})}
                    lm(replace(request, config=replace(request.config, max_tokens=length, extensions=extensions)))
        finally:
            form.wire = before

    return run


def ours(*, prefix: bool, draft: bool) -> Callable[[Task], int]:
    """The engine, with or without the shared prefix and the draft."""

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
    """One teacher-forced pass per sentence over the tokens after the shared prefix, by transformers; the prefix is read before."""
    model = task.engine.model
    with plain_attention(model), torch.inference_mode():
        shared = max(1, shared_prefix(task.prompts))
        begun = model(input_ids=torch.tensor([task.prompts[0].ids[:shared]]), use_cache=True, logits_to_keep=1).past_key_values
        for prompt, answer in zip(task.prompts, task.answers, strict=True):
            new = [*prompt.ids[shared:], *answer.ids]
            model(input_ids=torch.tensor([new]), past_key_values=begun, use_cache=True, logits_to_keep=1)
            begun.crop(-len(new))
    return len(task.prompts)
