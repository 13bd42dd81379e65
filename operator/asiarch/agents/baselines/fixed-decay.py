"""Half-decayed linear attention.

Each head keeps a matrix of associations: every position adds the outer product of its key and its value, and
reads with its query. Queries and keys pass through the feature map silu. Queries and keys have unit length,
so that no write is larger than its value. Everything fades to one half with every step, whatever it is. What
is read is normalised in each head (rms).

Recipe: rule=linear feature=silu qk=l2 decay=fixed norm=rms
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from asiarch_kernels import chunk_recurrence

# Shapes: B batch, T time, C width, D channels of queries, keys and values together, H heads, K key width of a
# head, V value width of a head, E value width of all heads.


class Mixer(nn.Module):
    """Half-decayed linear attention."""

    log_decay_H: Tensor

    def __init__(self, width: int, heads: int, layer: int, layers: int) -> None:
        """Hold the weights of one layer; every layer is built alike."""
        super().__init__()
        del layer, layers
        self.heads = heads
        queries, keys, values = width, width, width
        self.widths = [queries, keys, values]
        self.project = nn.Linear(width, sum(self.widths), bias=False)
        self.register_buffer("log_decay_H", torch.full((heads,), 0.5).log(), persistent=False)
        self.norm = nn.RMSNorm(width // heads)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x_BTC: Tensor) -> Tensor:
        """Mix each position with those before it."""
        qkv_BTD = self.project(x_BTC)
        batch, length, _ = x_BTC.shape
        q_BTD, k_BTD, v_BTE = torch.split(qkv_BTD, self.widths, dim=-1)
        q_BTHK = q_BTD.view(batch, length, self.heads, -1)
        v_BTHV = v_BTE.view(batch, length, self.heads, -1)
        k_BTHK = k_BTD.view(batch, length, self.heads, -1)
        q_BTHK = functional.normalize(functional.silu(q_BTHK), dim=-1)
        k_BTHK = functional.normalize(functional.silu(k_BTHK), dim=-1)
        log_decay_BTH = self.log_decay_H.expand(batch, length, -1)
        y_BTHV = chunk_recurrence(q_BTHK, k_BTHK, v_BTHV, log_decay=log_decay_BTH)
        y_BTHV = self.norm(y_BTHV)
        y_BTE = y_BTHV.flatten(2)
        mixed_BTC: Tensor = self.out(y_BTE)
        return mixed_BTC
