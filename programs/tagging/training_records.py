"""Training records: the prompts that a model would receive for sentences, and their gold answers."""

from __future__ import annotations

from collections.abc import Iterable

from clinspan.corpora import Sentence
from clinspan.corpora.words import Words
from clinspan.programs.formats import Format
from clinspan.programs.formats.types import shown_tokens
from clinspan.programs.tagging.strategy import as_demonstration
from clinspan.programs.tagging.tagger import Tagger
from clinspan.tuning import Record


def training_records(tagger: Tagger, adapter: Format, sentences: Iterable[Sentence], *, most: int | None = None) -> list[Record]:
    """Build one record for each question about each sentence, with the prompt that the tagger would send.

    A sentence is never its own demonstration: a demonstration with its id or its words is left out.

    Args:
        tagger: The tagger that supplies instructions and demonstrations. It retrieves no context.
        adapter: The format.
        sentences: Sentences with gold tags.
        most: Maximum number of demonstrations, of which the last ones are used; None: all.
    """
    records: list[Record] = []
    instructions = tagger.tag.signature.instructions
    for sentence in sentences:
        tokens = shown_tokens(Words.of(sentence))
        demos = [demo for demo in tagger.surroundings(tokens)[0] if not _same(demo, sentence)]
        demos = demos[len(demos) - most :] if most is not None and len(demos) > most else demos
        example = as_demonstration(sentence)
        for question in adapter.questions(tokens, (), tagger.note.text(sentence.position)) if tokens else ():
            system, turns = adapter.messages(instructions, demos, question)
            records.append(Record(sentence.id, (("system", system), *turns), adapter.shown_answer(tokens, example, question.key)))
    return records


def _same(demo: dict[str, object], sentence: Sentence) -> bool:
    return demo.get("id") == sentence.id or demo["tokens"] == list(sentence.words)
