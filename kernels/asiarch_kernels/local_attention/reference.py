"""Local attention in plain PyTorch: time in blocks as long as the window, each of which sees itself and the one before.

B batch, T time, H heads, K key width, V value width; N blocks of W positions, S = 2·W positions that a block sees. A
block's matrices lie in one batch of B·H·N = M.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

from asiarch_kernels.products import product

_softmax_backward = torch.ops.aten._softmax_backward_data  # noqa: SLF001  the one fused form that there is


class Blocks(NamedTuple):
    """Queries of each block, keys and values that it sees, and how much weight each position gives to these."""

    q_MWK: Tensor
    k_MSK: Tensor
    v_MSV: Tensor
    p_MWS: Tensor


def local_attention(q_BTHK: Tensor, k_BTHK: Tensor, v_BTHV: Tensor, window: int, scale: float) -> Tensor:
    """The block on any device and of any float type; differentiable once."""
    apply: Callable[..., Tensor] = _Attend.apply
    return apply(q_BTHK, k_BTHK, v_BTHV, window, scale)


def forward(
    q_BTHK: Tensor, k_BTHK: Tensor, v_BTHV: Tensor, window: int, scale: float
) -> tuple[Tensor, Blocks]:
    """The result, and what its gradients are made of."""
    size = min(window, q_BTHK.shape[1])
    blocks = _blocks(q_BTHK, k_BTHK, v_BTHV, size, scale)
    return _joined(product(blocks.p_MWS.to(v_BTHV.dtype), blocks.v_MSV), v_BTHV), blocks


def backward(
    g_BTHV: Tensor,
    inputs: tuple[Tensor, Tensor, Tensor],
    window: int,
    scale: float,
    blocks: Blocks | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients by q, k and v for the gradient by the result; blocks that aren't given are made again."""
    q_BTHK, k_BTHK, v_BTHV = inputs
    size, dtype = min(window, q_BTHK.shape[1]), v_BTHV.dtype
    q_MWK, k_MSK, v_MSV, p_MWS = blocks or _blocks(q_BTHK, k_BTHK, v_BTHV, size, scale)
    g_MWV = _cut(g_BTHV, size).reshape(-1, size, g_BTHV.shape[3])
    dv_MSV = product(p_MWS.to(dtype).mT, g_MWV)
    dp_MWS = product(g_MWV, v_MSV.mT)
    # The weights are zero wherever something is masked, and so are these.
    ds_MWS = _softmax_backward(dp_MWS, p_MWS, -1, p_MWS.dtype).mul_(scale).to(dtype)
    dq_BTHK = _joined(product(ds_MWS, k_MSK), q_BTHK)
    dk_BTHK = _joined(_unseen(product(ds_MWS.mT, q_MWK), q_BTHK), k_BTHK)
    return dq_BTHK, dk_BTHK, _joined(_unseen(dv_MSV, q_BTHK), v_BTHV)


class _Attend(Function):
    """`forward` with its gradients written out, which spares the windows' copies and sums."""

    @staticmethod
    def forward(
        ctx: Any, q_BTHK: Tensor, k_BTHK: Tensor, v_BTHV: Tensor, window: int, scale: float
    ) -> Tensor:
        y_BTHV, blocks = forward(q_BTHK, k_BTHK, v_BTHV, window, scale)
        ctx.save_for_backward(q_BTHK, k_BTHK, v_BTHV, *blocks)
        ctx.window, ctx.scale = window, scale
        return y_BTHV

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_BTHV: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        q_BTHK, k_BTHK, v_BTHV, *blocks = ctx.saved_tensors
        inputs = (q_BTHK, k_BTHK, v_BTHV)
        return *backward(g_BTHV, inputs, ctx.window, ctx.scale, Blocks(*blocks)), None, None


def _blocks(q_BTHK: Tensor, k_BTHK: Tensor, v_BTHV: Tensor, size: int, scale: float) -> Blocks:
    q_MWK = _cut(q_BTHK, size).reshape(-1, size, q_BTHK.shape[3])
    k_MSK, v_MSV = _seen(k_BTHK, size), _seen(v_BTHV, size)
    return Blocks(q_MWK, k_MSK, v_MSV, _weights(q_MWK, k_MSK, q_BTHK, scale))


def _cut(x_BTHD: Tensor, size: int) -> Tensor:
    """Cut time into blocks, [B, H, N, W, D], the last one filled up with zeros; what is masked later never weighs."""
    batch, length, heads, width = x_BTHD.shape
    missing = -length % size
    padded_BSHD = functional.pad(x_BTHD, (0, 0, 0, 0, 0, missing)) if missing else x_BTHD
    return padded_BSHD.reshape(batch, -1, size, heads, width).permute(0, 3, 1, 2, 4)


def _seen(x_BTHD: Tensor, size: int) -> Tensor:
    """What each block sees: the block before it, zeros before the first one, and itself."""
    x_BHNWD = _cut(x_BTHD, size)
    batch, heads, count, _, width = x_BHNWD.shape
    seen_BHNSD = x_BTHD.new_empty(batch, heads, count, 2 * size, width)
    seen_BHNSD[..., size:, :] = x_BHNWD
    seen_BHNSD[:, :, 1:, :size] = x_BHNWD[:, :, :-1]
    seen_BHNSD[:, :, 0, :size] = 0
    return seen_BHNSD.view(-1, 2 * size, width)


def _unseen(d_MSD: Tensor, q_BTHK: Tensor) -> Tensor:
    """The gradient by blocks for the gradient by what they see: a block is seen by itself and by the next one."""
    batch, _, heads, _ = q_BTHK.shape
    d_RNSD = d_MSD.unflatten(0, (batch * heads, -1))
    before_RNWD, own_RNWD = d_RNSD.chunk(2, dim=2)
    own_RNWD[:, :-1] += before_RNWD[:, 1:]
    d_MWD: Tensor = own_RNWD.flatten(0, 1)
    return d_MWD


def _joined(x_MWD: Tensor, like_BTHD: Tensor) -> Tensor:
    """Put blocks back together, without what filled up the last one, in the type of another tensor."""
    batch, length, heads, _ = like_BTHD.shape
    x_BHSD = x_MWD.reshape(batch, heads, -1, x_MWD.shape[-1])
    return x_BHSD[:, :, :length].transpose(1, 2).to(like_BTHD.dtype).contiguous()


def _weights(q_MWK: Tensor, k_MSK: Tensor, q_BTHK: Tensor, scale: float) -> Tensor:
    """The softmax over the last W positions, in float32 or wider."""
    size, rows = q_MWK.shape[1], q_BTHK.shape[0] * q_BTHK.shape[2]
    query_W1 = torch.arange(size, device=q_MWK.device)[:, None] + size
    key_S = torch.arange(2 * size, device=q_MWK.device)
    far_WS = (key_S > query_W1) | (key_S <= query_W1 - size)
    s_RNWS = product(q_MWK, k_MSK.mT).mul_(scale).unflatten(0, (rows, -1))
    s_RNWS.masked_fill_(far_WS, -torch.inf)
    s_RNWS[:, 0, :, :size] = -torch.inf
    p_MWS: Tensor = s_RNWS.softmax(-1).flatten(0, 1)
    return p_MWS
