"""The gated scan in Triton: chunks of time side by side, and between them a short scan over chunks.

1. `summary`: each chunk alone, from a state of zero: its last state, and how much of an earlier one would be left.
2. `carry`: over chunks in order, the state before each. A single chunk needs neither of the two.
3. `run`: each chunk again, from the state before it, writing all it has to.
A program walks through its chunk position by position, so sums are taken in one order whatever the device. The state
is float32. Backward in time the same kernels run over the gradient: db_t = g_t + a_{t+1} db_{t+1}, da_t = db_t h_{t-1}.
B batch, T time, D channels, N chunks.
"""

import itertools
from collections.abc import Iterator
from functools import partial

import torch
import triton
import triton.language as tl
from torch import Tensor

from asiarch_kernels.launching import Launch, Size, aligned, unit
from asiarch_kernels.pinned import Pinned, Row, find

SUMMARY, CARRY, RUN = "scan.summary", "scan.carry", "scan.run"


def forward(a_BTD: Tensor, b_BTD: Tensor, state_BD: Tensor | None) -> Tensor:
    """Compute the block; `state_BD` is float32."""
    a_BTD, b_BTD = aligned(a_BTD), aligned(b_BTD)
    h_BTD = torch.empty_like(b_BTD)
    before_BND = _before(a_BTD, b_BTD, state_BD, backward_in_time=False)
    _run(a_BTD, b_BTD, before_BND, (h_BTD, None, None), state_BD=None, h_BTD=None)
    return h_BTD


