"""The causal convolution in plain PyTorch: one pass over the input for each tap, outputs and gradients alike.

B batch, T time, D channels, J taps. `since_T` counts the positions of its own sequence that stand before each one.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional


def causal_conv(x_BTD: Tensor, w_DJ: Tensor, *, silu: bool, since_T: Tensor | None) -> Tensor:
    """The block on any device and of any float type; differentiable once."""
    apply: Callable[..., Tensor] = _Filter.apply
    c_BTD = apply(_wide(x_BTD), w_DJ, since_T)
    return (functional.silu(c_BTD) if silu else c_BTD).to(x_BTD.dtype)


def forward(x_BTD: Tensor, w_DJ: Tensor, *, silu: bool, since_T: Tensor | None) -> Tensor:
    """The same without a record for gradients."""
    c_BTD = filtered(_wide(x_BTD), w_DJ, since_T)
    return (functional.silu(c_BTD) if silu else c_BTD).to(x_BTD.dtype)


def backward(
    g_BTD: Tensor, x_BTD: Tensor, w_DJ: Tensor, *, silu: bool, since_T: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The gradients by `x_BTD` and `w_DJ` for the gradient `g_BTD` by the result."""
    dc_BTD, wide_BTD = _wide(g_BTD), _wide(x_BTD)
    if silu:
        c_BTD = filtered(wide_BTD, w_DJ, since_T)
        s_BTD = c_BTD.sigmoid()
        dc_BTD = dc_BTD * s_BTD * (1 + c_BTD * (1 - s_BTD))
    dx_BTD, dw_DJ = gradients(dc_BTD, wide_BTD, w_DJ, since_T)
    return dx_BTD.to(x_BTD.dtype), dw_DJ


def positions(starts: Tensor, length: int) -> Tensor:
    """How many positions of its own sequence stand before each of `length` positions; never more than there are.

    No value of `starts` is read on the host, and none, however wrong, leads outside of the tensor.
    """
    t_T = torch.arange(length, device=starts.device)
    sequence_T = torch.bucketize(t_T, starts, right=True).sub_(1).clamp_(min=0)
    return torch.minimum((t_T - starts[sequence_T]).clamp_(min=0), t_T).to(torch.int32)


def filtered(x_BTD: Tensor, w_DJ: Tensor, since_T: Tensor | None) -> Tensor:
    """The weighted sum of the last J positions."""
    length, w_JD = x_BTD.shape[1], w_DJ.t().flip(0).contiguous()
    y_BTD = x_BTD * w_JD[0]
    for lag in range(1, min(len(w_JD), length)):
        y_BTD[:, lag:].addcmul_(_seen(x_BTD[:, : length - lag], since_T, lag), w_JD[lag])
    return y_BTD


def gradients(g_BTD: Tensor, x_BTD: Tensor, w_DJ: Tensor, since_T: Tensor | None) -> tuple[Tensor, Tensor]:
    """The gradients of `filtered` by `x_BTD` and `w_DJ`."""
    length, w_JD = x_BTD.shape[1], w_DJ.t().flip(0).contiguous()
    dx_BTD, dw_JD = g_BTD * w_JD[0], torch.zeros_like(w_JD)
    torch.sum(g_BTD * x_BTD, (0, 1), out=dw_JD[0])
    for lag in range(1, min(len(w_JD), length)):
        later_BSD = _seen(g_BTD[:, lag:], since_T, lag)
        dx_BTD[:, : length - lag].addcmul_(later_BSD, w_JD[lag])
        torch.sum(later_BSD * _seen(x_BTD[:, : length - lag], since_T, lag), (0, 1), out=dw_JD[lag])
    return dx_BTD, dw_JD.flip(0).t().contiguous()


class _Filter(Function):
    """`filtered` with its gradients written out, which saves autograd a padded copy for each tap."""

    @staticmethod
    def forward(ctx: Any, x_BTD: Tensor, w_DJ: Tensor, since_T: Tensor | None) -> Tensor:
        ctx.save_for_backward(x_BTD, w_DJ)
        ctx.since_T = since_T
        return filtered(x_BTD, w_DJ, since_T)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_BTD: Tensor) -> tuple[Tensor, Tensor, None]:
        x_BTD, w_DJ = ctx.saved_tensors
        return *gradients(g_BTD, x_BTD, w_DJ, ctx.since_T), None


def _wide(x_BTD: Tensor) -> Tensor:
    return x_BTD.to(torch.promote_types(x_BTD.dtype, torch.float32))


def _seen(x_BSD: Tensor, since_T: Tensor | None, lag: int) -> Tensor:
    """Zero where a sequence has no position `lag` before; what is masked isn't multiplied, so its NaN stays away."""
    if since_T is None:
        return x_BSD
    return x_BSD.masked_fill((since_T[lag:] < lag)[:, None], 0)
