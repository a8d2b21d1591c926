"""Run folders with sentences, scored like those of a real run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clinspan.metrics.scoring import Metric, score_records
from clinspan.programs.rundir.prompt_log import PromptLog
from clinspan.programs.rundir.sent import Attempt, SentRequest

LABELS = ("Disease", "Sign")
DEMO = {"id": "t:1", "tokens": ["no", "fever"], "tags": ["O", "B-Sign"]}


def sentence(n: int, tokens: str, gold: str, pred: str, **more: Any) -> dict[str, Any]:
    """A line of predictions. Letters give the tags: D and S begin a Disease and a Sign, d and s continue it.

    >>> sentence(0, "high fever", "Ss", ".S")["pred"]
    ['O', 'B-Sign']
    """
    words = {".": "O", "D": "B-Disease", "d": "I-Disease", "S": "B-Sign", "s": "I-Sign"}
    tags = {"gold": [words[c] for c in gold], "pred": [words[c] for c in pred]}
    name = f"doc{n // 2}"
    record = {"id": f"{name}:{n % 2}", "document": name, "tokens": tokens.split(" "), **tags, "confidence": None, "repairs": {}}
    return {**record, "raw": f"answer {n}", "usage": {}, "error": None, **more}


def some_sentences() -> list[dict[str, Any]]:
    """Six sentences in three documents, with one error of each kind, confidences, a repair and a failure."""
    return [
        sentence(0, "He has high fever .", "..Ss.", "..Ss.", confidence=[None, None, 0.9, 0.8, None]),
        sentence(1, "He has high fever .", "..Ss.", "...S.", confidence=[None, None, None, 0.5, None]),
        sentence(2, "Gaucher disease is rare", "Dd..", "Ss..", confidence=[0.2, 0.2, None, None]),
        sentence(3, "Gaucher disease is rare", "Dd..", "S...", repairs={"repeated_mention": 2}),
        sentence(4, "a cough came", ".S.", "...", error="timeout", raw=None),
        sentence(5, "nothing was found", "...", "..D", raw={"Disease": "found", "Sign": "[]"}),
    ]


def write_run(path: Path, rows: Sequence[dict[str, Any]], *, labels: Sequence[str] = LABELS, **more: Any) -> Path:
    """Write a finished run's folder; `more` updates its record."""
    path.mkdir(parents=True)
    strategy = more.get("strategy", "few_shot")
    demonstrations = {"few_shot": "fixed", "knn": "nearest"}.get(strategy, "none")
    record = {
        "status": "finished",
        "choices": {"model": "smollm2", "strategy": strategy, "format": "entities", "corpus": "raremini"},
        "config": {
            "seed": 0,
            "corpus": {"labels": list(labels), "definitions": {}},
            "format": {"_target_": "clinspan.programs.formats.Entities", "per_type": False},
            "strategy": {"demonstrations": demonstrations, "k": 1, "context": "none", "overflow": "drop"},
        },
        "seed": 0,
        "corpus": {"name": "mini", "sha256": "0123456789", "split": "test", "phi": False},
        "seconds": 12.0,
        "tokens": {"prompt_tokens": 900, "answer_tokens": 60},
        "cost": None,
        **{key: value for key, value in more.items() if key not in ("strategy", "instructions", "rendered")},
    }
    scores = score_records(rows, labels, Metric(), alignment="tokens")
    demos = [DEMO] if demonstrations == "fixed" else []
    tag: dict[str, Any] = {"demos": demos, "signature": {"instructions": more.get("instructions", "Find signs.")}}
    for name, content in (("run", record), ("scores", scores), ("program", {"labels": list(labels), "tag": tag})):
        (path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    log = PromptLog(path, first=str(rows[0]["id"]) if rows else "")
    for row in rows:
        shown = [("user", "no fever"), ("assistant", "A: fever")] if demos else []
        turns = [("system", tag["signature"]["instructions"]), *shown, ("user", " ".join(row["tokens"]))]
        request = SentRequest("", tuple(turns), f"<s>{turns}" if more.get("rendered") else None)
        log.write(str(row["id"]), [Attempt(tuple(demo["id"] for demo in demos), {}, [request])])
    (path / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
