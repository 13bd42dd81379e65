"""Gated linear attention, conv 4.

Each head keeps a matrix of associations: every position adds the outer product of its key and its value, and
reads with its query. A short causal convolution over 4 positions lets queries, keys and values see their
neighbours. Queries and keys pass through the feature map silu. Queries and keys have unit length, so that no
write is larger than its value. Each head forgets at a rate that it reads off the input. What is read is
normalised in each head (rms).

Recipe: rule=linear feature=silu qk=l2 decay=scalar conv=4 norm=rms
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from asiarch_kernels import causal_conv, chunk_recurrence

# Shapes: B batch, T time, C width, D channels of queries, keys and values together, H heads, K key width of a
# head, V value width of a head, E value width of all heads, J taps.


class Mixer(nn.Module):
    """Gated linear attention, conv 4."""

    def __init__(self, width: int, heads: int, layer: int, layers: int) -> None:
        """Hold the weights of one layer; every layer is built alike."""
        super().__init__()
        del layer, layers
        self.heads = heads
        queries, keys, values = width, width, width
        self.widths = [queries, keys, values]
        self.project = nn.Linear(width, sum(self.widths), bias=False)
        self.taps_DJ = nn.Parameter(torch.randn(sum(self.widths), 4) * 4**-0.5)
        self.decay = nn.Linear(width, heads)
        nn.init.constant_(self.decay.bias, 4.0)
        self.norm = nn.RMSNorm(width // heads)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x_BTC: Tensor) -> Tensor:
        """Mix each position with those before it."""
        qkv_BTD = self.project(x_BTC)
        qkv_BTD = causal_conv(qkv_BTD, self.taps_DJ)
        batch, length, _ = x_BTC.shape
        q_BTD, k_BTD, v_BTE = torch.split(qkv_BTD, self.widths, dim=-1)
        q_BTHK = q_BTD.view(batch, length, self.heads, -1)
        v_BTHV = v_BTE.view(batch, length, self.heads, -1)
        k_BTHK = k_BTD.view(batch, length, self.heads, -1)
        q_BTHK = functional.normalize(functional.silu(q_BTHK), dim=-1)
        k_BTHK = functional.normalize(functional.silu(k_BTHK), dim=-1)
        log_decay_BTH = functional.logsigmoid(self.decay(x_BTC))
        y_BTHV = chunk_recurrence(q_BTHK, k_BTHK, v_BTHV, log_decay=log_decay_BTH)
        y_BTHV = self.norm(y_BTHV)
        y_BTE = y_BTHV.flatten(2)
        mixed_BTC: Tensor = self.out(y_BTE)
        return mixed_BTC
