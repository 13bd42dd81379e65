"""Softmax attention over the nearest positions, in time linear in the length."""

import torch
from torch import Tensor

from asiarch_kernels.fault import check_alike, check_count, check_device, check_number, check_shape, readable
from asiarch_kernels.local_attention import operator, reference
from asiarch_kernels.paths import Choice, take

_BLOCK = "local_attention"
_DTYPES = (torch.bfloat16, torch.float16, torch.float32, torch.float64)


def local_attention(
    q_BTHK: Tensor, k_BTHK: Tensor, v_BTHV: Tensor, window: int, *, scale: float | None = None
) -> Tensor:
    """Attend by softmax to the last `window` positions, the present one among them.

        y[b, t, h] = Σ_s p[s] · v[b, s, h],    p = softmax over s of scale · q[b, t, h] · k[b, s, h],

    over the positions s with t - window < s ≤ t.

    B batch, T time, H heads, K key width, V value width, each at least one. A block of `window` positions sees itself
    and the block before it, so the cost grows with T·window.

    Args:
        q_BTHK: queries of bfloat16, float16, float32 or float64.
        k_BTHK: keys of any of these types.
        v_BTHV: values of any of these types; queries and keys are taken in it, as under autocast.
        window: how many positions are seen, at least one.
        scale: of the products before the softmax; K ** -0.5 without it.

    Returns:
        y_BTHV in the type of `v_BTHV`. Products are summed, and the softmax is taken, in float32 or wider. NaN may
        spread to all positions of its own block and of the next one in its head, masked ones too: 0 · NaN is NaN.

    Raises:
        BlockInputError: naming the argument, what was found and what was wanted.

    Costs, with W = min(window, T) and N = ⌈T / W⌉ blocks: 4·B·H·N·W²·(K + V) FLOP forward, 4·B·H·N·W²·(3·K + 2·V)
    backward; the weights take 8·B·H·N·W² bytes while a call runs. A decoder keeps window·H·(K + V) values. There is no
    kernel of our own: on a GPU the plain form runs, which is counted and logged as a fallback. Gradients: once
    differentiable.
    Sources: Longformer (arXiv 2004.05150), in the blocks of Big Bird (2007.14062).
    """
    _check(q_BTHK, k_BTHK, v_BTHV, window)
    if scale is not None:
        check_number(_BLOCK, "scale", scale)
    scale = q_BTHK.shape[3] ** -0.5 if scale is None else float(scale)
    q_BTHK, k_BTHK = q_BTHK.to(v_BTHV.dtype), k_BTHK.to(v_BTHV.dtype)
    if readable(q_BTHK):
        take(_BLOCK, Choice("reference"))
        return reference.local_attention(q_BTHK, k_BTHK, v_BTHV, window, scale)
    y_BTHV: Tensor = operator.local_attention(q_BTHK, k_BTHK, v_BTHV, window, scale)
    return y_BTHV


def _check(q_BTHK: Tensor, k_BTHK: Tensor, v_BTHV: Tensor, window: int) -> None:
    check_shape(_BLOCK, "q_BTHK", q_BTHK, ("B", "T", "H", "K"))
    check_shape(_BLOCK, "k_BTHK", k_BTHK, tuple(q_BTHK.shape))
    check_shape(_BLOCK, "v_BTHV", v_BTHV, (*q_BTHK.shape[:3], "V"))
    check_count(_BLOCK, "window", window)
    check_device(_BLOCK, "q_BTHK", q_BTHK)
    check_alike(_BLOCK, {"q_BTHK": q_BTHK, "k_BTHK": k_BTHK, "v_BTHV": v_BTHV}, _DTYPES)
