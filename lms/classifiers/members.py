"""Models that were trained with several seeds, in one folder: a whole model, and the weights of the others beside it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model

from clinspan.lms.classifiers.token_classification import LogProbs
from clinspan.lms.weights.load import unloadable


def save_member(model: Any, folder: Path, number: int) -> None:
    """Write the weights of a member into the folder of the first member."""
    save_model(model, str(_place(folder, number)))


def load_members(folder: Path, first: Any, number: int) -> list[Any]:
    """The other members of a folder.

    Args:
        folder: The folder.
        first: The first member, loaded.
        number: Number of members, the first one included.

    Raises:
        ModelError: The weights of a member are missing or damaged.
    """
    members = []
    for n in range(2, number + 1):
        member = copy.deepcopy(first)
        try:
            load_model(member, str(_place(folder, n)))
        except (OSError, RuntimeError, SafetensorError) as error:
            raise unloadable(folder, error, use=f" with {number} members") from None
        members.append(member.eval())
    return members


def mean_log_probs(tables: Sequence[Sequence[LogProbs]]) -> list[LogProbs]:
    """The logarithms of the mean probabilities over members.

    Args:
        tables: For each member, the log probabilities for each sentence.

    >>> halves, sure = np.log(np.array([[0.5, 0.5]], np.float32)), np.log(np.array([[0.9, 0.1]], np.float32))
    >>> np.exp(mean_log_probs([[halves], [sure]])[0]).round(3).tolist()
    [[0.699999988079071, 0.30000001192092896]]
    """
    if len(tables) == 1:
        return list(tables[0])
    share = np.log(np.float32(len(tables)))
    return [np.logaddexp.reduce(np.stack(same), axis=0) - share for same in zip(*tables, strict=True)]


def _place(folder: Path, number: int) -> Path:
    return folder / f"member_{number}.safetensors"
