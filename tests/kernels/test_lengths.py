"""One compiled graph of a block serves every length: from the second length on, a compiler takes it for a symbol."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from asiarch_kernels import (
    causal_conv,
    chunk_map,
    chunk_recurrence,
    fused_linear_cross_entropy,
    local_attention,
    scan,
)
from tests.kernels.checks import error, gradients

BLOCKS: dict[str, Callable[[Tensor], Tensor]] = {
    "causal_conv": lambda x: causal_conv(x.flatten(2), torch.ones(32, 4), silu=True),
    "chunk_map": lambda x: chunk_map(lambda y: y.cumsum(1), x, 16),
    "chunk_recurrence": lambda x: chunk_recurrence(x, x, x, log_decay=-x[..., 0].square(), beta=x[..., 1]),
    "fused_linear_cross_entropy": lambda x: fused_linear_cross_entropy(
        x.flatten(0, 1).flatten(1), torch.ones(7, 32), torch.zeros(x.shape[0] * x.shape[1], dtype=torch.long)
    ),
    "local_attention": lambda x: local_attention(x, x, x, 8),
    "scan": lambda x: scan(x.flatten(2).sigmoid(), x.flatten(2)),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_full_graph_serves_several_lengths(name: str) -> None:
    torch._dynamo.reset()
    torch.manual_seed(0)
    block = BLOCKS[name]
    compiled = torch.compile(block, backend="aot_eager", fullgraph=True)
    for length in (64, 48, 65, 33):
        x = torch.randn(2, length, 2, 16, requires_grad=True)
        y, found = block(x), compiled(x)
        assert error(found, y) < 1e-6
        g = torch.randn_like(y)
        assert error(*gradients(found, g, x), *gradients(y, g, x)) < 1e-5
