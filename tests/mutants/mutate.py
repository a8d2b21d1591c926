"""The mutants of a module: copies of its source with one small change each, by the operators of mutmut.

mutmut's own runner leaves decorated functions out and needs a package without links. Here only its operators are used, on every
function, constant and default value. What has no effect at run time is left alone: annotations, type aliases, imports, `assert`.
"""

from __future__ import annotations

import ast
import difflib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import libcst as cst
import libcst.matchers as m
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators

_LEFT_ALONE = (cst.Annotation, cst.Decorator, cst.Import, cst.ImportFrom, cst.Assert)
_ALIAS = m.Assign(value=m.Subscript(value=m.Name() | m.Attribute()))
_ALL = m.Assign(targets=[m.AssignTarget(m.Name("__all__"))])


@dataclass(frozen=True, eq=False)
class Mutant:
    """One mutant of a module.

    Attributes:
        path: The module's file, relative to the root of the checkout.
        lines: The lines of the changed statement, or of the changed part of a compound statement's head, from 1.
    """

    path: str
    lines: range
    _module: cst.Module
    _node: cst.CSTNode
    _changed: cst.CSTNode

    @cached_property
    def source(self) -> str:
        """The whole mutated source."""
        mutated = self._module.deep_replace(self._node, self._changed)
        assert isinstance(mutated, cst.Module)
        return mutated.code

    @cached_property
    def change(self) -> tuple[str, str]:
        """The lines that differ, before and after the change, joined by blanks and without indentation."""
        lines = self._module.code.splitlines(), self.source.splitlines()
        first = next((n for n, (one, other) in enumerate(zip(*lines, strict=False)) if one != other), 0)
        sides: tuple[list[str], list[str]] = [], []
        for kind, *edges in difflib.SequenceMatcher(None, lines[0][first:], lines[1][first:], autojunk=False).get_opcodes():
            if kind != "equal":
                for side, text, start, end in zip(sides, lines, edges[::2], edges[1::2], strict=True):
                    side += text[first + start : first + end]
        before, after = (" ".join(text.strip() for text in side) for side in sides)
        return before, after

    @property
    def real(self) -> bool:
        """Whether the source compiles, and to another program than the original."""
        try:
            return ast.dump(ast.parse(self.source)) != ast.dump(ast.parse(self._module.code))
        except SyntaxError:
            return False

    def __str__(self) -> str:
        before, after = self.change
        return f"{self.path}:{self.lines.start}\n    - {before}\n    + {after}"


class _Visitor(cst.CSTVisitor):
    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[tuple[range, cst.CSTNode, cst.CSTNode]] = []
        self._depth = 0
        self._statement: range | None = None

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, _LEFT_ALONE) or (not self._depth and (m.matches(node, _ALIAS) or m.matches(node, _ALL))):
            return False
        self._depth += isinstance(node, (cst.FunctionDef, cst.ClassDef))
        place: Any = self.get_metadata(PositionProvider, node)
        lines = range(place.start.line, place.end.line + 1)
        if isinstance(node, cst.SimpleStatementLine):
            self._statement = lines
        for kind, operator in mutation_operators:
            if isinstance(node, kind):
                self.changes += [(self._statement or lines, node, changed) for changed in operator(node)]
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        self._depth -= isinstance(original_node, (cst.FunctionDef, cst.ClassDef))
        if isinstance(original_node, cst.SimpleStatementLine):
            self._statement = None


def mutants(root: Path, path: str) -> list[Mutant]:
    """All mutants of a module.

    Args:
        root: The root of the checkout.
        path: The module's file, relative to it.
    """
    wrapper = MetadataWrapper(cst.parse_module((root / path).read_text(encoding="utf-8")), unsafe_skip_copy=True)
    visitor = _Visitor()
    wrapper.visit(visitor)
    return [Mutant(path, lines, wrapper.module, node, changed) for lines, node, changed in visitor.changes]
