"""The journal of unfinished notes: each sentence's answer survives a kill, and so does the count of paid tokens.

A note enters `state.jsonl` only when it is whole, and notes are tagged in groups. So that no answer is paid for twice, each one
is appended to `answers.jsonl`, which holds tags and counts but no text, and is emptied when its group is in `state.jsonl`.
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
        folder: Of the session.
        by: Which annotator; answers of another one are not used.
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
        """Tag sentences, those of which an answer is known without asking.

        Args:
            tagger: Answers the others.
            sentences: The sentences.
            texts: By document, a digest of its text.

        Yields:
            Each sentence with its line of `predictions.jsonl`.
        """
        asked = []
        for sentence in sentences:
            known = self._answers.get(self._key(sentence, texts))
            if known is not None and len(known["pred"]) == len(sentence.tokens):
                kept = {name: known[name] for name in _KEPT}
                yield sentence, {**blank_record(sentence), "raw": None, **kept, "served": known.get("served", [])}
            else:
                asked.append(sentence)
        if asked:
            for sentence, record in tagger.tag_all(asked):
                self._add(sentence, record, texts)
                yield sentence, record

    def _add(self, sentence: Sentence, record: Mapping[str, Any], texts: Mapping[str, str]) -> None:
        self.spent.update({name: n for name, n in record["usage"].items() if name.endswith("_tokens")})
        kept = {**{name: record[name] for name in _KEPT}, "served": record.get("served", [])}
        row = {"key": self._key(sentence, texts) if record["error"] is None else None, "by": self.by, **kept}
        with self.path.open("ab") as file:
            file.write((json.dumps(row, ensure_ascii=False) + "\n").encode())

    def clear(self) -> None:
        """The group is in `state.jsonl`: its answers are not needed any more, what they cost is kept."""
        write_whole(self._spent_path, json.dumps(dict(self.spent)).encode())
        self._answers.clear()
        if self.path.exists():
            os.truncate(self.path, 0)

    def close(self) -> None:
        """All is done."""
        self.path.unlink(missing_ok=True)

    @staticmethod
    def _key(sentence: Sentence, texts: Mapping[str, str]) -> str:
        offsets = [sentence.tokens[0].start, *(token.end for token in sentence.tokens)]
        return hashlib.sha256(json.dumps([texts[sentence.document], offsets]).encode()).hexdigest()[:32]


def _lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a journal that are answers."""
    return [line for line in _rows(path) if all(name in line for name in _KEPT)]


def _rows(path: Path) -> list[dict[str, Any]]:
    """The lines of a file that can be read; a last one may be torn."""
    try:
        rows = path.read_bytes().split(b"\n")
    except OSError:
        return []
    found = []
    for row in rows:
        try:
            line = parse_json(row)
        except ValueError:
            continue
        if isinstance(line, dict):
            found.append(line)
    return found


def _tokens(line: Mapping[str, Any]) -> dict[str, int]:
    usage = line.get("usage")
    pairs = usage.items() if isinstance(usage, dict) else ()
    return {str(name): n for name, n in pairs if str(name).endswith("_tokens") and type(n) is int}


def spent_in(folder: Path) -> Counter[str]:
    """The tokens that the sessions of a folder have spent, as far as their answers are not in its journal.

    Of a folder that was written before these were counted, those of the notes in its `state.jsonl`.
    """
    try:
        content = parse_json((folder / SPENT).read_bytes())
    except (OSError, ValueError):
        return Counter(sum((Counter(_tokens({"usage": row.get("counts")})) for row in _rows(folder / "state.jsonl")), Counter()))
    return Counter({str(name): n for name, n in content.items() if type(n) is int} if isinstance(content, dict) else {})
