"""Training records: a prompt and its gold answer, as messages and as token ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clinspan.lms.local.encoding import Encoder
from clinspan.lms.templates import Message


@dataclass(frozen=True, slots=True)
class Record:
    """One thing to learn.

    Attributes:
        id: Of the sentence, for counts; several records may share it.
        messages: The prompt as `(role, content)` pairs, the system text first, the question last.
        answer: What is to be said.
    """

    id: str
    messages: tuple[Message, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class Encoded:
    """A record as token ids; the loss is on those of the answer, the last of which ends it."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.answer)


def encode_records(records: Sequence[Record], encoder: Encoder, *, max_length: int) -> tuple[list[Encoded], list[str]]:
    """Records as token ids, prompts just as the engine makes them.

    Args:
        records: The records.
        encoder: The model's.
        max_length: Most tokens of a record.

    Returns:
        Those that fit, in order, and the ids of those that do not: none is ever cut.
    """
    kept: list[Encoded] = []
    left_out: list[str] = []
    for record in records:
        one = Encoded(encoder.prompt(record.messages), encoder.answer(record.messages, record.answer))
        if one.length > max_length:
            left_out.append(record.id)
        else:
            kept.append(one)
    return kept, left_out


def pack(batch: Sequence[Encoded]) -> dict[str, Tensor]:
    """A batch as one row without padding, in which what all prompts begin with is read once.

    The common beginning stands first, then each record's rest; a token sees the beginning and what stands before it in
    its own record, at the positions that it has there, so that every logit and gradient is that of the record alone.

    Returns:
        `input_ids` and `position_ids` of shape (1, tokens); `attention_mask` (1, 1, tokens, tokens), true where a row's
        token sees a column's; `places` (answer tokens), where each answer token is to be foretold; and those tokens as
        `labels` and `shift_labels`, the names under which the Trainer counts them.
    """
    shared = _shared([one.prompt for one in batch])
    ids, positions, owner = list(batch[0].prompt[:shared]), list(range(shared)), [0] * shared
    places: list[int] = []
    targets: list[int] = []
    for number, one in enumerate(batch, 1):
        rest = (*one.prompt[shared:], *one.answer[:-1])
        ids += rest
        positions += range(shared, shared + len(rest))
        owner += [number] * len(rest)
        places += range(len(ids) - len(one.answer), len(ids))
        targets += one.answer
    owners = torch.tensor(owner)
    mask = ((owners[:, None] == owners) | (owners == 0)).tril()
    labels = torch.tensor(targets)
    return {
        "input_ids": torch.tensor([ids]),
        "position_ids": torch.tensor([positions]),
        "attention_mask": mask[None, None],
        "places": torch.tensor(places),
        "labels": labels,
        "shift_labels": labels,
    }


def _shared(prompts: Sequence[tuple[int, ...]]) -> int:
    """How many tokens all prompts begin with; each keeps its last, which foretells the answer's first.

    >>> _shared([(1, 2, 3), (1, 2, 4, 5)]), _shared([(1, 2)])
    (2, 1)
    """
    longest = min(map(len, prompts)) - 1
    return next((i for i in range(longest) if len({prompt[i] for prompt in prompts}) > 1), longest)
