"""Tables in LaTeX, in the style of the booktabs package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clinspan.reports.terminal.tables import bounds_of, row_of, shown_f1

_ESCAPED = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    }
)


def latex_table(
    heads: Sequence[str], sections: Sequence[Sequence[Sequence[str]]], *, left: Sequence[str], notes: Sequence[str]
) -> str:
    r"""A `tabular` that needs `\usepackage{booktabs}`.

    Args:
        heads: The column heads.
        sections: Rows of cells, with a rule between sections.
        left: The heads of columns that are aligned left; the others are aligned right.
        notes: Comments above the table.

    >>> print(latex_table(["label", "F1"], [[["A_1", "0.5"]]], left=["label"], notes=["100 %"]), end="")
    % needs \usepackage{booktabs}
    % 100 %
    \begin{tabular}{lr}
    \toprule
    label & F1 \\
    \midrule
    A\_1 & 0.5 \\
    \bottomrule
    \end{tabular}
    """
    comments = [f"% {' '.join(note.split())}" for note in (r"needs \usepackage{booktabs}", *notes)]
    columns = "".join("l" if head in left else "r" for head in heads)
    body: list[str] = []
    for section in sections:
        body += [r"\midrule", *map(_line, section)]
    lines = [*comments, rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _line(heads), *body, r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return " & ".join(" ".join(cell.split()).translate(_ESCAPED) for cell in cells) + r" \\"


def score_rows(scores: Mapping[str, Any]) -> str:
    """The scores of a run by type, then macro and micro, as a LaTeX table.

    Args:
        scores: The content of `scores.json`.
    """
    heads = ["type", "P", "R", "F1", "95 % interval", "support"]
    types, averages = list(scores["per_type"]), [name for name in ("macro", "micro") if scores[name] is not None]
    sections = [[_score_cells(scores, name) for name in names] for names in (types, averages)]
    return latex_table(heads, sections, left=["type"], notes=[str(scores["signature"])])


def _score_cells(scores: Mapping[str, Any], name: str) -> list[str]:
    row, bounds = row_of(scores, name), bounds_of(scores, name)
    interval = "-" if bounds is None else f"{bounds[0]:.3f}--{bounds[1]:.3f}"
    support = row.get("support")
    figures = ["-"] * 3
    if shown_f1(scores, name) is not None:
        figures = [f"{row[key]:.4f}" for key in ("precision", "recall", "f1")]
    return [name, *figures, interval, "" if support is None else str(support)]
