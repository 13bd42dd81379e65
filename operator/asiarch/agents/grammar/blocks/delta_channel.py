"""The delta rule with a decay for each key channel (Kimi Delta Attention, arXiv 2510.26692)."""

import torch
from torch import Tensor

from asiarch.agents.grammar.blocks.chunks import in_chunks
from asiarch.agents.grammar.blocks.triangular import corrected


def recurrence(
    q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, beta_BHT1: Tensor, log_decay_BHTK: Tensor
) -> Tensor:
    """Read y_t = q_t S_t from S_t = D_t S_{t-1} + b_t k_t (v_t - k_t D_t S_{t-1})', D_t = diag(a_t), a chunk at a time.

    Inside a chunk queries are divided by what keys are multiplied with; CHUNK times the largest -log a_t must stay
    below 88, the logarithm of the largest number in single precision.
    """
    length = v_BHTV.shape[2]
    k_BHNLK, v_BHNLV, beta_BHNL1 = in_chunks(k_BHTK), in_chunks(v_BHTV), in_chunks(beta_BHT1)
    sum_BHNLK = in_chunks(log_decay_BHTK).cumsum(dim=3)
    q_BHNLK = in_chunks(q_BHTK) * sum_BHNLK.exp()
    kept_BHNLK, early_BHNLK = k_BHNLK * sum_BHNLK.exp(), k_BHNLK * (-sum_BHNLK).exp()
    inside_BHNLL = (q_BHNLK @ early_BHNLK.mT).tril()
    corrects_BHNLL = beta_BHNL1 * kept_BHNLK @ early_BHNLK.mT
    whole_BHN1K = sum_BHNLK[:, :, :, -1:]
    late_BHNLK = k_BHNLK * (whole_BHN1K - sum_BHNLK).exp()
    state_BHKV = q_BHTK.new_zeros(*q_BHTK.shape[:2], q_BHTK.shape[-1], v_BHTV.shape[-1])
    written_BHLV = corrected(beta_BHNL1[:, :, 0] * v_BHNLV[:, :, 0], corrects_BHNLL[:, :, 0])
    outputs = [inside_BHNLL[:, :, 0] @ written_BHLV]
    for n in range(1, v_BHNLV.shape[2]):
        kept_BHKV = state_BHKV * whole_BHN1K[:, :, n - 1].mT.exp()
        state_BHKV = kept_BHKV + late_BHNLK[:, :, n - 1].mT @ written_BHLV
        wanted_BHLV = beta_BHNL1[:, :, n] * (v_BHNLV[:, :, n] - kept_BHNLK[:, :, n] @ state_BHKV)
        written_BHLV = corrected(wanted_BHLV, corrects_BHNLL[:, :, n])
        outputs.append(q_BHNLK[:, :, n] @ state_BHKV + inside_BHNLL[:, :, n] @ written_BHLV)
    return torch.cat(outputs, dim=2)[:, :, :length]