def backward(
    g_BTD: Tensor, a_BTD: Tensor, h_BTD: Tensor, state_BD: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the gradients by a, b and the state for the gradient `g_BTD` by the result `h_BTD`."""
    g_BTD, a_BTD, h_BTD = aligned(g_BTD), aligned(a_BTD), aligned(h_BTD)
    da_BTD, db_BTD = torch.empty_like(a_BTD), torch.empty_like(a_BTD)
    dstate_BD = torch.empty(a_BTD[:, 0].shape, dtype=torch.float32, device=a_BTD.device)
    before_BND = _before(a_BTD, g_BTD, None, backward_in_time=True)
    state_BD = None if state_BD is None else aligned(state_BD)
    _run(a_BTD, g_BTD, before_BND, (db_BTD, da_BTD, dstate_BD), state_BD=state_BD, h_BTD=h_BTD)
    return da_BTD, db_BTD, dstate_BD


def launches(row: Row, size: Size) -> Iterator[Launch]:
    """All launches of a row's types, of both kinds of width, of one chunk and of several; all kernels together."""
    for dtype, width in itertools.product(row.dtypes, (32 * size.heads, 32 * size.heads + 1)):
        state_BD = size.tensor(size.batch, width, dtype=torch.float32)
        for length in (1, size.tokens + 2 * _constants(RUN, dtype)["CHUNK"]):
            x_BTD = size.tensor(size.batch, length, width, dtype=dtype)
            for state in (None, state_BD):
                yield partial(forward, x_BTD, x_BTD, state)
                yield partial(backward, x_BTD, x_BTD, x_BTD, state)


def _before(
    a_BTD: Tensor, b_BTD: Tensor, state_BD: Tensor | None, *, backward_in_time: bool
) -> Tensor | None:
    """The state before each chunk; None where it is zero before the only one."""
    batch, length, width = a_BTD.shape
    dtype, size = a_BTD.dtype, unit(width)
    chunks = triton.cdiv(length, _constants(SUMMARY, dtype)["CHUNK"])
    state_BD = None if state_BD is None else aligned(state_BD)
    if chunks == 1:
        return state_BD
    left_BND = torch.empty(batch, chunks, width, dtype=torch.float32, device=a_BTD.device)
    last_BND, before_BND = torch.empty_like(left_BND), torch.empty_like(left_BND)
    with torch.cuda.device_of(a_BTD):
        summary_kernel[batch * chunks, triton.cdiv(width, _constants(SUMMARY, dtype)["BLOCK_D"])](
            a_BTD, b_BTD, left_BND, last_BND, length, width // size,
            BACKWARD=backward_in_time, UNIT=size, **_launch(SUMMARY, dtype),
        )  # fmt: skip
        carry_kernel[batch, triton.cdiv(width, _constants(CARRY, dtype)["BLOCK_D"])](
            left_BND, last_BND, state_BD, before_BND, chunks, width // size,
            STATE=state_BD is not None, UNIT=size, **_launch(CARRY, dtype),
        )  # fmt: skip
    return before_BND


def _run(
    a_BTD: Tensor,
    b_BTD: Tensor,
    before_BND: Tensor | None,
    results: tuple[Tensor, Tensor | None, Tensor | None],
    *,
    state_BD: Tensor | None,
    h_BTD: Tensor | None,
) -> None:
    batch, length, width = a_BTD.shape
    constants = _constants(RUN, a_BTD.dtype)
    grid = (batch * triton.cdiv(length, constants["CHUNK"]), triton.cdiv(width, constants["BLOCK_D"]))
    with torch.cuda.device_of(a_BTD):
        run_kernel[grid](
            a_BTD, b_BTD, before_BND, h_BTD, state_BD, *results, length, width // unit(width),
            BACKWARD=h_BTD is not None, BEFORE=before_BND is not None, STATE=state_BD is not None,
            UNIT=unit(width), **_launch(RUN, a_BTD.dtype),
        )  # fmt: skip


def _constants(kernel: str, dtype: torch.dtype) -> dict[str, int]:
    return dict(_pinned(kernel, dtype).constants)


def _launch(kernel: str, dtype: torch.dtype) -> dict[str, int]:
    pinned = _pinned(kernel, dtype)
    return {**dict(pinned.constants), "num_warps": pinned.warps, "num_stages": pinned.stages}


def _pinned(kernel: str, dtype: torch.dtype) -> Pinned:
    pinned = find(kernel, dtype=dtype)
    assert pinned is not None, f"{kernel} was chosen without a configuration"
    return pinned


@triton.jit
def _load(a_ptr, b_ptr, i, T, D, d_D, inside_D, BACKWARD: tl.constexpr):
    """What step i multiplies the state by and adds to it; past the last position, what leaves it as it is."""
    t, t_a = i, i
    if BACKWARD:
        t, t_a = T - 1 - i, T - i
    a_D = tl.load(a_ptr + t_a * D + d_D, mask=inside_D & (i < T) & (t_a < T), other=1.0)
    b_D = tl.load(b_ptr + t * D + d_D, mask=inside_D & (i < T), other=0.0)
    return a_D.to(tl.float32), b_D.to(tl.float32)


@triton.jit(do_not_specialize=["T", "UNITS"])
def summary_kernel(
    a_ptr, b_ptr, left_ptr, last_ptr, T, UNITS,
    BACKWARD: tl.constexpr, UNIT: tl.constexpr, CHUNK: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """A chunk's product of all a, and its last state from a state of zero; four positions are loaded at a time."""
    D = UNITS * UNIT
    pid, chunks = tl.program_id(0), tl.cdiv(T, CHUNK)
    base, first = (pid // chunks).to(tl.int64) * T * D, (pid % chunks).to(tl.int64) * CHUNK
    d_D = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    inside_D = d_D < D
    left_D = tl.full([BLOCK_D], 1.0, dtype=tl.float32)
    h_D = tl.zeros([BLOCK_D], dtype=tl.float32)
    for i in range(first, first + CHUNK, 4):
        a0_D, b0_D = _load(a_ptr + base, b_ptr + base, i, T, D, d_D, inside_D, BACKWARD)
        a1_D, b1_D = _load(a_ptr + base, b_ptr + base, i + 1, T, D, d_D, inside_D, BACKWARD)
        a2_D, b2_D = _load(a_ptr + base, b_ptr + base, i + 2, T, D, d_D, inside_D, BACKWARD)
        a3_D, b3_D = _load(a_ptr + base, b_ptr + base, i + 3, T, D, d_D, inside_D, BACKWARD)
        h_D = a3_D * (a2_D * (a1_D * (a0_D * h_D + b0_D) + b1_D) + b2_D) + b3_D
        left_D = left_D * a0_D * a1_D * a2_D * a3_D
    at_D = pid.to(tl.int64) * D + d_D
    tl.store(left_ptr + at_D, left_D, mask=inside_D)
    tl.store(last_ptr + at_D, h_D, mask=inside_D)


@triton.jit(do_not_specialize=["N", "UNITS"])
def carry_kernel(
    left_ptr, last_ptr, state_ptr, before_ptr, N, UNITS,
    STATE: tl.constexpr, UNIT: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """The state before each chunk, from what each does by itself."""
    D = UNITS * UNIT
    b = tl.program_id(0).to(tl.int64)
    d_D = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    inside_D = d_D < D
    h_D = tl.zeros([BLOCK_D], dtype=tl.float32)
    if STATE:
        h_D = tl.load(state_ptr + b * D + d_D, mask=inside_D, other=0.0)
    for n in range(N):
        at_D = (b * N + n) * D + d_D
        tl.store(before_ptr + at_D, h_D, mask=inside_D)
        left_D = tl.load(left_ptr + at_D, mask=inside_D, other=0.0)
        h_D = left_D * h_D + tl.load(last_ptr + at_D, mask=inside_D, other=0.0)


@triton.jit
def _store(
    h_ptr,
    da_ptr,
    was_ptr,
    state_ptr,
    h_D,
    i,
    T,
    D,
    d_D,
    inside_D,
    BACKWARD: tl.constexpr,
    STATE: tl.constexpr,
):
    """Write step i's state, and backward in time the gradient by a as well."""
    inside_D = inside_D & (i < T)
    if BACKWARD:
        t = T - 1 - i
        was_D = tl.load(was_ptr + (t - 1) * D + d_D, mask=inside_D & (t > 0), other=0.0).to(tl.float32)
        if STATE:
            was_D += tl.load(state_ptr + d_D, mask=inside_D & (t == 0), other=0.0)
        at_D = t * D + d_D
        tl.store(da_ptr + at_D, (h_D * was_D).to(da_ptr.dtype.element_ty), mask=inside_D)
    else:
        at_D = i * D + d_D
    tl.store(h_ptr + at_D, h_D.to(h_ptr.dtype.element_ty), mask=inside_D)


@triton.jit(do_not_specialize=["T", "UNITS"])
def run_kernel(
    a_ptr, b_ptr, before_ptr, was_ptr, state_ptr, h_ptr, da_ptr, dstate_ptr, T, UNITS,
    BACKWARD: tl.constexpr, BEFORE: tl.constexpr, STATE: tl.constexpr,
    UNIT: tl.constexpr, CHUNK: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """A chunk's states, or backward in time its gradients; four positions are loaded before the first is stored."""
    D = UNITS * UNIT
    pid, chunks = tl.program_id(0), tl.cdiv(T, CHUNK)
    b, first = (pid // chunks).to(tl.int64), (pid % chunks).to(tl.int64) * CHUNK
    base = b * T * D
    d_D = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    inside_D = d_D < D
    a_ptr += base
    b_ptr += base
    h_ptr += base
    if BACKWARD:
        da_ptr += base
        was_ptr += base
    if STATE:
        state_ptr += b * D
    h_D = tl.zeros([BLOCK_D], dtype=tl.float32)
    if BEFORE:
        h_D = tl.load(before_ptr + pid.to(tl.int64) * D + d_D, mask=inside_D, other=0.0)
    for i in range(first, first + CHUNK, 4):
        a0_D, b0_D = _load(a_ptr, b_ptr, i, T, D, d_D, inside_D, BACKWARD)
        a1_D, b1_D = _load(a_ptr, b_ptr, i + 1, T, D, d_D, inside_D, BACKWARD)
        a2_D, b2_D = _load(a_ptr, b_ptr, i + 2, T, D, d_D, inside_D, BACKWARD)
        a3_D, b3_D = _load(a_ptr, b_ptr, i + 3, T, D, d_D, inside_D, BACKWARD)
        h0_D = a0_D * h_D + b0_D
        h1_D = a1_D * h0_D + b1_D
        h2_D = a2_D * h1_D + b2_D
        h_D = a3_D * h2_D + b3_D
        _store(h_ptr, da_ptr, was_ptr, state_ptr, h0_D, i, T, D, d_D, inside_D, BACKWARD, STATE)
        _store(h_ptr, da_ptr, was_ptr, state_ptr, h1_D, i + 1, T, D, d_D, inside_D, BACKWARD, STATE)
        _store(h_ptr, da_ptr, was_ptr, state_ptr, h2_D, i + 2, T, D, d_D, inside_D, BACKWARD, STATE)
        _store(h_ptr, da_ptr, was_ptr, state_ptr, h_D, i + 3, T, D, d_D, inside_D, BACKWARD, STATE)
    if BACKWARD and pid % chunks == chunks - 1:
        a_D = tl.load(a_ptr + d_D, mask=inside_D, other=0.0).to(tl.float32)
        tl.store(dstate_ptr + b * D + d_D, a_D * h_D, mask=inside_D)
