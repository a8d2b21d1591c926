"""Journal of unfinished notes: each sentence's answer and the count of paid tokens survive a kill.

A note enters `state.jsonl` only when it is complete, and notes are tagged in groups. So that no answer is paid for twice, each
answer is appended to `answers.jsonl`, as tags and counts without text. The file is emptied when its group is in `state.jsonl`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from clinspan.corpora import Sentence
from clinspan.corpora.json_text import parse_json
from clinspan.programs.inference.predictor import blank_record, SentenceTagger
from clinspan.programs.rundir.run_folder import write_whole

ANSWERS, SPENT = "answers.jsonl", "spent.json"
_KEPT = ("pred", "confidence", "repairs", "usage", "error")


class Journal:
    """Answers of the notes that are in progress, and tokens spent by all sessions of a folder.

    Args:
        folder: Output folder of the session.
        by: Fingerprint of the annotator; answers of another annotator are not used.
    """

    def __init__(self, folder: Path, by: str) -> None:
        self.path, self.by = folder / ANSWERS, by
        self._spent_path = folder / SPENT
        self.spent = spent_in(folder)
        self._answers: dict[str, dict[str, Any]] = {}
        for line in _lines(self.path):
            self.spent.update(_tokens(line))
            if line.get("by") == by and isinstance(line.get("key"), str) and isinstance(line.get("pred"), list):
                self._answers[line["key"]] = line

    def tag_all(
        self, tagger: SentenceTagger, sentences: Sequence[Sentence], texts: Mapping[str, str]
    ) -> Generator[tuple[Sentence, dict[str, Any]]]:
        """Tag sentences; take answers from the journal where they are known.

        Args:
            tagger: Tags the other sentences.
            sentences: The sentences.
            texts: Digest of the text of each document, by document id.

        Yields:
            Each sentence with its line of `predictions.jsonl`.
        """
        unanswered = []
        for sentence in sentences:
            known = self._answers.get(self._key(sentence, texts))
            if known is not None and len(known["pred"]) == len(sentence.tokens):
                fields = {name: known[name] for name in _KEPT}
                yield sentence, {**blank_record(sentence), "raw": None, **fields, "served": known.get("served", [])}
            else:
                unanswered.append(sentence)
        if unanswered:
            for sentence, record in tagger.tag_all(unanswered):
                self._add(sentence, record, texts)
                yield sentence, record

    def _add(self, sentence: Sentence, record: Mapping[str, Any], texts: Mapping[str, str]) -> None:
        self.spent.update({name: n for name, n in record["usage"].items() if name.endswith("_tokens")})
        fields = {**{name: record[name] for name in _KEPT}, "served": record.get("served", [])}
        row = {"key": self._key(sentence, texts) if record["error"] is None else None, "by": self.by, **fields}
        with self.path.open("ab") as file:
            file.write((json.dumps(row, ensure_ascii=False) + "\n").encode())

    def clear(self) -> None:
        """Drop the answers of a group that is in `state.jsonl`; keep the count of their tokens."""
        write_whole(self._spent_path, json.dumps(dict(self.spent)).encode())
        self._answers.clear()
        if self.path.exists():
            os.truncate(self.path, 0)

    def close(self) -> None:
        """Remove the journal at the end of the job."""
        self.path.unlink(missing_ok=True)

    @staticmethod
    def _key(sentence: Sentence, texts: Mapping[str, str]) -> str:
        offsets = [sentence.tokens[0].start, *(token.end for token in sentence.tokens)]
        return hashlib.sha256(json.dumps([texts[sentence.document], offsets]).encode()).hexdigest()[:32]


def _lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a journal that are answers."""
    return [line for line in _rows(path) if all(name in line for name in _KEPT)]


def _rows(path: Path) -> list[dict[str, Any]]:
    """Return the JSON objects of a file; lines that cannot be read, such as a truncated last one, are left out."""
    try:
        rows = path.read_bytes().split(b"\n")
    except OSError:
        return []
    objects = []
    for row in rows:
        try:
            line = parse_json(row)
        except ValueError:
            continue
        if isinstance(line, dict):
            objects.append(line)
    return objects


def _tokens(line: Mapping[str, Any]) -> dict[str, int]:
    usage = line.get("usage")
    pairs = usage.items() if isinstance(usage, dict) else ()
    return {str(name): n for name, n in pairs if str(name).endswith("_tokens") and type(n) is int}


def spent_in(folder: Path) -> Counter[str]:
    """Return the tokens that the sessions of a folder have spent, without those of answers still in its journal.

    A folder of an older version has no such count: then return the tokens of the notes in its `state.jsonl`.
    """
    try:
        content = parse_json((folder / SPENT).read_bytes())
    except (OSError, ValueError):
        return Counter(sum((Counter(_tokens({"usage": row.get("counts")})) for row in _rows(folder / "state.jsonl")), Counter()))
    return Counter({str(name): n for name, n in content.items() if type(n) is int} if isinstance(content, dict) else {})
