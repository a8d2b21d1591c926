"""Exact probabilities of given answers: all continuations of a prompt in one pass, as branches of a tree.

A request names stems, each of which may continue in several options. Continuations that begin alike share their tokens, and
branches do not see each other, so a pass reads every token once. The probability of an option is that of constrained decoding: at
each token where the options of a stem part, the softmax over the tokens with which they go on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from clinspan.lms.errors import GrammarError
from clinspan.lms.local.attention import Tree
from clinspan.lms.local.sequence import Answer, Done, Prompt

if TYPE_CHECKING:
    from clinspan.lms.local.decoding import Decoder

Ids = tuple[int, ...]
PASS = 256
"""Tokens of a pass, unless one prompt alone has more."""
NODES = 768
"""Tokens of a tree after which further stems begin another one, which reads the prompt's own tokens again."""


@dataclass(frozen=True, slots=True)
class Branching:
    """A node of the tree behind which the options of a stem part.

    Attributes:
        node: Place of the node among the tree's tokens.
        tokens: The tokens with which options go on, ascending.
    """

    node: int
    tokens: Ids


StemScore = tuple[float, float, float]
"""Logarithms of the probabilities of a stem, of its last token behind the ones before, and of one of the options' first tokens."""
Step = tuple[int, int]
"""Number of a branching among those of the tree, and place of the token among its tokens."""


@dataclass
class TokenTree:
    """The tokens that a pass reads for one prompt.

    Attributes:
        tokens: Token ids; a parent stands before its children.
        parents: Place of each token's parent; -1 for the first one.
        branchings: Where options part.
        paths: For each stem, and each of its options, the steps that lead to it.
        ends: For each stem the place of its last token, behind which its options part for the first time.
        stems: Number of the first stem.
        tail: Number of the prompt's own tokens, with which it begins.
    """

    tokens: list[int]
    parents: list[int]
    stems: int
    tail: int
    branchings: list[Branching] = field(default_factory=list)
    paths: list[list[list[Step]]] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    _children: dict[tuple[int, int], int] = field(default_factory=dict)

    @classmethod
    def behind(cls, tail: Sequence[int], stems: int) -> TokenTree:
        """The tree behind the tokens of a prompt that are not in the shared prefix; there is at least one."""
        return cls(list(tail), list(range(-1, len(tail) - 1)), stems, len(tail))

    def add(self, options: Sequence[Ids]) -> None:
        """Add a stem with its options, each as all tokens behind the prompt.

        Raises:
            GrammarError: An option is the beginning of another one, or there is only one.
        """
        if len(options) < 2:
            raise GrammarError("there is nothing to choose between")
        paths: list[list[Step]] = [[] for _ in options]
        first = len(self.branchings)
        self._grow(options, list(range(len(options))), 0, self.tail - 1, paths)
        self.paths.append(paths)
        self.ends.append(self.branchings[first].node)

    def _grow(self, options: Sequence[Ids], members: list[int], at: int, node: int, paths: list[list[Step]]) -> None:
        """Add the tokens that the members read from place `at` on, behind `node`, as far as more than one of them goes on."""
        while len(members) > 1:
            if any(len(options[member]) == at for member in members):
                raise GrammarError("an answer to choose from is the beginning of another one")
            tokens = sorted({options[member][at] for member in members})
            if len(tokens) > 1:
                break
            node, at = self._child(node, tokens[0]), at + 1
        else:
            return
        number = len(self.branchings)
        self.branchings.append(Branching(node, tuple(tokens)))
        for place, token in enumerate(tokens):
            group = [member for member in members if options[member][at] == token]
            for member in group:
                paths[member].append((number, place))
            if len(group) > 1:
                self._grow(options, group, at + 1, self._child(node, token), paths)

    def _child(self, node: int, token: int) -> int:
        if (node, token) not in self._children:
            self._children[node, token] = len(self.tokens)
            self.tokens.append(token)
            self.parents.append(node)
        return self._children[node, token]

    def path(self, node: int) -> list[int]:
        """The nodes that lead to a node, itself included."""
        path: list[int] = []
        while node >= 0:
            path.append(node)
            node = self.parents[node]
        return path[::-1]

    def shape(self) -> Tree:
        """Depths, and which token sees which."""
        size = len(self.tokens)
        visible = torch.eye(size, dtype=torch.bool)
        depths = torch.zeros(size, dtype=torch.long)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                visible[node] |= visible[parent]
                depths[node] = depths[parent] + 1
        return Tree(depths, visible)

    def _stem_scores(self, node_logprobs: Sequence[float], masses: Sequence[float]) -> list[StemScore]:
        """The scores of the stems, from the logarithms of the probabilities of nodes behind their parents and of the branchings."""
        sums = [0.0] * len(self.tokens)
        for node in range(self.tail, len(self.tokens)):
            parent = self.parents[node]
            sums[node] = node_logprobs[node] + (sums[parent] if parent >= self.tail else 0.0)
        numbers = {branching.node: number for number, branching in reversed(list(enumerate(self.branchings)))}
        return [(sums[end], node_logprobs[end] if end >= self.tail else 0.0, masses[numbers[end]]) for end in self.ends]

    def wanted(self) -> list[tuple[int, int]]:
        """The probabilities that `scores` needs: nodes, and tokens behind them."""
        stems = [(self.parents[node], self.tokens[node]) for node in range(self.tail, len(self.tokens))]
        return stems + [(branching.node, token) for branching in self.branchings for token in branching.tokens]

    def scores(self, logprobs: Sequence[float]) -> tuple[list[tuple[float, ...]], list[StemScore]]:
        """Logarithms of the options' probabilities by stem and option, and the scores of the stems.

        Args:
            logprobs: Logarithms of the probabilities that are `wanted`, among all tokens of the vocabulary.
        """
        at = len(self.tokens) - self.tail
        rows = []
        for branching in self.branchings:
            rows.append(list(logprobs[at : at + len(branching.tokens)]))
            at += len(branching.tokens)
        masses = [_log_sum(row) for row in rows]
        steps = [[value - mass for value in row] for row, mass in zip(rows, masses, strict=True)]
        options = [tuple(math.fsum(steps[number][place] for number, place in path) for path in paths) for paths in self.paths]
        return options, self._stem_scores([0.0] * self.tail + list(logprobs[: len(self.tokens) - self.tail]), masses)


