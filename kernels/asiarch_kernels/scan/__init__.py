"""A gated scan of each channel by itself: running averages, minimal recurrent units, carries between chunks."""

import torch
from torch import Tensor

from asiarch_kernels.fault import check_alike, check_device, check_shape, readable
from asiarch_kernels.paths import Choice, take
from asiarch_kernels.scan import operator, reference

_BLOCK = "scan"
_DTYPES = (torch.bfloat16, torch.float16, torch.float32, torch.float64)


def scan(a_BTD: Tensor, b_BTD: Tensor, *, state: Tensor | None = None) -> Tensor:
    """Carry a state along time: keep the share a of it, and add b.

        h[b, t, d] = a[b, t, d] · h[b, t - 1, d] + b[b, t, d],    h[b, -1, d] = state[b, d] or 0

    B batch, T time, D channels, each at least one. Meant for a between 0 and 1, both included; any a is computed. An
    exact 0 forgets all that was before. A running average has b = (1 - a) · x.

    Args:
        a_BTD: of bfloat16, float16, float32 or float64. Half precision has few values near 1; a gate that remembers
            long should be float32.
        b_BTD: of the same shape, and of any of these types; where they differ, both are taken in the wider one.
        state: [B, D], of any of these types, taken as float32 or wider.

    Returns:
        h_BTD in the wider type of a and b. The state is float32 or wider inside; `h_BTD[:, -1]` continues a sequence.

    Raises:
        BlockInputError: naming the argument, what was found and what was wanted. NaN is not refused: of a or b, it
            spreads to the later positions of its channel and to nothing else.

    Costs: 2·B·T·D FLOP forward, 3·B·T·D backward. Bytes of bfloat16: 6·B·T·D forward and 10·B·T·D backward for one
    chunk of 64 positions; with more chunks a and b (or the gradient) are read twice, which makes 10 and 14. The state
    of a decoder is D values. Gradients: once differentiable.
    Sources: HGRN (arXiv 2311.04823), minGRU (2410.01201); chunks as in Blelloch's scan (CMU-CS-90-190).
    """
    _check(a_BTD, b_BTD, state)
    dtype = torch.promote_types(a_BTD.dtype, b_BTD.dtype)
    a_BTD, b_BTD = a_BTD.to(dtype), b_BTD.to(dtype)
    state_BD = None if state is None else state.to(torch.promote_types(dtype, torch.float32))
    if readable(a_BTD):
        take(_BLOCK, Choice("reference"))
        return reference.scan(a_BTD, b_BTD, state_BD)
    h_BTD: Tensor = operator.scan(a_BTD, b_BTD, state_BD)
    return h_BTD


def _check(a_BTD: Tensor, b_BTD: Tensor, state: Tensor | None) -> None:
    check_shape(_BLOCK, "a_BTD", a_BTD, ("B", "T", "D"))
    check_shape(_BLOCK, "b_BTD", b_BTD, tuple(a_BTD.shape))
    if state is not None:
        check_shape(_BLOCK, "state", state, (a_BTD.shape[0], a_BTD.shape[2]))
    check_device(_BLOCK, "a_BTD", a_BTD)
    check_alike(_BLOCK, {"a_BTD": a_BTD, "b_BTD": b_BTD, "state": state}, _DTYPES)
