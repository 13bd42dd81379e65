"""The delta rule: S_t = S_{t-1} + b_t k_t (v_t - k_t S_{t-1})' (arXiv 2406.06484)."""

import torch
from torch import Tensor

from asiarch.agents.grammar.blocks.chunks import in_chunks
from asiarch.agents.grammar.blocks.triangular import corrected


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
