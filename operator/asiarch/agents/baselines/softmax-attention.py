"""Softmax attention, conv 4.

Each position attends by softmax to all before it; the cost grows with the square of the length. A short
causal convolution over 4 positions lets queries, keys and values see their neighbours.

Recipe: rule=softmax conv=4
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from asiarch_kernels import causal_conv

# Shapes: B batch, T time, C width, D channels of queries, keys and values together, H heads, K key width of a
# head, V value width of a head, E value width of all heads, J taps.


class Mixer(nn.Module):
    """Softmax attention, conv 4."""

    def __init__(self, width: int, heads: int, layer: int, layers: int) -> None:
        """Hold the weights of one layer; every layer is built alike."""
        super().__init__()
        del layer, layers
        self.heads = heads
        queries, keys, values = width, width, width
        self.widths = [queries, keys, values]
        self.project = nn.Linear(width, sum(self.widths), bias=False)
        self.taps_DJ = nn.Parameter(torch.randn(sum(self.widths), 4) * 4**-0.5)
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
        q_BTHK = q_BTHK * k_BTHK.shape[-1] ** -0.5
        q_BHTK, k_BHTK, v_BHTV = (x.transpose(1, 2) for x in (q_BTHK, k_BTHK, v_BTHV))
        y_BHTV = functional.scaled_dot_product_attention(q_BHTK, k_BHTK, v_BHTV, is_causal=True, scale=1.0)
        y_BTHV = y_BHTV.transpose(1, 2)
        y_BTE = y_BTHV.flatten(2)
        mixed_BTC: Tensor = self.out(y_BTE)
        return mixed_BTC
