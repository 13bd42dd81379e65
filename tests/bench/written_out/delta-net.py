"""Delta rule, conv 4, write strength.

Each head keeps a matrix of associations: every position first takes off what the matrix already answers to
its key, then writes the difference to its value, and reads with its query. A short causal convolution over 4
positions lets queries, keys and values see their neighbours. Queries and keys pass through the feature map
silu. Queries and keys have unit length, so that no write is larger than its value. A learned strength says
how much each position writes. What is read is normalised in each head (rms).

Recipe: rule=delta feature=silu qk=l2 beta=sigmoid conv=4 norm=rms
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

# Shapes: B batch, T time, C width, D channels of queries, keys and values together, H heads, K key width of a
# head, V value width of a head, E value width of all heads, N chunks, L length of a chunk, J taps, S
# positions that are seen.

CHUNK = 64


class Mixer(nn.Module):
    """Delta rule, conv 4, write strength."""

    def __init__(self, width: int, heads: int, layer: int, layers: int) -> None:
        """Hold the weights of one layer; every layer is built alike."""
        super().__init__()
        del layer, layers
        self.heads = heads
        queries, keys, values = width, width, width
        self.widths = [queries, keys, values]
        self.project = nn.Linear(width, sum(self.widths), bias=False)
        self.taps_JD = nn.Parameter(torch.randn(4, sum(self.widths)) * 4**-0.5)
        self.strength = nn.Linear(width, heads)
        self.norm = nn.RMSNorm(width // heads)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x_BTC: Tensor) -> Tensor:
        """Mix each position with those before it."""
        qkv_BTD = self.project(x_BTC)
        qkv_BTD = convolve(qkv_BTD, self.taps_JD)
        batch, length, _ = x_BTC.shape
        q_BTD, k_BTD, v_BTE = torch.split(qkv_BTD, self.widths, dim=-1)
        q_BHTK = q_BTD.view(batch, length, self.heads, -1).transpose(1, 2)
        v_BHTV = v_BTE.view(batch, length, self.heads, -1).transpose(1, 2)
        k_BHTK = k_BTD.view(batch, length, self.heads, -1).transpose(1, 2)
        q_BHTK = functional.normalize(functional.silu(q_BHTK), dim=-1)
        k_BHTK = functional.normalize(functional.silu(k_BHTK), dim=-1)
        beta_BHT1 = self.strength(x_BTC).sigmoid().mT[..., None]
        y_BHTV = recurrence(q_BHTK, k_BHTK, v_BHTV, beta_BHT1)
        y_BHTV = self.norm(y_BHTV)
        y_BTE = y_BHTV.transpose(1, 2).flatten(2)
        mixed_BTC: Tensor = self.out(y_BTE)
        return mixed_BTC


def convolve(x_BTC: Tensor, taps_JC: Tensor) -> Tensor:
    """Weigh the last J positions of each channel; the last tap meets the present one."""
    count, length = len(taps_JC), x_BTC.shape[1]
    padded_BSC = functional.pad(x_BTC, (0, 0, count - 1, 0))
    y_BTC = padded_BSC[:, :length] * taps_JC[0]
    for j in range(1, count):
        y_BTC = y_BTC + padded_BSC[:, j : j + length] * taps_JC[j]
    return y_BTC


def recurrence(q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, beta_BHT1: Tensor) -> Tensor:
    """Read y_t = q_t S_t from S_t = S_{t-1} + b_t k_t (v_t - k_t S_{t-1})', a chunk at a time.

    What a chunk writes solves a triangular system, since each write corrects for those before it.
    """
    length = v_BHTV.shape[2]
    q_BHNLK, k_BHNLK, v_BHNLV = in_chunks(q_BHTK), in_chunks(k_BHTK), in_chunks(v_BHTV)
    beta_BHNL1 = in_chunks(beta_BHT1)
    inside_BHNLL = (q_BHNLK @ k_BHNLK.mT).tril()
    corrects_BHNLL = beta_BHNL1 * k_BHNLK @ k_BHNLK.mT
    state_BHKV = q_BHTK.new_zeros(*q_BHTK.shape[:2], q_BHTK.shape[-1], v_BHTV.shape[-1])
    written_BHLV = corrected(beta_BHNL1[:, :, 0] * v_BHNLV[:, :, 0], corrects_BHNLL[:, :, 0])
    outputs = [inside_BHNLL[:, :, 0] @ written_BHLV]
    for n in range(1, v_BHNLV.shape[2]):
        state_BHKV = state_BHKV + k_BHNLK[:, :, n - 1].mT @ written_BHLV
        wanted_BHLV = beta_BHNL1[:, :, n] * (v_BHNLV[:, :, n] - k_BHNLK[:, :, n] @ state_BHKV)
        written_BHLV = corrected(wanted_BHLV, corrects_BHNLL[:, :, n])
        outputs.append(q_BHNLK[:, :, n] @ state_BHKV + inside_BHNLL[:, :, n] @ written_BHLV)
    return torch.cat(outputs, dim=2)[:, :, :length]


def corrected(wanted_BHLV: Tensor, corrects_BHLL: Tensor) -> Tensor:
    """Take off each write what earlier ones of its chunk did to it; only what lies below the diagonal is read."""
    written_BHLV: Tensor = torch.linalg.solve_triangular(
        corrects_BHLL, wanted_BHLV, upper=False, unitriangular=True
    )
    return written_BHLV


def in_chunks(x_BHTD: Tensor) -> Tensor:
    """Cut time into chunks of at most CHUNK positions, the last one filled up with zeros."""
    length = x_BHTD.shape[2]
    size = min(CHUNK, length)
    padded_BHTD = functional.pad(x_BHTD, (0, 0, 0, -length % size))
    return padded_BHTD.view(*x_BHTD.shape[:2], -1, size, x_BHTD.shape[3])
