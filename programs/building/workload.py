"""What a run will ask of its model, about, for the announcement of a large one."""

from __future__ import annotations

from collections.abc import Sequence

from clinspan.corpora import Sentence
from clinspan.lms.weights.outlook import Workload
from clinspan.programs.building.build_tagger import BuiltTagger
from clinspan.programs.formats.types import shown_tokens

_SAMPLE = 20


def workload_of(members: Sequence[BuiltTagger], sentences: Sequence[Sentence]) -> Workload:
    """The requests of a run, with the characters of their prompts and answers, extrapolated from some of its sentences.

    The length of an answer is that of the right one.

    Args:
        members: The taggers of the program.
        sentences: All sentences of the run.
    """
    sample = sentences[:: max(1, len(sentences) // _SAMPLE)]
    requests = own = answers = 0
    shared = 0
    for member in members:
        instructions = member.tagger.tag.signature.instructions
        for sentence in sample:
            demos, context = member.tagger.surroundings(sentence.words)
            tokens = shown_tokens(sentence.words)
            for question in member.adapter.questions(tokens, context, member.tagger.note.text(sentence.position)):
                system, turns = member.adapter.messages(instructions, demos, question)
                _, alike = member.adapter.messages(instructions, member.tagger.tag.demos, question)
                before = sum(len(text) for _, text in alike[:-1])
                requests += 1
                own += sum(len(text) for _, text in turns) - before
                answers += len(member.adapter.answer(tokens, sentence.tags, question.key))
                shared = max(shared, len(system) + before)
    scale = len(sentences) / max(1, len(sample))
    return Workload(round(requests * scale), shared, round(own * scale), round(answers * scale))
