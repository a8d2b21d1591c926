"""The prompts of a run as a local engine receives them, for benchmarks and for comparison with the reference decoder."""

from __future__ import annotations

from collections.abc import Sequence

from clinspan.corpora import Sentence
from clinspan.lms.local.sequence import Prompt
from clinspan.programs.building.build_run import RunComponents
from clinspan.programs.formats.types import shown_tokens


def collect_prompts(parts: RunComponents, sentences: Sequence[Sentence]) -> list[Prompt]:
    """One prompt for each question about each sentence, in order."""
    prompts: list[Prompt] = []
    instructions = parts.tagger.tag.signature.instructions
    for sentence in sentences:
        demos, context = parts.tagger.surroundings(sentence.words)
        tokens = shown_tokens(sentence.words)
        note = parts.tagger.note.text(sentence.position)
        requests = parts.adapter.requests(parts.lm, instructions, demos, tokens, context, name=sentence.id, note=note)
        prompts += [parts.lm.engine.prompt(request) for _, request in requests]
    return prompts
