"""`prompts.jsonl` in a run's folder: what was sent about each sentence.

Each line is one of three:

    {"part": 3, "role": "user", "text": "No fever"}       a turn, or without a role a retrieved chunk: each once, numbered from 0
    {"id": "note7:0", "rendered": "<|im_start|>..."}      the whole prompt of the first sentence, as the model's template writes it
    {"id": "note7:0", "asked": [...]}                     what was sent about a sentence, see `SentencePrompts`

A text may be a list of strings and of numbers of other parts. If a sentence has several lines, the last one counts.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from clinspan.corpora import InputError
from clinspan.corpora.json_text import parse_json
from clinspan.programs.rundir.errors import writing
from clinspan.programs.rundir.records import RenderedPrompt, SentencePrompts, SentPart
from clinspan.programs.rundir.run_folder import cut_torn_line, write_whole
from clinspan.programs.rundir.sent import Attempt
from clinspan.programs.rundir.typed_json import Record
from clinspan.reports.sent_prompts import Part, SentPrompts

NAME = "prompts.jsonl"


class PromptLog:
    """Appends what was sent. Several threads may write to it at once.

    Args:
        folder: The run's folder. Its earlier lines are continued.
        first: The id of the sentence whose rendered prompt is kept.

    Raises:
        InputError: The file in the folder is damaged.
    """

    def __init__(self, folder: Path, *, first: str = "") -> None:
        self.path, self.first = folder / NAME, first
        self._lock = threading.Lock()
        if self.path.exists():
            with writing(folder):
                cut_torn_line(self.path)
        prompts = read_prompts(folder) or SentPrompts()
        self._parts = {_digest(part.role, part.text): number for number, part in enumerate(prompts.parts)}
        self._rendered = first in prompts.rendered

    def write(self, id: str, attempts: Sequence[Attempt]) -> None:
        """Record what was sent about a sentence.

        Raises:
            RunError: Writing fails.
        """
        with self._lock:
            lines: list[dict[str, Any]] = []
            asked = [self._asked(attempt, lines) for attempt in attempts]
            if id == self.first and not self._rendered:
                texts = [request.rendered for attempt in attempts for request in attempt.requests if request.rendered]
                lines += [{"id": id, "rendered": text} for text in texts[:1]]
                self._rendered = bool(texts)
            with writing(self.path.parent), self.path.open("ab") as file:
                file.write(_lines([*lines, {"id": id, "asked": asked}]))

    def _asked(self, attempt: Attempt, lines: list[dict[str, Any]]) -> dict[str, Any]:
        chunks = [(self._part(None, text, lines), text) for text in attempt.chunks.values()]
        questions = []
        for request in attempt.requests:
            turns = [self._part(role, _pieces(text, chunks), lines) for role, text in request.turns]
            key = {"question": request.key} if request.key else {}
            questions.append({**key, "sha": request.digest, "turns": turns})
        ids = {"demonstrations": list(attempt.demonstrations), "chunks": list(attempt.chunks)}
        return {**{key: value for key, value in ids.items() if value}, "questions": questions}

    def _part(self, role: str | None, text: str | list[str | int], lines: list[dict[str, Any]]) -> int:
        """The number of a part. If it is new, a line for it is added."""
        digest = _digest(role, text)
        if digest not in self._parts:
            self._parts[digest] = len(self._parts)
            lines.append({"part": self._parts[digest], **({"role": role} if role else {}), "text": text})
        return self._parts[digest]


def read_prompts(folder: Path) -> SentPrompts | None:
    """Read what was sent in a run; None if it was not recorded.

    Raises:
        InputError: A line is damaged; the message names it.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    prompts = SentPrompts()
    for number, record in _records(path):
        if isinstance(record, SentPart):
            if record.part != len(prompts.parts) or any(piece >= record.part for piece in record.pieces if isinstance(piece, int)):
                raise _damaged(path, number, "its part is out of order")
            prompts.parts.append(Part(record.role, record.text))
        elif isinstance(record, RenderedPrompt):
            prompts.rendered[record.id] = record.rendered
        else:
            turns = [turn for attempt in record.asked for question in attempt.questions for turn in question.turns]
            if any(not 0 <= turn < len(prompts.parts) for turn in turns):
                raise _damaged(path, number, "it names a part that is missing")
            prompts.asked[record.id] = [attempt.model_dump(exclude_unset=True) for attempt in record.asked]
    return prompts


def write_prompts(sources: Sequence[Path], ids: Sequence[str], target: Path) -> None:
    """Write what was sent in runs to one file, in the order of the sentences, so that equal runs leave equal files.

    Args:
        sources: The runs' folders. If none of them recorded anything, nothing is written.
        ids: The ids of the sentences, each of which is in one of the runs.
        target: The folder to write to; it may be one of the sources.
    """
    runs = [prompts for folder in sources if (prompts := read_prompts(folder)) is not None]
    numbers: dict[bytes, int] = {}
    lines: list[dict[str, Any]] = []

    def renumbered(prompts: SentPrompts, old: int) -> int:
        part = prompts.parts[old]
        text = part.text
        if not isinstance(text, str):
            text = [piece if isinstance(piece, str) else renumbered(prompts, piece) for piece in text]
        digest = _digest(part.role, text)
        if digest not in numbers:
            numbers[digest] = len(numbers)
            lines.append({"part": numbers[digest], **({"role": part.role} if part.role else {}), "text": text})
        return numbers[digest]

    for id in ids:
        for prompts in [run for run in runs if id in run.asked][:1]:
            asked = []
            for attempt in prompts.asked[id]:
                questions = [{**q, "turns": [renumbered(prompts, turn) for turn in q["turns"]]} for q in attempt["questions"]]
                asked.append({**attempt, "questions": questions})
            lines += [{"id": id, "rendered": prompts.rendered[id]}] if id in prompts.rendered else []
            lines.append({"id": id, "asked": asked})
    if runs:
        with writing(target):
            write_whole(target / NAME, _lines(lines))


def _records(path: Path) -> Iterator[tuple[int, SentPart | RenderedPrompt | SentencePrompts]]:
    """The lines of the file as records, with their numbers from 1."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=path, remedy="Check the path and its permissions.") from None
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            content = parse_json(line.decode())
        except ValueError:
            raise _damaged(path, number, "it is not JSON") from None
        kind = _kind(content)
        if problem := kind.problem(content):
            raise _damaged(path, number, problem)
        record = kind.model_validate(content)
        assert isinstance(record, SentPart | RenderedPrompt | SentencePrompts)
        yield number, record


def _kind(content: object) -> type[Record]:
    if not isinstance(content, Mapping):
        return SentencePrompts
    return SentPart if "part" in content else RenderedPrompt if "rendered" in content else SentencePrompts


def _damaged(path: Path, number: int, problem: str) -> InputError:
    remedy = "Remove the file: scores do not need it, and what was sent is then not known."
    return InputError(f"is not a record of prompts ({problem})", path=path, line=number, remedy=remedy)


def _pieces(text: str, chunks: Sequence[tuple[int, str]]) -> str | list[str | int]:
    """A text with the numbers of the chunks in their places; the text itself if it contains none."""
    pieces: list[str | int] = []
    rest = text
    for number, chunk in chunks:
        before, found, after = rest.partition(chunk)
        if found:
            pieces += [*([before] if before else []), number]
            rest = after
    return [*pieces, *([rest] if rest else [])] if pieces else text


def _digest(role: str | None, text: str | Sequence[str | int]) -> bytes:
    return hashlib.blake2b(json.dumps([role, text]).encode(), digest_size=16).digest()


def _lines(records: Sequence[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()
