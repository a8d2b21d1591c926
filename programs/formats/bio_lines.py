"""One line `token : TAG` per token: the paper's format and the default."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from clinspan.corpora import InputError, Label
from clinspan.corpora.bio import tag_spans
from clinspan.lms import Grammar, Rule
from clinspan.lms.grammars import Alternatives
from clinspan.programs.formats.align import align
from clinspan.programs.formats.base import Format
from clinspan.programs.formats.matching import DASHES, MentionFinder, VISIBLE
from clinspan.programs.formats.tag_lines import plain_lines
from clinspan.programs.formats.tags import ExactReader, legal, TagReader
from clinspan.programs.formats.types import Decoded, Place

_NOISE = re.compile(r"```\w*|#+\s*(output|answer|input)\s*:?|(output|answer)\s*:", re.IGNORECASE)
_SEPARATORS = {"space": " ", "newline": "\n"}
_BRIDGE = 2
_MOST_ALIGNED = 2
_SLACK = 100
Separator = Literal["space", "newline"]


@dataclass(frozen=True, slots=True)
class _Line:
    token: str
    tag: str
    place: Place | None


class BioLines(Format):
    """One line per token.

    Args:
        labels: The corpus' labels.
        separator: Separator of the tokens in the question: `space` (the paper's local models) or `newline` (its GPT models).
        options: See `Format`; `alignment=positional` reads lines exactly as the paper's scorer did.
    """

    lines = 8

    def __init__(self, *, labels: Sequence[Label], separator: Separator = "space", **options: Any) -> None:
        super().__init__(labels=labels, **options)
        if separator not in _SEPARATORS:
            raise InputError(f"format.separator={separator} is not known", remedy="Use space or newline.")
        self.separator = separator
        self._reader, self._exact = TagReader(self.labels), ExactReader(self.labels)
        self._tags = {"O", *(f"{prefix}-{label.name}" for label in self.labels for prefix in "BI")}

    def rules(self) -> str:
        tags = ["O", *(f"{prefix}-{label.name}" for label in self.labels for prefix in "BI")]
        return (
            "Answer with one line for each token, in the order of the sentence, and nothing else. A line holds the "
            f"token, a space, a colon, a space and the token's tag, which is one of: {', '.join(tags)}."
        )

    def sentence(self, tokens: Sequence[str]) -> str:
        return _SEPARATORS[self.separator].join(tokens)

    def answer(self, tokens: Sequence[str], tags: Sequence[str], key: str = "") -> str:
        return "\n".join(f"{token} : {tag}" for token, tag in zip(tokens, tags, strict=True))

    def grammar(self, tokens: Sequence[str], key: str = "") -> Grammar:
        """A grammar with one line per token, whose tag is any except an `I-` that continues no entity.

        Rule `s3` is line 3 after an `O`, `s3_1` is line 3 after a tag of label 1; `t3` and `t3_1` are their tags.
        """
        rules: dict[str, Alternatives] = {"start": [[Rule("s0")]]}
        for i, token in enumerate(tokens):
            end, last = ("", True) if i == len(tokens) - 1 else ("\n", False)

            def then(name: str, last: bool = last, i: int = i) -> list[str | Rule]:
                return [] if last else [Rule(f"s{i + 1}{name}")]

            begun = [[f"B-{label.name}{end}", *then(f"_{n}")] for n, label in enumerate(self.labels)]
            rules[f"s{i}"] = [[f"{token} : ", Rule(f"t{i}")]]
            rules[f"t{i}"] = [[f"O{end}", *then("")], *begun]
            for n, label in enumerate(self.labels if i else ()):
                rules[f"s{i}_{n}"] = [[f"{token} : ", Rule(f"t{i}_{n}")]]
                rules[f"t{i}_{n}"] = [[Rule(f"t{i}")], [f"I-{label.name}{end}", *then(f"_{n}")]]
        return Grammar(rules)

    def read(self, answers: Mapping[str, str], tokens: Sequence[str]) -> Decoded:
        repairs: Counter[str] = Counter()
        text = answers.get("", "")
        if self.alignment == "positional":
            return Decoded(self._positional(text, tokens, repairs), repairs, [None] * len(tokens))
        missing: list[str] = []
        rows, places = self._echo(text, tokens) or self._aligned(text, tokens, repairs, missing)
        return Decoded(legal(rows, repairs), repairs, places, missing=missing)

    def _echo(self, text: str, tokens: Sequence[str]) -> tuple[list[str], list[Place | None]] | None:
        """Tags and their places in an answer of exactly the requested form, whatever its tokens look like; else None."""
        lines = text.split("\n")
        if len(lines) != len(tokens):
            return None
        tags: list[str] = []
        places: list[Place | None] = []
        at = 0
        for line, token in zip(lines, tokens, strict=True):
            head = f"{token} : "
            if not line.startswith(head) or line[len(head) :] not in self._tags:
                return None
            tags.append(line[len(head) :])
            places.append(("", at + len(head), at + len(line)))
            at += len(line) + 1
        return tags, places

    def _positional(self, text: str, tokens: Sequence[str], repairs: Counter[str]) -> list[str]:
        """Read an answer as the paper's scorer did.

        The n-th line that is not empty belongs to the n-th token. A line without exactly one `: ` is O.
        """
        tags = []
        for line in text.strip().split("\n"):
            if not line:
                continue
            parts = line.replace("[", "").replace("]", "").split(": ")
            repairs["malformed_line"] += len(parts) != 2
            tags.append(parts[1].strip() if len(parts) == 2 else "O")
        repairs["missing_line"] += max(0, len(tokens) - len(tags))
        repairs["surplus_line"] += max(0, len(tags) - len(tokens))
        return self._exact.read((tags + ["O"] * len(tokens))[: len(tokens)], repairs)

    def _aligned(
        self, text: str, tokens: Sequence[str], repairs: Counter[str], missing: list[str]
    ) -> tuple[list[str], list[Place | None]]:
        lines = self._lines(text, tokens, repairs)
        echoed, tags = [line.token for line in lines], [line.tag for line in lines]
        if echoed and not any(echoed):  # tags without tokens can only be assigned in order
            places: list[int | None] = [i if i < len(tags) else None for i in range(len(tokens))]
        else:  # far more lines than tokens are no echo of the sentence and would make the alignment slow
            places = align(echoed[: _MOST_ALIGNED * len(tokens) + _SLACK], tokens)
        repairs["missing_line"] += places.count(None)
        repairs["surplus_line"] += len(tags) - (len(places) - places.count(None))
        repairs["changed_token"] += sum(p is not None and echoed[p] not in ("", t) for p, t in zip(places, tokens, strict=True))
        missing += _surplus_mentions(lines, places)
        rows = ["O" if place is None else tags[place] for place in places]
        return _bridged(rows, places, repairs), [None if place is None else lines[place].place for place in places]

    def _lines(self, reply: str, tokens: Sequence[str], repairs: Counter[str]) -> list[_Line]:
        token_lines: list[_Line] = []
        text = plain_lines(reply, self._reader.read)
        runs, at = _Runs(tokens), 0
        for line in text.split("\n"):
            if line.strip() and not _NOISE.fullmatch(line.strip()):
                token, tag = self._line(line)
                repairs["unknown_label"] += tag is None
                end = at + len(line.rstrip())
                start = at + max(line.rfind(":"), line.rstrip().rfind(" ")) + 1
                place = ("", min(start, end), end) if text == reply else None
                words = runs.words(token.translate(VISIBLE))
                if tag is not None and len(words) > 1:
                    token_lines += [_Line(word, _goes_on(tag) if n else tag, place) for n, word in enumerate(words)]
                    repairs["merged_line"] += 1
                else:
                    token_lines.append(_Line(token.translate(VISIBLE), tag or "O", place))
            at += len(line) + 1
        return token_lines

    def _line(self, line: str) -> tuple[str, str | None]:
        """Split a line into token and tag at its last colon, else at its last space. A tag alone has an empty token."""
        text = line.strip()
        if text.startswith("[") and text.endswith("]") and len(text) > 2:
            text = text[1:-1].strip()
        for divider in (":", None):
            parts = text.rsplit(divider, 1)
            if len(parts) == 2 and (tag := self._reader.read(parts[1].strip())) is not None:
                return parts[0].strip() or parts[0], tag
            if divider and len(parts) == 2 and (tag := self._before_words(parts[1])) is not None:
                return parts[0].strip() or parts[0], tag
        bare_tag = self._reader.read(text)
        if bare_tag is not None:
            return "", bare_tag
        return text.rsplit(" :", 1)[0].strip(), None

    def _before_words(self, text: str) -> str | None:
        """The first word of a text, if it is a tag before an explanation.

        It must be `O` or have a prefix, because a bare label may be a word of the explanation.
        """
        first = text.split(maxsplit=1)[0] if text.split() else ""
        tag = self._reader.read(first)
        return tag if tag is not None and (tag == "O" or first.strip("*`\"'[(")[1:2] in tuple(f"-_{DASHES}")) else None


class _Runs:
    """Finds the tokens that a line covers. A line can cover several: `T-cell leukaemia : B-Disease`.

    Args:
        tokens: The tokens of the sentence.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens, self._known, self._finder = tokens, set(tokens), MentionFinder(tokens)
        self._longest = sum(map(len, tokens))
        self._at, self._left = 0, 2 * len(tokens) + _SLACK  # a normal answer needs fewer lookups

    def words(self, echoed: str) -> list[str]:
        """The tokens that an echo stands for, searched from the current position on.

        The echo itself if it is a single token or stands for no tokens of the sentence.
        """
        if echoed in self._known:
            self._at = next((i for i in range(self._at, len(self.tokens)) if self.tokens[i] == echoed), self._at - 1) + 1
            return [echoed]
        words = echoed.split()
        if self._left and len(echoed) <= 2 * self._longest:
            self._left -= 1
            run = next((run for run in self._finder.places(echoed, Counter()) if run[0] >= self._at), None)
            if run is not None:
                self._at = run[1]
                return list(self.tokens[run[0] : run[1]])
        return words if self._known.issuperset(words) else [echoed]


def _surplus_mentions(lines: Sequence[_Line], places: Sequence[int | None]) -> list[str]:
    """The mentions in lines without a token of the sentence."""
    used = {place for place in places if place is not None}
    if len(used) == len(lines):
        return []
    spans = tag_spans(legal([line.tag for line in lines], Counter()))
    return [" ".join(line.token for line in lines[a:b]) for a, b, _ in spans if used.isdisjoint(range(a, b))]


def _goes_on(tag: str) -> str:
    """The tag that continues the entity of a tag."""
    return tag if tag == "O" else f"I{tag[1:]}"


def _bridged(rows: list[str], places: Sequence[int | None], repairs: Counter[str]) -> list[str]:
    """Give one or two tokens without a line to the entity around them, if it continues after them."""
    for i in range(1, len(rows)):
        if places[i] is not None or rows[i] != "O" or rows[i - 1] == "O":
            continue
        label = rows[i - 1][2:]
        after = next((k for k in range(i, len(rows)) if places[k] is not None), None)
        if after is not None and after - i <= _BRIDGE and rows[after] == f"I-{label}":
            rows[i:after] = [f"I-{label}"] * (after - i)
            repairs["bridged_gap"] += after - i
    return rows
