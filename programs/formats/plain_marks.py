"""Normalizes the ways in which models mark mentions in a sentence to `<Label>mention</Label>`.

Read are, beside the form that is asked for: marks with attributes (`<Sign type="x">`, `<entity type="Sign">`), with a BIO prefix
(`<B-Sign>`), escaped ones (`&lt;Sign&gt;`), one mark around label and mention (`<Sign: fever>`, `[Sign: fever]`,
`[fever](Sign)`), a label behind a mention (`fever (Sign)`), brackets (`[Sign]fever[/Sign]`), and thoughts, a draft or the bare
sentence before the answer.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Callable, Sequence

from clinspan.programs.formats.matching import folded
from clinspan.programs.formats.replies import without_thoughts

# every part is bounded: an answer may be 100,000 characters of anything
_ATTRIBUTES = re.compile(r"<\s?([^<>/\s=]{1,80})((?:\s{1,3}[\w:-]{1,40}=(?:\"[^\"<>]{0,80}\"|'[^'<>]{0,80}')){1,4})\s?/?>")
_VALUE = re.compile(r"=(?:\"([^\"<>]{0,80})\"|'([^'<>]{0,80})')")
_PREFIXED = re.compile(r"<(/?)[BIESLU][-_]([^<>/]{1,80})>")
_TOGETHER = re.compile(r"<([^<>\[\]/:=]{1,80})[:=]\s?([^<>]{1,400})>|\[([^\[\]:=]{1,80})[:=]\s?([^\[\]]{1,400})\]")
_LINKED = re.compile(r"\[([^\[\]]{1,400})\]\s?[({]([^(){}]{1,80})[)}]")
_BRACKETS = re.compile(r"\[(/?)([^\[\]/]{1,80})\]")
_BEHIND = re.compile(r"\s?\(([^()<>\[\]]{1,80})\)")
_CLAUSE_END = re.compile(r"[.,;:!?>)\]\n]")
_WORD = re.compile(r"\S+")
_REACH = 400
_ANY_MARK = re.compile(r"<[^<>]{0,200}>")
Label = Callable[[str], str | None]


_WORDS = """a an the this that these those his her its their our my your no not without and or but nor with in on at for from by
to into during after before since until while when who whom which whose is are was were be been being has have had
having do does did may might can could will would should must cause causes caused causing show shows showed showing
present presents presented presenting develop develops developed include includes included including such as complain
complains complained reports reported denies denied reveals revealed leads led results resulted also often usually he
she it they"""
_FIRST = frozenset(_WORDS.split())
"""Words that no mention begins with: in front of `(Label)` they say where the mention begins."""


def plain_marks(text: str, tokens: Sequence[str], label: Label, repairs: Counter[str]) -> str:
    """The text with marks in the form that is asked for; what is no mark of a known label stays as it is.

    Args:
        text: What the model wrote.
        tokens: The sentence.
        label: The label that a spelling names, or None.
        repairs: Counts `guessed_start` for labels that stand behind a mention, which do not say where it begins.
    """
    body = without_thoughts(text)
    if "&lt;" in body and "<" not in body:
        body = html.unescape(body)
    sentence = "".join(tokens)
    body = _ATTRIBUTES.sub(lambda mark: _attributed(mark, label), body)
    body = _PREFIXED.sub(lambda mark: f"<{mark[1]}{mark[2]}>" if label(mark[2]) else mark[0], body)

    def named(mark: re.Match[str], name: str, inner: str) -> str:
        known = label(name.strip())
        stands_there = re.sub(r"\s", "", mark[0]) in sentence
        return mark[0] if known is None or stands_there else f"<{known}>{inner.strip()}</{known}>"

    body = _TOGETHER.sub(lambda mark: named(mark, mark[1] or mark[3], mark[2] or mark[4]), body)
    body = _LINKED.sub(lambda mark: named(mark, mark[2], mark[1]), body)
    body = _BRACKETS.sub(lambda mark: f"<{mark[1]}{mark[2]}>" if label(mark[2]) and mark[0] not in sentence else mark[0], body)
    return _answering(_labels_behind(body, sentence, label, repairs), sentence)


def _labels_behind(text: str, sentence: str, label: Label, repairs: Counter[str]) -> str:
    """The text with `burning pain (Sign)` as `<Sign>burning pain</Sign>`: back to a word that no mention begins with, or a mark."""
    pieces, at = [], 0
    for mark in _BEHIND.finditer(text):
        known = label(mark[1].strip())
        if known is None or re.sub(r"\s", "", mark[0]) in sentence:
            continue
        left = max(at, mark.start() - _REACH)
        before = text[left : mark.start()]
        begin = max((end.end() for end in _CLAUSE_END.finditer(before)), default=0)
        words = list(_WORD.finditer(before, begin))
        first = len(words)
        while first and (words[first - 1][0].casefold() not in _FIRST or (first > 1 and words[first - 2][0].casefold() == "of")):
            first -= 1
        if first == len(words):
            continue
        start = words[first].start()
        pieces.append(f"{text[at:left]}{before[:start]}<{known}>{before[start:].strip()}</{known}>")
        repairs["guessed_start"] += 1
        at = mark.end()
    return "".join([*pieces, text[at:]])


def _attributed(mark: re.Match[str], label: Label) -> str:
    if label(mark[1]) is not None:
        return f"<{mark[1]}>"
    for value in _VALUE.finditer(mark[2]):
        if (known := label(value[1] or value[2] or "")) is not None:
            return f"<{known}>"
    return mark[0]


def _answering(text: str, sentence: str) -> str:
    """Of several lines that hold the whole sentence the last, as those before it are drafts; else all."""
    wanted = folded(sentence).casefold()
    lines = [line for line in text.split("\n") if wanted and wanted in folded(_ANY_MARK.sub("", line)).casefold()]
    return lines[-1] if len(lines) > 1 or (lines and len(folded(text)) > 3 * len(folded(lines[0]))) else text
