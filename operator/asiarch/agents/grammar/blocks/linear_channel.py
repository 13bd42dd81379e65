"""Linear attention with a decay for each key channel: S_t = diag(a_t) S_{t-1} + k_t v_t' (arXiv 2312.06635)."""

import torch
from torch import Tensor

from asiarch.agents.grammar.blocks.chunks import in_chunks


def recurrence(q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, log_decay_BHTK: Tensor) -> Tensor:
    """Read y_t = q_t S_t from S_t = diag(a_t) S_{t-1} + k_t v_t', a chunk at a time.

    Inside a chunk queries are divided by what keys are multiplied with; CHUNK times the largest -log a_t must stay
    below 88, the logarithm of the largest number in single precision.
    """
    length = v_BHTV.shape[2]
    v_BHNLV = in_chunks(v_BHTV)
    sum_BHNLK = in_chunks(log_decay_BHTK).cumsum(dim=3)
    q_BHNLK = in_chunks(q_BHTK) * sum_BHNLK.exp()
    k_BHNLK = in_chunks(k_BHTK)
    inside_BHNLV = (q_BHNLK @ (k_BHNLK * (-sum_BHNLK).exp()).mT).tril() @ v_BHNLV
    whole_BHN1K = sum_BHNLK[:, :, :, -1:]
    k_BHNLK = k_BHNLK * (whole_BHN1K - sum_BHNLK).exp()
    state_BHKV = q_BHTK.new_zeros(*q_BHTK.shape[:2], q_BHTK.shape[-1], v_BHTV.shape[-1])
    outputs = [inside_BHNLV[:, :, 0]]
    for n in range(1, v_BHNLV.shape[2]):
        kept_BHKV = state_BHKV * whole_BHN1K[:, :, n - 1].mT.exp()
        state_BHKV = kept_BHKV + k_BHNLK[:, :, n - 1].mT @ v_BHNLV[:, :, n - 1]
        outputs.append(inside_BHNLV[:, :, n] + q_BHNLK[:, :, n] @ state_BHKV)
    return torch.cat(outputs, dim=2)[:, :, :length]