def trees(tail: Sequence[int], stems: Sequence[Sequence[Ids]]) -> Iterator[TokenTree]:
    """The trees of a prompt: one, or several if there are many stems.

    Args:
        tail: The prompt's tokens that are not in the shared prefix.
        stems: Token ids by stem and option.
    """
    tree = TokenTree.behind(tail, 0)
    for number, options in enumerate(stems):
        if len(tree.tokens) - len(tail) >= NODES:
            yield tree
            tree = TokenTree.behind(tail, number)
        tree.add(options)
    yield tree


def compare_choices(decoder: Decoder, prompts: Sequence[Prompt], *, done: Done | None = None) -> list[Answer | Exception]:
    """The probabilities of the prompts' choices, in order; what is wrong with one of them is its own result.

    Args:
        decoder: Reads the trees.
        prompts: All have `choices`.
        done: Told of each result when its pass is read.
    """
    shared = decoder.shared(prompts)
    prefix = decoder.prefixes.get(prompts[0].ids[:shared])
    results: list[Answer | Exception] = []
    for group in _passes(prompts, shared):
        flat = [tree for grown in group if not isinstance(grown, GrammarError) for tree in grown]
        read = iter(decoder.token_logprobs(prefix, flat) if flat else [])
        for grown in group:
            result = grown if isinstance(grown, GrammarError) else compared(grown, [next(read) for _ in grown], passes=1)
            results.append(result)
            if done is not None:
                done(len(results) - 1, result)
    return results


def _passes(prompts: Sequence[Prompt], shared: int) -> Iterator[list[list[TokenTree] | GrammarError]]:
    """The trees of each prompt, in groups that a pass reads."""
    group: list[list[TokenTree] | GrammarError] = []
    size = 0
    for prompt in prompts:
        grown: list[TokenTree] | GrammarError
        try:
            grown = list(trees(prompt.ids[shared:], prompt.choices or ()))
        except GrammarError as error:
            grown = error
        more = 0 if isinstance(grown, GrammarError) else sum(len(tree.tokens) for tree in grown)
        if group and size + more > PASS:
            yield group
            group, size = [], 0
        group.append(grown)
        size += more
    yield group


def compared(grown: Sequence[TokenTree], logprobs: Sequence[Sequence[float]], *, passes: int) -> Answer:
    """What a prompt's trees have given, as an answer.

    Args:
        grown: The trees.
        logprobs: For each tree the logarithms of the probabilities that it wanted.
        passes: Number of passes that read them.
    """
    scores = [tree.scores(values) for tree, values in zip(grown, logprobs, strict=True)]
    read = tuple(token for tree in grown for token in tree.tokens[tree.tail :])
    options = tuple(row for rows, _ in scores for row in rows)
    return Answer("", read, (), "stop", passes, options, tuple(stem for _, stems in scores for stem in stems))


def _log_sum(values: Sequence[float]) -> float:
    most = max(values)
    return most + math.log(math.fsum(math.exp(value - most) for value in values))
