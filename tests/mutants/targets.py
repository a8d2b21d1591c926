"""The modules whose mutants are tested, with their nearest tests, and the mutants that no test can kill."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent.toml")

_SLOW = (
    "--deselect=tests/metrics/test_intervals.py::test_intervals_cover_the_truth_as_often_as_they_say",
    "--deselect=tests/metrics/test_paired.py::test_p_values_are_uniform_where_systems_are_equally_good",
    "--deselect=tests/metrics/test_paired.py::test_paired_intervals_cover_0_where_systems_are_equally_good",
    "--deselect=tests/metrics/test_paired.py::test_interval_and_p_value_mostly_agree",
    "--deselect=tests/metrics/test_scores.py::test_scoring_grows_in_proportion_to_labels",
)
"""Tests that take seconds: simulations, and one of speed."""


@dataclass(frozen=True)
class Group:
    """Modules, and pytest's arguments for their common tests; all are files of the checkout."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]


def groups() -> dict[str, Group]:
    """The groups by name."""
    metrics = sorted(path.name for path in (ROOT / "metrics").glob("*.py") if path.name != "__init__.py")
    return {
        "metrics": Group(tuple(f"metrics/{name}" for name in metrics), ("tests/metrics", *_SLOW)),
        "corpora": Group(("corpora/bio.py", "corpora/viterbi.py"), ("tests/corpora/test_bio.py", "tests/corpora/test_viterbi.py")),
        "formats": Group(
            ("programs/formats/align.py", "programs/formats/matching.py"),
            ("tests/programs/formats/test_align.py", "tests/programs/formats/test_matching.py"),
        ),
        "decoding": Group(
            ("lms/local/decoding.py", "lms/local/sequence.py", "lms/local/sampling.py"),
            ("tests/lms/local/test_sequence.py", "tests/lms/local/test_packed_passes.py", "tests/lms/local/test_draws.py"),
        ),
    }


def equivalent() -> dict[tuple[str, str, str], str]:
    """The reason why no test can kill a mutant, by its file and the lines before and after the change."""
    entries = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8"))["mutant"]
    return {(entry["file"], entry["before"], entry["after"]): entry["reason"] for entry in entries}
