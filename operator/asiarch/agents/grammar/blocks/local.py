"""Softmax attention over a window of the last WINDOW positions, in time linear in the length."""

import torch
from torch import Tensor
from torch.nn import functional

WINDOW = 16


def attend_nearby(q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor) -> Tensor:
    """Attend to the last WINDOW positions: each block of so many sees itself and the block before it."""
    length = v_BHTV.shape[2]
    q_BHNWK, k_BHNWK, v_BHNWV = (
        functional.pad(x_BHTD, (0, 0, 0, -length % WINDOW)).view(
            *x_BHTD.shape[:2], -1, WINDOW, x_BHTD.shape[3]
        )
        for x_BHTD in (q_BHTK, k_BHTK, v_BHTV)
    )
    # The block before the first one is all zeros; the mask below hides it.
    k_BHNSK, v_BHNSV = (
        torch.cat([functional.pad(x_BHNWD, (0, 0, 0, 0, 1, 0))[:, :, :-1], x_BHNWD], dim=3)
        for x_BHNWD in (k_BHNWK, v_BHNWV)
    )
    query_W1, key_S = torch.arange(WINDOW)[:, None] + WINDOW, torch.arange(2 * WINDOW)
    near_WS = (key_S <= query_W1) & (key_S > query_W1 - WINDOW)
    exists_N1S = (torch.arange(q_BHNWK.shape[2])[:, None, None] > 0) | (key_S >= WINDOW)
    scores_BHNWS = (q_BHNWK @ k_BHNSK.mT).masked_fill(~(near_WS & exists_N1S), -torch.inf)
    return (scores_BHNWS.softmax(dim=-1) @ v_BHNSV).flatten(2, 3)[:, :, :length]
