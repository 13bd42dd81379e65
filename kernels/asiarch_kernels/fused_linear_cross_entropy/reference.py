"""A linear head and its cross-entropy in plain PyTorch, a chunk of rows at a time, gradients in the same pass.

N rows, V classes, D width; C rows of a chunk.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from asiarch_kernels.products import product


def fused_linear_cross_entropy(
    x_ND: Tensor, weight_VD: Tensor, target_N: Tensor, chunk: int, ignore_index: int
) -> Tensor:
    """The block on any device and of any float type; differentiable once."""
    apply: Callable[..., Tensor] = _Loss.apply
    return apply(x_ND, weight_VD, target_N, chunk, ignore_index)


def loss_and_gradients(
    x_ND: Tensor, weight_VD: Tensor, target_N: Tensor, chunk: int, ignore_index: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The mean loss of the rows that count, and its gradients by `x_ND` and `weight_VD`."""
    wide = torch.promote_types(x_ND.dtype, torch.float32)
    counted_N, head_VD = target_N != ignore_index, weight_VD.to(x_ND.dtype)
    dx_ND = torch.empty(x_ND.shape, dtype=wide, device=x_ND.device)
    dweight_VD = torch.zeros(weight_VD.shape, dtype=wide, device=x_ND.device)
    losses = []
    for x_CD, dx_CD, target_C, counted_C in _rows(chunk, x_ND, dx_ND, target_N, counted_N):
        log_shares_CV, loss = _losses(x_CD, head_VD, target_C, counted_C)
        losses.append(loss)
        errors_CV, right_C1 = log_shares_CV.exp_(), _classes(target_C, counted_C)
        errors_CV.scatter_(1, right_C1, errors_CV.gather(1, right_C1) - 1)
        errors_CV = errors_CV.masked_fill_(~counted_C[:, None], 0).to(x_ND.dtype)
        dx_CD.copy_(product(errors_CV, head_VD))
        dweight_VD += product(errors_CV.t(), x_CD)
    count = counted_N.sum()
    # Without a row that counts the loss is 0 / 0 = NaN, as PyTorch's, and the gradients stay zero.
    share = 1 / count.clamp(min=1).to(wide)
    dx_ND, dweight_VD = dx_ND.mul_(share).to(x_ND.dtype), dweight_VD.mul_(share).to(weight_VD.dtype)
    return torch.stack(losses).sum() / count, dx_ND, dweight_VD


def loss_alone(x_ND: Tensor, weight_VD: Tensor, target_N: Tensor, chunk: int, ignore_index: int) -> Tensor:
    """The same loss where nobody asks for gradients."""
    counted_N, head_VD = target_N != ignore_index, weight_VD.to(x_ND.dtype)
    losses = [
        _losses(x_CD, head_VD, target_C, counted_C)[1]
        for x_CD, target_C, counted_C in _rows(chunk, x_ND, target_N, counted_N)
    ]
    return torch.stack(losses).sum() / counted_N.sum()


class _Loss(Function):
    """The loss, which keeps its gradients from the forward pass."""

    @staticmethod
    def forward(
        ctx: Any, x_ND: Tensor, weight_VD: Tensor, target_N: Tensor, chunk: int, ignore_index: int
    ) -> Tensor:
        loss, dx_ND, dweight_VD = loss_and_gradients(x_ND, weight_VD, target_N, chunk, ignore_index)
        ctx.save_for_backward(dx_ND, dweight_VD)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        dx_ND, dweight_VD = ctx.saved_tensors
        return scaled(dx_ND, g), scaled(dweight_VD, g), None, None, None


def scaled(gradient: Tensor, g: Tensor) -> Tensor:
    """A gradient for the gradient g by the loss, in its own type."""
    return (gradient * g).to(gradient.dtype)


def _rows(chunk: int, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    return zip(*(tensor.split(chunk) for tensor in tensors), strict=True)


def _losses(x_CD: Tensor, head_VD: Tensor, target_C: Tensor, counted_C: Tensor) -> tuple[Tensor, Tensor]:
    """The logarithms of a chunk's softmax, and the sum of its losses."""
    log_shares_CV = product(x_CD, head_VD.t()).log_softmax(1)
    right_C1 = log_shares_CV.gather(1, _classes(target_C, counted_C))
    return log_shares_CV, -right_C1.masked_fill(~counted_C[:, None], 0).sum()


def _classes(target_C: Tensor, counted_C: Tensor) -> Tensor:
    """The right class of each row as an index; that of a row that doesn't count is never read."""
    return target_C.masked_fill(~counted_C, 0)[:, None]
