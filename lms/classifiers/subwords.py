"""Sub-word tokenization of pre-tokenized sentences: the first piece represents a word, long sentences are read in windows."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clinspan.lms.errors import ModelError

_OVERLAP = 4
LEAST_WINDOW = 16


@dataclass(frozen=True, slots=True)
class Window:
    """Pieces that are read at once: a sentence, or a part of a sentence that is too long.

    Attributes:
        ids: Ids of the pieces, special ones included.
        words: Indices of the words that are classified from this window; each word of a sentence belongs to exactly one window.
        places: For each of those words, the index in `ids` of its first piece.
    """

    ids: tuple[int, ...]
    words: tuple[int, ...]
    places: tuple[int, ...]


class SubwordEncoder:
    """Splits sentences into windows of sub-word pieces.

    Args:
        tokenizer: The model's fast tokenizer.
        window: Maximum number of pieces in a window, special ones included.

    Raises:
        ModelError: The tokenizer gives no character offsets, or the window is too small.
    """

    def __init__(self, tokenizer: Any, *, window: int) -> None:
        if not tokenizer.is_fast:
            raise ModelError("the tokenizer does not report the positions of its pieces: a fast one (tokenizer.json) is needed")
        if window < LEAST_WINDOW:
            raise ModelError(f"a window of {window} pieces is too small: at least {LEAST_WINDOW} are needed")
        self.tokenizer = copy.deepcopy(tokenizer)  # the tokenizer object stores `split_special_tokens`
        bare = list(tokenizer("a", add_special_tokens=False)["input_ids"])
        whole = list(tokenizer("a")["input_ids"])
        offset = next(i for i in range(len(whole)) if whole[i : i + len(bare)] == bare)
        self.before, self.after = tuple(whole[:offset]), tuple(whole[offset + len(bare) :])
        candidates = (tokenizer.unk_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id, *bare)
        self.filler = next(int(token) for token in candidates if token is not None)
        self.room = window - len(self.before) - len(self.after)

    def windows(self, words: Sequence[str]) -> list[Window]:
        """The windows of a sentence, in order; empty for a sentence without words.

        A sentence that does not fit is read in windows that overlap by at least a quarter. A word belongs to the window in which it
        is farthest from a cut.
        """
        ids, firsts = self.pieces(words)
        if not firsts:
            return []
        starts = [0]
        while starts[-1] + self.room < len(ids):
            starts.append(min(starts[-1] + self.room - self.room // _OVERLAP, len(ids) - self.room))
        owners = [max(range(len(starts)), key=lambda n: (self._margin(place, starts[n], len(ids)), -n)) for place in firsts]
        windows = []
        for n, start in enumerate(starts):
            own_words = tuple(word for word, owner in enumerate(owners) if owner == n)
            window_ids = (*self.before, *ids[start : start + self.room], *self.after)
            windows.append(Window(window_ids, own_words, tuple(len(self.before) + firsts[word] - start for word in own_words)))
        return [window for window in windows if window.words]

    def pieces(self, words: Sequence[str]) -> tuple[list[int], list[int]]:
        """The pieces of a sentence, its words joined by blanks, and for each word the index of its first piece.

        Control tokens in the text are read as plain text. A word for which the tokenizer gives no piece gets the unknown piece.
        """
        encoding = self.tokenizer(
            " ".join(words), add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True, truncation=False
        )
        raw, offsets = encoding["input_ids"], encoding["offset_mapping"]
        ids: list[int] = []
        firsts: list[int] = []
        position, end = 0, -1
        for word in words:
            start, end = end + 1, end + 1 + len(word)
            while position < len(raw) and offsets[position][1] <= start:
                ids.append(raw[position])
                position += 1
            firsts.append(len(ids))
            if position == len(raw) or offsets[position][0] >= end:
                ids.append(self.filler)
        return ids + list(raw[position:]), firsts

    def _margin(self, place: int, start: int, length: int) -> float:
        """Number of pieces between a place and the nearest cut of its window; infinite without a cut, -1 outside the window."""
        end = start + self.room
        if not start <= place < end:
            return -1
        left = place - start if start else float("inf")
        return min(left, end - 1 - place if end < length else float("inf"))
