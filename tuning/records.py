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
    """A prompt and the answer to learn.

    Attributes:
        id: The sentence's id, for counts; several records may share it.
        messages: The prompt as `(role, content)` pairs, the system text first, the question last.
        answer: The gold answer.
    """

    id: str
    messages: tuple[Message, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class Encoded:
    """A record as token ids. The loss is on the answer alone, whose last token is the end token."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.answer)


def encode_records(records: Sequence[Record], encoder: Encoder, *, max_length: int) -> tuple[list[Encoded], list[str]]:
    """Encode records as token ids, with prompts exactly as the engine encodes them.

    Args:
        records: The records.
        encoder: The model's encoder.
        max_length: Maximum number of tokens of a record.

    Returns:
        The records that fit, in order, and the ids of those that are too long. No record is cut.
    """
    fitting: list[Encoded] = []
    left_out: list[str] = []
    for record in records:
        encoded = Encoded(encoder.prompt(record.messages), encoder.answer(record.messages, record.answer))
        if encoded.length > max_length:
            left_out.append(record.id)
        else:
            fitting.append(encoded)
    return fitting, left_out


def pack(batch: Sequence[Encoded]) -> dict[str, Tensor]:
    """Pack a batch into one row without padding, with the common prefix of all prompts only once.

    The row holds the prefix, then the rest of each record. A token attends to the prefix and to the earlier tokens of its own
    record, and keeps its position in that record. So every logit and gradient is the same as for the record alone.

    Returns:
        `input_ids` and `position_ids` of shape (1, tokens). `attention_mask` of shape (1, 1, tokens, tokens), true where the
        row's token attends to the column's token. `places` of shape (answer tokens,): the index of the token that predicts
        each answer token. The answer tokens as `labels` and `shift_labels`, the names under which the Trainer counts them.
    """
    shared = _shared([record.prompt for record in batch])
    ids, positions, owner = list(batch[0].prompt[:shared]), list(range(shared)), [0] * shared
    places: list[int] = []
    targets: list[int] = []
    for number, record in enumerate(batch, 1):
        rest = (*record.prompt[shared:], *record.answer[:-1])
        ids += rest
        positions += range(shared, shared + len(rest))
        owner += [number] * len(rest)
        places += range(len(ids) - len(record.answer), len(ids))
        targets += record.answer
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
    """Length of the prompts' common prefix. It leaves out each prompt's last token, which predicts the answer's first.

    >>> _shared([(1, 2, 3), (1, 2, 4, 5)]), _shared([(1, 2)])
    (2, 1)
    """
    longest = min(map(len, prompts)) - 1
    return next((i for i in range(longest) if len({prompt[i] for prompt in prompts}) > 1), longest)
