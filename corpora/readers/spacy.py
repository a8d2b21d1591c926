"""Reader of spaCy's DocBin (`.spacy`): documents with spaCy's own tokens, sentences (if they were stored) and entities.

Tokens that consist of white space are left out and counted. `corpus.spans_key` reads the group of spans of that name (`sc` is the
usual one) instead of the entities. A file without such annotations gives documents without mentions, which are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Unpack

from clinspan.corpora.bio import check_tag, Policies, tag_sentences
from clinspan.corpora.build import assemble, Cutting
from clinspan.corpora.errors import InputError
from clinspan.corpora.json_text import is_text
from clinspan.corpora.readers.splitwise import About, Part, read_splits
from clinspan.corpora.splits import find_splits, Place
from clinspan.corpora.types import Corpus, Document, Entity, Token

SUFFIXES = (".spacy",)


def load_spacy(path: Path, *, cutting: Cutting, policies: Policies, spans_key: str | None, **about: Unpack[About]) -> Corpus:
    """Read one file, or a folder with its splits. `cutting` splits documents that were stored without sentences."""

    def read(_: str, place: Place) -> Iterator[Part]:
        for file, number, doc in ((one, *numbered) for one in place.files for numbered in enumerate(_docs(one), 1)):
            try:
                yield _document(doc, f"{place.name(file)}-{number}", cutting, policies, spans_key)
            except ValueError as error:
                raise InputError(f"document {number}: {error}", path=file, remedy="Repair and write it again.") from None

    return read_splits(find_splits(path, SUFFIXES), read, **about)


def _docs(path: Path) -> Iterator[Any]:
    try:
        import spacy.tokens
        import spacy.vocab
    except ImportError:
        raise InputError("corpus=spacy needs spaCy", path=path, remedy="Install it with: pip install 'clinspan[spacy]'") from None
    try:
        yield from spacy.tokens.DocBin().from_disk(path).get_docs(spacy.vocab.Vocab())
    except Exception as error:  # zlib's, msgpack's, numpy's and spaCy's own errors
        remedy = "Give a file as DocBin.to_disk writes it."
        raise InputError(f"is not a DocBin of spaCy ({type(error).__name__})", path=path, remedy=remedy) from None


def _document(
    doc: Any, name: str, cutting: Cutting, policies: Policies, spans_key: str | None
) -> tuple[Document | None, Counter[str]]:
    text = doc.text
    if not is_text(text):
        raise ValueError("it holds a lone surrogate, which is not valid text")
    spans, acts = _spans(doc, spans_key)
    entities = []
    for span in spans:
        check_tag(f"B-{span.label_}")
        entities.append(Entity(span.label_, ((span.start_char, span.end_char),)))
    words = [token for token in doc if not token.text.isspace()]
    acts["space_tokens_left_out"] += len(doc) - len(words)
    if not words:
        return None, +(acts + Counter(documents_without_tokens=1))
    if doc.has_annotation("SENT_START"):
        rows = [tuple(_token(token) for token in sentence if not token.text.isspace()) for sentence in doc.sents]
        cut = [row for row in rows if row]
    else:
        acts["documents_without_sentences"] += 1
        cut = cutting.split(text, map(_token, words))
    tags, tagging_acts = tag_sentences(cut, entities, policies)
    return assemble(name, text, entities, cut, tags), +(acts + tagging_acts)


def _spans(doc: Any, key: str | None) -> tuple[list[Any], Counter[str]]:
    if key is not None:
        spans = list(doc.spans.get(key, ()))
        return spans, Counter(documents_without_annotations=int(key not in doc.spans), entities_not_read=len(doc.ents))
    others = sum(len(group) for group in doc.spans.values())
    return list(doc.ents), Counter(documents_without_annotations=int(not doc.has_annotation("ENT_IOB")), spans_not_read=others)


def _token(token: Any) -> Token:
    return Token(token.text, token.idx, token.idx + len(token.text))
