"""Writer of CoNLL columns: one line per token with a tab and its IOB2 tag, and one `-DOCSTART-` per document."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from clinspan.corpora.types import Corpus, Sentence

DOCUMENT_MARK = "-DOCSTART-"


_UNFIT = re.compile("[ \t\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")


def write_conll(corpus: Corpus, folder: Path) -> None:
    """Write `train.tsv`, `devel.tsv` and `test.tsv`: IOB2, tabs, one `-DOCSTART-` per document."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, documents in corpus.splits.items():
        name = {"dev": "devel"}.get(split, split)
        content = "\n".join(document_rows(document.sentences) for document in documents)
        (folder / f"{name}.tsv").write_bytes(content.encode())


def document_rows(sentences: Iterable[Sentence]) -> str:
    """The lines of a document: `-DOCSTART-`, then each sentence after an empty line. Tokens are written by `shown_word`."""
    blocks = [f"{DOCUMENT_MARK}\tO\n"]
    for sentence in sentences:
        rows = zip(sentence.words, sentence.tags, strict=True)
        blocks.append("".join(f"{shown_word(word)}\t{tag}\n" for word, tag in rows))
    return "\n".join(blocks)


def shown_word(word: str) -> str:
    """A token in a form that fits into a column: without line ends and tabs, never empty, never the start of a document mark.

    >>> shown_word("a\\tb\\n"), shown_word(" "), shown_word("-DOCSTART-")
    ('a b', '_', '_DOCSTART-')
    """
    shown = " ".join(_UNFIT.split(word)).strip(" ") or "_"
    return "_" + shown[1:] if shown.startswith(DOCUMENT_MARK) else shown
