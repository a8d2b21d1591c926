"""An annotation job: skips finished notes, annotates the others in groups, and writes each group's results at once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clinspan.corpora.annotated import Annotated
from clinspan.corpora.readers.notes import Note, Unreadable
from clinspan.programs.annotation.annotator import Annotator, Outcome
from clinspan.programs.annotation.journal import Journal
from clinspan.programs.annotation.segments import merge_cut_sentences, Tagged
from clinspan.programs.annotation.state import digest_of, Entry, ResumeState
from clinspan.programs.annotation.text_spool import TextSpool
from clinspan.programs.annotation.writers import DocumentWriter
from clinspan.programs.inference.failures import LASTING, LastUnexpected
from clinspan.programs.rundir.errors import RunError, writing
from clinspan.programs.rundir.printed_commands import same_command, shown_path
from clinspan.programs.rundir.run_folder import write_whole

_NOTES, _CHARACTERS = 16, 16_000
_BATCHED = 10_000, 20_000_000  # batch answers can take a day: groups are as large as memory allows
Notes = Callable[[], Iterable[Note | Unreadable]]
Progress = Callable[[int, int], None]


@dataclass
class JobStats:
    """Statistics of a session.

    Attributes:
        documents: Number of documents by state: `annotated` now, `kept` from an earlier session, `failed`.
        counts: Sentences, cuts and tokens of all annotated documents, from this session or an earlier one.
        entities: Number of entities by label.
        repairs: Number of faults in answers, by name of the fault.
        used: Tokens used by this session and earlier ones in the same folder, including sessions that did not finish.
        failed: The lines of `failed.jsonl`.
    """

    documents: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    entities: Counter[str] = field(default_factory=Counter)
    repairs: Counter[str] = field(default_factory=Counter)
    used: Counter[str] = field(default_factory=Counter)
    failed: list[dict[str, Any]] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        self.counts.update(entry.counts)
        self.repairs.update(entry.repairs)
        self.entities.update(label for _, _, label, _ in entry.entities)


class AnnotationJob:
    """Annotates notes and writes the results into a folder.

    Args:
        annotator: Finds entities.
        writer: Writes annotated notes.
        folder: Holds `state.jsonl` and `failed.jsonl`.
        stop_after: Number of consecutive notes that fail because of the model, after which the session ends. Content filters and
            long prompts do not count.
        progress: Called with the number of notes handled and the number of sentences tagged by this session.

    Attributes:
        in_row: Number of consecutive notes, up to now, that failed because of the model.
    """

    def __init__(self, annotator: Annotator, writer: DocumentWriter, folder: Path, *, stop_after: int, progress: Progress) -> None:
        self.annotator, self.delivery, self.folder = annotator, writer, folder
        self.stop_after, self.progress = stop_after, progress
        with writing(folder):
            self.state = ResumeState(folder / "state.jsonl")
            self.journal = Journal(folder, annotator.facts.by)
            self.spool = TextSpool(folder) if writer.together else None
        self.stats = JobStats()
        self.in_row = self.sentences = 0

    def run(self, notes: Notes) -> JobStats:
        """Annotate the notes that are not done yet, then write the formats that have one file for all notes.

        Args:
            notes: Returns the notes from the start at each call.

        Raises:
            RunError: Every further note would fail too, or the folder cannot be written. Finished annotations are on disk.
        """
        try:
            with writing(self.folder):
                for group in self._groups(notes()):
                    self._annotate(group)
                self.delivery.write_together(self._again)
                self.journal.close()
        except BaseException:
            with suppress(OSError):  # the first error is the one to report
                self._list_failures()
            raise
        finally:
            self.stats.used = Counter(self.journal.spent)
            if self.spool is not None:
                with suppress(OSError):
                    self.spool.close()
        with writing(self.folder):
            self._list_failures()
        return self.stats

    def _groups(self, notes: Iterable[Note | Unreadable]) -> Iterator[list[tuple[Note, str]]]:
        """Yield groups of notes to annotate together, each note with its digest. Unreadable and finished notes are handled here."""
        group: list[tuple[Note, str]] = []
        characters = 0
        notes_together, characters_together = _BATCHED if self.annotator.batches else (_NOTES, _CHARACTERS)
        for number, note in enumerate(notes):
            if isinstance(note, Unreadable):
                self._fail(note.id, note.error, {} if note.at is None else {"at": note.at})
                continue
            digest = digest_of(note)
            if self.spool is not None:
                self.spool.add(number, note)
            if entry := self.state.find(note.id, digest, self.annotator.facts.by):
                self._keep(note, entry)
                continue
            group.append((note, digest))
            characters += len(note.text)
            if len(group) == notes_together or characters >= characters_together:
                yield group
                group, characters = [], 0
        if group:
            yield group

    def _keep(self, note: Note, entry: Entry) -> None:
        """Keep the annotation of a finished note and write its missing formats from the resume state."""
        if missing := self.delivery.missing(note.id, entry.to):
            self.delivery.write(self._restored(note, entry), missing)
            entry = replace(entry, to=tuple(sorted({*entry.to, *missing})))
            self.state.add(entry)
        self._done("kept", entry)

    def _annotate(self, group: list[tuple[Note, str]]) -> None:
        notes = [note for note, _ in group]
        digests = {note.id: digest for note, digest in group}
        outcomes = self.annotator.annotate(
            notes, tag_all=lambda sentences: self._counted(self.journal.tag_all(self.annotator.tagger, sentences, digests))
        )
        for outcome, (_, digest) in zip(outcomes, group, strict=True):
            if outcome.annotated is None:
                self._fail_by_model(outcome)
                continue
            self.in_row = 0
            to = self.delivery.separate
            try:
                self.delivery.write(outcome.annotated, to)
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                self._fail(outcome.id, "name_clash", {})
                continue
            self.delivery.remove(outcome.id, but=to)
            about: dict[str, Any] = {"sha256": digest, "by": self.annotator.facts.by, "to": to}
            entry = Entry.of(outcome.annotated, counts=outcome.counts, repairs=outcome.repairs, **about)
            self.state.add(entry)
            self._done("annotated", entry)
        self.journal.clear()

    def _counted(self, tagged: Iterable[Tagged]) -> Iterator[Tagged]:
        """Yield tagged sentences and report progress at each one, because a long note takes time."""
        for sentence, record in tagged:
            self.sentences += 1
            self.progress(self.stats.documents.total(), self.sentences)
            yield sentence, record

    def _fail_by_model(self, outcome: Outcome) -> None:
        counts = {key: outcome.counts[key] for key in ("failed_sentences", "sentences")}
        self._fail(outcome.id, str(outcome.error), counts)
        self.in_row = 0 if outcome.error in LASTING else self.in_row + 1
        if self.in_row >= self.stop_after:
            raise RunError(
                f"{self.in_row} documents in a row failed, the last with {outcome.error}: fix the cause and continue "
                f"with: {same_command('annotate', 'output', shown_path(self.delivery.folder))}"
            ) from LastUnexpected.cause(str(outcome.error))

    def _fail(self, name: str, error: str, about: dict[str, Any]) -> None:
        if error != "duplicate_id":  # the files belong to the first note of that id
            self.delivery.remove(name)
        self.stats.failed.append({"id": name, "error": error, **about})
        self.stats.documents["failed"] += 1
        self.progress(self.stats.documents.total(), self.sentences)

    def _done(self, status: str, entry: Entry) -> None:
        self.stats.add(entry)
        self.stats.documents[status] += 1
        self.progress(self.stats.documents.total(), self.sentences)

    def _again(self) -> Iterator[Annotated]:
        """Yield the annotated notes in input order, with their text from the spool and entities from the resume state."""
        for note in self.spool or ():
            if entry := self.state.find(note.id, digest_of(note), self.annotator.facts.by):
                yield self._restored(note, entry)

    def _restored(self, note: Note, entry: Entry) -> Annotated:
        facts = self.annotator.facts
        sentences = merge_cut_sentences(self.annotator.segmenter(note)[0], [(start, end) for start, end, _, _ in entry.entities])
        return entry.annotated(note.text, sentences, facts.model, facts.program)

    def _list_failures(self) -> None:
        """Write the failures of this session in alphabetic order; remove the file if there are none."""
        path = self.folder / "failed.jsonl"
        rows = sorted(json.dumps(row, ensure_ascii=False) + "\n" for row in self.stats.failed)
        if rows:
            write_whole(path, "".join(rows).encode())
        elif path.exists():
            path.unlink()
