"""`python -m benchmarks.results`: make the figures of docs/results.md that are missing, and write its tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig
from rich.table import Table

from benchmarks.result_list import all_steps, LIST, load_list, needed, NEEDS, Result, Step
from benchmarks.result_runs import ROOT, shown_command, Store
from benchmarks.result_tables import Tables
from clinspan.corpora import InputError
from clinspan.programs.app.hydra_app import run_app
from clinspan.programs.config.composition import folder_path
from clinspan.programs.rundir.errors import RunError
from clinspan.programs.rundir.run_folder import git_state, read_object, write_whole
from clinspan.reports.terminal.console import PlainConsole

PAGE = ROOT / "docs" / "results.md"


def main(config: DictConfig) -> None:
    """Run the steps of the chosen results that are not done; or list them, or write the tables of all."""
    results = load_list(folder_path(config.results) if config.results else LIST)
    given = {name: str(folder_path(config[name]).absolute() if name == "data" else config[name]) for name in NEEDS if config[name]}
    store = Store(folder_path(config.folder), given)
    wanted = chosen(results, list(config.only), config.section)
    if config.list:
        print_states(results, wanted, store)
    elif config.write:
        print(write(results, store, folder_path(config.page) if config.page else PAGE))
    else:
        make(results, wanted, store)


def write(results: dict[str, Result], store: Store, page: Path) -> Path:
    """Write the tables of all results that have marks in a page, and their figures into the `.json` file beside it.

    Raises:
        InputError: A figure is missing in a step's folder, or the page cannot be read.
    """
    kept = page.with_suffix(".json")
    tables = Tables(results, store, dict(read_object(kept)) if kept.is_file() else {})
    tables.collect()
    write_whole(page, tables.written(page.read_text(encoding="utf-8")).encode())
    write_whole(kept, (json.dumps(dict(sorted(tables.kept.items())), indent=1, ensure_ascii=False) + "\n").encode())
    return page


def chosen(results: dict[str, Result], only: Sequence[str], section: str | None) -> list[str]:
    """The ids of the chosen results.

    Raises:
        InputError: An id or the section does not exist.
    """
    if unknown := [name for name in only if name not in results]:
        raise InputError(f"only={unknown[0]} is not known", remedy=f"Known: {', '.join(results)}.")
    sections = list(dict.fromkeys(result.section for result in results.values()))
    if section is not None and section not in sections:
        raise InputError(f"section={section} is not known", remedy=f"Known: {'; '.join(sections)}.")
    return [name for name in only or results if section in (None, results[name].section)]


def make(results: dict[str, Result], wanted: Sequence[str], store: Store) -> None:
    """Run the steps that are not done, each after those that it uses, quickest results first.

    Raises:
        InputError: A figure is missing in a step's folder; the message names the file and the key.
        RunError: Steps failed. In both cases the others have been run.
    """
    steps = all_steps(results)
    failed: list[str] = []
    wrong: list[InputError] = []
    left_out: dict[str, list[str]] = {}
    plan = needed(results, wanted)
    for number, step in enumerate(plan, 1):
        name = "/".join(step.key)
        if store.made(step, steps) is not None:
            continue
        if lacking := store.lacks(step, steps):
            left_out.setdefault(" ".join(f"{word}=" for word in lacking), []).append(name)
        elif any(store.made(steps[key], steps) is None for key in step.uses):
            failed.append(name)
        else:
            shown = shown_command(step.command, step.words)
            print(f"results: {number} of {len(plan)}, {name}: {shown}", file=sys.stderr, flush=True)
            if not store.run(step, steps):
                failed.append(name)
                continue
            try:
                keep_figures(results, step, store)
            except InputError as error:  # reported at the end, so that the other steps are run
                wrong.append(error)
    print_states(results, wanted, store)
    for words, names in left_out.items():
        print(f"not run without {words}: {', '.join(names)}")
    if wrong:
        raise wrong[0]
    if failed:
        remedy = "The same command resumes them; remove a step's folder to begin it again"
        raise RunError(f"not finished: {', '.join(failed)}. {remedy}: {store.path}")


def keep_figures(results: dict[str, Result], step: Step, store: Store) -> None:
    """Read all figures that tables show of a step into its record.

    Raises:
        InputError: One is missing; the message names its file and key.
    """
    cells = [cell for result in results.values() for cell in result.cells()]
    store.keep(step, [figure for keys, figure in cells if step.key in keys])


def state(result: Result, results: dict[str, Result], store: Store) -> str:
    """What is done of a result, in words."""
    steps = all_steps(results)
    plan = needed(results, [result.id])
    if not plan:
        return "no command"
    records = [store.made(step, steps) for step in plan]
    done = [record for record in records if record is not None]
    if not done:
        begun = any(store.record(step) is not None for step in plan)
        words = "begun" if begun else "missing"
    else:
        commits = {str(commit["commit"])[:7] + "+" * bool(commit["dirty"]) for record in done for commit in record["commits"]}
        share = "done" if len(done) == len(plan) else f"{len(done)} of {len(plan)} steps done"
        words = f"{share} at {', '.join(sorted(commits))}"
        words += "" if {name.rstrip("+") for name in commits} == {str(git_state().commit)[:7]} else ", older than HEAD"
    lacking = dict.fromkeys(f"{name}=" for step in plan for name in store.lacks(step, steps))
    return words + (f"; needs {' '.join(lacking)}" if lacking else "")


def print_states(results: dict[str, Result], wanted: Sequence[str], store: Store) -> None:
    """Print a line for each result: its section, about how long it takes, its state, and what cannot be made."""
    table = Table("result", "page, section", "minutes", "state", "not made by a command")
    for result in sorted((results[name] for name in wanted), key=lambda result: result.minutes):
        place = result.section if result.page == Result.model_fields["page"].default else f"{result.page}, {result.section}"
        table.add_row(result.id, place, str(result.minutes), state(result, results, store), result.unavailable)
    PlainConsole(width=150).print(table)


if __name__ == "__main__":
    run_app("results", main, filters="only")
