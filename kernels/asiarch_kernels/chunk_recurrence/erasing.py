"""A separate erase key: each position becomes two, one that decays and erases, and one that writes and reads.

S = a S - b e (e' a S) + b k v' is a delta rule that erases with strength b along e and writes nothing, followed by one
that erases nothing and writes b k v'. So a recurrence with erasing and writing strengths of their own is all that has
to be computed, at twice the positions.
"""

from dataclasses import replace

import torch
from torch import Tensor

from asiarch_kernels.chunk_recurrence.inputs import Inputs

# Shapes: B batch, T time, H heads, K key width of a head, V value width of a head.


def before_writing(given: Inputs) -> Inputs:
    """The same recurrence at twice the positions, without an erase key."""
    assert given.erase is not None
    nothing_BTHV = torch.zeros_like(given.v)
    beta_BTH = given.beta
    if beta_BTH is None:
        beta_BTH = torch.ones(given.q.shape[:3], dtype=given.q.dtype, device=given.q.device)
    log_decay = given.log_decay
    return replace(
        given,
        q=_alternate(torch.zeros_like(given.q), given.q),
        k=_alternate(given.erase, given.k),
        v=_alternate(nothing_BTHV, given.v),
        log_decay=None if log_decay is None else _alternate(log_decay, torch.zeros_like(log_decay)),
        beta=_alternate(torch.zeros_like(beta_BTH), beta_BTH),
        erasing=_alternate(beta_BTH, torch.zeros_like(beta_BTH)),
        erase=None,
        starts=None if given.starts is None else 2 * given.starts,
    )


def after_erasing(out: Tensor) -> Tensor:
    """What the writing positions read."""
    return out[:, 1::2]


def _alternate(first: Tensor, second: Tensor) -> Tensor:
    return torch.stack((first, second), dim=2).flatten(1, 2)
