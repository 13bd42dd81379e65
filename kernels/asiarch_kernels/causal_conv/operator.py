"""`asiarch::causal_conv` and its backward for PyTorch: an opaque node each, with shapes, gradients and FLOP counts."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from asiarch_kernels.causal_conv import reference
from asiarch_kernels.paths import Choice, Path, take
from asiarch_kernels.pinned import find

KERNELS = ("causal_conv.filter", "causal_conv.spread", "causal_conv.taps")


@torch.library.custom_op("asiarch::causal_conv", mutates_args=())
def causal_conv(x_BTD: Tensor, w_DJ: Tensor, silu: bool, starts: Tensor | None) -> Tensor:
    """The block for checked input; `w_DJ` is float32, or float64 where `x_BTD` is."""
    since_T = None if starts is None else reference.positions(starts, x_BTD.shape[1])
    if _path(x_BTD) == "kernel":
        from asiarch_kernels.causal_conv import kernel

        return kernel.forward(x_BTD, w_DJ, silu=silu, since_T=since_T)
    return reference.forward(x_BTD, w_DJ, silu=silu, since_T=since_T)


@torch.library.custom_op("asiarch::causal_conv_backward", mutates_args=())
def causal_conv_backward(
    g_BTD: Tensor,
    x_BTD: Tensor,
    w_DJ: Tensor,
    silu: bool,
    starts: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The gradients by `x_BTD` and `w_DJ`."""
    since_T = None if starts is None else reference.positions(starts, x_BTD.shape[1])
    if _path(x_BTD) == "kernel":
        from asiarch_kernels.causal_conv import kernel

        return kernel.backward(g_BTD, x_BTD, w_DJ, silu=silu, since_T=since_T)
    return reference.backward(g_BTD, x_BTD, w_DJ, silu=silu, since_T=since_T)


def _path(x_BTD: Tensor) -> Path:
    return take("causal_conv", _choice(x_BTD))


def _choice(x_BTD: Tensor) -> Choice:
    if x_BTD.device.type != "cuda":
        return Choice("reference")
    missing = [name for name in KERNELS if find(name, dtype=x_BTD.dtype) is None]
    if missing:
        return Choice("reference", f"{missing[0]} has no configuration for {x_BTD.dtype} on this device")
    return Choice("kernel")


@causal_conv.register_fake
def _(x_BTD: Tensor, w_DJ: Tensor, silu: bool, starts: Tensor | None) -> Tensor:
    return x_BTD.new_empty(x_BTD.shape)


@causal_conv_backward.register_fake
def _(
    g_BTD: Tensor,
    x_BTD: Tensor,
    w_DJ: Tensor,
    silu: bool,
    starts: Tensor | None,
) -> tuple[Tensor, Tensor]:
    return x_BTD.new_empty(x_BTD.shape), w_DJ.new_empty(w_DJ.shape)


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, bool, Tensor | None], output: Tensor) -> None:
    x_BTD, w_DJ, ctx.silu, starts = inputs
    ctx.save_for_backward(x_BTD, w_DJ, starts)


def _differentiate(ctx: Any, g_BTD: Tensor) -> tuple[Tensor, Tensor, None, None]:
    x_BTD, w_DJ, starts = ctx.saved_tensors
    dx_BTD, dw_DJ = causal_conv_backward(g_BTD, x_BTD, w_DJ, ctx.silu, starts)
    return dx_BTD, dw_DJ, None, None


causal_conv.register_autograd(_differentiate, setup_context=_keep)


@register_flop_formula(torch.ops.asiarch.causal_conv)
def flops(
    x_BTD: torch.Size,
    w_DJ: torch.Size,
    *_: object,
    **__: object,
) -> int:
    """A multiplication and an addition for each value and tap."""
    return _products(x_BTD, w_DJ)


@register_flop_formula(torch.ops.asiarch.causal_conv_backward)
def backward_flops(
    g_BTD: torch.Size,
    x_BTD: torch.Size,
    w_DJ: torch.Size,
    silu: bool,
    *_: object,
    **__: object,
) -> int:
    """As many for each of the two gradients, and again where SiLU's slope needs the filtered input."""
    return (3 if silu else 2) * _products(x_BTD, w_DJ)


def _products(x_BTD: torch.Size, w_DJ: torch.Size) -> int:
    return 2 * x_BTD.numel() * w_DJ[1]
