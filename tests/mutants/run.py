"""Mutation tests: `python tests/mutants/run.py sample=60 modules=metrics/counts.py seed=1`.

Changes the modules of `targets.py` in one place at a time, by the operators of mutmut, and runs their nearest tests on each
change. Prints the mutants that survive, and how many of each module are killed. Options:

    sample   mutants per module, drawn at random; all of them if left out
    total    mutants over all modules instead, drawn at random
    modules  some of the modules, with commas between them; all of them if left out
    seed     seed of the draw (0)
    least    the exit code is 1 if fewer of the mutants are killed, in % (90)

Mutants that are no different for any input are listed in `equivalent.toml` with the reason, and are not counted.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
os.environ.setdefault("OMP_NUM_THREADS", "1")

from mutants.mutate import Mutant, mutants  # noqa: E402
from mutants.targets import equivalent, groups  # noqa: E402
from mutants.worker import Runner  # noqa: E402


def drawn(modules: list[str], *, sample: int | None, total: int | None, seed: int) -> dict[str, list[Mutant]]:
    """The mutants to test by module: up to `sample` of each, or up to `total` over all, at random."""
    known, chance = equivalent(), random.Random(seed)
    found = {path: mutants(ROOT, path) for path in modules}
    for path in modules:
        chance.shuffle(found[path])
    if total is not None:
        everything = [mutant for path in modules for mutant in found[path]]
        chosen = Counter(mutant.path for mutant in chance.sample(everything, min(total, len(everything))))
    result: dict[str, list[Mutant]] = {}
    for path in modules:
        most = sample if total is None else chosen[path]
        result[path] = []
        for mutant in found[path]:
            if most is not None and len(result[path]) >= most:
                break
            if mutant.real and (path, *mutant.change) not in known:
                result[path].append(mutant)
    return result


def main(words: list[str]) -> int:
    given = dict(word.split("=", 1) for word in words if "=" in word)
    options = {"sample": "", "total": "", "modules": "", "seed": "0", "least": "90"}
    if len(given) < len(words) or given.keys() - options.keys():
        raise SystemExit(f"the options are {'=, '.join(options)}=")
    options |= given
    os.chdir(ROOT)
    only = set(options["modules"].split(",")) if options["modules"] else None
    if unknown := sorted((only or set()) - {path for group in groups().values() for path in group.modules}):
        raise SystemExit(f"{unknown[0]} is not a module of tests/mutants/targets.py")
    killed = tested = 0
    sizes = {name: int(options[name]) if options[name] else None for name in ("sample", "total")}
    chosen = {name: [path for path in group.modules if only is None or path in only] for name, group in groups().items()}
    plan = drawn([path for paths in chosen.values() for path in paths], **sizes, seed=int(options["seed"]))
    print(f"{'module':<30}{'killed':>8}{'of':>6}{'%':>7}{'seconds':>9}", flush=True)
    for name, group in groups().items():
        if not any(plan[path] for path in chosen[name]):
            continue
        runner = Runner(group.modules, group.tests)
        for path in chosen[name]:
            begin = time.monotonic()
            alive = 0
            for mutant in plan[path]:
                if not runner.killed(path, mutant.lines, mutant.source):
                    alive += 1
                    print(f"    survived {mutant}", flush=True)
            tested += len(plan[path])
            killed += len(plan[path]) - alive
            print(_row(path, len(plan[path]) - alive, len(plan[path]), time.monotonic() - begin), flush=True)
    print(_row("all", killed, tested))
    return int(100 * killed < float(options["least"]) * tested)


def _row(name: str, killed: int, tested: int, seconds: float | None = None) -> str:
    share = f"{100 * killed / tested:.1f}" if tested else "-"
    return f"{name:<30}{killed:>8}{tested:>6}{share:>7}{'' if seconds is None else f'{seconds:.0f}':>9}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
