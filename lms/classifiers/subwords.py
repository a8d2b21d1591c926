"""Sub-word tokenization of pre-tokenized sentences: first pieces represent words, long sentences are read in windows."""

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
    """What is read at once: a sentence or, where that is too long, a part of it.

    Attributes:
        ids: The pieces, special ones included.
        words: The numbers of the sentence's words for which it speaks. Of all windows of a sentence just one speaks for a word.
        places: For each of those words, where in `ids` its first piece is.
    """

    ids: tuple[int, ...]
    words: tuple[int, ...]
    places: tuple[int, ...]


class SubwordEncoder:
    """Sentences as windows of pieces.

    Args:
        tokenizer: The model's, of the fast kind.
        window: Most pieces of a window, special ones included.

    Raises:
        ModelError: The tokenizer does not say where its pieces stand in the text, or the window is too small.
    """

    def __init__(self, tokenizer: Any, *, window: int) -> None:
        if not tokenizer.is_fast:
            raise ModelError("the tokenizer does not say where its pieces stand: a fast one (tokenizer.json) is needed")
        if window < LEAST_WINDOW:
            raise ModelError(f"a window of {window} pieces is too small: at least {LEAST_WINDOW} are needed")
        self.tokenizer = copy.deepcopy(tokenizer)  # `split_special_tokens` is kept in the object
        bare = list(tokenizer("a", add_special_tokens=False)["input_ids"])
        whole = list(tokenizer("a")["input_ids"])
        at = next(i for i in range(len(whole)) if whole[i : i + len(bare)] == bare)
        self.before, self.after = tuple(whole[:at]), tuple(whole[at + len(bare) :])
        known = (tokenizer.unk_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id, *bare)
        self.filler = next(int(token) for token in known if token is not None)
        self.room = window - len(self.before) - len(self.after)

    def windows(self, words: Sequence[str]) -> list[Window]:
        """The windows of a sentence, in order; none of a sentence without words.

        A sentence that does not fit is read in windows that overlap by a quarter at least, and of those that hold a word the
        one in which it stands farthest from where the sentence was cut speaks for it.
        """
        ids, firsts = self.pieces(words)
        if not firsts:
            return []
        starts = [0]
        while starts[-1] + self.room < len(ids):
            starts.append(min(starts[-1] + self.room - self.room // _OVERLAP, len(ids) - self.room))
        owners = [max(range(len(starts)), key=lambda n: (self._margin(place, starts[n], len(ids)), -n)) for place in firsts]
        found = []
        for n, start in enumerate(starts):
            own = tuple(word for word, owner in enumerate(owners) if owner == n)
            part = (*self.before, *ids[start : start + self.room], *self.after)
            found.append(Window(part, own, tuple(len(self.before) + firsts[word] - start for word in own)))
        return [window for window in found if window.words]

    def pieces(self, words: Sequence[str]) -> tuple[list[int], list[int]]:
        """The pieces of a sentence, its words joined by blanks, and for each word the number of its first one.

        What looks like a control token is text. A word of which the tokenizer leaves nothing has the unknown piece.
        """
        read = self.tokenizer(
            " ".join(words), add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True, truncation=False
        )
        raw, spans = read["input_ids"], read["offset_mapping"]
        ids: list[int] = []
        firsts: list[int] = []
        at, end = 0, -1
        for word in words:
            start, end = end + 1, end + 1 + len(word)
            while at < len(raw) and spans[at][1] <= start:
                ids.append(raw[at])
                at += 1
            firsts.append(len(ids))
            if at == len(raw) or spans[at][0] >= end:
                ids.append(self.filler)
        return ids + list(raw[at:]), firsts

    def _margin(self, place: int, start: int, length: int) -> float:
        """How many pieces around a place a window shows at least, where the sentence goes on; -1 if it does not hold it."""
        end = start + self.room
        if not start <= place < end:
            return -1
        left = place - start if start else float("inf")
        return min(left, end - 1 - place if end < length else float("inf"))
