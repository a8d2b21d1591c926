"""Order and wording of labels in prompts and answers; scores always use the corpus' own names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import get_args, Literal

from clinspan.corpora import Corpus, InputError, Label
from clinspan.corpora.bio import tag_spans

Order = Literal["corpus", "alphabetical", "frequent", "rare"]
Wording = Literal["corpus", "snake", "spoken", "upper"]
_WORDS: dict[str, Callable[[Label], str]] = {
    "corpus": lambda label: label.name,
    "snake": lambda label: "_".join(label.spoken.split()),
    "spoken": lambda label: label.spoken[:1].upper() + label.spoken[1:],
    "upper": lambda label: "".join(label.spoken.split()).upper(),
}


def present_labels(corpus: Corpus, order: str, wording: str) -> tuple[tuple[Label, ...], dict[str, str]]:
    """Order and name the labels for prompts. The mapping has the new name of each renamed label by its corpus name.

    Args:
        corpus: The corpus. Label frequencies come from its train split.
        order: The order of the `corpus`, `alphabetical`, or the most `frequent` or `rare` in train first.
        wording: The names of the `corpus`, `snake` (rare_disease), `spoken` (Rare disease) or `upper` (RAREDISEASE).

    Raises:
        InputError: An unknown order or wording, or two labels with the same new name.
    """
    for key, value, kind in (("label_order", order, Order), ("label_wording", wording, Wording)):
        if value not in get_args(kind):
            raise InputError(f"{key}={value} is not known", remedy=f"Use one of {', '.join(get_args(kind))}.")
    labels = list(corpus.labels)
    if order == "alphabetical":
        labels.sort(key=lambda label: label.name.casefold())
    elif order != "corpus":
        frequency = Counter(label for s in corpus.sentences("train") for _, _, label in tag_spans(s.tags))
        labels.sort(key=lambda label: frequency[label.name], reverse=order == "frequent")
    new_names = {label.name: _WORDS[wording](label) for label in labels}
    if len(set(new_names.values())) < len(new_names):
        raise InputError(f"label_wording={wording} gives two labels the same name", remedy="Use label_wording=corpus.")
    renamed = tuple(replace(label, name=new_names[label.name], phrase=label.phrase or label.spoken) for label in labels)
    return renamed, {name: new_name for name, new_name in new_names.items() if name != new_name}
