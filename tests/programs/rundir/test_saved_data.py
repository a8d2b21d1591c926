"""Tests that programs and run folders of any origin are only data: nothing in them is imported, opened or sent."""

from __future__ import annotations

import copy
import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, HealthCheck, settings, strategies

from clinspan.corpora import InputError
from clinspan.lms import ModelError
from clinspan.programs.app.start_run import saved_config
from clinspan.programs.building.build_run import Overrides, program_settings
from clinspan.programs.building.load_program import adapter_folder, read_program
from clinspan.programs.config.composition import build, compose
from clinspan.programs.config.saved_data import inside
from clinspan.programs.rundir.errors import RunError
from clinspan.programs.rundir.run_record import RunRecord
from conftest import Command, folder_of, load, ROOT
from support.scripted_server import ScriptedServer

GROUPS = ("format", "strategy", "retriever")
USER_ERRORS = (InputError, ModelError, RunError)
CODE: list[Any] = [
    {"_target_": "torch.load", "f": "x", "weights_only": False},
    {"_target_": "pathlib.Path.write_text", "self": "PWNED", "data": "x"},
    [{"_target_": "os.system", "command": "id"}],
    [[{"deep": {"_partial_": True}}]],
    {"_convert_": "all"},
    "${oc.env:HOME}",
    "a${oc.env:HOME}b",
    ["${hydra:runtime.cwd}"],
]
FORBIDDEN = ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "pickle.find_class")
KNOWN = tuple(str(place) for place in (ROOT, sys.prefix, sys.base_prefix, tempfile.gettempdir()))
NAMES = ["", "/etc/passwd", "../../x", "http://evil.test/v1", "evil/model", "os.system", "nearest", "hpo"]
VALUES = strategies.recursive(
    strategies.one_of(
        strategies.sampled_from(CODE),
        strategies.none(),
        strategies.booleans(),
        strategies.integers(-5, 999),
        strategies.sampled_from(NAMES),
    ),
    lambda inner: strategies.lists(inner, max_size=2) | strategies.dictionaries(strategies.text(max_size=9), inner, max_size=2),
    max_leaves=4,
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Contents of `program.json` and `run.json` as a run writes them."""
    from conftest import command_in
    from support.scripted_server import serving

    home = tmp_path_factory.mktemp("saved")
    with serving(ScriptedServer()) as server:
        words = ["model=openai", "model.id=m", f"model.api_base={server.address}/v1", "strategy=rag_few_shot", "limit=2"]
        folder = folder_of(command_in(home)("run", *words))
    return {"program.json": load(folder / "program.json"), "run.json": load(folder / "run.json")}


class Watch:
    """Audit hook that records imports, opened files and other suspicious events of the interpreter."""

    def __init__(self, home: Path) -> None:
        self.on, self.home = False, str(home)
        self.seen: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, details: tuple[Any, ...]) -> None:
        if not self.on:
            return
        target = str(details[0])
        writes = event == "open" and isinstance(details[1], str) and bool(set(details[1]) & set("wax+"))
        strange = event == "open" and isinstance(details[0], str) and not target.startswith(KNOWN)
        unknown = event == "import" and target.partition(".")[0] not in sys.modules
        if writes or strange or unknown or event in FORBIDDEN:
            self.seen.append(f"{event} {target}")

    @contextmanager
    def __call__(self) -> Iterator[None]:
        self.seen.clear()
        self.on = True
        try:
            yield
        finally:
            self.on = False
        assert not self.seen


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of a JSON value itself and of each value inside it."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return a copy of a JSON value with `new` at `path`."""
    if not path:
        return new
    copied = copy.copy(value)
    copied[path[0]] = put(value[path[0]], path[1:], new)
    return copied


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Watch:
    return Watch(tmp_path_factory.mktemp("watched"))


@pytest.mark.long
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=strategies.data())
def test_a_mutated_program_imports_opens_and_sends_nothing(
    data: strategies.DataObject, saved: dict[str, Any], watch: Watch, tmp_path: Path
) -> None:
    content = saved["program.json"]
    path = data.draw(strategies.sampled_from(list(places(content["settings"]))))
    changed = put(content, ("settings", *path), data.draw(VALUES))
    if data.draw(strategies.booleans()) and isinstance(changed["settings"], dict):
        changed["settings"] = {**changed["settings"], data.draw(strategies.text(max_size=9)): data.draw(VALUES)}
    (tmp_path / "program.json").write_text(json.dumps(changed))
    config, chosen, keys = compose("run", [f"program={tmp_path}"])
    with watch():
        refused_or(lambda: build(program_settings(config, Overrides(chosen, keys))[0].strategy))


