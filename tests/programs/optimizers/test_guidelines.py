"""`optimizer=guidelines` with a scripted writer: what it reads, and what becomes of what it writes."""

from __future__ import annotations

import json
from typing import Any

from clinspan.corpora.sources import RareMini
from conftest import Command, folder_of, load
from support.compiling import local, program, SNAKE, writer
from support.scripted_models import MAGIC, NAMES, Script
from support.scripted_server import ScriptedServer

WORDS = ["optimizer=guidelines", "optimizer.breadth=2", "optimizer.rounds=2", "optimizer.examples=5", "train_limit=60"]


def sent(server: ScriptedServer) -> list[str]:
    """What the writer was asked, in order."""
    bodies: list[dict[str, Any]] = [body for _, _, body in server.requests if body["model"] == "writer"]
    return ["\n".join(message["content"] for message in body["messages"]) for body in bodies]


def test_guidelines_are_written_from_train_sentences_and_kept_if_they_help(
    command: Command, server: ScriptedServer, script: Script
) -> None:
    script.called = {label: word for label, word in zip(NAMES, SNAKE, strict=True) if label != word}
    done = command("optimize", *WORDS, "label_wording=snake", *local(server), *writer(server))
    folder = folder_of(done)
    record, asked = load(folder / "run.json"), sent(server)
    assert len(asked) == len(set(asked)) == 2, "nothing is left to mend"
    corpus = RareMini(phi=False, labels=NAMES, definitions={}).load()
    texts = {split: [" ".join(sentence.words) for sentence in corpus.sentences(split)] for split in ("train", "dev", "test")}
    for text in asked:
        assert sum(sentence in text for sentence in texts["train"] if len(sentence) > 30) >= 4
        assert '" is rare_disease' in text and "RareDisease" not in text
        assert not any(sentence in text for sentence in texts["dev"] if len(sentence) > 30)
    assert not any(sentence in text for text in asked for sentence in texts["test"] if len(sentence) > 30)
    assert "clinspan: 18 to 90 sentences are tagged for at most 4 candidates" in done.stderr
    compiled = program(folder)["tag"]["signature"]["instructions"]
    start = load(folder / "candidates" / record["start"]["key"] / "program.json")["tag"]["signature"]["instructions"]
    assert compiled.startswith(f"{start}\nAnnotation guidelines:\nTag every mention, and remember {MAGIC}")


def test_what_was_wrong_on_dev_is_told_by_kind_and_sentence(command: Command, server: ScriptedServer, script: Script) -> None:
    def unheard(messages: list[dict[str, str]]) -> str:
        text = "\n".join(message["content"] for message in messages)
        return "[[ ## guidelines ## ]]\nBe careful.\n[[ ## mended ## ]]\nBe kind." if "[[ ##" in text else script.tag(messages)

    server.reply = unheard
    folder = folder_of(command("optimize", *WORDS, "strategy.k=2", *local(server), *writer(server)))
    mended = sent(server)[2:]
    assert len(mended) == 2
    for text in mended:
        assert "Be careful." in text and "- missed: " in text and "- Missed: " in text
    made = json.dumps([trial["by"] for trial in load(folder / "candidates.json")["trials"]])
    assert "guidelines 1" in made and "guidelines 2" in made


def test_guidelines_need_a_sentence_with_a_mention(command: Command, server: ScriptedServer, tmp_path: Any) -> None:
    rows = [f"{word} O\n" for word in ("No", "rash", "here")]
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.conll").write_text("\n".join(rows), encoding="utf-8")
    corpus = ["corpus=conll", f"corpus.path={tmp_path}", "corpus.labels=[Sign]", "corpus.phi=false", "strategy=zero_shot"]
    done = command("optimize", *WORDS, *corpus, *local(server), *writer(server))
    assert done.returncode == 2 and "no train sentence has a mention to write guidelines from" in done.stderr
    assert not server.requests
