"""`python -m benchmarks.bench`: the speed of the engine, compared with baselines that give the same answers."""

from __future__ import annotations

import json
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import psutil
from omegaconf import DictConfig

from benchmarks import baselines
from benchmarks.baselines import Baseline, Task
from benchmarks.plots import plot_bench, plot_growth, print_bench
from benchmarks.prompts import collect_prompts
from benchmarks.scaling import growth
from clinspan.corpora import check_number, InputError
from clinspan.lms import LocalModel
from clinspan.lms.local.packed_linear import unpacked
from clinspan.lms.local.reference import departures
from clinspan.lms.local.sequence import Answer
from clinspan.lms.remote.audit import audit_to
from clinspan.lms.remote.hosts import check_address
from clinspan.programs.app.hydra_app import run_app
from clinspan.programs.building.build_run import build_run, program_settings
from clinspan.programs.building.protected_texts import protected_texts
from clinspan.programs.config.composition import chosen_options, output_folder, plain_settings
from clinspan.programs.config.privacy import check_destinations, Permission
from clinspan.programs.rundir.run_folder import environment, now, RunFolder
from clinspan.programs.tagging.tagger import Ensemble

TIE = 1e-3
_QUICK = ("a", "b", "e", "floor")
_QUICK_SENTENCES = 10


def main(config: DictConfig) -> None:
    """Time every baseline, compare the engine's answers with plain decoding, and print the table (JSON with `json=true`)."""
    check_number("sentences", config.sentences, 1)
    ways = choose_ways(config)
    task = build_task(config)
    if config.curves:
        curves(task, config)
        return
    rows = measure(task, ways, config.repeats)
    compared = task.every(4 if config.quick else 1)
    same = sum(_identical(task, prompt, answer) for prompt, answer in zip(compared.prompts, compared.answers, strict=True))
    result = {"rows": rows, "ratios": ratios(rows), "identical": same, "compared": len(compared.prompts)}
    if config.json:
        print(json.dumps(result))
        return
    folder = RunFolder(output_folder())
    about = {"config": plain_settings(config), "choices": chosen_options(), "ended": now(), **environment().content()}
    folder.write("bench.json", {**about, **result})
    title = _title(config, task)
    plot_bench(rows, folder.path / "bench.png", title=title)
    print_bench(result, title=title)
    print(folder.path)


def curves(task: Task, config: DictConfig) -> None:
    """Measure how cost grows, and write the figures and a plot."""
    folder = RunFolder(output_folder())
    results = growth(task.parts, config.repeats)
    folder.write("curves.json", {"choices": chosen_options(), "ended": now(), **environment().content(), "curves": results})
    plot_growth(results, folder.path / "curves.png")
    print(folder.path)


def choose_ways(config: DictConfig) -> list[Baseline]:
    """The baselines that the config names.

    Raises:
        InputError: A name is not known, or a server is named without its address.
    """
    known = {
        "a": Baseline("a", "generate, one sentence at a time", baselines.one_by_one, every=5, plain=True),
        "b": Baseline("b", "generate, batches", baselines.batched, plain=True),
        "c": Baseline("c", "continuous batching of transformers", baselines.continuous, every=4, plain=True),
        "e_grammar": Baseline("e_grammar", "ours: grammar", baselines.ours(prefix=False, draft=False), every=2),
        "e_prefix": Baseline("e_prefix", "ours: grammar, shared prefix", baselines.ours(prefix=True, draft=False)),
        "e": Baseline("e", "ours: grammar, shared prefix, draft", baselines.ours(prefix=True, draft=True)),
        "floor": Baseline("floor", "one pass over what is new", baselines.floor),
    }
    if config.server:
        for name, grammar in (("d", False), ("d_grammar", True)):
            says = f"the server of server={', with our grammar' if grammar else ''}"
            known[name] = Baseline(name, says, baselines.served(config.server, config.server_model, grammar=grammar), every=4)
    wanted = list(_QUICK) if config.quick else list(config.ways or known)
    if unknown := [name for name in wanted if name not in known]:
        remedy = "Start it and give its address with server=http://127.0.0.1:PORT/v1." if unknown[0].startswith("d") else ""
        raise InputError(f"ways={unknown[0]} is not known", remedy=remedy or f"Use some of {', '.join(known)}.")
    return [known[name] for name in known if name in wanted]


