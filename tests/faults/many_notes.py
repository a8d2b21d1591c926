"""Annotate a folder of many notes undisturbed and with two kills, and hold the results against each other.

    PYTHONPATH=tests python tests/faults/many_notes.py FOLDER NOTES SENTENCES [--corpus WORDS] -- WORDS OF programs.annotate

The notes are made of the sentences of a corpus, bundled or named by words of `programs.convert`.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from clinspan.corpora.readers.brat import load_pair
from clinspan.programs.config.composition import build, compose

_SHAPES = ("{0}: ", "- ", "", "")
_HEADINGS = ("HISTORY", "ASSESSMENT", "PLAN", "FAMILY HISTORY")
_KILLS = (0.3, 0.7)


def make_notes(folder: Path, sentences: Sequence[str], notes: int, size: int) -> None:
    """Write notes of `size` sentences each: under headings, as items, or as running text; some with CRLF."""
    folder.mkdir(parents=True)
    rng = random.Random(0)
    for number in range(notes):
        shape, end = rng.choice(_SHAPES), rng.choice(("\n", "\n", "\r\n"))
        words = [shape.format(rng.choice(_HEADINGS)) + rng.choice(sentences) for _ in range(size)]
        text = end.join(words) + end
        (folder / f"note-{number:05d}.txt").write_bytes(text.encode())


def annotate(words: Sequence[str], done: Path, until: int | None) -> float:
    """Run the command, kill it once `done` has `until` lines, and return the seconds."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "clinspan.programs.annotate", *words], stdout=subprocess.DEVNULL)
    while process.poll() is None:
        if until is not None and done.exists() and done.read_bytes().count(b"\n") >= until:
            process.kill()
        time.sleep(0.05)
    if process.returncode != (0 if until is None else -9):
        raise SystemExit(f"clinspan.programs.annotate ended with {process.returncode}")
    return time.monotonic() - began


def wrong_spans(folder: Path) -> tuple[int, int]:
    """The number of entities in the brat files, and the number that differs from the resume state."""
    rows = (json.loads(line) for line in (folder / "state.jsonl").read_text(encoding="utf-8").splitlines())
    known = {row["id"]: {(start, end, label) for start, end, label, _ in row["entities"]} for row in rows}
    total = wrong = 0
    for name, spans in known.items():
        _, annotations, _ = load_pair(folder / "brat" / f"{name}.txt")
        brat_spans = {(a.entity.start, a.entity.end, a.entity.label) for a in annotations}
        total, wrong = total + len(brat_spans), wrong + len(brat_spans ^ spans)
    return total, wrong


def main() -> None:
    """Make the notes, annotate them twice, and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("notes", type=int)
    parser.add_argument("sentences", type=int)
    parser.add_argument("--corpus", nargs="*", default=[])
    own, words = sys.argv[1:], []
    if "--" in own:
        own, words = own[: own.index("--")], own[own.index("--") + 1 :]
    options = parser.parse_args(own)
    corpus = build(compose("run", options.corpus)[0].corpus).load()
    source = options.folder / "notes"
    texts = [" ".join(sentence.words) for split in corpus.splits for sentence in corpus.sentences(split)]
    make_notes(source, texts, options.notes, options.sentences)
    whole, killed = options.folder / "whole", options.folder / "killed"
    common = [*words, f"input={source}", "phi=false"]
    seconds = annotate([*common, f"output={whole}"], whole / "state.jsonl", None)
    for part in _KILLS:
        annotate([*common, f"output={killed}"], killed / "state.jsonl", int(part * options.notes))
    annotate([*common, f"output={killed}"], killed / "state.jsonl", None)
    files = sorted(path.name for path in (whole / "brat").iterdir())
    others = sorted(path.name for path in (killed / "brat").iterdir())
    differing = [
        name for name in files if name in others and (whole / "brat" / name).read_bytes() != (killed / "brat" / name).read_bytes()
    ]
    changed = [path.name for path in source.iterdir() if path.read_bytes() != (whole / "brat" / path.name).read_bytes()]
    entities, wrong = wrong_spans(killed)
    print(f"{options.notes} notes, {options.notes * options.sentences} sentences, {seconds:.0f} s undisturbed, killed at {_KILLS}")
    print(f"files {len(files)} and {len(others)}, of another name {len(set(files) ^ set(others))}, differing {len(differing)}")
    print(f"texts changed {len(changed)}; {entities} entities in brat, {wrong} other than recorded")


if __name__ == "__main__":
    main()
