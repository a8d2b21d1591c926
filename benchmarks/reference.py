"""The reference pages of the site, made from the code while `mkdocs build` runs (`hooks` in mkdocs.yml).

Commands, groups and their settings come from `conf/` and `help_texts.py`, prompts and answers from the formats, signatures from
docstrings.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TYPE_CHECKING

import griffe
import yaml

from clinspan.conf import CONF
from clinspan.programs.app.command_help import command_settings, purpose
from clinspan.programs.app.help_texts import GUIDES
from clinspan.programs.cli import COMMANDS

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = ("bench", "results")
"""Commands of a checkout, `python -m benchmarks.NAME`, that are not installed."""
_TARGET = "_target_"
_DEMO = {"tokens": ["No", "asthma", "."], "tags": ["O", "B-Disease", "O"]}
_TOKENS = ["Fabry", "disease", "with", "diabetes", "."]
_TAGS = ["B-RareDisease", "I-RareDisease", "O", "B-Disease", "O"]
_LABELS = ("Disease", "RareDisease")


class Setting(NamedTuple):
    """A setting: its key, its default as the file has it (None: a mapping), and its comment."""

    key: str
    default: str | None
    comment: str


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages to the site. MkDocs calls this."""
    from mkdocs.structure.files import File

    for uri, text in pages().items():
        files.append(File.generated(config, uri, content=text))
    return files


def pages() -> dict[str, str]:
    """The Markdown of each page, by its path in the site."""
    groups = sorted({path.parent.name for path in CONF.glob("*/*.yaml")} - {"shared"})
    made = {"reference/commands.md": commands_page(), "reference/python.md": python_page()}
    return made | {f"reference/{group}.md": group_page(group) for group in groups}


def commands_page() -> str:
    """All commands, each with its examples, groups and settings."""
    names = [*COMMANDS, *BENCHMARKS]
    head = "# Commands and their settings\n\nSettings are given as `key=value`; `clinspan COMMAND --help` prints the main ones."
    return "\n\n".join([head, *map(_command, names)]) + "\n"


def _command(name: str) -> str:
    room = "benchmarks" if name in BENCHMARKS else "programs"
    called = f"python -m benchmarks.{name}" if name in BENCHMARKS else f"clinspan {name}"
    said = purpose(ast.get_docstring(ast.parse((ROOT / room / f"{name}.py").read_text(encoding="utf-8"))))
    guide = GUIDES.get(name)
    parts = [f"## {name}", f"`{called}{f' {guide.takes}' if guide and guide.takes else ''} [key=value ...]`: {_plain(said)}."]
    if guide:
        examples = [f"$ {called} {words}".rstrip() for words in guide.examples]
        parts += [_plain(guide.about), "\n".join(["```console", *examples, "```"])]
    rows, groups = command_settings(name)
    defaults = _defaults((CONF / f"{name}.yaml").read_text(encoding="utf-8"))
    shown = [f"| [{group}]({group}.md) | `{defaults[group]}` |" for group in groups]
    parts += ["\n".join(["| group | default |", "|---|---|", *shown])] if shown else []
    parts += [_table(settings_of("\n".join(rows)))] if rows else []
    return "\n\n".join(parts)


