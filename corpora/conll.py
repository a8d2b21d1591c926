r"""CoNLL columns: one token a line, its tag in the last column, an empty line between sentences.

    Ataxia	B-Disease
    is	O

Columns are divided by tabs or, in a line without tabs, by spaces. A line `-DOCSTART-` begins a document;
without any, each sentence is taken as a document of its own, because nothing says which belong together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from corpora.bio import check_tag, tag_spans
from corpora.build import assemble, build_corpus, lay_out
from corpora.errors import InputError, read_text
from corpora.types import Corpus, Document, Entity, Label, Sentence, SPLITS

Row = tuple[str, str, int]
_DEFAULTS = {"train": ("train",), "dev": ("devel", "dev", "valid", "validation"), "test": ("test",)}
_DOCUMENT = "-DOCSTART-"
_SUFFIXES = (".tsv", ".conll", ".txt", ".bio", ".iob")


def find_files(path: Path, named: dict[str, str | None]) -> dict[str, Path]:
    """Which file holds which split: as named, else by the usual names (`train.tsv`, `devel.tsv`, `test.tsv`, ...)."""
    if path.is_file():
        return {"test": path}
    if not path.is_dir():
        raise InputError("there is no such file or folder", path=path, remedy="Set corpus.path.")
    found: dict[str, Path] = {}
    for split in SPLITS:
        if name := named.get(split):
            found[split] = path / name
            continue
        usual = [path / (stem + suffix) for stem in _DEFAULTS[split] for suffix in _SUFFIXES]
        if hit := next((file for file in usual if file.is_file()), None):
            found[split] = hit
    if not found:
        remedy = "Name the files: corpus.train=..., corpus.dev=..., corpus.test=..."
        raise InputError("holds no train, dev or test file", path=path, remedy=remedy)
    return found


def parse_rows(path: Path) -> tuple[list[list[list[Row]]], bool]:
    """Documents of sentences of `(token, tag, line)`, and whether the file marks its documents."""
    documents: list[list[list[Row]]] = [[]]
    sentence: list[Row] = []
    marked = False
    text = read_text(path).removeprefix("\ufeff")
    if not text.strip():
        raise InputError("is empty", path=path, remedy="Give a file with a token and a tag a line.")
    for number, line in enumerate([*text.replace("\r\n", "\n").split("\n"), ""], 1):
        if line.strip() and not line.startswith(_DOCUMENT):
            sentence.append(_parse_row(line, number, path))
            continue
        if sentence:
            documents[-1].append(sentence)
            sentence = []
        if line.startswith(_DOCUMENT):
            marked = True
            documents.append([])
    full = [document for document in documents if document]
    if not full:
        raise InputError("has no token", path=path, remedy="Give a file with a token and a tag a line.")
    return full, marked


def _parse_row(line: str, number: int, path: Path) -> Row:
    columns = line.rstrip().split("\t") if "\t" in line else [c for c in line.strip().split(" ") if c]
    remedy = "A line holds a token and, in the last column, its tag, divided by a tab or spaces."
    if len(columns) < 2 or not columns[0].strip():
        raise InputError("has no token or no tag", path=path, line=number, remedy=remedy)
    token, tag = columns[0].strip(), columns[-1].strip()
    try:
        check_tag(tag)
    except ValueError as error:
        raise InputError(str(error), path=path, line=number, remedy="Tags are O, B-label or I-label.") from None
    return token, tag, number


def is_iob1(sentences: Sequence[Sequence[str]]) -> bool:
    """Whether tags are IOB1: spans open with `I-`, and each `B-` stands right behind a span of its own label.

    >>> is_iob1([["I-Sign", "B-Sign", "O"]]), is_iob1([["B-Sign", "O", "I-Sign"]])
    (True, False)
    """
    opened_by_i = False
    for tags in sentences:
        for before, tag in zip(["O", *tags], tags, strict=False):
            if tag[0] == "B" and before[2:] != tag[2:]:
                return False
            opened_by_i |= tag[0] == "I" and before[2:] != tag[2:]
    return opened_by_i


def iob1_to_iob2(tags: Sequence[str]) -> list[str]:
    """
    >>> iob1_to_iob2(["I-Sign", "I-Sign", "B-Sign", "O"])
    ['B-Sign', 'I-Sign', 'B-Sign', 'O']
    """
    pairs = zip(["O", *tags], tags, strict=False)
    return [f"B-{tag[2:]}" if tag[0] == "I" and before[2:] != tag[2:] else tag for before, tag in pairs]


def load_conll(
    path: Path,
    *,
    name: str,
    files: dict[str, str | None],
    scheme: str,
    labels: tuple[Label, ...],
    definitions: dict[str, str],
    phi: bool,
) -> Corpus:
    """Read token/tag files. `scheme` is `IOB1`, `IOB2` or `auto`; under IOB2 an `I-` that opens a span is kept and counted."""
    if scheme not in ("auto", "IOB1", "IOB2"):
        raise InputError(f"corpus.scheme={scheme} is not known", remedy="Use auto, IOB1 or IOB2.")
    splits: dict[str, list[Document]] = {}
    conversion: dict[str, Counter[str]] = {}
    for split, file in find_files(path, files).items():
        groups, marked = parse_rows(file)
        if not marked:
            groups = [[sentence] for group in groups for sentence in group]
        tags = [[row[1] for row in sentence] for group in groups for sentence in group]
        iob1 = scheme == "IOB1" or (scheme == "auto" and is_iob1(tags))
        acts = Counter(iob1_files=int(iob1), sentences_as_documents=0 if marked else len(groups))
        acts["orphan_i_kept"] = 0 if iob1 else sum(_orphans(row) for row in tags)
        splits[split] = [_document(f"{file.stem}-{n}", group, iob1) for n, group in enumerate(groups)]
        conversion[split] = +acts
    return build_corpus(name, splits, labels=labels, definitions=definitions, phi=phi, conversion=conversion)


def _orphans(tags: Sequence[str]) -> int:
    return sum(tag[0] == "I" and before[2:] != tag[2:] for before, tag in zip(["O", *tags], tags, strict=False))


def _document(name: str, group: Sequence[Sequence[Row]], iob1: bool) -> Document:
    text, cut = lay_out([[word for word, _, _ in sentence] for sentence in group])
    rows: list[list[str]] = []
    entities: list[Entity] = []
    for sentence, tokens in zip(group, cut, strict=True):
        tags = [tag for _, tag, _ in sentence]
        rows.append(iob1_to_iob2(tags) if iob1 else tags)
        spans = tag_spans(rows[-1])
        entities += [Entity(label, ((tokens[a].start, tokens[b - 1].end),)) for a, b, label in spans]
    return assemble(name, text, entities, cut, rows)


def write_conll(corpus: Corpus, folder: Path) -> None:
    """Write `train.tsv`, `devel.tsv` and `test.tsv`: IOB2, tabs, one `-DOCSTART-` a document."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, documents in corpus.splits.items():
        name = {"dev": "devel"}.get(split, split)
        content = "\n".join(document_rows(document.sentences) for document in documents)
        (folder / f"{name}.tsv").write_bytes(content.encode())


def document_rows(sentences: Iterable[Sentence]) -> str:
    """A document as it stands in a file: `-DOCSTART-`, then its sentences, each behind an empty line. See `shown_word`."""
    blocks = [f"{_DOCUMENT}\tO\n"]
    for sentence in sentences:
        rows = zip(sentence.words, sentence.tags, strict=True)
        blocks.append("".join(f"{shown_word(word)}\t{tag}\n" for word, tag in rows))
    return "\n".join(blocks)


def shown_word(word: str) -> str:
    """A token as a line can hold it: on one line, without tabs, never empty and never what begins a document.

    >>> shown_word("a\\tb\\n"), shown_word(" "), shown_word("-DOCSTART-")
    ('a b', '_', '_DOCSTART-')
    """
    shown = " ".join(word.split()) or "_"
    return "_" + shown[1:] if shown.startswith(_DOCUMENT) else shown
