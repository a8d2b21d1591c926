"""Tests of packed linear layers: the same outputs, and memory that does not grow with each new number of rows."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from clinspan.lms.local.packed_linear import PackedLinear, padded_rows

GROWTH = """
import psutil, torch
from torch import nn
from clinspan.lms.local.packed_linear import PackedLinear
torch.set_num_threads(1)
layers = [PackedLinear(nn.Linear(a, b, bias=False).requires_grad_(False)) for a, b in ((576, 576), (576, 1536), (1536, 576))]
with torch.inference_mode():
    for rows in range(1, 257):
        if rows == 2:
            before = psutil.Process().memory_info().rss
        for layer in layers:
            layer(torch.zeros(1, rows, layer.in_features))
print((psutil.Process().memory_info().rss - before) >> 20)
"""


@pytest.mark.parametrize("rows", [1, 5, 8, 9, 16, 33, 255])
@pytest.mark.parametrize("bias", [False, True])
def test_a_packed_layer_gives_the_outputs_of_the_layer(rows: int, bias: bool) -> None:
    torch.manual_seed(rows)
    layer = nn.Linear(48, 80, bias=bias).requires_grad_(False)
    inputs = torch.randn(1, rows, 48)
    outputs = PackedLinear(layer)(inputs)
    assert outputs.shape == (1, rows, 80)
    assert torch.allclose(outputs, layer(inputs), atol=1e-5)
    assert torch.allclose(PackedLinear(layer).plain()(inputs), layer(inputs), atol=1e-5)


def test_numbers_of_rows_are_rounded_up_to_few_values() -> None:
    assert all(rows <= padded_rows(rows) < rows + 8 for rows in range(1, 300))
    assert len({padded_rows(rows) for rows in range(1, 257)}) == 39


@pytest.mark.long
def test_memory_does_not_grow_with_each_new_number_of_rows() -> None:
    done = subprocess.run([sys.executable, "-c", GROWTH], capture_output=True, text=True, check=True, timeout=300)
    assert int(done.stdout) < 200  # MiB; above 400 if the number of rows is not rounded up
