"""Order and wording of labels in prompts and answers; scores always use the corpus' own names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import get_args, Literal

from clinspan.corpora import Corpus, InputError, Label
from clinspan.corpora.bio import tag_spans

Order = Literal["corpus", "alphabetical", "frequent", "rare"]
Wording = Literal["corpus", "snake", "upper"]
_WORDS: dict[str, Callable[[Label], str]] = {
    "corpus": lambda label: label.name,
    "snake": lambda label: "_".join(label.spoken.split()),
    "upper": lambda label: "".join(label.spoken.split()).upper(),
}


def present_labels(corpus: Corpus, order: str, wording: str) -> tuple[tuple[Label, ...], dict[str, str]]:
    """Labels as prompts have them, and the word for each label's name where they differ.

    Args:
        corpus: Its train split says which labels are frequent.
        order: The corpus' own, `alphabetical`, or the most `frequent` or `rare` in train first.
        wording: The corpus' own names, `snake` (rare_disease) or `upper` (RAREDISEASE).

    Raises:
        InputError: An unknown word, or two labels that would be called the same.
    """
    for key, value, kind in (("label_order", order, Order), ("label_wording", wording, Wording)):
        if value not in get_args(kind):
            raise InputError(f"{key}={value} is not known", remedy=f"Use one of {', '.join(get_args(kind))}.")
    labels = list(corpus.labels)
    if order == "alphabetical":
        labels.sort(key=lambda label: label.name.casefold())
    elif order != "corpus":
        seen = Counter(label for s in corpus.sentences("train") for _, _, label in tag_spans(s.tags))
        labels.sort(key=lambda label: seen[label.name], reverse=order == "frequent")
    called = {label.name: _WORDS[wording](label) for label in labels}
    if len(set(called.values())) < len(called):
        raise InputError(f"label_wording={wording} gives two labels the same name", remedy="Use label_wording=corpus.")
    worded = tuple(replace(label, name=called[label.name], phrase=label.phrase or label.spoken) for label in labels)
    return worded, {name: word for name, word in called.items() if name != word}
