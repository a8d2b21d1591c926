"""Readers of corpora: an accepted corpus is valid and can be written and read again; a refusal names its place."""

from __future__ import annotations

import json
import shutil

from clinspan.corpora import Corpus, Document, InputError
from clinspan.corpora.bio import split_tag
from clinspan.corpora.sources import Brat, Conll, CorpusSource, Csv, Gliner, HuggingFace, Jsonl, RareDis
from clinspan.corpora.writers.brat import write_brat
from clinspan.corpora.writers.conll import shown_word, write_conll
from clinspan.corpora.writers.jsonl import write_jsonl
from fuzz.target import Target, written

NUL = "\0"


def loaded(source: CorpusSource) -> Corpus | None:
    """The corpus, checked; None if it was refused as documented."""
    try:
        corpus = source.load()
    except InputError as error:
        assert error.path is not None or "stands twice" in str(error) or "cannot tell apart" in str(error), error
        return None
    assert len(corpus.sha256) == 64
    for documents in corpus.splits.values():
        for document in documents:
            check_document(document)
    return corpus


def check_document(document: Document) -> None:
    document.text.encode()
    document.id.encode()
    for entity in document.entities:
        assert all(0 <= start < end <= len(document.text) for start, end in entity.fragments)
    for sentence in document.sentences:
        assert sentence.tokens
        assert len(sentence.tokens) == len(sentence.tags)
        assert all(split_tag(tag) is not None for tag in sentence.tags)
        assert all(document.text[token.start : token.end] == token.text for token in sentence.tokens)


def nothing_lost(corpus: Corpus) -> None:
    """Check that tokens contain every character but white space, in order, in texts that the reader cut itself."""
    for document in corpus.splits["test"]:
        characters = "".join(token.text for sentence in document.sentences for token in sentence.tokens)
        assert characters == "".join(document.text.split())


def written_again(corpus: Corpus) -> None:
    """Check that each writer's files are read back unchanged, except that text files cannot hold a NUL."""
    folder = written("again/x", b"").parent
    shutil.rmtree(folder)
    write_jsonl(corpus, folder / "jsonl")
    back = Jsonl(path=str(folder / "jsonl")).load()
    assert back.splits == corpus.splits
    if any(NUL in document.text for document in corpus.splits["test"]):
        return
    write_conll(corpus, folder / "conll")
    if list(corpus.sentences("test")):
        rows = list(Conll(path=str(folder / "conll"), scheme="IOB2").load().sentences("test"))
        before = list(corpus.sentences("test"))
        assert [s.tags for s in rows] == [s.tags for s in before]
        assert [s.words for s in rows] == [tuple(map(shown_word, s.words)) for s in before]


def brat_again(corpus: Corpus) -> None:
    """Check that brat mentions give the same tags, once they are cut into tokens as before."""
    folder = written("again/brat/x", b"").parent
    shutil.rmtree(folder)
    write_brat(corpus, folder)
    back = Brat(path=str(folder)).load()
    assert {(s.id, s.words, s.tags) for s in back.sentences("test")} == {(s.id, s.words, s.tags) for s in corpus.sentences("test")}


def read_brat(data: bytes) -> None:
    text, _, annotations = data.partition(b"\n====\n")
    path = written("brat/a.txt", text)
    written("brat/a.ann", annotations)
    corpus = loaded(Brat(path=str(path.parent)))
    if corpus is not None:
        nothing_lost(corpus)
        written_again(corpus)
        brat_again(corpus)


def read_raredis(data: bytes) -> None:
    for number, part in enumerate(data.split(b"\n++++\n", 2)):
        text, _, annotations = part.partition(b"\n====\n")
        path = written(f"raredis/{number}.txt", text)
        written(f"raredis/{number}.ann", annotations)
    corpus = loaded(RareDis(labels=[], definitions={}, path=str(path.parent)))
    if corpus is not None:
        nothing_lost(corpus)
        written_again(corpus)
    shutil.rmtree(path.parent)


def read_conll(data: bytes) -> None:
    corpus = loaded(Conll(path=str(written("test.conll", data))))
    if corpus is not None:
        written_again(corpus)


def read_jsonl(data: bytes) -> None:
    corpus = loaded(Jsonl(path=str(written("test.jsonl", data))))
    if corpus is not None:
        written_again(corpus)


def read_gliner(data: bytes) -> None:
    corpus = loaded(Gliner(path=str(written("gliner.jsonl", data))))
    if corpus is not None and corpus.splits["test"]:
        written_again(corpus)


def read_hf(data: bytes) -> None:
    corpus = loaded(HuggingFace(path=str(written("hf.jsonl", data)), tag_names=["O", "B-Sign", "I-Sign"]))
    if corpus is not None:
        written_again(corpus)


def read_csv(data: bytes) -> None:
    mentions, _, texts = data.partition(b"\n====\n")
    path = written("csv/mentions.csv", mentions)
    written("csv/texts.csv", texts)
    corpus = loaded(Csv(path=str(path.parent)))
    if corpus is not None:
        written_again(corpus)


def _brat(text: str, annotations: str) -> bytes:
    return f"{text}\n====\n{annotations}".encode()


