"""Corpora: documents, sentences, tokens and tags, and the files that they come from."""

from clinspan.corpora.errors import check_number, InputError
from clinspan.corpora.types import Corpus, Document, Entity, FullMention, Label, Sentence, SPLITS, Token

__all__ = ["SPLITS", "Corpus", "Document", "Entity", "FullMention", "InputError", "Label", "Sentence", "Token", "check_number"]
