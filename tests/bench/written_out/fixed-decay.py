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

# Shapes: B batch, T time, C width, D channels of queries, keys and values together, H heads, K key width of a
# head, V value width of a head, E value width of all heads, N chunks, L length of a chunk.

CHUNK = 64


class Mixer(nn.Module):
    """Half-decayed linear attention."""

    log_decay_H11: Tensor

    def __init__(self, width: int, heads: int, layer: int, layers: int) -> None:
        """Hold the weights of one layer; every layer is built alike."""
        super().__init__()
        del layer, layers
        self.heads = heads
        queries, keys, values = width, width, width
        self.widths = [queries, keys, values]
        self.project = nn.Linear(width, sum(self.widths), bias=False)
        self.register_buffer("log_decay_H11", torch.full((heads, 1, 1), 0.5).log(), persistent=False)
        self.norm = nn.RMSNorm(width // heads)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x_BTC: Tensor) -> Tensor:
        """Mix each position with those before it."""
        qkv_BTD = self.project(x_BTC)
        batch, length, _ = x_BTC.shape
        q_BTD, k_BTD, v_BTE = torch.split(qkv_BTD, self.widths, dim=-1)
        q_BHTK = q_BTD.view(batch, length, self.heads, -1).transpose(1, 2)
        v_BHTV = v_BTE.view(batch, length, self.heads, -1).transpose(1, 2)
        k_BHTK = k_BTD.view(batch, length, self.heads, -1).transpose(1, 2)
        q_BHTK = functional.normalize(functional.silu(q_BHTK), dim=-1)
        k_BHTK = functional.normalize(functional.silu(k_BHTK), dim=-1)
        log_decay_BHT1 = self.log_decay_H11.expand_as(v_BHTV[..., :1])
        y_BHTV = recurrence(q_BHTK, k_BHTK, v_BHTV, log_decay_BHT1)
        y_BHTV = self.norm(y_BHTV)
        y_BTE = y_BHTV.transpose(1, 2).flatten(2)
        mixed_BTC: Tensor = self.out(y_BTE)
        return mixed_BTC


def recurrence(q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, log_decay_BHT1: Tensor) -> Tensor:
    """Read y_t = q_t S_t from S_t = a_t S_{t-1} + k_t v_t', a chunk at a time; decays are summed as logarithms."""
    length = v_BHTV.shape[2]
    q_BHNLK, k_BHNLK, v_BHNLV = in_chunks(q_BHTK), in_chunks(k_BHTK), in_chunks(v_BHTV)
    sum_BHNL1 = in_chunks(log_decay_BHT1).cumsum(dim=3)
    future_LL = torch.ones(2 * sum_BHNL1.shape[3:4], dtype=torch.bool).triu(1)
    between_BHNLL = (sum_BHNL1 - sum_BHNL1.mT).masked_fill(future_LL, -torch.inf).exp()
    inside_BHNLV = (q_BHNLK @ k_BHNLK.mT * between_BHNLL) @ v_BHNLV
    whole_BHN11 = sum_BHNL1[:, :, :, -1:]
    q_BHNLK = q_BHNLK * sum_BHNL1.exp()
    k_BHNLK = k_BHNLK * (whole_BHN11 - sum_BHNL1).exp()
    state_BHKV = q_BHTK.new_zeros(*q_BHTK.shape[:2], q_BHTK.shape[-1], v_BHTV.shape[-1])
    outputs = [inside_BHNLV[:, :, 0]]
    for n in range(1, v_BHNLV.shape[2]):
        kept_BHKV = state_BHKV * whole_BHN11[:, :, n - 1].exp()
        state_BHKV = kept_BHKV + k_BHNLK[:, :, n - 1].mT @ v_BHNLV[:, :, n - 1]
        outputs.append(inside_BHNLV[:, :, n] + q_BHNLK[:, :, n] @ state_BHKV)
    return torch.cat(outputs, dim=2)[:, :, :length]


def in_chunks(x_BHTD: Tensor) -> Tensor:
    """Cut time into chunks of at most CHUNK positions, the last one filled up with zeros."""
    length = x_BHTD.shape[2]
    size = min(CHUNK, length)
    padded_BHTD = functional.pad(x_BHTD, (0, 0, 0, -length % size))
    return padded_BHTD.view(*x_BHTD.shape[:2], -1, size, x_BHTD.shape[3])
