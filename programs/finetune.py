"""`python -m programs.finetune`: train a local model on the train split; no sentence of the test split is used.

A model that answers prompts learns the correct answers to a strategy's prompts. A token classifier learns the tags themselves.
"""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from clinspan import lms
from clinspan.corpora import Corpus, InputError, Sentence
from clinspan.corpora.full_mentions import Mentions
from clinspan.corpora.printable import plural
from clinspan.lms.classifiers.classifier import with_base
from clinspan.lms.weights.find import find_weights
from clinspan.programs.app.corpus_verdicts import warn
from clinspan.programs.app.cross_validation import cross_validate, Training
from clinspan.programs.app.hydra_app import log_to, run_app
from clinspan.programs.app.observability import observed
from clinspan.programs.app.run_documents import give_made, trained_document
from clinspan.programs.app.start_run import prepared
from clinspan.programs.building.build_run import build_program, Overrides
from clinspan.programs.building.chosen_sentences import choose_sentences
from clinspan.programs.config.all_folds import has_all_folds
from clinspan.programs.config.classifier_config import AnySpec
from clinspan.programs.config.composition import build, load_corpus, output_folder
from clinspan.programs.config.system_text import check_system_text
from clinspan.programs.run import execute as tag
from clinspan.programs.rundir.errors import RunError
from clinspan.programs.rundir.open_run import corpus_entry, OpenRun
from clinspan.programs.rundir.origin import merged, Origin, origin_of, read_origin
from clinspan.programs.rundir.printed_commands import scoring_command
from clinspan.programs.rundir.run_folder import now
from clinspan.programs.rundir.run_record import EpochRecord, ModelRecord, RunFacts, RunRecord, SizesRecord
from clinspan.programs.tagging.saved_program import dump_classifier, dump_program, trained_on, trained_weights
from clinspan.programs.tagging.strategy import Strategy
from clinspan.programs.tagging.training_records import training_records
from clinspan.reports.terminal.training import print_training, training_bar
from clinspan.tuning import Encoder, Options, Record, tune, tune_classifier, TuningResult

Result = TuningResult[lms.LocalModel] | TuningResult[lms.ClassifierModel]


def main(config: DictConfig) -> None:
    """Run one training: write the model to the folder, print the losses and, last, the folder's path."""
    with prepared(config, output_folder(), command="finetune") as (run, own):
        if not has_all_folds(own) and (stray := [key for key in run.record.given if key.split(".")[0] == "metric"]):
            raise InputError(f"{stray[0]} is for the scores of all folds", remedy="Leave it out, or set corpus.folds alone.")
        if not is_trained(run.record):  # otherwise the job was restarted or resumed
            with observed(own, run, command="finetune"):
                if has_all_folds(own):
                    cross_validate(run, own, tag=tag, training=Training(execute, is_trained))
                else:
                    execute(run, own)
    give_made("finetune", run.folder.path, trained_document)


def is_trained(record: RunRecord) -> bool:
    """Whether a training has finished."""
    return record.epochs is not None


def execute(run: OpenRun, config: DictConfig, within: Path | None = None) -> None:
    """Train, and report the result; without a report if the training is a fold of the cross-validation in the folder `within`."""
    log = log_to(run.folder.path)
    with run.recorded(log):
        options: Options = build(config.tuning)
        result = (classifier if isinstance(options, Encoder) else instructed)(config, options, run, log)
        log_result(log, result)
    run.write(about(result).plus(RunFacts(status="finished", ended=now())))
    if within is None:
        brings_model = isinstance(result.model, lms.ClassifierModel)
        record = run.record.content()
        weights = {setting_of(result): result.folder}
        print_training(record, scoring_command(record, run.folder.path, weights, classifier=brings_model))


def instructed(config: DictConfig, options: Options, run: OpenRun, log: logging.Logger) -> Result:
    """Train on prompts and their answers."""
    spec = local_model(config)
    if isinstance(spec, lms.ClassifierModel):
        raise RunError(f"model={spec.name} answers no prompts, so tuning={options.name} cannot train it: use tuning=encoder")
    folder = run.folder
    train, dev, origin = collect_records(config, spec, run)
    log.info("training %s on %d records, judged by %d", spec.name, len(train), len(dev))
    with training_bar() as progress:
        result = tune(
            spec, train, dev, options, folder=folder.path, seed=config.seed, progress=progress, origin=origin.model_dump()
        )
    content, model = folder.read("program.json"), result.model
    content["settings"]["adapter"] = trained_weights(model, folder=result.folder.name, revision=find_weights(model).revision)
    folder.write("program.json", content)
    return result


def classifier(config: DictConfig, options: Options, run: OpenRun, log: logging.Logger) -> Result:
    """Train a token classifier on sentences and their tags."""
    assert isinstance(options, Encoder)
    spec = local_model(config)
    if config.program is not None:
        raise InputError(f"tuning={options.name} has no prompt and does not use program=", remedy="Leave it out.")
    corpus = load_corpus(config)
    train, dev = note_sentences(config, corpus, spec, run)
    labels = [label.name for label in corpus.labels]
    options = dataclasses.replace(options, mentions=mentions_of(options, corpus))
    log.info("training %s on %d sentences, judged by %d", spec.name, len(train), len(dev))
    with training_bar() as progress:
        origin = merged(filter(None, [origin_of(corpus), trained_on(spec)]))
        result = tune_classifier(
            spec,
            train,
            dev,
            options,
            labels=labels,
            folder=run.folder.path,
            seed=config.seed,
            progress=progress,
            origin=origin.model_dump(),
        )
    run.folder.write("program.json", dump_classifier(result.model, corpus, folder=result.folder.name))
    return result


