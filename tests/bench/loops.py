"""DeltaNet as machine-written code mostly has it: loops in Python, over positions or over chunks and their rows.

The chunked form is that of arXiv 2406.06484, section 3.2, with the inverse by forward substitution, row after row.

Shapes: B batch, T time, C width, H heads, K key and value width of a head, N chunks, L length of a chunk.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

CHUNK = 32

Rule = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


class DeltaNet(nn.Module):
    """The shipped baseline delta-net, with its recurrence as a loop."""

    def __init__(self, width: int, heads: int, rule: Rule) -> None:
        super().__init__()
        self.heads, self.rule = heads, rule
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.conv = nn.Conv1d(3 * width, 3 * width, 4, groups=3 * width, padding=3, bias=False)
        self.strength = nn.Linear(width, heads)
        self.norm = nn.RMSNorm(width // heads)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x_BTC: Tensor) -> Tensor:
        batch, length, _ = x_BTC.shape
        qkv_BDT = self.conv(self.project(x_BTC).transpose(1, 2))[..., :length]
        q_BHTK, k_BHTK, v_BHTK = (
            x_BCT.view(batch, self.heads, -1, length).transpose(2, 3) for x_BCT in qkv_BDT.chunk(3, dim=1)
        )
        q_BHTK = functional.normalize(functional.silu(q_BHTK), dim=-1)
        k_BHTK = functional.normalize(functional.silu(k_BHTK), dim=-1)
        beta_BHT1 = self.strength(x_BTC).sigmoid().mT[..., None]
        y_BHTK = self.norm(self.rule(q_BHTK, k_BHTK, v_BHTK, beta_BHT1))
        mixed_BTC: Tensor = self.out(y_BHTK.transpose(1, 2).flatten(2))
        return mixed_BTC


def over_positions(q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, beta_BHT1: Tensor) -> Tensor:
    """One position after the other."""
    state_BHKK = q_BHTK.new_zeros(*q_BHTK.shape[:2], q_BHTK.shape[-1], v_BHTK.shape[-1])
    outputs = []
    for t in range(q_BHTK.shape[2]):
        k_BHK1 = k_BHTK[:, :, t, :, None]
        known_BHK = (k_BHK1 * state_BHKK).sum(2)
        new_BHK = beta_BHT1[:, :, t] * (v_BHTK[:, :, t] - known_BHK)
        state_BHKK = state_BHKK + k_BHK1 * new_BHK[:, :, None]
        outputs.append((q_BHTK[:, :, t, :, None] * state_BHKK).sum(2))
    return torch.stack(outputs, dim=2)


def over_chunks(q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, beta_BHT1: Tensor) -> Tensor:
    """The inverse of each chunk row by row, all chunks at once; then one chunk after the other."""
    length = q_BHTK.shape[2]
    q_BHNLK, k_BHNLK, v_BHNLK, beta_BHNL1 = (
        functional.pad(x, (0, 0, 0, -length % CHUNK)).unflatten(2, (-1, CHUNK))  # type: ignore[no-untyped-call]
        for x in (q_BHTK, k_BHTK, v_BHTK, beta_BHT1)
    )
    future_LL = torch.ones(CHUNK, CHUNK, dtype=torch.bool).triu(0)
    scaled_BHNLK = k_BHNLK * beta_BHNL1
    inverse_BHNLL = -(scaled_BHNLK @ k_BHNLK.mT).masked_fill(future_LL, 0)
    for i in range(1, CHUNK):
        row_BHNL = inverse_BHNLL[..., i, :i].clone()
        before_BHNLL = inverse_BHNLL[..., :i, :i].clone()
        inverse_BHNLL[..., i, :i] = row_BHNL + (row_BHNL[..., None] * before_BHNLL).sum(-2)
    inverse_BHNLL = inverse_BHNLL + torch.eye(CHUNK)
    writes_BHNLK, erases_BHNLK = inverse_BHNLL @ (v_BHNLK * beta_BHNL1), inverse_BHNLL @ scaled_BHNLK
    state_BHKK = q_BHTK.new_zeros(*q_BHTK.shape[:2], q_BHTK.shape[-1], v_BHTK.shape[-1])
    outputs = []
    for n in range(q_BHNLK.shape[2]):
        q_BHLK, k_BHLK = q_BHNLK[:, :, n], k_BHNLK[:, :, n]
        inside_BHLL = (q_BHLK @ k_BHLK.mT).masked_fill(future_LL.triu(1), 0)
        new_BHLK = writes_BHNLK[:, :, n] - erases_BHNLK[:, :, n] @ state_BHKK
        outputs.append(q_BHLK @ state_BHKK + inside_BHLL @ new_BHLK)
        state_BHKK = state_BHKK + k_BHLK.mT @ new_BHLK
    return torch.cat(outputs, dim=2)[:, :, :length]
