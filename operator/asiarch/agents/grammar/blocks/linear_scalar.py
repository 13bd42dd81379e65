"""Linear attention with one decay for each head and step: S_t = a_t S_{t-1} + k_t v_t' (arXiv 2405.21060)."""

import torch
from torch import Tensor

from asiarch.agents.grammar.blocks.chunks import in_chunks


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
