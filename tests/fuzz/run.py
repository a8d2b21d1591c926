"""Coverage-guided fuzzing of everything that reads text: `python tests/fuzz/run.py seconds=60 targets=inline,brat`.

Needs the extra `fuzz` (atheris). Prints the executions, the reached branches and the failing input of each target. A failing
input is kept at the printed path, and `replay=FILE targets=NAME` runs it again. The exit code is 1 if a target failed.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fuzz.target import Target

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
INSTRUMENTED = [
    "corpora",
    "programs",
    "clinspan.lms.local.encoding",
    "clinspan.lms.templates",
    "clinspan.lms.replay",
    "clinspan.tuning.records",
    "metrics",
    "json_repair",
]
LONGEST, SLOWEST = 6000, 30
"""The largest input in bytes, and the longest time for one input in seconds."""


@dataclass(frozen=True)
class Result:
    """The result of fuzzing one target."""

    name: str
    executions: int
    covered: int
    failure: Path | None


def targets() -> dict[str, Target]:
    """All targets by name; their modules are imported with the branch counters that the fuzzer reads."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED, enable_loader_override=False):
        from fuzz import answers_targets, corpora_targets, notes_targets, prompts_targets, runs_targets
    prompts_targets.encoders()  # takes seconds, which must not count for an input
    modules = (corpora_targets, notes_targets, answers_targets, prompts_targets, runs_targets)
    return {name: target for module in modules for name, target in module.TARGETS.items()}


def fuzz(name: str, target: Target, *, seconds: int, place: Path, seed: int) -> Result:
    """Fuzz a target in a separate process, because a fuzzer never returns."""
    corpus, log = place / "corpus", place / "log"
    corpus.mkdir(parents=True)
    for number, data in enumerate(target.seeds):
        (corpus / f"seed{number}").write_bytes(data)
    words = "\n".join('"' + "".join(f"\\x{byte:02X}" for byte in word.encode()) + '"' for word in target.words)
    (place / "words").write_text(words + "\n", encoding="ascii")
    child = os.fork()
    if not child:
        _fuzz_here(target, seconds=seconds, place=place, seed=seed)
    _, status = os.waitpid(child, 0)
    output = log.read_text(encoding="utf-8", errors="replace")
    counts = [int(n) for n in re.findall(r"^#(\d+)\t", output, re.MULTILINE)]
    covered = [int(n) for n in re.findall(r"\bcov: (\d+)", output)]
    failed_input = next((path for path in sorted(place.glob("failed-*"))), None)
    return Result(name, max(counts, default=0), max(covered, default=0), (failed_input or log) if status else None)


def _fuzz_here(target: Target, *, seconds: int, place: Path, seed: int) -> None:
    import atheris

    with (place / "log").open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    options = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-timeout={SLOWEST}", f"-seed={seed}", "-rss_limit_mb=4096"]
    atheris.Setup(
        ["fuzz", *options, f"-artifact_prefix={place}/failed-", f"-dict={place}/words", str(place / "corpus")], target.check
    )
    atheris.Fuzz()


def main(words: list[str]) -> int:
    options = {"seconds": "60", "targets": "", "seed": "1", "replay": "", **dict(word.split("=", 1) for word in words)}
    known = targets()
    chosen = options["targets"].split(",") if options["targets"] else list(known)
    if options["replay"]:
        known[chosen[0]].check(Path(options["replay"]).read_bytes())
        return 0
    place = Path(tempfile.mkdtemp(prefix="clinspan-fuzz-"))
    print(f"{'target':<22}{'executions':>12}{'branches':>10}  failed", flush=True)
    failed = 0
    for name in chosen:
        result = fuzz(name, known[name], seconds=int(options["seconds"]), place=place / name, seed=int(options["seed"]))
        failed += result.failure is not None
        print(f"{name:<22}{result.executions:>12,}{result.covered:>10,}  {result.failure or '-'}", flush=True)
    if not failed:
        shutil.rmtree(place)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
