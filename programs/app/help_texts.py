"""What `--help` shows of each command: the settings that people set most, and examples. Tests compare it with `conf/`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Guide:
    """The short help of a command.

    Attributes:
        about: What it needs and what it leaves behind, in a line or two.
        keys: Settings to show, in this order; a dot stands before a nested key.
        examples: Words after the command, as a shell takes them.
        takes: The words that it takes besides settings.
    """

    about: str
    keys: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    takes: str = ""


FIRST_OPTIONS = {
    "corpus": ("brat", "csv", "jsonl", "conll", "raremini"),
    "format": ("bio_lines", "entities", "inline", "phrases"),
    "model": ("smollm2", "qwen3", "hf", "azure", "openai"),
    "optimizer": ("coverage", "decisions", "mipro", "gepa"),
    "reflection_model": ("azure", "openai", "gpt5", "qwen3"),
    "strategy": ("zero_shot", "few_shot", "knn", "rag"),
    "tuning": ("encoder", "lora", "label_supervised"),
}
"""The options that are shown first. Of other groups the first ones by name are."""

GUIDES = {
    "start": Guide(
        "FOLDER holds notes with annotations. The settings that read them go to clinspan.yaml; the notes stay as they are.",
        ("force",),
        ("notes", "notes force=true", "notes 'corpus.map={Symptom: Sign}'"),
        takes="FOLDER",
    ),
    "init": Guide(
        "Both files are new; nothing is replaced.",
        ("output", "script"),
        ("", "model=qwen3 strategy=knn", "output=configs/experiment/second.yaml script=second.py"),
    ),
    "check": Guide(
        "Each line says what was found and what to do. Exit code 1: there is an error.",
        (),
        ("", "corpus=brat corpus.path=notes", "corpus=csv corpus.path=mentions corpus.texts=texts"),
    ),
    "run": Guide(
        "Predictions, prompts, scores and errors go to a new folder below runs/run, whose path is the last line.",
        (
            *("split", "limit", "limit_documents", "sample", "program", "seed", "name", "resume"),
            *("plan", "budget", "allow_remote", "stop_after"),
        ),
        ("limit=20", "corpus=brat corpus.path=notes strategy=zero_shot", "model=azure model.deployment=gpt-4o strategy=knn"),
    ),
    "optimize": Guide(
        "The best program goes to program.json of a new folder below runs/optimize. The test split is not touched.",
        (
            "target",
            "train_limit",
            "dev_limit",
            "program",
            "reflection_model",
            "seed",
            "name",
            "resume",
            "plan",
            "allow_remote",
        ),
        ("optimizer=knn", "format=phrases optimizer=decisions", "optimizer=coverage train_limit=100 dev_limit=40"),
    ),
    "compare": Guide(
        "RUN is a folder, a name, latest, previous, or settings to run first. The other runs are compared with the first one.",
        ("samples", "seed", "common"),
        ("previous latest", "runs/run/first runs/run/second", "previous latest common=true"),
        takes="RUN RUN [RUN ...]",
    ),
    "finetune": Guide(
        "The weights go to a new folder below runs/finetune; the command that scores them is printed.",
        ("limit", "dev_limit", "program", "seed", "name", "resume"),
        ("tuning=encoder", "tuning=lora tuning.epochs=2", "corpus=brat corpus.path=notes corpus.folds=5 tuning=encoder"),
    ),
    "annotate": Guide(
        "The output goes to a folder whose path is the last line. The same command continues after an interruption.",
        ("input", "output", "to", "program", "phi", "sentences", "encoding", "engine", "allow_remote"),
        ("program=bundled input=notes", "input=notes output=found 'to=[csv,html]'", "input=- to=jsonl"),
    ),
    "report": Guide(
        "FOLDER is a run, a sweep, a name, latest or previous. The last line is the folder of the page report.html.",
        ("redact",),
        ("latest", "runs/run", "previous latest redact=true"),
        takes="FOLDER [FOLDER ...]",
    ),
    "score": Guide(
        "RUN is a folder, a sweep, a name, latest or previous. Nothing is written, unless output or write says so.",
        ("match", "metric.mode", "all", "pool", "gold", "predicted", "split", "output", "write"),
        ("latest match=relaxed", "latest all=true", "gold=notes predicted=found"),
        takes="RUN [RUN ...]",
    ),
    "runs": Guide(
        "Runs are named, filtered and deleted here. Other commands take their names.",
        ("folder", "where", "last", "rename", "to", "delete", "yes"),
        ("last=5", "'where=[corpus=brat,state=finished]'", "rename=latest to=baseline"),
    ),
    "export": Guide(
        "RUN is a folder, a name, latest or previous. The files go to a new folder.",
        ("to", "output"),
        ("latest", "latest output=results", "latest 'to=[brat,errors_csv]'"),
        takes="RUN",
    ),
    "convert": Guide(
        "What the other format cannot hold is counted and said.",
        ("to", "output", "mentions"),
        ("output=out", "corpus=brat corpus.path=notes to=conll output=out", "corpus=csv corpus.path=mentions to=brat output=out"),
    ),
    "stats": Guide(
        "Documents, sentences and mentions by split, and what the conversion to tags changed.",
        (),
        ("", "corpus=brat corpus.path=notes", "corpus=conll corpus.path=data 'corpus.map={Symptom: Sign}'"),
    ),
    "doctor": Guide(
        "Model, corpus, memory, packages and keys are looked at. Nothing is downloaded, and no text is sent.",
        (),
        ("", "model=qwen3 corpus=brat corpus.path=notes", "model=azure model.deployment=gpt-4o"),
    ),
}
"""The guide of each command of `clinspan`."""
