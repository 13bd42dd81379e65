"""`asiarch::fused_linear_cross_entropy` for PyTorch: an opaque node with shapes, gradients and a FLOP count.

The gradients are results of the forward operator, so there is no second one: the backward pass scales them. There is no
kernel of our own: nearly all of the work is three products for each chunk, which the libraries do best.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from asiarch_kernels.fused_linear_cross_entropy import reference
from asiarch_kernels.paths import Choice, take


@torch.library.custom_op("asiarch::fused_linear_cross_entropy", mutates_args=())
def fused_linear_cross_entropy(
    x_ND: Tensor,
    weight_VD: Tensor,
    target_N: Tensor,
    chunk: int,
    ignore_index: int,
    gradients: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss for checked input, and its gradients by `x_ND` and `weight_VD`, which are empty where nobody asks."""
    take("fused_linear_cross_entropy", Choice("reference"))
    if gradients:
        return reference.loss_and_gradients(x_ND, weight_VD, target_N, chunk, ignore_index)
    loss = reference.loss_alone(x_ND, weight_VD, target_N, chunk, ignore_index)
    return loss, x_ND.new_empty(0), weight_VD.new_empty(0)


@fused_linear_cross_entropy.register_fake
def _(
    x_ND: Tensor,
    weight_VD: Tensor,
    target_N: Tensor,
    chunk: int,
    ignore_index: int,
    gradients: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    loss = x_ND.new_empty((), dtype=torch.promote_types(x_ND.dtype, torch.float32))
    if gradients:
        return loss, x_ND.new_empty(x_ND.shape), weight_VD.new_empty(weight_VD.shape)
    return loss, x_ND.new_empty(0), weight_VD.new_empty(0)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    _, dx_ND, dweight_VD = output
    ctx.mark_non_differentiable(dx_ND, dweight_VD)
    ctx.save_for_backward(dx_ND, dweight_VD)


def _differentiate(ctx: Any, g: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
    dx_ND, dweight_VD = ctx.saved_tensors
    return reference.scaled(dx_ND, g), reference.scaled(dweight_VD, g), None, None, None, None


fused_linear_cross_entropy.register_autograd(_differentiate, setup_context=_keep)


@register_flop_formula(torch.ops.asiarch.fused_linear_cross_entropy)
def flops(
    x_ND: torch.Size,
    weight_VD: torch.Size,
    target_N: torch.Size,
    chunk: int,
    ignore_index: int,
    gradients: bool,
    *_: object,
    **__: object,
) -> int:
    """One product for the logits, and one for each of the two gradients."""
    return 2 * x_ND[0] * weight_VD.numel() * (3 if gradients else 1)
