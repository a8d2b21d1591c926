"""The texts of a run's documents as they were written, for the report's page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clinspan.corpora import Corpus, Document, InputError, Sentence
from clinspan.programs.building.run_corpus import run_corpus, tagged_sentences
from clinspan.programs.rundir.run_record import RunRecord

Gaps = list[str]
Tagged = list[tuple[Document, Sentence]]


class WrittenTexts:
    """Reads the corpora of runs again, each corpus once.

    Args:
        corpus: A corpus that is not read again; None: all are.
    """

    def __init__(self, corpus: Corpus | None = None) -> None:
        self._read: dict[str, Any] = {} if corpus is None else {corpus.sha256: corpus}

    def gaps(self, record: RunRecord, rows: Sequence[Mapping[str, Any]], path: Path) -> list[Gaps]:
        """The text around the tokens of each sentence.

        Args:
            record: The run's record.
            rows: The lines of its `predictions.jsonl`, in corpus order.
            path: The folder of the run.

        Returns:
            For each row the text before each token, and after the last one. The first one begins where the row before it in the
            same document ends, and the last one is empty unless no further row of the document follows. So the gaps and tokens of
            a document's rows in turn are its whole text.

        Raises:
            InputError: The corpus cannot be read, has changed, or is not the one of the rows.
        """
        sha256 = record.corpus.sha256 if record.corpus else ""
        if sha256 not in self._read:
            try:
                self._read[sha256] = run_corpus(record, path / "run.json")
            except InputError as error:
                self._read[sha256] = error
        if isinstance(corpus := self._read[sha256], InputError):
            raise corpus
        by_id = {str(row["id"]): row for row in rows}
        tagged = tagged_sentences(corpus, record.corpus.split if record.corpus else "", by_id, path / "predictions.jsonl")
        found = {sentence.id: gaps for (_, sentence), gaps in zip(tagged, gaps_of(tagged), strict=True)}
        return [found[str(row["id"])] for row in rows]


def gaps_of(tagged: Tagged) -> list[Gaps]:
    """The text around the tokens of sentences, see `WrittenTexts.gaps`.

    >>> from clinspan.corpora import Token
    >>> tokens = Token("no", 1, 3), Token("fever", 4, 9), Token("Rash", 11, 15)
    >>> one, two = Sentence("d:0", "d", tokens[:2], ("O", "O")), Sentence("d:1", "d", tokens[2:], ("O",))
    >>> document = Document("d", " no fever\\n\\nRash.", (), (one, two))
    >>> gaps_of([(document, one), (document, two)])
    [[' ', ' ', ''], ['\\n\\n', '.']]
    """
    gaps: list[Gaps] = []
    for number, (document, sentence) in enumerate(tagged):
        first = not number or tagged[number - 1][0] is not document
        last = number + 1 == len(tagged) or tagged[number + 1][0] is not document
        at = 0 if first else tagged[number - 1][1].tokens[-1].end
        own = []
        for token in sentence.tokens:
            own.append(document.text[at : token.start])
            at = token.end
        gaps.append([*own, document.text[at:] if last else ""])
    return gaps
