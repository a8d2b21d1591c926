"""Fine-tuning of token classifiers: an encoder, or a decoder without its causal mask, under a head over BIO tags."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TYPE_CHECKING

from clinspan.corpora import InputError, Sentence
from clinspan.corpora.bio import bio_classes
from clinspan.corpora.tag_layers import layer_classes, TagLayers
from clinspan.lms import ClassifierModel, LocalModel, ModelError
from clinspan.lms.classifiers.classifier import read_note
from clinspan.lms.classifiers.subwords import LEAST_WINDOW, SubwordEncoder
from clinspan.lms.classifiers.token_classification import is_decoder, load_head, longest_window
from clinspan.lms.weights.find import find_weights, own_classes
from clinspan.lms.weights.lora import calm
from clinspan.lms.weights.placement import device_of
from clinspan.tuning.causal import check_trainable
from clinspan.tuning.deciding import fit_on_dev
from clinspan.tuning.members import tune_members
from clinspan.tuning.options import Encoder, LabelSupervised
from clinspan.tuning.results import result_of, TuningResult
from clinspan.tuning.saving import CHECKPOINTS, MODEL, save_model

if TYPE_CHECKING:
    from clinspan.tuning.trainer import Progress

_HEADS = ["classifier", "score"]


@calm()
def tune_classifier(
    spec: ClassifierModel | LocalModel,
    train: Sequence[Sentence],
    dev: Sequence[Sentence],
    options: Encoder,
    *,
    labels: Sequence[str],
    folder: Path,
    seed: int = 0,
    progress: Progress | None = None,
    origin: Mapping[str, Any] | None = None,
) -> TuningResult[ClassifierModel]:
    """Train a model to give each word of a sentence its BIO tag, and keep the epoch with the highest F1 on the dev sentences.

    Confidences in mentions are mapped to how often such mentions are right on dev, and decisions are fitted there: which possible
    mentions count. Both are in the note beside the weights.

    An interrupted call resumes from its last checkpoint when it is repeated with the same arguments.

    Args:
        spec: The model to start from.
        train: Training sentences. Each is read by itself, and none is cut.
        dev: Sentences for the evaluation after each epoch. If there are none, the last epoch's weights are kept.
        options: `Encoder` or, for a decoder, `LabelSupervised`; without `mentions`, tags are flat.
        labels: Entity types, in the order of the tags.
        folder: Where `model/` is written, and `checkpoints/` during training.
        seed: Seed of the head's initial weights, the sentence order and dropout. Results repeat on the same machine.
        progress: Called after each step.
        origin: Provenance of the training data, for the note beside the weights.

    Raises:
        InputError: No sentence has a word, or `max_length` is too small.
        ModelError: The model is not available or cannot be trained this way here.
    """
    if options.members > 1:

        def one(place: Path, member_seed: int, shown: Progress | None) -> TuningResult[ClassifierModel]:
            how: Any = {"labels": labels, "seed": member_seed, "progress": shown, "origin": origin}
            single = replace(options, members=1, decisions="tags")
            return tune_classifier(spec, train, dev, single, folder=place, **how)

        return tune_members(one, train, dev, options, folder=folder, seed=seed, progress=progress)
    from transformers import set_seed

    from clinspan.tuning.classifier_trainer import ClassifierTrainer
    from clinspan.tuning.trainer import train_on

    if options.decisions == "counted" and options.mentions == "full":
        problem = "tuning.decisions=counted chooses among tags of one layer, and tuning.mentions=full has a layer for each type"
        raise InputError(problem, remedy="Leave it out, or set tuning.mentions=flat.")
    began = time.monotonic()
    base = _base(spec, options)
    if not any(sentence.tokens for sentence in train):
        raise InputError(f"none of {len(train)} training sentences has a word", remedy="Give others.")
    weights, classes = find_weights(base), (layer_classes if options.mentions == "full" else bio_classes)(labels)
    set_seed(seed)
    model, tokenizer = load_head(weights.folder, device_of(base), classes)
    _check_kind(model, spec.name, options)
    layers = TagLayers.of(classes)
    if layers.by_label and own_classes(weights.folder) != classes:
        _begin_with_shares(model, train, layers)
    encoder = SubwordEncoder(tokenizer, window=min(options.max_length, longest_window(model)))
    checkpoints = (folder / CHECKPOINTS).resolve()
    where: Any = {"folder": checkpoints, "seed": seed, "progress": progress}
    trainer = ClassifierTrainer(_prepared(model, options), options, train, dev, encoder=encoder, layers=layers, **where)
    train_on(trainer)
    base_source = {key: getattr(base, key) for key in ("hub_id", "revision", "package")}
    fitted = fit_on_dev(train, dev, trainer.dev_tables(), layers, options, seed=seed)
    note = {"classes": classes, "window": options.max_length, "base": base_source, "origin": origin, **fitted.note}
    save_model(trainer.model, tokenizer, folder / MODEL, name=spec.name, weights=weights, more=note)
    shutil.rmtree(checkpoints, ignore_errors=True)
    counts: Any = {"records": len(train), "dev_records": len(dev), "left_out": (), "decisions_f1": fitted.f1}
    return result_of(trainer, folder / MODEL, classifier_spec(base, options, folder / MODEL), **counts, began=began)


def classifier_spec(base: ClassifierModel, options: Encoder, folder: Path) -> ClassifierModel:
    """The spec that loads the trained adapter or model from a folder."""
    if not isinstance(options, LabelSupervised):
        return replace(base, path=str(folder))
    if options.rank is not None:
        return replace(base, name=options.name, adapter=str(folder))
    return replace(base, name=options.name, path=str(folder), hub_id=None, revision=None, package=None)


def _base(spec: ClassifierModel | LocalModel, options: Encoder) -> ClassifierModel:
    """The classifier spec of the model to train, if it can be trained."""
    check_trainable(spec)
    if spec.adapter:
        raise ModelError("a model that already has an adapter cannot be tuned further here: remove model.adapter")
    if spec.path and read_note(Path(spec.path).expanduser()).get("members", 1) > 1:
        raise ModelError("the averaged models of tuning.members cannot be tuned further: start from a model that is one")
    if options.max_length < LEAST_WINDOW:
        raise InputError(f"tuning.max_length={options.max_length} is too small", remedy=f"Use at least {LEAST_WINDOW}.")
    keys = {field.name for field in dataclasses.fields(ClassifierModel)} - {"batch_size"}
    return ClassifierModel(**{key: getattr(spec, key) for key in keys})


def _check_kind(model: Any, name: str, options: Encoder) -> None:
    decoder = is_decoder(model.config)
    if decoder and not isinstance(options, LabelSupervised):
        raise ModelError(f"model={name} is a decoder: use tuning=label_supervised, or an encoder such as model=minilm")
    if isinstance(options, LabelSupervised) and not decoder:
        raise ModelError(f"model={name} is an encoder: use tuning=encoder, or a decoder such as model=smollm2")


def _begin_with_shares(model: Any, train: Sequence[Sentence], layers: TagLayers) -> None:
    """Give a new head with a layer for each label a bias such that at first each tag is as likely as it is frequent in train.

    Nearly all words have `O` in nearly all layers. Without the bias the first steps teach this to the model below the head, which
    then no longer tells words apart (Lin et al. 2017, "Focal loss for dense object detection", 4.1, begin likewise).
    """
    import torch

    counts = torch.ones(len(layers.lattices), layers.width)
    for sentence in train:
        for numbers in layers.targets(sentence):
            counts[range(len(numbers)), numbers] += 1
    shares = (counts / counts.sum(1, keepdim=True)).log().flatten()
    for name in _HEADS:
        bias = getattr(getattr(model, name, None), "bias", None)
        if bias is not None:
            with torch.no_grad():
                bias.copy_(shares)


def _prepared(model: Any, options: Encoder) -> Any:
    """Prepare the model for training: all of its weights, or a new adapter with the head."""
    model.config.use_cache = False
    if not isinstance(options, LabelSupervised) or options.rank is None:
        return model.requires_grad_(True)
    from peft import get_peft_model, LoraConfig

    model.name_or_path = ""  # otherwise adapters name a local folder, or peft queries the hub
    lora = {"r": options.rank, "lora_alpha": options.alpha, "lora_dropout": options.dropout}
    heads = [name for name in _HEADS if hasattr(model, name)]
    kinds = {"task_type": "TOKEN_CLS", "target_modules": "all-linear", "exclude_modules": heads, "modules_to_save": heads}
    return get_peft_model(model, LoraConfig(**kinds, **lora))
