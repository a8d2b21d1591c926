"""Normalizes the ways in which models mark mentions in a sentence to `<Label>mention</Label>`.

Besides the requested form, the module reads:

- marks with attributes (`<Sign type="x">`, `<entity type="Sign">`), with a BIO prefix (`<B-Sign>`), or escaped (`&lt;Sign&gt;`);
- one mark around label and mention (`<Sign: fever>`, `[Sign: fever]`, `[fever](Sign)`);
- a label after its mention (`fever (Sign)`), and brackets (`[Sign]fever[/Sign]`);
- thoughts, a draft or the bare sentence before the answer.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Callable, Sequence

from clinspan.programs.formats.matching import folded
from clinspan.programs.formats.replies import without_thoughts

# every repetition is bounded, because an answer may be 100,000 characters of any text
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
"""Words that cannot begin a mention. Before `mention (Label)`, they show where the mention begins."""


def plain_marks(text: str, tokens: Sequence[str], label: Label, repairs: Counter[str]) -> str:
    """Rewrite the marks in a text to the requested form. Text that is not a mark of a known label stays unchanged.

    Args:
        text: The text that the model wrote.
        tokens: The tokens of the sentence.
        label: Returns the label that a spelling names, or None.
        repairs: Counts `guessed_start` for each label after a mention, because it does not show where the mention begins.
    """
    body = without_thoughts(text)
    if "&lt;" in body and "<" not in body:
        body = html.unescape(body)
    sentence = "".join(tokens)
    body = _ATTRIBUTES.sub(lambda mark: _attributed(mark, label), body)
    body = _PREFIXED.sub(lambda mark: f"<{mark[1]}{mark[2]}>" if label(mark[2]) else mark[0], body)

    def named(mark: re.Match[str], name: str, inner: str) -> str:
        known = label(name.strip())
        in_sentence = re.sub(r"\s", "", mark[0]) in sentence
        return mark[0] if known is None or in_sentence else f"<{known}>{inner.strip()}</{known}>"

    body = _TOGETHER.sub(lambda mark: named(mark, mark[1] or mark[3], mark[2] or mark[4]), body)
    body = _LINKED.sub(lambda mark: named(mark, mark[2], mark[1]), body)
    body = _BRACKETS.sub(lambda mark: f"<{mark[1]}{mark[2]}>" if label(mark[2]) and mark[0] not in sentence else mark[0], body)
    return _answering(_labels_behind(body, sentence, label, repairs), sentence)


def _labels_behind(text: str, sentence: str, label: Label, repairs: Counter[str]) -> str:
    """Rewrite `burning pain (Sign)` to `<Sign>burning pain</Sign>`.

    The mention begins after the nearest word before it that cannot begin a mention, or after the nearest punctuation or mark.
    """
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
    """The last line that holds the whole sentence, if several do or the text is much longer than one that does; else the text.

    The lines before it are drafts or explanations.
    """
    wanted = folded(sentence).casefold()
    lines = [line for line in text.split("\n") if wanted and wanted in folded(_ANY_MARK.sub("", line)).casefold()]
    return lines[-1] if len(lines) > 1 or (lines and len(folded(text)) > 3 * len(folded(lines[0]))) else text
