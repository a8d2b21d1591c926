"""The picture of README.md: gold and predicted mentions of three sentences of raremini.

`python -m benchmarks.picture RUN` takes mentions of a finished run with `corpus=raremini split=test` into `docs/example.json` and
draws `docs/example.svg`. Without RUN it draws the file again.
"""

from __future__ import annotations

import io
import json
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from clinspan.corpora import InputError
from clinspan.corpora.sources import RAREMINI
from clinspan.metrics.mention_rows import CORRECT
from clinspan.reports.page.drawing import axes, COLOURS, INK, styled

DOCS = Path(__file__).parents[1] / "docs"
EXAMPLE, PICTURE = DOCS / "example.json", DOCS / "example.svg"
DOCUMENT, SENTENCES = "Amyotrophic-Lateral-Sclerosis", 3
_COLUMNS, _SIZE, _SMALL = 84, 10.0, 7.0  # characters a line, points
_EM = 1233 / 2048  # advance of DejaVu Sans Mono, in its size
_LINE = 5.0  # height of a line with its marks, in heights of the text

Mention = Mapping[str, Any]


def passage_of(run: Path) -> dict[str, Any]:
    """The first sentences of `DOCUMENT` with the mentions of a run, as `docs/example.json` has them.

    Returns:
        `document`; `start` and `end` of the passage; `by`, the choices of the run; `labels`; `mentions`, each with `kind`, and with
        `gold` and `predicted`: label, start, end, or null. Offsets are characters of the document.

    Raises:
        InputError: The folder holds no finished run, or the run has not tagged the document.
    """
    from clinspan.programs.app.run_mentions import load_mentions

    found = load_mentions(run)
    sentences = [one for one in found.sentences if one.document.id == DOCUMENT][:SENTENCES]
    if len(sentences) < SENTENCES:
        raise InputError(f"has not tagged {DOCUMENT}", path=run, remedy="Take a run with corpus=raremini split=test")
    choices = found.record.choices
    mentions = []
    for one in sentences:
        tokens = one.sentence.tokens
        for pair in one.pairs:
            spans = [span and [span[0], tokens[span[1]].start, tokens[span[2]].end] for span in (pair.gold, pair.pred)]
            mentions.append({"kind": pair.kind, "gold": spans[0], "predicted": spans[1]})
    return {
        "document": DOCUMENT,
        "start": sentences[0].sentence.tokens[0].start,
        "end": sentences[-1].sentence.tokens[-1].end,
        "by": ", ".join(choices[group] for group in ("model", "strategy", "format") if group in choices),
        "labels": list(found.run.labels),
        "mentions": mentions,
    }


def picture(example: Mapping[str, Any]) -> str:
    """The passage as SVG: gold above the words, predictions below them, hatched where they differ, with the kind of error.

    Args:
        example: As `passage_of` returns it. The text itself is read from the bundled corpus.
    """
    text = (RAREMINI / "test" / f"{example['document']}.txt").read_text(encoding="utf-8")
    lines = list(_lines(text, example["start"], example["end"]))
    height = _SIZE * (_LINE * len(lines) + 2.6) / 72
    with styled():
        figure, panel = axes(width=(_COLUMNS + 4) * _EM * _SIZE / 72, height=height)
        figure.set_layout_engine("none")
        panel.set_position((0, 0, 1, 1))
        panel.set_axis_off()
        panel.set_xlim(-2, _COLUMNS + 2)
        panel.set_ylim(_LINE * len(lines) + 2.6, 0)
        _words(panel, 0, 1.4, f"above the words: annotators; below: {example['by']}; hatched: they differ", _SMALL + 1)
        for number, (start, end) in enumerate(lines):
            _draw_line(panel, text, (start, end), 4.6 + number * _LINE, example)
    return _svg(figure)


def _lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Start and end of each line of the picture."""
    for line in textwrap.wrap(text[start:end], _COLUMNS):
        yield start, start + len(line)
        start += len(line) + 1


def _draw_line(panel: Any, text: str, line: tuple[int, int], y: float, example: Mapping[str, Any]) -> None:
    start, end = line
    _words(panel, 0, y, text[start:end], _SIZE)
    for layer, side in (("gold", -1), ("predicted", 1)):
        free = [0.0, 0.0]  # the column from which each of the two rows of labels is free
        for mention in _inside(example["mentions"], layer, start, end):
            label, first, last = mention[layer]
            left, right = max(first, start) - start, min(last, end) - start
            wrong = mention["kind"] != CORRECT
            edge = y - 1.2 if side < 0 else y + 0.35
            look = {"facecolor": COLOURS[example["labels"].index(label)], "edgecolor": INK, "linewidth": 0.4}
            panel.bar((left + right) / 2, 0.3, right - left, edge, hatch="////" if wrong else None, **look)
            caption = f"{label}, {mention['kind']}" if wrong and (side > 0 or mention["predicted"] is None) else label
            row = 0 if left >= free[0] else 1
            free[row] = left + (len(caption) + 1) * _SMALL / _SIZE
            _words(panel, left, y + side * (1.15 + 0.75 * row) + (0.4 if side > 0 else -0.25), caption, _SMALL)


def _inside(mentions: Sequence[Mention], layer: str, start: int, end: int) -> list[Mention]:
    """The mentions of a layer that a line shows, in order; one that goes on in the next line is in both."""
    found = [mention for mention in mentions if mention[layer] and mention[layer][1] < end and mention[layer][2] > start]
    return sorted(found, key=lambda mention: int(mention[layer][1]))


def _words(panel: Any, x: float, y: float, words: str, size: float) -> None:
    panel.text(x, y, words, size=size, family="DejaVu Sans Mono", color=INK, va="baseline")


def _svg(figure: Any) -> str:
    """The figure with letters as outlines, so that it looks the same everywhere."""
    from matplotlib import rc_context

    file = io.StringIO()
    with styled(), rc_context({"svg.fonttype": "path", "svg.hashsalt": "clinspan"}):
        figure.savefig(file, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def main(words: Sequence[str]) -> None:
    """Write the picture; with the folder of a run, take its mentions first."""
    if words:
        EXAMPLE.write_text(json.dumps(passage_of(Path(words[0])), indent=1) + "\n", encoding="utf-8")
    PICTURE.write_text(picture(json.loads(EXAMPLE.read_text(encoding="utf-8"))), encoding="utf-8")
    print(PICTURE)


if __name__ == "__main__":
    main(sys.argv[1:])
