"""`asiarch::scan` and its backward for PyTorch: an opaque node each, with shapes, gradients and FLOP counts."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from asiarch_kernels.paths import Choice, Path, take
from asiarch_kernels.pinned import find
from asiarch_kernels.scan import reference

KERNELS = ("scan.summary", "scan.carry", "scan.run")


@torch.library.custom_op("asiarch::scan", mutates_args=())
def scan(a_BTD: Tensor, b_BTD: Tensor, state_BD: Tensor | None) -> Tensor:
    """The block for checked input: a and b of one type, the state float32, or float64 where they are."""
    if _path(b_BTD) == "kernel":
        from asiarch_kernels.scan import kernel

        return kernel.forward(a_BTD, b_BTD, state_BD)
    return reference.forward(a_BTD, b_BTD, state_BD)


@torch.library.custom_op("asiarch::scan_backward", mutates_args=())
def scan_backward(
    g_BTD: Tensor, a_BTD: Tensor, h_BTD: Tensor, state_BD: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients by a, b and the state, which is zero where none is given."""
    if _path(h_BTD) == "kernel":
        from asiarch_kernels.scan import kernel

        return kernel.backward(g_BTD, a_BTD, h_BTD, state_BD)
    return reference.backward(g_BTD, a_BTD, h_BTD, state_BD)


def _path(h_BTD: Tensor) -> Path:
    return take("scan", _choice(h_BTD))


def _choice(h_BTD: Tensor) -> Choice:
    if h_BTD.device.type != "cuda":
        return Choice("reference")
    missing = [name for name in KERNELS if find(name, dtype=h_BTD.dtype) is None]
    if missing:
        return Choice("reference", f"{missing[0]} has no configuration for {h_BTD.dtype} on this device")
    return Choice("kernel")


@scan.register_fake
def _(a_BTD: Tensor, b_BTD: Tensor, state_BD: Tensor | None) -> Tensor:
    return b_BTD.new_empty(b_BTD.shape)


@scan_backward.register_fake
def _(
    g_BTD: Tensor,
    a_BTD: Tensor,
    h_BTD: Tensor,
    state_BD: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    batch, _, width = a_BTD.shape
    wide = torch.promote_types(a_BTD.dtype, torch.float32)
    return (
        a_BTD.new_empty(a_BTD.shape),
        a_BTD.new_empty(a_BTD.shape),
        a_BTD.new_empty(batch, width, dtype=wide),
    )


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Tensor) -> None:
    a_BTD, _, state_BD = inputs
    ctx.save_for_backward(a_BTD, output, state_BD)


def _differentiate(ctx: Any, g_BTD: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    a_BTD, h_BTD, state_BD = ctx.saved_tensors
    da_BTD, db_BTD, dstate_BD = scan_backward(g_BTD, a_BTD, h_BTD, state_BD)
    return da_BTD, db_BTD, None if state_BD is None else dstate_BD


scan.register_autograd(_differentiate, setup_context=_keep)


@register_flop_formula(torch.ops.asiarch.scan)
def flops(a_BTD: torch.Size, *_: object, **__: object) -> int:
    """A multiplication and an addition at each position."""
    return 2 * a_BTD.numel()


@register_flop_formula(torch.ops.asiarch.scan_backward)
def backward_flops(g_BTD: torch.Size, *_: object, **__: object) -> int:
    """The same for the gradient by b, and a multiplication for the one by a."""
    return 3 * g_BTD.numel()