def build_task(config: DictConfig) -> Task:
    """Build a task: sentences spread over the split, their prompts by length, and the engine's answers (which warms it up)."""
    parts = build_run(program_settings(config)[0], lambda corpus, spec: None)
    if config.server:
        address = check_address(config.server, "server")
        check_destinations(protected_texts(config, parts.corpus), what="server=", addresses=[address], leave=Permission.of(config))
        audit_to(output_folder())
    if not isinstance(parts.spec, LocalModel):
        raise InputError("the bench compares ways to run a local model", remedy="Use model=smollm2 or another local one.")
    if parts.spec.engine != "packed":
        raise InputError(f"the bench cannot time model.engine={parts.spec.engine}", remedy="Leave out model.engine.")
    if isinstance(parts.tagger, Ensemble):
        raise InputError("this program is an ensemble", remedy="Give program= one of its members.")
    wanted = min(config.sentences, _QUICK_SENTENCES) if config.quick else config.sentences
    step = max(1, len(parts.sentences) // wanted)
    chosen = [s for s in parts.sentences[::step] if s.tokens][:wanted]
    prompts = collect_prompts(parts, chosen)
    if len(prompts) != len(chosen):
        raise InputError("this format asks several questions per sentence", remedy="Use format=bio_lines, inline or entities.")
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i].ids))
    ordered = [prompts[i] for i in order]
    answers = parts.lm.engine.decoder.decode(ordered, rows=parts.spec.batch_size)
    if failed := [answer for answer in answers if not isinstance(answer, Answer)]:
        raise failed[0]
    return Task(parts, [chosen[i] for i in order], ordered, list(answers))


def measure(task: Task, ways: Sequence[Baseline], repeats: int) -> dict[str, dict[str, Any]]:
    """Run each baseline `repeats` times, in turn, so that load on the machine affects all alike. Returns rows with medians."""
    seconds: dict[str, list[float]] = {way.name: [] for way in ways}
    rows: dict[str, dict[str, Any]] = {}
    for round_ in range(repeats):
        for way in ways:
            part = task.every(way.every)
            print(f"bench: round {round_ + 1} of {repeats}: {way.name}, {way.says}", file=sys.stderr)
            with unpacked(task.engine.model) if way.plain else nullcontext(), _peak() as peak:
                began = time.perf_counter()
                passes = way.run(part)
                seconds[way.name].append(time.perf_counter() - began)
            took, n = statistics.median(seconds[way.name]), len(part.prompts)
            rows[way.name] = {
                "says": way.says,
                "sentences": n,
                "seconds": seconds[way.name],
                "sentences_per_s": n / took,
                "prompt_tokens_per_s": sum(len(p.ids) for p in part.prompts) / took,
                "answer_tokens_per_s": sum(len(a.ids) for a in part.answers) / took,
                "passes_per_sentence": None if passes is None else passes / n,
                "peak_mib": max(peak[0], rows.get(way.name, {}).get("peak_mib", 0)),
            }
    return rows


def ratios(rows: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Sentences per second of the engine, divided by those of each other baseline."""
    if "e" not in rows:
        return {}
    ours = rows["e"]["sentences_per_s"]
    return {f"e/{name}": ours / row["sentences_per_s"] for name, row in rows.items() if name != "e"}


def _identical(task: Task, prompt: Any, answer: Any) -> bool:
    return all(departure.margin < TIE for departure in departures(task.engine.decoder, prompt, answer))


@contextmanager
def _peak() -> Iterator[list[int]]:
    """The largest resident memory of this process inside the context, in MiB, sampled twenty times a second."""
    process = psutil.Process()
    highest = [0]
    over = threading.Event()

    def look() -> None:
        while True:
            highest[0] = max(highest[0], process.memory_info().rss >> 20)
            if over.wait(0.05):
                return

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield highest
    finally:
        over.set()
        watcher.join()


def _title(config: DictConfig, task: Task) -> str:
    mean = sum(len(p.ids) for p in task.prompts) / len(task.prompts)
    answer_tokens = sum(len(a.ids) for a in task.answers) / len(task.answers)
    chosen = chosen_options()
    words = f"{task.parts.corpus.name}: {chosen['strategy']} (k={config.strategy.k}), {chosen['format']}, {chosen['model']}"
    return f"{words}; {len(task.prompts)} sentences, {mean:.0f} prompt and {answer_tokens:.0f} answer tokens each"


if __name__ == "__main__":
    run_app("bench", main)