@pytest.mark.long
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=strategies.data())
def test_a_mutated_record_imports_opens_and_sends_nothing(
    data: strategies.DataObject, saved: dict[str, Any], watch: Watch, tmp_path: Path
) -> None:
    content = saved["run.json"]
    part = data.draw(strategies.sampled_from(["config", "choices"]))
    path = data.draw(strategies.sampled_from(list(places(content[part]))))
    changed, file = put(content, (part, *path), data.draw(VALUES)), tmp_path / "run.json"
    with watch():
        refused_or(lambda: saved_config(RunRecord.checked(changed, file, "Look."), "run", file))


def refused_or(act: Callable[[], object]) -> None:
    """Call `act`. It may only fail with an error for users, on one line."""
    try:
        act()
    except USER_ERRORS as error:
        assert "\n" not in str(error)


KEYS = ["format", "strategy", "retriever", "strategy.pool", "retriever.embedder", "retriever.embedder.name", "adapter"]


@pytest.mark.parametrize("code", CODE, ids=str)
@pytest.mark.parametrize("key", KEYS)
def test_code_in_a_program_is_refused_at_any_key(code: Any, key: str, saved: dict[str, Any], tmp_path: Path) -> None:
    content = put(saved["program.json"], ("settings",), {**saved["program.json"]["settings"], "adapter": {}})
    (tmp_path / "program.json").write_text(json.dumps(put(content, ("settings", *key.split(".")), code)))
    config, chosen, keys = compose("run", [f"program={tmp_path}"])
    with pytest.raises(InputError, match=r"program\.json"):
        program_settings(config, Overrides(chosen, keys))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("metric", {"_target_": "torch.load", "f": "x"}),
        ("model.api_base", "${oc.env:HOME}"),
        ("retriever.url", True),
        ("retriever.url", [5]),
        ("evil", 1),
        ("model._target_", "os.system"),
    ],
)
def test_code_in_a_run_folder_is_refused_when_it_is_resumed(
    key: str, value: Any, saved: dict[str, Any], tmp_path: Path, command: Command
) -> None:
    record = saved["run.json"]
    *path, last = key.split(".")
    inner = record["config"]
    for name in path:
        inner = inner[name]
    record = put(record, ("config", *path), {**inner, last: value})
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "run.json").write_text(json.dumps({**record, "status": "failed"}))
    done = command("run", "resume=old")
    assert done.returncode == 2 and f"run.json: {key}" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(("group", "name"), [("model", "api_base"), ("retriever", "url"), ("tracking", "uri")])
def test_a_run_folder_that_names_another_machine_wants_the_users_word(
    group: str, name: str, saved: dict[str, Any], tmp_path: Path, command: Command
) -> None:
    record = copy.deepcopy(saved["run.json"])
    if group == "tracking":
        record["choices"]["tracking"] = "mlflow"
        record["config"]["tracking"] = {"_target_": "clinspan.programs.telemetry.tracking.Mlflow", "uri": None, "experiment": "x"}
    record["config"][group][name] = "https://evil.test/v1"
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "run.json").write_text(json.dumps({**record, "status": "failed"}))
    done = command("run", "resume=old")
    assert done.returncode == 2
    assert f"sends texts to evil.test. If texts may be sent there, set {group}.{name}=https://evil.test/v1" in done.stderr


