"""A causal convolution of each channel by itself: short ones that sharpen keys, and filters of up to 64 taps."""

import torch
from torch import Tensor

from asiarch_kernels.causal_conv import operator, reference
from asiarch_kernels.fault import check_alike, check_device, check_shape, readable, refuse
from asiarch_kernels.paths import Choice, take

MAX_TAPS = 64

_BLOCK = "causal_conv"
_DTYPES = (torch.bfloat16, torch.float16, torch.float32, torch.float64)


def causal_conv(x_BTD: Tensor, w_DJ: Tensor, *, silu: bool = False, starts: Tensor | None = None) -> Tensor:
    """Weigh the last J positions of each channel; the last tap meets the present position.

        y[b, t, d] = Σ_j w[d, j] · x[b, t - (J - 1) + j, d],    SiLU(y) = y · sigmoid(y) where asked for

    What lies before the first position counts as zero. B batch, T time, D channels, J taps.

    Args:
        x_BTD: of bfloat16, float16, float32 or float64, for any B, T and D of at least one.
        w_DJ: 1 to 64 taps for each channel, of any of these types; computed with as float32 or wider.
        silu: whether the result passes through SiLU.
        starts: where sequences begin that lie one behind the other in a batch of one: int32 [N + 1], from 0 to T,
            never falling, as flash-linear-attention's `cu_seqlens`. No sequence sees another. On a GPU its values
            aren't read on the host and so not checked; wrong ones give a wrong result, but nothing outside is touched.

    Returns:
        y_BTD in the type of `x_BTD`, summed in float32 or wider. NaN spreads to the next J - 1 positions of its channel
        and to nothing else.

    Raises:
        BlockInputError: naming the argument, what was found and what was wanted.

    Costs: 2·J·B·T·D FLOP forward; twice that backward, three times with SiLU. Bytes of bfloat16: 4·B·T·D forward,
    8·B·T·D backward, 14 with SiLU. A decoder would keep the last (J - 1)·D values. Gradients: once differentiable.
    Sources: the short convolution of H3 (arXiv 2212.14052) and Mamba (2312.00752); Hyena's longer filters (2302.10866).
    """
    _check(x_BTD, w_DJ, starts)
    w_DJ = w_DJ.to(torch.promote_types(x_BTD.dtype, torch.float32))
    if readable(x_BTD):
        take(_BLOCK, Choice("reference"))
        since_T = None if starts is None else reference.positions(starts, x_BTD.shape[1])
        return reference.causal_conv(x_BTD, w_DJ, silu=silu, since_T=since_T)
    y_BTD: Tensor = operator.causal_conv(x_BTD, w_DJ, silu, starts)
    return y_BTD


def _check(x_BTD: Tensor, w_DJ: Tensor, starts: Tensor | None) -> None:
    check_shape(_BLOCK, "x_BTD", x_BTD, ("B", "T", "D"))
    check_shape(_BLOCK, "w_DJ", w_DJ, (x_BTD.shape[2], "J"))
    if w_DJ.shape[1] > MAX_TAPS:
        refuse(_BLOCK, "w_DJ", f"of {w_DJ.shape[1]} taps", f"at most {MAX_TAPS}")
    check_device(_BLOCK, "x_BTD", x_BTD)
    check_alike(_BLOCK, {"x_BTD": x_BTD, "w_DJ": w_DJ}, _DTYPES)
    if starts is not None:
        _check_starts(x_BTD, starts)


def _check_starts(x_BTD: Tensor, starts: Tensor) -> None:
    check_shape(_BLOCK, "starts", starts, ("N + 1",))
    if starts.dtype != torch.int32:
        refuse(_BLOCK, "starts", str(starts.dtype).removeprefix("torch."), "int32")
    if starts.device != x_BTD.device:
        refuse(_BLOCK, "starts", f"on {starts.device}", f"{x_BTD.device}, where x_BTD is")
    if x_BTD.shape[0] != 1:
        refuse(_BLOCK, "x_BTD", f"a batch of {x_BTD.shape[0]}", "a batch of 1, since starts is given")
    if not readable(starts):
        return
    length = x_BTD.shape[1]
    if int(starts[0]) != 0 or int(starts[-1]) != length or bool((starts.diff() < 0).any()):
        refuse(_BLOCK, "starts", starts.tolist(), f"positions from 0 to {length} that never fall")
