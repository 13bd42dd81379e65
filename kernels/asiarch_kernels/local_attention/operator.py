"""`asiarch::local_attention` and its backward for PyTorch: an opaque node each, with shapes, gradients and FLOP counts.

There is no kernel of our own: the matrices of the blocks are large enough for the libraries' products.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from asiarch_kernels.local_attention import reference
from asiarch_kernels.paths import Choice, take


@torch.library.custom_op("asiarch::local_attention", mutates_args=())
def local_attention(q_BTHK: Tensor, k_BTHK: Tensor, v_BTHV: Tensor, window: int, scale: float) -> Tensor:
    """The block for checked input of one type."""
    _take(q_BTHK)
    return reference.forward(q_BTHK, k_BTHK, v_BTHV, window, scale)[0]


@torch.library.custom_op("asiarch::local_attention_backward", mutates_args=())
def local_attention_backward(
    g_BTHV: Tensor, q_BTHK: Tensor, k_BTHK: Tensor, v_BTHV: Tensor, window: int, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients by q, k and v."""
    _take(q_BTHK)
    return reference.backward(g_BTHV, (q_BTHK, k_BTHK, v_BTHV), window, scale)


def _take(q_BTHK: Tensor) -> None:
    why = "it has no kernel of its own" if q_BTHK.device.type == "cuda" else ""
    take("local_attention", Choice("reference", why))


@local_attention.register_fake
def _(q_BTHK: Tensor, k_BTHK: Tensor, v_BTHV: Tensor, window: int, scale: float) -> Tensor:
    return v_BTHV.new_empty(v_BTHV.shape)


@local_attention_backward.register_fake
def _(
    g_BTHV: Tensor,
    q_BTHK: Tensor,
    k_BTHK: Tensor,
    v_BTHV: Tensor,
    window: int,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    return q_BTHK.new_empty(q_BTHK.shape), k_BTHK.new_empty(k_BTHK.shape), v_BTHV.new_empty(v_BTHV.shape)


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, int, float], output: Tensor) -> None:
    *tensors, ctx.window, ctx.scale = inputs
    ctx.save_for_backward(*tensors)


def _differentiate(ctx: Any, g_BTHV: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
    dq_BTHK, dk_BTHK, dv_BTHV = local_attention_backward(g_BTHV, *ctx.saved_tensors, ctx.window, ctx.scale)
    return dq_BTHK, dk_BTHK, dv_BTHV, None, None


local_attention.register_autograd(_differentiate, setup_context=_keep)


@register_flop_formula(torch.ops.asiarch.local_attention)
def flops(
    q_BTHK: torch.Size,
    k_BTHK: torch.Size,
    v_BTHV: torch.Size,
    window: int,
    *_: object,
    **__: object,
) -> int:
    """Two products for each block, full squares: half of what they hold is masked."""
    return _square(q_BTHK, window) * (q_BTHK[3] + v_BTHV[3])


@register_flop_formula(torch.ops.asiarch.local_attention_backward)
def backward_flops(
    g_BTHV: torch.Size,
    q_BTHK: torch.Size,
    k_BTHK: torch.Size,
    v_BTHV: torch.Size,
    window: int,
    *_: object,
    **__: object,
) -> int:
    """The weights again, and four products of the gradients."""
    return _square(q_BTHK, window) * (3 * q_BTHK[3] + 2 * g_BTHV[3])


def _square(q_BTHK: torch.Size, window: int) -> int:
    """The FLOP of all blocks' products for one channel."""
    batch, length, heads, _ = q_BTHK
    size = min(window, length)
    return 2 * batch * heads * math.ceil(length / size) * size * 2 * size