@pytest.mark.parametrize(
    ("key", "value"),
    [("knowledge", "/etc"), ("embedder.path", "/etc"), ("embedder.hub_id", "evil/model"), ("embedder.package", "os:x")],
)
def test_an_embedder_or_knowledge_base_of_a_program_needs_the_users_consent(
    key: str, value: str, saved: dict[str, Any], tmp_path: Path
) -> None:
    content = put(saved["program.json"], ("settings", "retriever", *key.split(".")), value)
    (tmp_path / "program.json").write_text(json.dumps(content))
    config, chosen, keys = compose("run", [f"program={tmp_path}"])
    with pytest.raises(InputError, match=rf"set retriever\.{key}={value}"):
        program_settings(config, Overrides(chosen, keys))
    config, chosen, keys = compose("run", [f"program={tmp_path}", f"retriever.{key}={value}"])
    assert program_settings(config, Overrides(chosen, keys))[1]["retriever"] == "minilm"


def test_a_program_with_other_shared_demonstrations_than_it_says_is_refused(saved: dict[str, Any], tmp_path: Path) -> None:
    content = put(saved["program.json"], ("settings", "strategy", "demonstrations"), "nearest")
    content = put(content, ("tag", "demos"), [{"id": "d:0", "tokens": ["fever"], "tags": ["O"]}])
    (tmp_path / "program.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"program\.json: has 1 fixed demonstrations, and strategy\.shared=0"):
        read_program(tmp_path)
    content = put(content, ("settings", "strategy", "shared"), 1)
    (tmp_path / "program.json").write_text(json.dumps(content))
    assert read_program(tmp_path)["settings"]["strategy"]["shared"] == 1


@pytest.mark.parametrize("name", ["/etc", "..", "a/../../b", "", 5, None, "a\0b", "link"])
def test_no_path_of_a_program_leads_out_of_its_folder(name: Any, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "link").symlink_to(tmp_path)
    with pytest.raises(InputError, match="leads out of the folder of the program"):
        inside(tmp_path / "home", name, path=tmp_path / "program.json", key="adapter.folder")


def test_a_users_own_options_are_composed_again_when_the_program_is_loaded(command: Command, tmp_path: Path) -> None:
    """A run uses a format and a strategy from `--config-dir`. Its program can be loaded only with that folder."""
    own = tmp_path / "own"
    (own / "format").mkdir(parents=True)
    (own / "strategy").mkdir()
    (own / "format" / "mine.yaml").write_text("_target_: clinspan.programs.formats.BioLines\nseparator: newline\n")
    (own / "strategy" / "two.yaml").write_text((ROOT / "conf/strategy/few_shot.yaml").read_text().replace("k: 5", "k: 2"))
    answers = tmp_path / "answers.jsonl"
    answers.write_text("".join(json.dumps({"output": "A : O"}) + "\n" for _ in range(2)))
    place = ("--config-dir", str(own))
    common = ("model=replay", f"model.path={answers}", "limit=2")
    folder = folder_of(command("run", *place, *common, "format=mine", "strategy=two"))
    record = load(folder_of(command("run", *place, *common, f"program={folder}")) / "run.json")
    assert (record["choices"]["format"], record["choices"]["strategy"]) == ("mine", "two")
    assert record["config"]["strategy"]["k"] == 2
    without = command("run", *common, f"program={folder}")
    assert without.returncode == 2
    assert "mine" in without.stderr and "Traceback" not in without.stderr


def test_weights_outside_of_a_program_need_the_users_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program of a run with another program's adapter names the folder of that adapter from the root."""
    elsewhere = tmp_path / "elsewhere" / "model"
    about = {"adapter": {"folder": str(elsewhere), "use": "adapter", "model": "smollm2", "id": "x"}}
    program = tmp_path / "program.json"
    remedy = re.escape(f"names weights outside of its folder, {elsewhere}. If you trust them, set model.adapter={elsewhere}")
    refused: list[dict[str, str | None]] = [{}, {"adapter": None}, {"path": str(elsewhere)}]
    for allowed in refused:
        with pytest.raises(InputError, match=remedy):
            adapter_folder(program, about, allowed)
    assert adapter_folder(program, about, {"adapter": str(elsewhere)}) == elsewhere
    monkeypatch.chdir(tmp_path)
    own = {"adapter": {**about["adapter"], "folder": str(tmp_path / "runs" / "finetune" / "one" / "model")}}
    assert adapter_folder(program, own, {}) == tmp_path / "runs" / "finetune" / "one" / "model"
