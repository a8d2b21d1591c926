"""Tests of replies without an answer or outside the protocol: each becomes a failed sentence with its reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import load, records
from support.runs_in_process import run_here
from support.scripted_server import Handler, ScriptedServer

LABELS = ["Disease", "RareDisease", "SkinRareDisease", "Sign", "Symptom"]
Change = Callable[[dict[str, Any]], Any]


def message(**fields: Any) -> Change:
    def change(body: dict[str, Any]) -> Any:
        body["choices"][0]["message"] |= fields
        return body

    return change


def whole(**fields: Any) -> Change:
    return lambda body: {**body, **fields}


def usage(**fields: Any) -> Change:
    return lambda body: {**body, "usage": {**body["usage"], **fields}}


def cut(body: dict[str, Any]) -> Any:
    body["choices"][0] |= {"finish_reason": "length", "message": {"role": "assistant", "content": ""}}
    return body


ANSWERED: dict[str, Change] = {
    "thoughts beside the answer": message(reasoning_content="It may be a sign."),
    "a call of a tool beside it": message(
        tool_calls=[{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    ),
    "no usage": whole(usage=None),
    "usage as text": usage(total_tokens="12"),
    "half a token": usage(completion_tokens=7.5),
    "fewer than no tokens": usage(prompt_tokens=-1),
    "usage without numbers": usage(completion_tokens=None),
}
FAILED: dict[str, tuple[Change, str]] = {
    "no choice": (whole(choices=[]), "no_answer"),
    "choices are null": (whole(choices=None), ""),
    "a refusal": (message(content=None, refusal="I cannot help."), "refusal"),
    "thoughts alone": (message(content=None, reasoning_content="It may be a sign."), "thoughts_alone"),
    "nothing": (message(content=None), "no_answer"),
    "blanks": (message(content=" \n"), "no_answer"),
    "cut before it began": (cut, "cut_before_answer"),
    "a list": (lambda body: [body], ""),
    "an error with status 200": (lambda body: {"error": {"message": "busy"}}, ""),
}


def answering(server: ScriptedServer, change: Change) -> None:
    def behave(handler: Handler, body: dict[str, Any]) -> None:
        tokens = body["messages"][-1]["content"].rsplit("\n", 1)[-1].split(" ")
        text = "\n".join(f"{token} : {'O' if n else 'B-Sign'}" for n, token in enumerate(tokens))
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        counts = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
        handler.send(
            200, change({"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": counts})
        )

    server.always = behave


def run(server: ScriptedServer, folder: Path) -> None:
    words = [
        "model=openai",
        "model.id=m",
        f"model.api_base={server.address}/v1",
        "model.retries=0",
        "strategy=zero_shot",
        "limit=2",
    ]
    run_here(folder, *words, "stop_after=5")


@pytest.mark.parametrize("case", ANSWERED)
def test_an_answer_is_read_despite_odd_fields_in_the_reply(case: str, server: ScriptedServer, tmp_path: Path) -> None:
    answering(server, ANSWERED[case])
    run(server, tmp_path / "run")
    rows = records(tmp_path / "run")
    assert [row["error"] for row in rows] == [None, None]
    assert all(row["pred"][0] == "B-Sign" for row in rows)


@pytest.mark.parametrize("case", FAILED)
def test_a_reply_without_an_answer_is_a_failed_sentence(case: str, server: ScriptedServer, tmp_path: Path) -> None:
    change, reason = FAILED[case]
    answering(server, change)
    try:
        run(server, tmp_path / "run")
    except RuntimeError as error:  # both sentences failed, so the run stops with its own error
        assert "sentences in a row failed" in str(error)
    rows = records(tmp_path / "run")
    assert len(rows) == 2 and all(row["error"] for row in rows)
    assert not reason or {row["error"] for row in rows} == {reason}
    server.always = None
    resumed = tmp_path / "again"
    run(server, resumed)
    assert load(resumed / "scores.json")["failed"] == 0
