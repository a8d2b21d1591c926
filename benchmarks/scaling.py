"""Scaling curves of the engine: by sentence length, number of labels and batch size."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

from clinspan.corpora import Label
from clinspan.lms.local.sequence import Prompt
from clinspan.programs.building.build_run import RunComponents
from clinspan.programs.config.composition import group_option
from clinspan.programs.formats import BioLines
from clinspan.programs.tagging.instructions import handwritten

LENGTHS = (10, 25, 50, 100, 200)
LABELS = (3, 5, 10, 20, 41)
BATCHES = (1, 4, 16, 64)
_EACH = 4


def growth(parts: RunComponents, repeats: int) -> dict[str, list[dict[str, Any]]]:
    """Median seconds per sentence along each axis, with `bio_lines` and fixed demonstrations; the prefix is read before.

    Args:
        parts: The components of a run with a local model.
        repeats: Repeats of each measurement.

    Returns:
        By axis (`tokens`, `labels`, `batch`) rows of `at`, `seconds` per sentence and `answer_tokens` per sentence.
    """
    words = [word for sentence in parts.sentences for word in sentence.words]
    usual = [list(sentence.words) for sentence in parts.sentences if 12 <= len(sentence.tokens) <= 24]
    labels = list(parts.corpus.labels)
    curves: dict[str, list[dict[str, Any]]] = {"tokens": [], "labels": [], "batch": []}
    for length in LENGTHS:
        cut = [words[i * length : (i + 1) * length] for i in range(_EACH)]
        curves["tokens"].append(_row(parts, length, _prompts(parts, cut, labels), _EACH, repeats))
    for count in LABELS:
        many = [*labels, *(Label(f"Finding{n}", f"a finding of kind {n}") for n in range(count))][:count]
        curves["labels"].append(_row(parts, count, _prompts(parts, usual[:_EACH], many), _EACH, repeats))
    every = (usual * (1 + max(BATCHES) // len(usual)))[: max(BATCHES)]
    for size in BATCHES:
        some = every[: max(size, _EACH)]
        curves["batch"].append(_row(parts, size, _prompts(parts, some, labels), size, repeats))
    return curves


def _prompts(parts: RunComponents, sentences: Sequence[Sequence[str]], labels: Sequence[Label]) -> list[Prompt]:
    form = BioLines(labels=labels, drafter=parts.adapter.drafter)
    names = {label.name for label in labels}
    demos = [{**demo, "tags": [t if t[2:] in names else "O" for t in demo["tags"]]} for demo in parts.tagger.tag.demos]
    prompts: list[Prompt] = []
    instructions = handwritten(labels, group_option("corpus", "raremini").advice)
    for number, tokens in enumerate(sentences):
        requests = form.requests(parts.lm, instructions, demos, tokens, (), name=str(number))
        prompts += [parts.lm.engine.prompt(request) for _, request in requests]
    return sorted(prompts, key=lambda prompt: len(prompt.ids))


def _row(parts: RunComponents, at: int, prompts: Sequence[Prompt], size: int, repeats: int) -> dict[str, Any]:
    decoder = parts.lm.engine.decoder
    decoder.decode(prompts[:1])
    took, answer_tokens = [], 0
    for _ in range(repeats):
        began = time.perf_counter()
        answers = [answer for i in range(0, len(prompts), size) for answer in decoder.decode(prompts[i : i + size])]
        took.append((time.perf_counter() - began) / len(prompts))
        answer_tokens = sum(len(getattr(answer, "ids", ())) for answer in answers)
    print(f"bench: {at}: {statistics.median(took):.3f} s a sentence", file=sys.stderr)
    return {"at": at, "seconds": statistics.median(took), "answer_tokens": answer_tokens / len(prompts)}
