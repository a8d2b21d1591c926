"""A whole config as a file with comments: what differs from the defaults is in force, all other settings are comments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from clinspan.conf import CONF
from clinspan.programs.app.first_steps import flow
from clinspan.programs.config.composition import compose_here, group_option
from clinspan.programs.config.project_file import groups_of

GROUPS = ("corpus", "format", "model", "strategy", "prompt", "retriever", "metric")
_KEY = re.compile(r"^(\w+):.*?\s#\s(.*)$")
_PLAIN = ("split", "limit", "sample", "constrained", "draft", "seed", "stop_after", "alignment", "label_order", "label_wording")


def experiment_text(config: DictConfig, chosen: Mapping[str, str], *, name: str, folder: str, documents: int) -> str:
    """The content of an experiment for `clinspan run` with all settings.

    Args:
        config: A config with the groups `GROUPS`.
        chosen: The option of each group.
        name: The name of the experiment.
        folder: The folder of `--config-dir` that will hold it.
        documents: The number of documents of a first try.
    """
    own = {group: chosen[group] for group in GROUPS if group == "corpus" or _is_chosen(config, group, chosen)}
    rows = [
        "# @package _global_",
        f"# an experiment with all settings: clinspan run --config-dir {folder} experiment={name}",
        "# Lines without # are in force, the others show defaults. To set one, remove its # and that of the group above it.",
        "defaults:",
        *(f"  - override /{group}: {option}" for group, option in own.items()),
        *(f"  # - override /{group}: {chosen[group]} # {_others(group)}" for group in GROUPS if group not in own),
        "",
        f"limit_documents: {documents} # for a first try; null: all documents",
        *_plain(),
    ]
    for group in GROUPS:
        rows += ["", *_block(group, chosen[group], config[group])]
    return "\n".join(rows) + "\n"


def changed(group: str, option: str, values: DictConfig) -> dict[str, Any]:
    """The settings of a group that differ from those of its option."""
    defaults = group_option(group, option)
    return {str(key): value for key, value in values.items() if key not in defaults or defaults[key] != value}


def _is_chosen(config: DictConfig, group: str, chosen: Mapping[str, str]) -> bool:
    """Whether the option of a group is neither its default nor the one that the model selects."""
    if chosen[group] == groups_of("run")[group]:
        return False
    return group == "model" or bool(compose_here("run", [f"model={chosen['model']}"])[group] != config[group])


def _block(group: str, option: str, values: DictConfig) -> Iterator[str]:
    own, comments = changed(group, option, values), _comments(group, option)
    yield f"{group}: # of {group}={option}" if own else f"# {group}: # of {group}={option}"
    for name, value in values.items():
        key = str(name)
        if key == "_target_":
            continue
        comment = f" # {comments[key]}" if key in comments else ""
        yield f"{'' if key in own else '# '}  {key}: {flow(value)}{comment}"


def _plain() -> Iterator[str]:
    comments = _read_comments("run.yaml") | _read_comments("shared/program.yaml")
    config = compose_here("run")
    for key in _PLAIN:
        yield f"# {key}: {flow(config[key])}" + (f" # {comments[key]}" if key in comments else "")


def _others(group: str) -> str:
    return " | ".join(sorted(path.stem for path in (CONF / group).glob("*.yaml")))


def _comments(group: str, option: str) -> dict[str, str]:
    """The comments of the keys of an option, in its file and in those that it is based on."""
    path = CONF / group / f"{option}.yaml"
    if not path.is_file():
        return {}
    based = [name for name in yaml.safe_load(path.read_text(encoding="utf-8")).get("defaults", ()) if isinstance(name, str)]
    comments: dict[str, str] = {}
    for name in based:
        comments |= _comments(group, name) if name != "_self_" else {}
    return comments | _read_comments(f"{group}/{option}.yaml")


def _read_comments(name: str) -> dict[str, str]:
    rows = (CONF / name).read_text(encoding="utf-8").splitlines()
    return {found[1]: found[2] for row in rows if (found := _KEY.match(row))}


def plain(value: Any) -> Any:
    """A value of a config without classes of OmegaConf."""
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
