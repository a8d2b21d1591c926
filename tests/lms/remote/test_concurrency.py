"""Requests to a server are in progress at once, as many as `model.concurrency` says, and no more."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from clinspan import lms
from clinspan.corpora.sources import RareMini
from clinspan.lms import AzureModel
from clinspan.programs.formats import BioLines
from clinspan.programs.inference.predictor import PromptTagger
from clinspan.programs.tagging.tagger import Tagger
from support.scripted_models import NAMES
from support.scripted_server import Handler, ScriptedServer

SECONDS, SENTENCES = 0.2, 32


class Busy:
    """Answers after some time, and counts the requests that are in progress."""

    def __init__(self) -> None:
        self.lock, self.now, self.most = threading.Lock(), 0, 0

    def __call__(self, handler: Handler, body: dict[str, Any]) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(SECONDS)
        with self.lock:
            self.now -= 1
        handler.answer(body, handler.server.reply(body["messages"]))


@pytest.fixture
def azure(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Busy]:
    """The scripted server instead of Azure OpenAI, with slow answers."""
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.address)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "k")
    server.key, server.always = "k", Busy()
    yield server.always


def seconds(**settings: Any) -> float:
    """How long 32 sentences take."""
    corpus = RareMini(labels=NAMES, definitions={}).load()
    spec = AzureModel(name="azure", deployment="gpt-4o", **settings)
    lm = lms.build(spec)
    asker = PromptTagger(tagger=Tagger("Tag."), lm=lm, adapter=BioLines(labels=corpus.labels), concurrency=spec.concurrency)
    sentences = list(corpus.sentences("test"))
    assert all(record["error"] is None for _, record in asker.tag_all(sentences[:1]))  # the first one opens connections
    began = time.perf_counter()
    assert all(record["error"] is None for _, record in asker.tag_all(sentences[1 : SENTENCES + 1]))
    return time.perf_counter() - began


def test_sentences_are_asked_about_at_once(azure: Busy, server: ScriptedServer) -> None:
    elapsed = seconds()
    assert azure.most == AzureModel(name="azure", deployment="x").concurrency == 8
    assert len(server.requests) == SENTENCES + 1
    assert elapsed < SENTENCES * SECONDS / 3, f"{elapsed:.2f} s"


@pytest.mark.long
def test_one_request_at_a_time_can_be_asked_for(azure: Busy) -> None:
    elapsed = seconds(concurrency=1)
    assert azure.most == 1
    assert elapsed >= SENTENCES * SECONDS
