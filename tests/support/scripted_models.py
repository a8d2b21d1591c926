"""Scripted models that test the plumbing of optimizers: a student that gets better, and a writer that fills in forms.

The student knows the gold tags. It returns more of them if its demonstrations have more entities, and all of them if its
instructions have the magic word. So only better demonstrations and better instructions improve it.
"""

from __future__ import annotations

import itertools
import json
import re
import zlib
from collections.abc import Mapping
from typing import Any

from clinspan.corpora import Corpus
from clinspan.corpora.bio import renamed

NAMES = ["Disease", "RareDisease", "SkinRareDisease", "Sign", "Symptom"]
MAGIC = "abracadabra"
_counter = itertools.count()


class Script:
    """Answers for `ScriptedServer.reply`: prompts of DSPy's chat format go to the writer, others to the student.

    Args:
        corpus: The corpus whose gold tags the student knows.

    Attributes:
        seen: The sentences that the student was asked to tag; `test` holds those that it should never get.
        written: The number of requests to the writer.
        called: The student's names for labels, where they differ from the corpus' names.
    """

    def __init__(self, corpus: Corpus) -> None:
        sentences = [s for split in ("train", "dev", "test") for s in corpus.sentences(split)]
        self.gold = {" ".join(s.words): list(s.tags) for s in sentences}
        self.test = {" ".join(s.words) for s in corpus.sentences("test")}
        self.seen: set[str] = set()
        self.written = 0
        self.called: dict[str, str] = {}

    def __call__(self, messages: list[dict[str, str]]) -> str:
        text = "\n".join(message["content"] for message in messages)
        if "[[ ##" in text:
            self.written += 1
            return form(text)
        if "```" in text or ("assistant" not in {m["role"] for m in messages} and "provide" in text and "instruction" in text):
            self.written += 1
            return f"```\n{instruction()}\n```"
        return self.tag(messages)

    def tag(self, messages: list[dict[str, str]]) -> str:
        sentence = messages[-1]["content"].rsplit("\n", 1)[-1]
        self.seen.add(sentence)
        tokens = sentence.split(" ")
        gold = self.gold.get(sentence, ["O"] * len(tokens))
        shown = [m["content"].count(" : B-") for m in messages if m["role"] == "assistant"]
        known = 100 if MAGIC in messages[0]["content"] else 8 * sum(shown)
        tags = [tag if zlib.crc32(token.encode()) % 100 < known else "O" for token, tag in zip(tokens, gold, strict=True)]
        return "\n".join(f"{token} : {tag}" for token, tag in zip(tokens, renamed(tags, self.called), strict=True))


def instruction() -> str:
    return f"Tag every mention, and remember {MAGIC} number {next(_counter)}."


def form(told: str) -> str:
    """Every output field that a prompt of DSPy's chat format asks for, with an instruction in it."""
    outputs = told.rsplit("Your output fields are:", maxsplit=1)[-1].split("All interactions", maxsplit=1)[0]
    names = re.findall(r"\d+\. `(\w+)`", outputs)
    texts: Mapping[str, Any] = {name: instruction() for name in names}
    if "JSON object" in told:
        return json.dumps(texts)
    return "\n\n".join(f"[[ ## {name} ## ]]\n{text}" for name, text in texts.items()) + "\n\n[[ ## completed ## ]]"
