"""The gated delta rule: S_t = a_t S_{t-1} + b_t k_t (v_t - a_t k_t S_{t-1})' (arXiv 2412.06464)."""

import torch
from torch import Tensor

from asiarch.agents.grammar.blocks.chunks import in_chunks
from asiarch.agents.grammar.blocks.triangular import corrected


def recurrence(
    q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, beta_BHT1: Tensor, log_decay_BHT1: Tensor
) -> Tensor:
    """Read y_t = q_t S_t from S_t = a_t S_{t-1} + b_t k_t (v_t - a_t k_t S_{t-1})', a chunk at a time.

    What a chunk writes solves a triangular system, since each write corrects for those before it. Decays are
    summed as logarithms.
    """
    length = v_BHTV.shape[2]
    q_BHNLK, k_BHNLK, v_BHNLV = in_chunks(q_BHTK), in_chunks(k_BHTK), in_chunks(v_BHTV)
    beta_BHNL1, sum_BHNL1 = in_chunks(beta_BHT1), in_chunks(log_decay_BHT1).cumsum(dim=3)
    future_LL = torch.ones(2 * sum_BHNL1.shape[3:4], dtype=torch.bool).triu(1)
    between_BHNLL = (sum_BHNL1 - sum_BHNL1.mT).masked_fill(future_LL, -torch.inf).exp()
    inside_BHNLL = q_BHNLK @ k_BHNLK.mT * between_BHNLL
    corrects_BHNLL = beta_BHNL1 * k_BHNLK @ k_BHNLK.mT * between_BHNLL
    since_BHNL1, left_BHNL1 = sum_BHNL1.exp(), (sum_BHNL1[:, :, :, -1:] - sum_BHNL1).exp()
    state_BHKV = q_BHTK.new_zeros(*q_BHTK.shape[:2], q_BHTK.shape[-1], v_BHTV.shape[-1])
    written_BHLV = corrected(beta_BHNL1[:, :, 0] * v_BHNLV[:, :, 0], corrects_BHNLL[:, :, 0])
    outputs = [inside_BHNLL[:, :, 0] @ written_BHLV]
    for n in range(1, v_BHNLV.shape[2]):
        late_BHLK = k_BHNLK[:, :, n - 1] * left_BHNL1[:, :, n - 1]
        state_BHKV = state_BHKV * since_BHNL1[:, :, n - 1, -1:] + late_BHLK.mT @ written_BHLV
        known_BHLV = k_BHNLK[:, :, n] * since_BHNL1[:, :, n] @ state_BHKV
        written_BHLV = corrected(
            beta_BHNL1[:, :, n] * (v_BHNLV[:, :, n] - known_BHLV), corrects_BHNLL[:, :, n]
        )
        read_BHLV = q_BHNLK[:, :, n] * since_BHNL1[:, :, n] @ state_BHKV
        outputs.append(read_BHLV + inside_BHNLL[:, :, n] @ written_BHLV)
    return torch.cat(outputs, dim=2)[:, :, :length]