def group_page(group: str) -> str:
    """All options of a group with their settings; of formats also a prompt and its answer."""
    parts = [f"# {group}="]
    described: dict[str, list[Setting]] = {}
    for path in sorted((CONF / group).glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        settings = _documented(group, text)
        like = next((name for name, other in described.items() if _same(settings, other)), None)
        parts += [f"## {group}={path.stem}", *_about(text)]
        if like is None:
            parts.append(_table(settings))
        else:
            parts += [
                f"The settings of `{group}={like}`, with other defaults:",
                _table(sorted(set(settings) - set(described[like]))),
            ]
        described[path.stem] = settings
        parts += [_example(path.stem)] if group == "format" else []
    return "\n\n".join(part for part in parts if part) + "\n"


def _same(settings: list[Setting], others: list[Setting]) -> bool:
    """Whether two options have the same settings in the same words, several of them."""
    return len(settings) > 1 and [(one.key, one.comment) for one in settings] == [(one.key, one.comment) for one in others]


def _about(text: str) -> list[str]:
    """What is said of an option: the comment above it or else the docstring of its class, its class, and the options it extends."""
    lines = [line[1:].strip() for line in text.splitlines()[: _first(text)]]
    comment = "  \n".join(line for line in lines if not line.startswith("@package"))
    target = _target(text)
    said = [_plain(comment or (_purpose(target) if target else "")), f"Class or function: `{target}`" if target else ""]
    named = ", ".join(f"`{base}`" for base in _bases(text))
    return [*said, f"It has the settings of {named} too."] if named else said


def _first(text: str) -> int:
    """The number of comment lines at the beginning."""
    return next((n for n, line in enumerate(text.splitlines()) if not line.startswith("#")), 0)


def _documented(group: str, text: str) -> list[Setting]:
    """The settings of an option; those without a comment get the words of the options that it extends, or of its class."""
    words = _words_of(group, text)
    return [one._replace(comment=one.comment or words.get(one.key, "")) for one in settings_of(text)]


def _words_of(group: str, text: str) -> dict[str, str]:
    """What is said of the settings of an option and of those that it extends, by key."""
    target = _target(text)
    words = dict(_words(target)) if target else {}
    for base in _bases(text):
        path = CONF / (base if "/" in base else f"{group}/{base}")
        words |= _words_of(path.parent.name, path.with_suffix(".yaml").read_text(encoding="utf-8"))
    return words | {one.key: one.comment for one in settings_of(text) if one.comment}


def _bases(text: str) -> list[str]:
    """The options that an option extends, as its file names them."""
    entries = (yaml.safe_load(text) or {}).get("defaults", ())
    return [str(one).removesuffix("@_here_").strip("/") for one in entries if isinstance(one, str) and one != "_self_"]


def settings_of(text: str) -> list[Setting]:
    """The settings of a file of `conf/`, with nested keys after their mapping.

    >>> settings_of("defaults: [a]\\nk: 5 # number\\nwire: # request\\n  seed: null")
    [Setting(key='k', default='5', comment='number'), Setting(key='wire', default=None, comment='request'), \
Setting(key='wire.seed', default='null', comment='')]
    """
    node = yaml.compose(text)
    return list(_settings(node, text.splitlines(), "")) if isinstance(node, yaml.MappingNode) else []


def _settings(node: yaml.MappingNode, lines: list[str], above: str) -> Iterator[Setting]:
    for key, value in node.value:
        name = f"{above}{key.value}"
        if name in ("defaults", "hydra") or key.value == _TARGET:
            continue
        comment = _comment(lines, key, value)
        if isinstance(value, yaml.MappingNode) and value.value and not value.flow_style:
            yield Setting(name, None, comment)
            yield from _settings(value, lines, f"{name}.")
        else:
            yield Setting(name, _default(value, lines), comment)


def _comment(lines: list[str], key: yaml.Node, value: yaml.Node) -> str:
    """The comment behind a value on one line, else behind its key."""
    one_line = value.start_mark.line == value.end_mark.line == key.start_mark.line
    column = value.end_mark.column if one_line else key.end_mark.column + 1
    found = re.search(r"(?:^|\s)#\s*(.*)", lines[key.start_mark.line][column:])
    return found[1].strip() if found else ""


def _default(value: yaml.Node, lines: list[str]) -> str:
    start, end = value.start_mark, value.end_mark
    if isinstance(value, yaml.ScalarNode) and value.style in ("|", ">"):
        return " ".join(str(value.value).split())
    if start.line == end.line:
        return str(lines[start.line][start.column : end.column])
    return ", ".join(line.split(" #")[0].strip().removeprefix("- ") for line in lines[start.line : end.line] if line.strip())


def _defaults(text: str) -> dict[str, str]:
    """The option of each group that a command has without further words."""
    entries = yaml.safe_load(text)["defaults"]
    options = {group: option for entry in entries if isinstance(entry, dict) for group, option in entry.items()}
    return {group: "null" if option is None else str(option) for group, option in options.items()}


def _target(text: str) -> str | None:
    target = (yaml.safe_load(text) or {}).get(_TARGET)
    return None if target is None else str(target)


@functools.cache
def _package() -> griffe.Object:
    package = griffe.load("clinspan", search_paths=[str(ROOT)], docstring_parser="google")
    assert isinstance(package, griffe.Object)
    return package


def _object(target: str) -> griffe.Object:
    found = _package()[target.removeprefix("clinspan.")]
    return found.final_target if isinstance(found, griffe.Alias) else found


def _purpose(target: str) -> str:
    """The first paragraph of a docstring, if it is text."""
    docstring = _object(target).docstring
    texts = [part for part in (docstring.parsed if docstring else ()) if isinstance(part, griffe.DocstringSectionText)]
    return " ".join(texts[0].value.split("\n\n")[0].split()) if texts else ""


@functools.cache
def _words(target: str) -> Mapping[str, str]:
    """What the docstring of a class says of its parameters or attributes, by name."""
    found = _object(target)
    every = [*reversed(found.mro()), found] if isinstance(found, griffe.Class) else [found]
    kinds = (griffe.DocstringSectionAttributes, griffe.DocstringSectionParameters)
    sections = [section for one in every if one.docstring for section in one.docstring.parsed if isinstance(section, kinds)]
    return {item.name: " ".join(item.description.split()) for section in sections for item in section.value}


def _table(settings: list[Setting]) -> str:
    rows = [f"| `{one.key}` | {'' if one.default is None else _code(one.default)} | {_plain(one.comment)} |" for one in settings]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows]) if rows else ""


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _plain(text: str) -> str:
    """The text without meaning to Markdown.

    >>> _plain("auto | <N>, `k`")
    'auto \\\\| &lt;N>, `k`'
    """
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(one if n % 2 else re.sub(r"([|*_\[\]])", r"\\\1", one).replace("<", "&lt;") for n, one in enumerate(pieces))


def _example(name: str) -> str:
    """A prompt of a format and its answer, of a sentence with two mentions and one demonstration."""
    from clinspan.corpora import Label
    from clinspan.programs.config.composition import build, group_option
    from clinspan.programs.tagging.instructions import bare

    labels = [Label(label) for label in _LABELS]
    form = build(group_option("format", name), labels=labels)
    question = form.questions(_TOKENS, [])[-1]
    system, turns = form.messages(bare(labels), [_DEMO], question)
    said = [("system", system), *turns, ("answer", form.answer(_TOKENS, _TAGS, question.key))]
    return "\n\n".join(["An example, with `prompt=bare`:", "\n\n".join(f"{role}:\n\n```text\n{text}\n```" for role, text in said)])


def python_page() -> str:
    """The names that `from clinspan import ...` gives; mkdocstrings writes their signatures and docstrings."""
    exports = _package().exports or ()
    names = sorted((str(name) for name in exports if str(name) != "__version__"), key=str.lower)
    head = "# Python\n\n`from clinspan import NAME` gives these names; `clinspan.__version__` is the version."
    return "\n\n".join([head, *(f"::: clinspan.{name}" for name in names)]) + "\n"
