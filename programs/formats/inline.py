"""The sentence with marked spans: `<RareDisease>Fabry disease</RareDisease> causes <Symptom>pain</Symptom> .`"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher

from corpora import Label
from corpora.bio import span_tags, tag_spans
from programs.formats.align import fold
from programs.formats.base import Alignment, Decoded, Format
from programs.formats.tags import TagReader

_MARK = re.compile(r"<\s*(/?)\s*([^<>/]*?)\s*>")


class Inline(Format):
    """Marks around the mentions, in the sentence itself."""

    def __init__(self, *, labels: Sequence[Label], alignment: Alignment = "tokens") -> None:
        super().__init__(labels=labels, alignment=alignment)
        self._reader = TagReader(self.labels)

    def rules(self) -> str:
        marks = ", ".join(f"<{label.name}>...</{label.name}>" for label in self.labels)
        return (
            "Answer with the same sentence, unchanged but for a mark around each mention, and nothing else. "
            f"The marks are: {marks}."
        )

    def answer(self, tokens: Sequence[str], tags: Sequence[str], key: str = "") -> str:
        words = list(tokens)
        for start, end, label in tag_spans(tags):
            words[start] = f"<{label}>{words[start]}"
            words[end - 1] += f"</{label}>"
        return " ".join(words)

    def read(self, answers: Mapping[str, str], tokens: Sequence[str]) -> Decoded:
        repairs: Counter[str] = Counter()
        said, owners, labels = self._unmark(answers.get("", ""), tokens, repairs)
        if self.alignment == "positional":
            found = _by_position(said, owners, len(tokens))
        else:
            found = _by_alignment(said, owners, tokens, repairs)
        spans: list[tuple[int, int, str]] = []
        last: int | None = None
        for i, owner in enumerate(found):
            if owner is not None and owner == last:
                spans[-1] = (spans[-1][0], i + 1, spans[-1][2])
            elif owner is not None:
                spans.append((i, i + 1, labels[owner]))
            last = owner
        missed = len(labels) - len({owner for owner in found if owner is not None})
        repairs["mention_not_found"] += missed
        return Decoded(span_tags(len(tokens), spans), repairs)

    def _unmark(self, text: str, tokens: Sequence[str], repairs: Counter[str]) -> tuple[str, list[int | None], list[str]]:
        """The text without marks, the number of the mark that owns each character, and the label of each mark.

        What looks like a mark but stands in the sentence itself is text.
        """
        sentence = "".join(tokens)
        said: list[str] = []
        owners: list[int | None] = []
        labels: list[str] = []
        current: int | None = None
        at = 0
        for match in [*_MARK.finditer(text), None]:
            piece = text[at : match.start()] if match else text[at:]
            said.append(piece)
            owners += [current] * len(piece)
            if match is None:
                break
            at = match.end()
            label = self._reader.label(match[2])
            if label is None and re.sub(r"\s", "", match[0]) in sentence:
                said.append(match[0])
                owners += [current] * len(match[0])
            elif match[1]:
                repairs["stray_close"] += current is None
                current = None
            elif label is None:
                repairs["unknown_label"] += 1
            else:
                repairs["unclosed_mark"] += current is not None
                labels.append(label)
                current = len(labels) - 1
        repairs["unclosed_mark"] += current is not None
        return "".join(said), owners, labels


def _by_position(said: str, owners: Sequence[int | None], length: int) -> list[int | None]:
    words = [next((o for o in owners[m.start() : m.end()] if o is not None), None) for m in re.finditer(r"\S+", said)]
    return (words + [None] * length)[:length]


def _by_alignment(said: str, owners: Sequence[int | None], tokens: Sequence[str], repairs: Counter[str]) -> list[int | None]:
    """The mark that owns most of each token's characters, found by aligning all characters that are not white space."""
    kept = [i for i, c in enumerate(said) if not c.isspace()]
    echo = [fold(said[i]) for i in kept]
    source = [(fold(c), t) for t, token in enumerate(tokens) for c in token if not c.isspace()]
    votes: list[Counter[int | None]] = [Counter() for _ in tokens]
    matched = 0
    for block in SequenceMatcher(None, [c for c, _ in source], echo, autojunk=False).get_matching_blocks():
        matched += block.size
        for k in range(block.size):
            votes[source[block.a + k][1]][owners[kept[block.b + k]]] += 1
    repairs["changed_text"] += matched < max(len(source), len(echo))
    for vote in votes:
        repairs["cut_token"] += len(vote) > 1
    return [max(v, key=lambda owner: (owner is not None, v[owner])) if v else None for v in votes]
