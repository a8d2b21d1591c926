"""The typed record of a run, `run.json`, and its parts.

A record does not change: parts of a command return what they learned as `RunFacts`, and `plus` makes the next record.
`open_run.OpenRun` holds the current record while a command works, and writes it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import core_schema

from clinspan.metrics import Mode
from clinspan.programs.rundir.typed_json import Record

Status = Literal["started", "finished", "failed"]
Used = dict[str, int | float]
"""Tokens and passes of a model, by name."""


class CorpusRecord(Record):
    """The corpus of a run."""

    name: str
    sha256: str
    phi: bool = Field(description="whether it may hold protected health information")
    split: str
    documents: dict[str, list[str]] | None = Field(default=None, description="ids by split, of a corpus that the settings divide")


class ModelRecord(Record):
    """The model. Local ones have further keys: the number format and the devices that they compute in and on."""

    name: str | None = None
    id: str | None = None
    revision: str | None = None


class ProgramRecord(Record):
    """The saved program that a run began with."""

    path: str
    id: str | None = Field(default=None, description="its fingerprint")
    by: str | None = Field(default=None, description="the optimizer that made it")


class FileRecord(Record):
    """A file that prompts come from."""

    path: str
    sha256: str


class GitRecord(Record):
    """The checkout; null outside one."""

    commit: str | None = None
    dirty: bool | None = None


class TrackingRecord(Record):
    """The MLflow run of a run."""

    store: str
    run: str


class InputRecord(Record):
    """The notes of an annotation."""

    path: str
    documents: int | None
    encoding: str
    phi: bool


class AnnotatorRecord(Record):
    """Ids of the model, the program and the whole annotator."""

    model: str
    program: str
    by: str


class FoldsRecord(Record):
    """The folds of a cross-validation."""

    number: int
    seed: int
    group: str | None = None
    documents: list[list[str]] | None = Field(default=None, description="ids of the test documents of each fold")


class OptimizerRecord(Record):
    """The optimizer and, as further keys, its settings."""

    name: str


class StartRecord(Record):
    """The program that a compilation began with."""

    key: str
    f1: float


class BestRecord(Record):
    """The program that a compilation keeps."""

    key: str
    by: str
    sentences: int
    tokens: Used = Field(default={})
    micro: float
    macro: float
    mapped: int | None = None  # mentions on dev that its map of confidences was fitted to; None: it has none


class SizesRecord(Record):
    """Numbers of sentences, or of training records."""

    train: int
    dev: int
    left_out: dict[str, int] | None = Field(default=None, description="times that a sentence was too long, by its id")


class EpochRecord(Record):
    """An epoch of a training; see `tuning.results.Epoch`."""

    number: int
    train_loss: float | None = None
    dev_loss: float | None = None
    dev_f1: float | None = None
    member: int | None = None


class CountsRecord(Record):
    """What was tagged: sentences of a run; documents, sentences and entities of an annotation."""

    documents: dict[str, int] = Field(default={})
    sentences: int = 0
    failed: int = 0
    cuts: int = 0
    below_min_confidence: dict[str, int] = Field(default={})
    entities: dict[str, int] = Field(default={})
    repairs: dict[str, int] = Field(default={})


class FoldTrainings(Record):
    """What the trainings or compilations of all folds used."""

    seconds: float
    tokens: Used


class RunFacts(Record):
    """Entries of `run.json`. Only those that are set count: a part of a command returns what it adds to the record.

    >>> RunFacts(seconds=2.5, cost=None).content()
    {'seconds': 2.5, 'cost': None}
    """

    status: Status | None = None
    started: str | None = Field(default=None, description="UTC")
    config: dict[str, Any] = Field(default={})
    choices: dict[str, str] = Field(default={}, description="the option of each group of the config")
    given: list[str] = Field(default=[], description="keys and groups that the user has set")
    project: dict[str, Any] = Field(default={}, description="settings of the project file clinspan.yaml that the run has")
    seed: int | None = None
    drawn: list[str] | None = Field(default=None, description="what another seed would change")
    python: str | None = None
    packages: dict[str, str | None] = Field(default={})
    git: GitRecord | None = None
    cores: int | None = None
    tracking: TrackingRecord | None = None
    input: InputRecord | None = None
    engine: str | None = Field(default=None, description="of an annotation: local or ray")
    shards: int | None = None
    workers: int | None = None
    corpus: CorpusRecord | None = None
    folds: FoldsRecord | None = None
    optimizer: OptimizerRecord | None = None
    trainset: list[str] = Field(default=[])
    devset: list[str] = Field(default=[])
    test: str | None = Field(default=None, description="a remark on the test split")
    model: ModelRecord | None = None
    sentences: SizesRecord | None = None
    test_sentences: int | None = None
    program: ProgramRecord | None = None
    demonstrations: list[str | None] | None = Field(default=None, description="sentence ids of fixed demonstrations")
    embedder: str | None = None
    retrieval: dict[str, Any] | None = Field(default=None, description="the knowledge base")
    files: dict[str, FileRecord] | None = Field(default=None, description="files that prompts come from, by setting")
    dictionary: dict[str, Any] | None = Field(default=None, description="source and number of the names that decisions weigh")
    reflection_model: str | None = None
    annotator: AnnotatorRecord | None = None
    error: str | None = Field(default=None, description="the class of the error that ended the run")
    reason: str | None = Field(default=None, description="what a job of a sweep lacked")
    seconds: float | None = Field(default=None, description="of all attempts")
    ended: str | None = Field(default=None, description="UTC")
    resumed: list[str] = Field(default=[], description="times in UTC")
    candidates: int | None = None
    best: BestRecord | None = None
    pool: int | None = Field(default=None, description="train sentences among which the program finds nearest demonstrations")
    start: StartRecord | None = None
    target: str | None = None
    records: SizesRecord | None = None
    epochs: list[EpochRecord] | None = None
    best_epoch: int | None = None
    members_f1: float | None = Field(default=None, description="micro F1 on dev by the averaged probabilities of several trainings")
    decisions_f1: dict[str, float] | None = Field(
        default=None, description="micro F1 on dev by how a token classifier chooses mentions, each document by a fit to others"
    )
    steps: int | None = None
    parameters: int | None = None
    use: str | None = Field(default=None, description="the setting that takes the trained weights")
    counts: CountsRecord | None = None
    tokens: Used = Field(default={}, description="tokens and passes of the model, of all sentences")
    writer_tokens: Used = Field(default={})
    requests: int | None = Field(default=None, description="answers that a compilation asked its models for")
    served: dict[str, int] = Field(default={}, description="sentences by the model name that the server reported")
    cost: float | None = Field(default=None, description="by the model's prices; null where they are not known")
    training: FoldTrainings | None = None

    def plus(self, facts: RunFacts) -> Self:
        """These entries, with others added or replaced."""
        return self.model_copy(update=facts._entries())

    def only(self, *names: str) -> RunFacts:
        """Some of the entries, as far as they are set."""
        return RunFacts.model_validate({name: value for name, value in self._entries().items() if name in names})

    def _entries(self) -> dict[str, Any]:
        return {name: value for name, value in self if name in self.model_fields_set}


class RunRecord(RunFacts):
    """The content of `run.json`.

    >>> record = RunRecord(status="started").plus(RunFacts(status="failed", error="OSError"))
    >>> record.content(), record.begun_again("2026-01-31T10:00:00Z").content()
    ({'status': 'failed', 'error': 'OSError'}, {'status': 'started', 'resumed': ['2026-01-31T10:00:00Z']})
    """

    status: Status

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do, as for a finished job of a restarted sweep."""
        return self.status == "finished"

    @property
    def begun(self) -> bool:
        """Whether its corpus or its input is known."""
        return self.corpus is not None or self.input is not None

    def begun_again(self, at: str) -> RunRecord:
        """The record of the run as it is resumed at a time: its error is over."""
        kept = {name: value for name, value in self._entries().items() if name not in ("error", "reason")}
        return RunRecord.model_validate({**kept, "status": "started", "resumed": [*self.resumed, at]})


class MetricConfig(Record):
    """The settings of `metric` in a run's config that decide how tags are read."""

    mode: Mode


class RunConfig(Record):
    """The config of a run as it was composed."""

    metric: MetricConfig


class _CheckedBy:
    """Marks a JSON object that is checked as a record, but kept as it is, with the order of its keys."""

    def __init__(self, record: type[Record]) -> None:
        self.record = record

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        def checked(value: object, check: core_schema.ValidatorFunctionWrapHandler) -> object:
            check(value)
            return value

        plain = core_schema.plain_serializer_function_ser_schema(lambda value: value)
        return core_schema.no_info_wrap_validator_function(checked, handler.generate_schema(self.record), serialization=plain)


class FinishedRun(RunRecord):
    """The `run.json` of a run that has finished and is scored."""

    status: Literal["finished"] = "finished"
    config: Annotated[dict[str, Any], _CheckedBy(RunConfig)]

    @property
    def mode(self) -> Mode:
        """How its scores read tags."""
        mode: Mode = self.config["metric"]["mode"]
        return mode
