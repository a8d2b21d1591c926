"""Reader of GLiNER's training data: texts as lists of tokens, and mentions by the numbers of their first and last token.

    [{"tokenized_text": ["No", "fever", "."], "ner": [[1, 1, "Sign"]]}]

The last token is part of the mention. Each text is a document. Mentions may overlap: `corpus.overlap` says which are kept.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Unpack

from clinspan.corpora.bio import check_tag, Policies, tag_sentences
from clinspan.corpora.build import assemble, Cutting, lay_out
from clinspan.corpora.errors import InputError
from clinspan.corpora.json_text import is_text
from clinspan.corpora.readers.jsonl import load_records
from clinspan.corpora.readers.splitwise import About, Part, read_splits
from clinspan.corpora.splits import find_splits, Place
from clinspan.corpora.types import Corpus, Document, Entity

SUFFIXES = (".json", ".jsonl", ".ndjson")


def load_gliner(path: Path, *, cutting: Cutting, policies: Policies, **about: Unpack[About]) -> Corpus:
    """Read one file, or a folder with its splits. The tokens are those of the file; `cutting` splits them into sentences."""

    def read(_: str, place: Place) -> Iterator[Part]:
        for file, number, record in ((one, *numbered) for one in place.files for numbered in load_records(one)):
            usual = f"{place.name(file)}-{number}"
            try:
                yield _document(record, usual, cutting, policies)
            except (KeyError, TypeError, ValueError) as error:
                reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
                remedy = 'Write {"tokenized_text": ["No", "fever"], "ner": [[1, 1, "Sign"]]}.'
                raise InputError(f"is not a text of GLiNER ({reason})", path=file, line=number, remedy=remedy) from None

    return read_splits(find_splits(path, SUFFIXES), read, **about)


def _document(record: Mapping[str, Any], usual: str, cutting: Cutting, policies: Policies) -> tuple[Document | None, Counter[str]]:
    if not is_text(json.dumps(record, ensure_ascii=False)):
        raise ValueError("it holds a lone surrogate, which is not valid text")
    words = record["tokenized_text"]
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError("tokenized_text is not a list of tokens")
    if not words:
        return None, Counter(texts_without_tokens=1)
    text, ((*tokens,),) = lay_out([[word.strip(" ") or " " for word in words]])
    if "ner" not in record:
        raise KeyError("ner")
    entities = []
    for item in record["ner"] or ():
        if not isinstance(item, list) or len(item) != 3 or any(type(at) is not int for at in item[:2]):
            raise ValueError("a mention is not [first, last, label]")
        first, last, label = item
        if not 0 <= first <= last < len(words):
            raise ValueError(f"the mention {first} {last} does not lie in the {len(words)} tokens")
        check_tag(f"B-{label}")
        entities.append(Entity(str(label), ((tokens[first].start, tokens[last].end),)))
    cut = [tuple(tokens)] if cutting.sentences == "lines" else cutting.split(text, tokens)  # a text is one line
    tags, acts = tag_sentences(cut, entities, policies)
    name = record.get("id")
    known = isinstance(name, (str, int)) and not isinstance(name, bool) and str(name)
    return assemble(str(name) if known else usual, text, entities, cut, tags), acts
