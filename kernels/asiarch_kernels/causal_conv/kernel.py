"""The causal convolution in Triton: a program holds a tile of time and channels and walks over the taps.

Everything is summed in float32. The gradient by the taps is summed in two stages, a fixed set of tiles for each program
and then the programs, so that two runs are equal to the last bit. B batch, T time, D channels, J taps, P partial sums.
"""

import itertools
from collections.abc import Iterator
from functools import partial

import torch
import triton
import triton.language as tl
from torch import Tensor

from asiarch_kernels.launching import Launch, Size, aligned, unit
from asiarch_kernels.pinned import Row, find

FILTER, SPREAD, TAPS = "causal_conv.filter", "causal_conv.spread", "causal_conv.taps"


def forward(x_BTD: Tensor, w_DJ: Tensor, *, silu: bool, since_T: Tensor | None) -> Tensor:
    """Compute the block; `w_DJ` is float32."""
    since_T = None if since_T is None else aligned(since_T)
    return _filter(aligned(x_BTD), aligned(w_DJ), None, silu=silu, since_T=since_T)


def backward(
    g_BTD: Tensor, x_BTD: Tensor, w_DJ: Tensor, *, silu: bool, since_T: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Compute the gradients by `x_BTD` and `w_DJ` for the gradient `g_BTD` by the result."""
    g_BTD, x_BTD, w_DJ = aligned(g_BTD), aligned(x_BTD), aligned(w_DJ)
    since_T = None if since_T is None else aligned(since_T)
    if silu:
        g_BTD = _filter(x_BTD, w_DJ, g_BTD, silu=True, since_T=since_T)
    return _spread(g_BTD, w_DJ, since_T), _taps(g_BTD, x_BTD, w_DJ.shape[1], since_T)


def launches(row: Row, size: Size) -> Iterator[Launch]:
    """All launches of a row's types, of both kinds of width; the kernels are launched together."""
    for dtype, width in itertools.product(row.dtypes, (32 * size.heads, 32 * size.heads + 1)):
        w_DJ = size.tensor(width, 4, dtype=torch.float32)
        x_BTD = size.tensor(size.batch, size.tokens, width, dtype=dtype)
        since_T = size.tensor(size.tokens, dtype=torch.int32)
        for silu, since in itertools.product((False, True), (None, since_T)):
            yield partial(forward, x_BTD, w_DJ, silu=silu, since_T=since)
            yield partial(backward, x_BTD, x_BTD, w_DJ, silu=silu, since_T=since)


def _filter(
    x_BTD: Tensor, w_DJ: Tensor, g_BTD: Tensor | None, *, silu: bool, since_T: Tensor | None
) -> Tensor:
    """The filtered input, or the gradient by it where the gradient by its SiLU is given."""
    grid, launch, width = _tiles(FILTER, x_BTD)
    y_BTD = torch.empty_like(x_BTD)
    with torch.cuda.device_of(x_BTD):
        filter_kernel[grid](
            x_BTD, w_DJ, g_BTD, since_T, y_BTD, x_BTD.shape[1], w_DJ.shape[1], width // unit(width),
            SILU=silu, SLOPE=g_BTD is not None, VARLEN=since_T is not None, **launch,
        )  # fmt: skip
    return y_BTD


def _spread(g_BTD: Tensor, w_DJ: Tensor, since_T: Tensor | None) -> Tensor:
    grid, launch, width = _tiles(SPREAD, g_BTD)
    dx_BTD = torch.empty_like(g_BTD)
    with torch.cuda.device_of(g_BTD):
        spread_kernel[grid](
            g_BTD, w_DJ, since_T, dx_BTD, g_BTD.shape[1], w_DJ.shape[1], width // unit(width),
            VARLEN=since_T is not None, **launch,
        )  # fmt: skip
    return dx_BTD


def _taps(g_BTD: Tensor, x_BTD: Tensor, taps: int, since_T: Tensor | None) -> Tensor:
    (tiles, columns), launch, width = _tiles(TAPS, x_BTD)
    parts = min(launch.pop("PARTS"), tiles)
    dw_PJD = torch.empty(parts, taps, width, dtype=torch.float32, device=x_BTD.device)
    with torch.cuda.device_of(x_BTD):
        taps_kernel[columns, triton.cdiv(taps, 4), parts](
            g_BTD, x_BTD, since_T, dw_PJD, x_BTD.shape[1], taps, width // unit(width), tiles, parts,
            VARLEN=since_T is not None, **launch,
        )  # fmt: skip
    return dw_PJD.sum(0).t().contiguous()


def _tiles(kernel: str, x_BTD: Tensor) -> tuple[tuple[int, int], dict[str, int], int]:
    """How many tiles of time and channels a kernel works on, with what it is launched, and how many channels."""
    batch, length, width = x_BTD.shape
    pinned = find(kernel, dtype=x_BTD.dtype)
    assert pinned is not None, f"{kernel} was chosen without a configuration"
    constants = dict(pinned.constants)
    grid = (batch * triton.cdiv(length, constants["BLOCK_T"]), triton.cdiv(width, constants["BLOCK_D"]))
    launch = {"num_warps": pinned.warps, "num_stages": pinned.stages, "UNIT": unit(width), **constants}
    return grid, launch, width


@triton.jit(do_not_specialize=["T", "J", "UNITS"])
def filter_kernel(
    x_ptr, w_ptr, g_ptr, since_ptr, y_ptr, T, J, UNITS,
    SILU: tl.constexpr, SLOPE: tl.constexpr, VARLEN: tl.constexpr,
    UNIT: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Write the filtered input, SiLU of it, or with SLOPE the gradient by it for the gradient g by SiLU of it."""
    D = UNITS * UNIT
    tiles = tl.cdiv(T, BLOCK_T)
    base = (tl.program_id(0) // tiles).to(tl.int64) * T * D
    t_T = (tl.program_id(0) % tiles) * BLOCK_T + tl.arange(0, BLOCK_T)
    d_D = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    inside_T, inside_D = t_T < T, d_D < D
    inside_TD = inside_T[:, None] & inside_D[None, :]
    at_TD = base + t_T.to(tl.int64)[:, None] * D + d_D[None, :]
    since_T = t_T
    if VARLEN:
        since_T = tl.load(since_ptr + t_T, mask=inside_T, other=0)
    c_TD = tl.zeros([BLOCK_T, BLOCK_D], dtype=tl.float32)
    for lag in range(J):
        w_D = tl.load(w_ptr + d_D * J + (J - 1 - lag), mask=inside_D, other=0.0)
        seen_TD = inside_TD & (since_T >= lag)[:, None]
        x_TD = tl.load(x_ptr + at_TD - lag * D, mask=seen_TD, other=0.0).to(tl.float32)
        c_TD += x_TD * w_D[None, :]
    if SILU:
        s_TD = 1 / (1 + tl.exp(-c_TD))
        if SLOPE:
            g_TD = tl.load(g_ptr + at_TD, mask=inside_TD, other=0.0).to(tl.float32)
            c_TD = g_TD * s_TD * (1 + c_TD * (1 - s_TD))
        else:
            c_TD = c_TD * s_TD
    tl.store(y_ptr + at_TD, c_TD.to(y_ptr.dtype.element_ty), mask=inside_TD)


@triton.jit(do_not_specialize=["T", "J", "UNITS"])
def spread_kernel(
    g_ptr, w_ptr, since_ptr, dx_ptr, T, J, UNITS,
    VARLEN: tl.constexpr, UNIT: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Write what the J positions from each one on, which saw it, send back to it."""
    D = UNITS * UNIT
    tiles = tl.cdiv(T, BLOCK_T)
    base = (tl.program_id(0) // tiles).to(tl.int64) * T * D
    t_T = (tl.program_id(0) % tiles) * BLOCK_T + tl.arange(0, BLOCK_T)
    d_D = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    inside_D = d_D < D
    at_TD = base + t_T.to(tl.int64)[:, None] * D + d_D[None, :]
    dx_TD = tl.zeros([BLOCK_T, BLOCK_D], dtype=tl.float32)
    for lag in range(J):
        w_D = tl.load(w_ptr + d_D * J + (J - 1 - lag), mask=inside_D, other=0.0)
        saw_T = t_T + lag < T
        if VARLEN:
            saw_T = saw_T & (tl.load(since_ptr + t_T + lag, mask=saw_T, other=0) >= lag)
        g_TD = tl.load(g_ptr + at_TD + lag * D, mask=saw_T[:, None] & inside_D[None, :], other=0.0)
        dx_TD += g_TD.to(tl.float32) * w_D[None, :]
    tl.store(dx_ptr + at_TD, dx_TD.to(dx_ptr.dtype.element_ty), mask=(t_T < T)[:, None] & inside_D[None, :])


@triton.jit
def _share(g_TD, x_ptr, at_TD, since_T, lag, D, inside_TD):
    """What each position of a tile adds to the gradient by the tap of one lag."""
    x_TD = tl.load(x_ptr + at_TD - lag * D, mask=inside_TD & (since_T >= lag)[:, None], other=0.0)
    return tl.where((since_T >= lag)[:, None], g_TD * x_TD.to(tl.float32), 0.0)


@triton.jit(do_not_specialize=["T", "J", "UNITS", "TILES", "P"])
def taps_kernel(
    g_ptr, x_ptr, since_ptr, dw_ptr, T, J, UNITS, TILES, P,
    VARLEN: tl.constexpr, UNIT: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Four lags' shares of dw over every P-th tile of time, beginning with the program's own."""
    D = UNITS * UNIT
    lag, part = tl.program_id(1) * 4, tl.program_id(2).to(tl.int64)
    tiles = tl.cdiv(T, BLOCK_T)
    d_D = tl.program_id(0) * BLOCK_D + tl.arange(0, BLOCK_D)
    inside_D = d_D < D
    dw0_TD = tl.zeros([BLOCK_T, BLOCK_D], dtype=tl.float32)
    dw1_TD, dw2_TD, dw3_TD = dw0_TD, dw0_TD, dw0_TD
    for tile in range(part, TILES, P):
        base = (tile // tiles) * T * D
        t_T = (tile % tiles) * BLOCK_T + tl.arange(0, BLOCK_T)
        since_T = t_T
        if VARLEN:
            since_T = tl.load(since_ptr + t_T, mask=t_T < T, other=0)
        inside_TD = (t_T < T)[:, None] & inside_D[None, :]
        at_TD = base + t_T[:, None] * D + d_D[None, :]
        g_TD = tl.load(g_ptr + at_TD, mask=inside_TD, other=0.0).to(tl.float32)
        dw0_TD += _share(g_TD, x_ptr, at_TD, since_T, lag, D, inside_TD)
        dw1_TD += _share(g_TD, x_ptr, at_TD, since_T, lag + 1, D, inside_TD)
        dw2_TD += _share(g_TD, x_ptr, at_TD, since_T, lag + 2, D, inside_TD)
        dw3_TD += _share(g_TD, x_ptr, at_TD, since_T, lag + 3, D, inside_TD)
    at_D = (part * J + J - 1 - lag) * D + d_D
    tl.store(dw_ptr + at_D, tl.sum(dw0_TD, axis=0), mask=inside_D)
    tl.store(dw_ptr + at_D - D, tl.sum(dw1_TD, axis=0), mask=inside_D & (lag + 1 < J))
    tl.store(dw_ptr + at_D - 2 * D, tl.sum(dw2_TD, axis=0), mask=inside_D & (lag + 2 < J))
    tl.store(dw_ptr + at_D - 3 * D, tl.sum(dw3_TD, axis=0), mask=inside_D & (lag + 3 < J))