def mentions_of(options: Encoder, corpus: Corpus) -> Mentions:
    """Whether a word gets one tag or one of each label.

    Raises:
        InputError: It should get one of each label, and the corpus was read without its full mentions.
    """
    if options.mentions == "full" and not corpus.full:
        problem = "tuning.mentions=full needs the full mentions of the corpus"
        raise InputError(problem, remedy="Add corpus.mentions=full.")
    return options.mentions or ("full" if corpus.full else "flat")


def local_model(config: DictConfig) -> lms.LocalModel | lms.ClassifierModel:
    """The model that the config names.

    Raises:
        RunError: The model has no local weights.
    """
    spec: AnySpec = build(config.model)
    if not isinstance(spec, lms.LocalModel | lms.ClassifierModel):
        raise RunError(f"model={spec.name} has no weights here to train: use a local model, for example model=smollm2")
    return spec


def note_sentences(config: DictConfig, corpus: Corpus, spec: AnySpec, run: OpenRun) -> tuple[list[Sentence], list[Sentence]]:
    """Choose the train and dev sentences, and write corpus, model and sentence counts into the run's record."""
    warn(corpus)
    train, dev = choose_sentences(corpus, "train", config.limit)[0], dev_sentences(corpus, config.dev_limit)
    facts = RunFacts(
        corpus=corpus_entry(run.record, corpus, "train", run.folder.path),
        model=ModelRecord(name=spec.name),
        sentences=SizesRecord(train=len(train), dev=len(dev)),
        test_sentences=sum(1 for _ in corpus.sentences("test")),
    )
    run.write(facts)
    return train, dev


def collect_records(config: DictConfig, spec: lms.LocalModel, run: OpenRun) -> tuple[list[Record], list[Record], Origin]:
    """Training records, dev records and their origin. The run's folder first gets the program and a note on the sentences."""
    strategy: Strategy = build(config.strategy)
    if strategy.context != "none":
        raise InputError("fine-tuning does not support retrieved context", remedy="Use strategy=zero_shot, few_shot or knn.")
    corpus = load_corpus(config)
    train, dev = note_sentences(config, corpus, spec, run)
    program_config, overrides = config.copy(), Overrides.of(run.record)
    check_system_text(config, overrides.keys, spec)
    if strategy.demonstrations == "nearest":
        OmegaConf.update(program_config, "strategy.k", strategy.k + 1)  # the nearest neighbour of a training sentence is itself
        overrides = Overrides(overrides.choices, overrides.keys | {"strategy.k"})
    program = build_program(program_config, corpus, [*train, *dev], spec, overrides=overrides)
    if program.votes:
        raise RunError("program= is an ensemble: give one of its members")
    run.add(program.facts)
    tagger, adapter = program.members[0].tagger, program.adapter
    tagger.settings["strategy"]["k"] = strategy.k
    content = dump_program(tagger, corpus, learned=True)
    run.folder.write("program.json", content)
    origin = merged(filter(None, [read_origin(content), trained_on(spec)]))
    most = strategy.k + strategy.shared if strategy.demonstrations == "nearest" else None
    return training_records(tagger, adapter, train, most=most), training_records(tagger, adapter, dev, most=most), origin


def dev_sentences(corpus: Corpus, limit: int | None) -> list[Sentence]:
    """The sentences to evaluate the training on: none for limit 0 or in a corpus without a dev split."""
    if limit == 0 or not any(corpus.sentences("dev")):
        return []
    return choose_sentences(corpus, "dev", limit)[0]


def setting_of(result: Result) -> str:
    """The setting that takes the trained weights."""
    return "model.adapter" if result.model.adapter else "model.path"


def about(result: Result) -> RunFacts:
    """The facts about a training for `run.json`."""
    model = result.model
    weights = find_weights(with_base(model) if isinstance(model, lms.ClassifierModel) else model)
    return RunFacts(
        model=ModelRecord(name=model.name, id=weights.id, revision=weights.revision),
        records=SizesRecord(train=result.records, dev=result.dev_records, left_out=dict(Counter(result.left_out))),
        epochs=[EpochRecord.model_validate(dataclasses.asdict(epoch)) for epoch in result.epochs],
        best_epoch=result.best,
        members_f1=result.members_f1,
        decisions_f1=None if result.decisions_f1 is None else dict(result.decisions_f1),
        steps=result.steps,
        parameters=result.parameters,
        use=setting_of(result),
    )


def log_result(log: logging.Logger, result: Result) -> None:
    """Log the scores of each epoch and the number of records left out."""
    for epoch in result.epochs:
        member = "" if epoch.member is None else f"member {epoch.member}, "
        log.info(
            "%sepoch %d: train loss %s, dev loss %s, dev F1 %s",
            member,
            epoch.number,
            epoch.train_loss,
            epoch.dev_loss,
            epoch.dev_f1,
        )
    if result.left_out:
        number = len(result.left_out)
        log.warning("%d %s longer than tuning.max_length and left out", number, plural(number, "record was", "records were"))
    log.info("done: %d steps, the weights of epoch %d are kept", result.steps, result.best)


if __name__ == "__main__":
    run_app("finetune", main)
