"""The benchmark's table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def print_bench(result: Mapping[str, Any], *, title: str) -> None:
    """A row a way, and how much faster the engine is.

    Args:
        result: `rows`, `ratios`, `identical` and `compared`, as `programs.bench` writes them.
        title: What was timed.
    """
    table = Table(title=title, title_justify="left")
    table.add_column("way")
    names = ("sentences/s", "prompt tok/s", "answer tok/s", "passes a sentence", "peak MiB", "ours is faster by")
    for name in names:
        table.add_column(name, justify="right")
    for name, row in result["rows"].items():
        passes = row["passes_per_sentence"]
        ratio = result["ratios"].get(f"e/{name}")
        table.add_row(
            f"{name}: {row['says']}",
            f"{row['sentences_per_s']:.2f}",
            f"{row['prompt_tokens_per_s']:.0f}",
            f"{row['answer_tokens_per_s']:.0f}",
            "" if passes is None else f"{passes:.1f}",
            str(row["peak_mib"]),
            "" if ratio is None else f"{ratio:.2f}",
        )
    console = Console(width=130)
    console.print(table)
    console.print(
        f"identical with plain constrained greedy decoding: {result['identical']} of {result['compared']}", highlight=False
    )
