"""A linear head and its cross-entropy in one: the logits of all rows never exist at once."""

import torch
from torch import Tensor

from asiarch_kernels.fault import (
    check_alike,
    check_count,
    check_device,
    check_number,
    check_shape,
    readable,
    refuse,
)
from asiarch_kernels.fused_linear_cross_entropy import operator, reference
from asiarch_kernels.paths import Choice, take

_BLOCK = "fused_linear_cross_entropy"
_DTYPES = (torch.bfloat16, torch.float16, torch.float32, torch.float64)


def fused_linear_cross_entropy(
    x_ND: Tensor, weight_VD: Tensor, target_N: Tensor, *, chunk: int = 2048, ignore_index: int = -100
) -> Tensor:
    """The mean cross-entropy of `softmax(x weightᵀ)` against the target classes.

        loss = Σ_n [log Σ_v exp(z[n, v]) - z[n, target[n]]] / N',    z[n, v] = Σ_d x[n, d] · weight[v, d]

    over the N' rows whose target isn't `ignore_index`. N rows (batch and time flattened), D width, V classes, each at
    least one. Where gradients are recorded they are computed along with the loss, chunk by chunk, and scaled in the
    backward pass.

    Args:
        x_ND: of bfloat16, float16, float32 or float64.
        weight_VD: of any of these types; multiplied in the type of `x_ND`, its gradient summed in float32 or wider.
        target_N: int64 classes from 0 to V - 1, or `ignore_index`. Checked where values can be read without waiting for
            a GPU: on a CPU outside of a compiler.
        chunk: rows whose logits exist at once.
        ignore_index: the target of a row that doesn't count.

    Returns:
        The loss, one number of float32, or float64 where `x_ND` is. It is NaN where no row counts, as PyTorch's; the
        gradients are zero then.

    Raises:
        BlockInputError: naming the argument, what was found and what was wanted.

    Costs: 2·N·V·D FLOP, 6·N·V·D with gradients. Memory: about 8·chunk·V bytes beside the gradients, where all logits at
    once would take 8·N·V; the gradient by the weight takes 4·V·D until it has the weight's type. Gradients: once
    differentiable. Bitwise repeatable: chunks are summed in order, and nothing is added atomically.
    Sources: Liger Kernel (arXiv 2410.10989); flash-linear-attention's module of the same name.
    """
    _check(x_ND, weight_VD, target_N, chunk)
    check_number(_BLOCK, "ignore_index", ignore_index, whole=True)
    _check_targets(weight_VD, target_N, ignore_index)
    gradients = torch.is_grad_enabled() and (x_ND.requires_grad or weight_VD.requires_grad)
    if readable(x_ND):
        take(_BLOCK, Choice("reference"))
        compute = reference.fused_linear_cross_entropy if gradients else reference.loss_alone
        return compute(x_ND, weight_VD, target_N, chunk, ignore_index)
    loss: Tensor
    loss, _, _ = operator.fused_linear_cross_entropy(
        x_ND, weight_VD, target_N, chunk, ignore_index, gradients
    )
    return loss


def _check(x_ND: Tensor, weight_VD: Tensor, target_N: Tensor, chunk: int) -> None:
    check_shape(_BLOCK, "x_ND", x_ND, ("N", "D"))
    check_shape(_BLOCK, "weight_VD", weight_VD, ("V", x_ND.shape[1]))
    check_shape(_BLOCK, "target_N", target_N, (x_ND.shape[0],))
    check_count(_BLOCK, "chunk", chunk)
    check_device(_BLOCK, "x_ND", x_ND)
    check_alike(_BLOCK, {"x_ND": x_ND, "weight_VD": weight_VD}, _DTYPES)
    check_alike(_BLOCK, {"target_N": target_N}, (torch.int64,))
    if target_N.device != x_ND.device:
        refuse(_BLOCK, "target_N", f"on {target_N.device}", f"{x_ND.device}, where x_ND is")


def _check_targets(weight_VD: Tensor, target_N: Tensor, ignore_index: int) -> None:
    if not readable(target_N):
        return
    classes = len(weight_VD)
    strange_N = ((target_N < 0) | (target_N >= classes)) & (target_N != ignore_index)
    if bool(strange_N.any()):
        found = int(target_N[strange_N][0])
        refuse(_BLOCK, "target_N", f"{found} in a row", f"classes from 0 to {classes - 1}, or {ignore_index}")
