"""Self-verification: the model is asked about each span that it found, and a span stands if it says yes.

The idea is from Gero et al. 2023 (Self-Verification Improves Few-Shot Clinical Information Extraction); here each span is
a question of its own, so that the answer has a probability.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import dspy
from dspy import lm15

from corpora.bio import span_tags, tag_spans
from lms import Grammar
from programs.formats import Format
from programs.formats.base import answer_pieces, probability, shown_tokens, usage_of

SYSTEM = "You check the annotations of clinical sentences. Answer each question with yes or no."
_QUESTION = 'Sentence: {}\n\nIs "{}" in this sentence a mention of the type {}?{}\nAnswer yes or no.'
_GRAMMAR = Grammar({"start": [["yes"], ["no"]]})
_WORD = re.compile(r"\b(yes|no)\b", re.IGNORECASE)
_BUDGET = 16
_UNLIKELIER = math.nextafter(0.5, 0.0)


class Verifier:
    """Strikes spans that the model does not stand by. Works on the model that DSPy is set to, at one request a span.

    Args:
        form: The format that spans were found in; its labels, and whether and how answers can be held to a grammar, are used.
        threshold: Least probability of yes, 0 to 1. Where the model gives none, what it says counts as 1 or 0.
    """

    def __init__(self, form: Format, threshold: float) -> None:
        self.form, self.threshold = form, threshold
        names = {word: name for name, word in form.called.items()}
        self._labels = {names.get(label.name, label.name): label for label in form.labels}

    def __call__(self, found: dspy.Prediction, tokens: Sequence[str], id: str) -> dspy.Prediction:
        """Take the spans that are struck out of the prediction.

        Returns:
            The prediction itself, with `answers` and `usage` of the questions added, so that DSPy's trace has what stands;
            `repairs` counts `span_struck`, and `verdict_unread` where the answer was neither yes nor no: such a span
            stands. A struck token's confidence is None: nothing is known of its O.
        """
        lm = dspy.settings.lm
        answers, repairs, usage = dict(found.answers), Counter(found.repairs), Counter(found.usage)
        confidence = None if found.confidence is None else list(found.confidence)
        kept = []
        for start, end, name in tag_spans(found.tags):
            key = f"verify:{start}-{end}:{name}"
            response = lm(self.request(lm, tokens, (start, end, name), key=key, id=id))
            answers[key] = response.message.text or ""
            usage.update(usage_of(response))
            sure = _yes(answers[key], response.logprobs)
            repairs["verdict_unread"] += sure is None
            if sure is None or sure >= self.threshold:
                kept.append((start, end, name))
                continue
            repairs["span_struck"] += 1
            if confidence is not None:
                confidence[start:end] = [None] * (end - start)
        found.tags, found.confidence, found.answers = span_tags(len(tokens), kept), confidence, answers
        found.repairs, found.usage = dict(+repairs), dict(+usage)
        return found

    def request(self, lm: Any, tokens: Sequence[str], span: tuple[int, int, str], *, key: str, id: str) -> lm15.Request:
        """The question about a span; those about one sentence begin alike."""
        start, end, name = span
        words, label = shown_tokens(tokens), self._labels[name]
        text = _QUESTION.format(" ".join(words), " ".join(words[start:end]), label.spoken, f" {label.definition}".rstrip())
        return lm15.Request(model=lm.model, system=SYSTEM, messages=(lm15.Message.user(text),), config=self._config(lm, key, id))

    def _config(self, lm: Any, key: str, id: str) -> lm15.Config:
        if isinstance(lm.engine, str):
            return self.form.wire_config(_BUDGET, _GRAMMAR, None, None)
        extensions = {"longest": "yes", "id": id, "question": key}
        if self.form.constrained and getattr(lm.engine, "takes_grammar", False):
            extensions["grammar"] = _GRAMMAR.lark()
        return lm15.Config(temperature=0.0, extensions=extensions)


def _yes(text: str, logprobs: Sequence[lm15.TokenLogprob] | None) -> float | None:
    """The probability of yes by the first yes or no in an answer; None if it has neither.

    The word that was said is the likelier one: what other splits into tokens take of its probability counts for neither.
    """
    said = _WORD.search(text)
    if said is None:
        return None
    sure = probability(("", said.start(), said.end()), answer_pieces(logprobs))
    return max(sure, 0.5) if said[1].casefold() == "yes" else min(1.0 - sure, _UNLIKELIER)
