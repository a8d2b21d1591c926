"""`python -m programs.annotate`: find entities in texts that nobody has annotated."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from clinspan.corpora import InputError
from clinspan.corpora.json_text import parse_json
from clinspan.corpora.printable import plural, printable
from clinspan.corpora.readers.notes import check_encoding, passed_over, read_notes
from clinspan.programs.annotation.annotator import Facts, SERVED
from clinspan.programs.annotation.build_annotator import annotator_settings, build_annotator
from clinspan.programs.annotation.job import AnnotationJob, JobStats, Notes
from clinspan.programs.annotation.min_confidence import removed
from clinspan.programs.annotation.note_index import write_index
from clinspan.programs.annotation.ray.driver import annotate_on_ray, input_record, scale_of, Work
from clinspan.programs.annotation.writers import check_formats, DocumentWriter
from clinspan.programs.app.error_text import watch
from clinspan.programs.app.hydra_app import log_to, run_app
from clinspan.programs.app.observability import observed
from clinspan.programs.app.results import give
from clinspan.programs.app.run_documents import annotated_document
from clinspan.programs.app.start_run import first_record
from clinspan.programs.building.build_run import Overrides
from clinspan.programs.config.composition import folder_path
from clinspan.programs.inference.spending import BudgetError, Spending
from clinspan.programs.rundir.errors import RunError, writing
from clinspan.programs.rundir.locks import LOCK, one_writer
from clinspan.programs.rundir.open_run import OpenRun
from clinspan.programs.rundir.printed_commands import same_command, shown_path
from clinspan.programs.rundir.run_folder import now, RunFolder, write_whole
from clinspan.programs.rundir.run_record import CountsRecord, RunFacts
from clinspan.programs.rundir.usage import changed_model, cost
from clinspan.reports.wording import count_words


def main(config: DictConfig) -> None:
    """Annotate all inputs into the output folder and print its path last. Failed documents make the exit code 2."""
    to = [config.to] if isinstance(config.to, str) else list(config.to or [])
    check_formats(to)
    check_encoding(config.encoding)
    folder = _output(config)
    with one_writer(folder.path):
        execute(config, folder, to)


def execute(config: DictConfig, folder: RunFolder, to: list[str]) -> None:
    """Annotate the input and write the results in the formats `to`."""
    source = _kept_input(folder.path) if config.input == "-" else folder_path(config.input)
    watch(config, folder.path)
    config, overrides = annotator_settings(config, Overrides.now())
    notes: Notes = partial(read_notes, source, encoding=config.encoding, leave=folder.path)
    scale = scale_of(config, overrides.keys, folder)
    run = OpenRun(folder, first_record(config, overrides.choices, overrides.keys))
    documents = sum(1 for _ in notes()) if scale is None else None
    run.write(RunFacts(input=input_record(config, documents), engine=config.engine))
    log = log_to(folder.path)
    with observed(config, run, command="annotate"), run.recorded(log):
        work = Work(config=config, overrides=overrides, to=to, run=run, log=log)
        facts, stats = _here(work, notes, documents or 0) if scale is None else annotate_on_ray(work, notes, scale, _progress_bar)
        if "html" in to:
            with writing(folder.path):
                write_index(folder.path, facts.labels)
        run.add(_counted(stats).plus(RunFacts(status="finished", ended=now(), cost=cost(stats.used, facts.price))))
    log.info("done")
    print(printable(_summary(stats, facts.labels)))
    if skipped := passed_over(source, folder.path):
        print(printable("skipped files that are not notes: " + ", ".join(f"{n:,} {suffix}" for suffix, n in skipped.items())))
    give("annotate", folder.path, partial(annotated_document, folder.path))
    if failed := stats.documents["failed"]:
        total = stats.documents.total()
        raise RunError(
            f"{failed} of {total} {plural(total, 'document')} failed; {folder.path / 'failed.jsonl'} lists them with the reasons"
        )


def _here(work: Work, notes: Notes, documents: int) -> tuple[Facts, JobStats]:
    """Annotate in this process."""
    annotator, path = build_annotator(work.config, work.overrides), work.run.folder.path
    work.started(annotator.facts, documents)
    writer = DocumentWriter(path, work.to, annotator.facts.labels)
    writer.open()
    spending = getattr(annotator.tagger, "spending", None)
    with _progress_bar(documents, spending) as progress:
        session = AnnotationJob(annotator, writer, path, stop_after=work.config.stop_after, progress=progress)
        if spending is not None:
            spending.spent = cost(session.journal.spent, annotator.facts.price) or 0.0
        try:
            return annotator.facts, session.run(notes)
        except BudgetError as error:
            again = same_command("annotate", "output", shown_path(path), budget=2 * error.budget)
            raise RunError(f"{error}: continue with a larger budget: {again}") from None


def _output(config: DictConfig) -> RunFolder:
    """Check the input and return the output folder.

    Raises:
        InputError: The input is not named, or the input or the output folder cannot be used.
    """
    if not config.input:
        raise InputError("input is not set", remedy="Add input=PATH, or input=- for standard input.")
    source = folder_path(config.input)
    output = folder_path(config.output or time.strftime("runs/annotate/%Y-%m-%d_%H-%M-%S"))
    if config.input != "-":
        next(iter(read_notes(source, encoding=config.encoding, leave=output)), None)  # reports a bad input before a folder is made
        if source.resolve() == output.resolve():
            raise InputError("is both input and output", path=output, remedy="Name another folder: output=FOLDER.")
    if output.exists() and (not output.is_dir() or _holds_others(output)):
        raise InputError("contains files other than annotations", path=output, remedy="Name a new or an empty folder.")
    return RunFolder(output)


def _holds_others(output: Path) -> bool:
    """Whether a folder has no annotations but holds files that are not leftovers of a session killed at its start."""
    leftovers = (LOCK, ".run.json.part", "stdin.txt", "stdin.jsonl", ".stdin.txt.part", ".stdin.jsonl.part")
    return not (output / "run.json").is_file() and any(path.name not in leftovers for path in output.iterdir())


def _kept_input(folder: Path) -> Path:
    """Save standard input to a file, so that its text cannot be lost, and return the path."""
    content = sys.stdin.buffer.read()
    if not content.strip():
        raise InputError("standard input is empty", remedy="Pipe text or JSON lines into it.")
    first = content.strip().split(b"\n", 1)[0]
    try:
        is_json_lines = isinstance(parse_json(first), dict)
    except ValueError:
        is_json_lines = False
    path = folder / f"stdin{'.jsonl' if is_json_lines else '.txt'}"
    with writing(folder):
        write_whole(path, content)
    return path


def _counted(stats: JobStats) -> RunFacts:
    counts = CountsRecord(
        documents={key: stats.documents[key] for key in ("annotated", "kept", "failed")},
        sentences=stats.counts["sentences"],
        cuts=stats.counts["cuts"],
        below_min_confidence=dict(removed(stats.counts)),
        entities=dict(sorted(stats.entities.items())),
        repairs=dict(stats.repairs),
    )
    facts = RunFacts(counts=counts, tokens=dict(stats.used))
    return facts.plus(RunFacts(served=by_model)) if (by_model := _served(stats)) else facts


def _served(stats: JobStats) -> dict[str, int]:
    """Number of sentences by the model name that the server reported."""
    return {name.removeprefix(SERVED): n for name, n in stats.counts.most_common() if name.startswith(SERVED)}


def _summary(stats: JobStats, labels: tuple[str, ...]) -> str:
    """
    >>> from collections import Counter
    >>> print(_summary(JobStats(Counter(annotated=2), Counter(sentences=9), Counter(Sign=3)), ("Sign",)))
    2 documents annotated, 0 kept, 0 failed; 9 sentences
    3 entities: 3 Sign
    """
    done, sentences = stats.documents, stats.counts["sentences"]
    lines = [f"{done['annotated']} {plural(done['annotated'], 'document')} annotated, {done['kept']} kept, {done['failed']} failed"]
    lines[0] += f"; {sentences} {plural(sentences, 'sentence')}"
    if cuts := stats.counts["cuts"]:
        lines[0] += f", {cuts} {plural(cuts, 'cut')} in sentences that were too long"
    by_label = ", ".join(f"{stats.entities[label]} {label}" for label in labels if stats.entities[label])
    lines.append(
        f"{stats.entities.total()} {plural(stats.entities.total(), 'entity', 'entities')}: {by_label}"
        if by_label
        else "no entities"
    )
    if low := removed(stats.counts):
        which = ", ".join(f"{low[label]} {label}" for label in labels if label in low)
        lines.append(f"{sum(low.values())} {plural(sum(low.values()), 'mention')} left out, below min_confidence: {which}")
    if len(served := _served(stats)) > 1:
        lines.append(printable(changed_model(served)))
    if stats.repairs:
        lines += [f"in answers: {count_words(name, number)}" for name, number in sorted(stats.repairs.items())]
    return "\n".join(lines)


@contextmanager
def _progress_bar(total: int, spending: Spending | None = None) -> Iterator[Callable[[int, int], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn, TimeRemainingColumn

    from clinspan.reports.terminal.progress import ProgressBar

    count = TextColumn("documents{task.fields[sentences]}")
    columns: tuple[ProgressColumn, ...] = (
        TextColumn("annotating"),
        BarColumn(),
        MofNCompleteColumn(),
        count,
        *([] if spending is None else [TextColumn("{task.fields[money]}")]),
        TimeRemainingColumn(),
    )
    with ProgressBar(*columns) as bar:
        task = bar.add_task("annotating", total=total, sentences="", money="")

        def show(done: int, sentences: int = 0) -> None:
            counted = f", {sentences:,} {plural(sentences, 'sentence')}" if sentences else ""
            bar.update(task, completed=done, sentences=counted, money="" if spending is None else spending.words(done, total))

        yield show


if __name__ == "__main__":
    run_app("annotate", main)
