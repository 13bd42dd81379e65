"""Linear attention: S_t = S_{t-1} + k_t v_t', y_t = q_t S_t (arXiv 2006.16236)."""

import torch
from torch import Tensor

from asiarch.agents.grammar.blocks.chunks import in_chunks


def recurrence(q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor) -> Tensor:
    """Read y_t = q_t S_t from S_t = S_{t-1} + k_t v_t', a chunk at a time."""
    length = v_BHTV.shape[2]
    q_BHNLK, k_BHNLK, v_BHNLV = in_chunks(q_BHTK), in_chunks(k_BHTK), in_chunks(v_BHTV)
    inside_BHNLV = (q_BHNLK @ k_BHNLK.mT).tril() @ v_BHNLV
    state_BHKV = q_BHTK.new_zeros(*q_BHTK.shape[:2], q_BHTK.shape[-1], v_BHTV.shape[-1])
    outputs = [inside_BHNLV[:, :, 0]]
    for n in range(1, v_BHNLV.shape[2]):
        state_BHKV = state_BHKV + k_BHNLK[:, :, n - 1].mT @ v_BHNLV[:, :, n - 1]
        outputs.append(inside_BHNLV[:, :, n] + q_BHNLK[:, :, n] @ state_BHKV)
    return torch.cat(outputs, dim=2)[:, :, :length]
