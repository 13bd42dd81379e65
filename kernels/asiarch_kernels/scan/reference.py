"""The gated scan in plain PyTorch: a fused step for each position; on a CPU parallel forms, which do more, are slower.

B batch, T time, D channels. All is computed in the type of `a` and `b`, which are alike, or in float32 where that is
wider.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def scan(a_BTD: Tensor, b_BTD: Tensor, state_BD: Tensor | None) -> Tensor:
    """The block on any device and of any float type; differentiable once."""
    apply: Callable[..., Tensor] = _Scan.apply
    h_BTD = apply(_wide(a_BTD), _wide(b_BTD), state_BD)
    return h_BTD.to(b_BTD.dtype)


def forward(a_BTD: Tensor, b_BTD: Tensor, state_BD: Tensor | None) -> Tensor:
    """The same without a record for gradients."""
    return scanned(_wide(a_BTD), _wide(b_BTD), state_BD).to(b_BTD.dtype)


def backward(
    g_BTD: Tensor, a_BTD: Tensor, h_BTD: Tensor, state_BD: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients by a, b and the state for the gradient `g_BTD` by the result `h_BTD`."""
    da_BTD, db_BTD, dstate_BD = gradients(_wide(g_BTD), _wide(a_BTD), _wide(h_BTD), state_BD)
    return da_BTD.to(a_BTD.dtype), db_BTD.to(a_BTD.dtype), dstate_BD


def scanned(a_BTD: Tensor, b_BTD: Tensor, state_BD: Tensor | None) -> Tensor:
    """h_t = a_t h_{t-1} + b_t, computed in the place of b's copy."""
    h_BTD = torch.empty(b_BTD.shape, dtype=b_BTD.dtype, device=b_BTD.device).copy_(b_BTD)
    a_TBD, h_TBD = a_BTD.unbind(1), h_BTD.unbind(1)
    before_BD = state_BD
    for a_BD, h_BD in zip(a_TBD, h_TBD, strict=True):
        before_BD = h_BD if before_BD is None else h_BD.addcmul_(a_BD, before_BD)
    return h_BTD


def gradients(
    g_BTD: Tensor, a_BTD: Tensor, h_BTD: Tensor, state_BD: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients by a, b and the state: the same recurrence run backward in time."""
    db_BTD = torch.empty(g_BTD.shape, dtype=g_BTD.dtype, device=g_BTD.device).copy_(g_BTD)
    a_TBD, db_TBD = a_BTD.unbind(1), db_BTD.unbind(1)
    for t in range(len(db_TBD) - 2, -1, -1):
        db_TBD[t].addcmul_(a_TBD[t + 1], db_TBD[t + 1])
    da_BTD = torch.empty_like(db_BTD)
    torch.mul(db_BTD[:, 1:], h_BTD[:, :-1], out=da_BTD[:, 1:])
    da_BTD[:, 0] = 0 if state_BD is None else db_TBD[0] * state_BD
    return da_BTD, db_BTD, db_TBD[0] * a_TBD[0]


class _Scan(Function):
    """`scanned` with its gradients written out, so that autograd needn't record each step."""

    @staticmethod
    def forward(ctx: Any, a_BTD: Tensor, b_BTD: Tensor, state_BD: Tensor | None) -> Tensor:
        h_BTD = scanned(a_BTD, b_BTD, state_BD)
        ctx.save_for_backward(a_BTD, h_BTD, *(() if state_BD is None else (state_BD,)))
        return h_BTD

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_BTD: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        a_BTD, h_BTD, *state = ctx.saved_tensors
        da_BTD, db_BTD, dstate_BD = gradients(g_BTD, a_BTD, h_BTD, state[0] if state else None)
        return da_BTD, db_BTD, dstate_BD if state else None


def _wide(x_BTD: Tensor) -> Tensor:
    return x_BTD.to(torch.promote_types(x_BTD.dtype, torch.float32))
