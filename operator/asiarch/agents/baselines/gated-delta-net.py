"""Gated delta rule, conv 4, write strength, output gate.

Each head keeps a matrix of associations: every position first takes off what the matrix already answers to
its key, then writes the difference to its value, and reads with its query. A short causal convolution over 4
positions lets queries, keys and values see their neighbours. Queries and keys pass through the feature map
silu. Queries and keys have unit length, so that no write is larger than its value. A learned strength says
how much each position writes. Each head forgets at a rate that it reads off the input. What is read is
normalised in each head (rms). An output gate (sigmoid) lets each position keep or drop what was read.

Recipe: rule=delta feature=silu qk=l2 decay=scalar beta=sigmoid conv=4 norm=rms gate=sigmoid
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from asiarch_kernels import causal_conv, chunk_recurrence

# Shapes: B batch, T time, C width, D channels of queries, keys and values together, H heads, K key width of a
# head, V value width of a head, E value width of all heads, J taps.


class Mixer(nn.Module):
    """Gated delta rule, conv 4, write strength, output gate."""

    def __init__(self, width: int, heads: int, layer: int, layers: int) -> None:
        """Hold the weights of one layer; every layer is built alike."""
        super().__init__()
        del layer, layers
        self.heads = heads
        queries, keys, values = width, width, width
        self.widths = [queries, keys, values]
        self.project = nn.Linear(width, sum(self.widths), bias=False)
        self.taps_DJ = nn.Parameter(torch.randn(sum(self.widths), 4) * 4**-0.5)
        self.strength = nn.Linear(width, heads)
        self.decay = nn.Linear(width, heads)
        nn.init.constant_(self.decay.bias, 4.0)
        self.norm = nn.RMSNorm(width // heads)
        self.gate = nn.Linear(width, width)
        # It starts open: a gate that starts half shut keeps a young model from learning to recall.
        nn.init.constant_(self.gate.bias, 2.0)
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
        beta_BTH = self.strength(x_BTC).sigmoid()
        log_decay_BTH = functional.logsigmoid(self.decay(x_BTC))
        y_BTHV = chunk_recurrence(q_BTHK, k_BTHK, v_BTHV, log_decay=log_decay_BTH, beta=beta_BTH, delta=True)
        y_BTHV = self.norm(y_BTHV)
        y_BTE = y_BTHV.flatten(2)
        y_BTE = y_BTE * self.gate(x_BTC).sigmoid()
        mixed_BTC: Tensor = self.out(y_BTE)
        return mixed_BTC