def _row(**keys: object) -> bytes:
    return json.dumps({"id": "d1", "text": "No fever. e\u0301", **keys}).encode()


_BRAT = (
    _brat("No fever.\r\nA rash\tof\x0chands.", "T1\tSign 3 8\tfever\nR1\tCauses Arg1:T1 Arg2:T1\n#1\tAnnotatorNotes T1\tx\n"),
    _brat("\ufeffNo fever", "T1\tSign 4 9\tfever\nT2\tSign 4 6;7 9\tfe er\nE1\tSign:T1\nA1\tNegated T1\n*\tEquiv T1 T2\n"),
    _brat("x", "T1\tSign " + "9" * 5000 + " 1\tx"),
    _brat("x", "R1\ta " + ":T" * 500),
)
_RARE = _BRAT[0].replace(b"Sign", b"SIGN") + b"\n++++\n" + _brat("and open", "T1\tANAPHOR 0 3\tand\nT2\tDISEASE 0 8\tand open")
_TOKENS = [[0, 2], [3, 8], [8, 9], [10, 12]]
TARGETS = {
    "brat": Target(
        read_brat, _BRAT, ("T1\t", "Sign ", " 0 4", ";", "\tx", "R1\t", "Arg1:T1", "\n====\n", "\r\n", "\ufeff", "\x85")
    ),
    "raredis": Target(read_raredis, (_RARE,), ("\n++++\n", "\n====\n", "T1\tSIGN 0 4\tx", "ANAPHOR", ". ", "DISEASE", ";")),
    "conll": Target(
        read_conll,
        (
            b"-DOCSTART-\tO\n\nNo\tO\nfever\tB-Sign\n\nRash\tI-Sign\n",
            b"Pain NN B-Sign\r\n. . I-Sign\r\n",
            "a b\tO\n\x85\tO".encode(),
        ),
        ("-DOCSTART-", "\tO\n", "\tB-Sign\n", "\tI-Sign\n", " I-A\n", "\r\n", "\xa0", "\u2028", "B- ", "I-B-"),
    ),
    "gliner": Target(
        read_gliner,
        (
            b'{"tokenized_text": ["No", "fever", ""], "ner": [[1, 1, "Sign"], [0, 1, "Sign"]], "id": 5}',
            b'{"tokenized_text": ["a\\n", "\\ud800"], "ner": [[0, 9, "Sign"]]}',
            b'{"tokenized_text": [[]], "ner": {}}',
        ),
        ('"tokenized_text":', '"ner":', "[0, 1,", '"Sign"', "\\ud800", "null"),
    ),
    "hf": Target(
        read_hf,
        (
            b'{"tokens": ["No", "fever"], "ner_tags": [0, 1]}\n{"tokens": ["x"], "ner_tags": [-1]}',
            b'{"tokens": ["No", ""], "ner_tags": ["O", "S-Sign"]}',
            json.dumps(
                {
                    "document_id": "d",
                    "passages": [{"text": ["No fever."], "offsets": [[0, 9]]}],
                    "entities": [{"type": "Sign", "text": ["fever"], "offsets": [[3, 8]]}],
                    "relations": [],
                }
            ).encode(),
            b'{"passages": {"text": [["x"]], "offsets": [[[1e9, 2]]]}, "entities": []}',
            b'{"passages": [{"text": ["x"], "offsets": [[1000000000000, 1000000000001]]}], "entities": []}',
        ),
        ('"tokens":', '"ner_tags":', '"passages":', '"entities":', '"offsets":', '"text":', '"type":', "[[3, 8]]", "null", "-1"),
    ),
    "csv": Target(
        read_csv,
        (
            b"document,start,end,label,text\nd,3,8,Sign,fever\n====\ndocument,text\nd,No fever.\n",
            b'document;start;end;label\r\nd;0;2;Sign\n====\nid;text\nd;"a\n""b"\n',
            b"document,start,end,label\nd,0,2\n====\nid,text\nd,\xc3\n",
            b'"document,start,end,label\n====\n"id,text\n',
        ),
        ("document", "start", "end", "label", "text", ",", ";", "\t", '"', '""', "\n====\n", "\r\n", "0,2,Sign"),
    ),
    "jsonl": Target(
        read_jsonl,
        (
            _row(entities=[{"label": "Sign", "start": 3, "end": 8}, {"type": "Sign", "fragments": [[0, 2], [3, 8]]}]),
            _row(sentences=[{"tokens": _TOKENS, "tags": ["O", "B-Sign", "I-Sign", "O"]}]),
            _row(id=["\ud800"], text="\ud800"),
            b"[" * 3000,
            b'{"id": ' + b"9" * 5000 + b"}",
            _row(sentences=[{"tokens": [[0, 1], [0, 3], [2, 4]], "tags": ["B-A b", "I-A b", "B-\t"]}]),
        ),
        (
            '"id":',
            '"text":',
            '"entities":',
            '"start":',
            '"end":',
            '"label":',
            '"fragments":',
            '"tokens":',
            '"tags":',
            "\\ud800",
            "1e9",
        ),
    ),
}
