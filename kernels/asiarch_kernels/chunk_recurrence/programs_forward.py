"""The kernels of the forward pass: a triangular inverse for each chunk, then one walk over the chunks of a sequence.

With S the state before a chunk, g the sums of log decays from its begin, and D[i, j] = exp(g_i - g_j):

    A = strict_lower(erasing * (k k') * D)          what erasing meets of earlier writes
    x = writing * v - erasing * exp(g) * (k S)      what would be written if the chunk had one position
    n = (1 + A)^-1 x                                what is written
    o = exp(g) * (q S) + lower((q k') * D) n
    S = exp(g_last) S + (k * exp(g_last - g))' n
"""

import triton
import triton.language as tl

from asiarch_kernels.chunk_recurrence.programs import dot, last_of, place, reading, sequence

# Shapes: T all positions of all sequences, H heads, K key width, V value width, C positions of a chunk, I blocks of L
# (16) in a chunk, N sequences, M chunks. A trailing shape without T or M is a tile's.

_OPEN = ["sequences", "length", "heads"]


@triton.jit
def _unit_inverses(a_ILL, I: tl.constexpr):
    """(1 + a)^-1 of strictly lower triangular blocks, row after row, all blocks at once."""
    row = tl.arange(0, 16)[None, :, None]
    x_ILL = tl.zeros((I, 16, 16), tl.float32) + tl.where(row == tl.arange(0, 16)[None, None, :], 1.0, 0.0)
    for i in range(1, 16):
        met_IL = tl.sum(tl.where(row == i, a_ILL, 0.0), 1)
        taken_IL = tl.sum(met_IL[:, :, None] * x_ILL, 1)
        x_ILL = tl.where(row == i, x_ILL - taken_IL[:, None, :], x_ILL)
    return x_ILL


@triton.jit
def _put_at(blocks_ILL, block_LL, i: tl.constexpr, I: tl.constexpr):
    return tl.where(tl.arange(0, I)[:, None, None] == i, block_LL[None, :, :], blocks_ILL)


@triton.jit
def _at(blocks_ILL, i: tl.constexpr, I: tl.constexpr):
    return tl.sum(tl.where(tl.arange(0, I)[:, None, None] == i, blocks_ILL, 0.0), 0)


@triton.jit
def _keys(k_THK, start, left, heads, i: tl.constexpr, K: tl.constexpr):
    """Block i of a chunk's keys."""
    at = i * 16 + tl.arange(0, 16)
    return tl.load(
        k_THK + (start + at)[:, None] * heads * K + tl.arange(0, K)[None, :],
        mask=(at < left)[:, None],
        other=0.0,
    )


@triton.jit
def _gates(x_TH, start, left, heads, i: tl.constexpr):
    at = i * 16 + tl.arange(0, 16)
    return tl.load(x_TH + (start + at) * heads, mask=at < left, other=0.0)


@triton.jit
def _decays(g_TH, start, left, heads, before, i: tl.constexpr, DECAYS: tl.constexpr):
    """Sums of log decays in block i, on top of what the blocks before it sum up to; and the new sum."""
    if DECAYS:
        sums_L = before + tl.cumsum(_gates(g_TH, start, left, heads, i), 0)
        return sums_L, last_of(sums_L, 16)
    return tl.zeros((16,), tl.float32), before


@triton.jit
def _meets(
    row_LK, column_LK, erasing_L, row_sums_L, column_sums_L, DECAYS: tl.constexpr, STRICT: tl.constexpr
):
    """A block of A: how the erasing of later positions meets the writes of earlier ones."""
    met_LL = dot(row_LK, tl.trans(column_LK)) * erasing_L[:, None]
    seen = (tl.arange(0, 16)[:, None] > tl.arange(0, 16)[None, :]) | (not STRICT)
    if DECAYS:
        met_LL *= tl.exp(tl.where(seen, row_sums_L[:, None] - column_sums_L[None, :], 0.0))
    return tl.where(seen, met_LL, 0.0)


@triton.jit
def _put(inverse_THC, x_LL, start, left, heads, i: tl.constexpr, j: tl.constexpr, C: tl.constexpr):
    """Store block (i, j) of a chunk's inverse."""
    at = i * 16 + tl.arange(0, 16)
    to = inverse_THC + (start + at)[:, None] * heads * C + j * 16 + tl.arange(0, 16)[None, :]
    tl.store(to, x_LL.to(inverse_THC.dtype.element_ty), mask=(at < left)[:, None])


@triton.jit(do_not_specialize=_OPEN)
def invert_kernel(
    k_THK,
    g_TH,
    erasing_TH,
    inverse_THC,
    layout,
    sequences,
    length,
    heads,
    K: tl.constexpr,
    C: tl.constexpr,
    DECAYS: tl.constexpr,
):
    """(1 + A)^-1 of one chunk and head, in blocks of 16; rows of `inverse_THC` are positions. Grid (M * H)."""
    h = tl.program_id(0) % heads
    start, left = place(layout, tl.program_id(0) // heads, sequences, length, C)
    if left <= 0:
        return
    k_THK += h * K
    g_TH += h
    erasing_TH += h
    inverse_THC += h * C
    I: tl.constexpr = C // 16
    k0 = _keys(k_THK, start, left, heads, 0, K)
    b0 = _gates(erasing_TH, start, left, heads, 0)
    g0, sum0 = _decays(g_TH, start, left, heads, 0.0, 0, DECAYS)
    a_ILL = _put_at(tl.zeros((I, 16, 16), tl.float32), _meets(k0, k0, b0, g0, g0, DECAYS, True), 0, I)
    if I > 1:
        k1 = _keys(k_THK, start, left, heads, 1, K)
        b1 = _gates(erasing_TH, start, left, heads, 1)
        g1, sum1 = _decays(g_TH, start, left, heads, sum0, 1, DECAYS)
        a_ILL = _put_at(a_ILL, _meets(k1, k1, b1, g1, g1, DECAYS, True), 1, I)
    if I > 2:
        k2 = _keys(k_THK, start, left, heads, 2, K)
        b2 = _gates(erasing_TH, start, left, heads, 2)
        g2, sum2 = _decays(g_TH, start, left, heads, sum1, 2, DECAYS)
        a_ILL = _put_at(a_ILL, _meets(k2, k2, b2, g2, g2, DECAYS, True), 2, I)
        k3 = _keys(k_THK, start, left, heads, 3, K)
        b3 = _gates(erasing_TH, start, left, heads, 3)
        g3, _ = _decays(g_TH, start, left, heads, sum2, 3, DECAYS)
        a_ILL = _put_at(a_ILL, _meets(k3, k3, b3, g3, g3, DECAYS, True), 3, I)
    x_ILL = _unit_inverses(a_ILL, I)
    x00 = _at(x_ILL, 0, I)
    _put(inverse_THC, x00, start, left, heads, 0, 0, C)
    if I > 1:
        x11 = _at(x_ILL, 1, I)
        x10 = -dot(x11, dot(_meets(k1, k0, b1, g1, g0, DECAYS, False), x00))
        _put(inverse_THC, x10, start, left, heads, 1, 0, C)
        _put(inverse_THC, x11, start, left, heads, 1, 1, C)
    if I > 2:
        x22, x33 = _at(x_ILL, 2, I), _at(x_ILL, 3, I)
        a21 = _meets(k2, k1, b2, g2, g1, DECAYS, False)
        x21 = -dot(x22, dot(a21, x11))
        x20 = -dot(x22, dot(_meets(k2, k0, b2, g2, g0, DECAYS, False), x00) + dot(a21, x10))
        a31 = _meets(k3, k1, b3, g3, g1, DECAYS, False)
        a32 = _meets(k3, k2, b3, g3, g2, DECAYS, False)
        x32 = -dot(x33, dot(a32, x22))
        x31 = -dot(x33, dot(a31, x11) + dot(a32, x21))
        met_LL = dot(_meets(k3, k0, b3, g3, g0, DECAYS, False), x00)
        x30 = -dot(x33, met_LL + dot(a31, x10) + dot(a32, x20))
        _put(inverse_THC, x20, start, left, heads, 2, 0, C)
        _put(inverse_THC, x21, start, left, heads, 2, 1, C)
        _put(inverse_THC, x22, start, left, heads, 2, 2, C)
        _put(inverse_THC, x30, start, left, heads, 3, 0, C)
        _put(inverse_THC, x31, start, left, heads, 3, 1, C)
        _put(inverse_THC, x32, start, left, heads, 3, 2, C)
        _put(inverse_THC, x33, start, left, heads, 3, 3, C)
    for i in tl.static_range(I):
        for j in tl.static_range(I):
            if j > i:
                _put(inverse_THC, tl.zeros((16, 16), tl.float32), start, left, heads, i, j, C)


@triton.jit(do_not_specialize=_OPEN)
def forward_kernel(
    q_THK,
    k_THK,
    v_THV,
    g_TH,
    writing_TH,
    erasing_TH,
    inverse_THC,
    first_NHKV,
    out_THV,
    last_NHKV,
    states_MHKV,
    layout,
    sequences,
    length,
    heads,
    K: tl.constexpr,
    V: tl.constexpr,
    C: tl.constexpr,
    BV: tl.constexpr,
    DECAYS: tl.constexpr,
    ERASES: tl.constexpr,
    KEEPS: tl.constexpr,
):
    """Walk over the chunks of one sequence and head, for BV values. Grid (N * H, V / BV).

    With KEEPS it stores what the backward pass wants instead of outputs: the state before each chunk, and in `out_THV`
    what each position writes.
    """
    n, h = tl.program_id(0) // heads, tl.program_id(0) % heads
    start, size, chunk = sequence(layout, n, sequences, length, C)
    in_C, key_K, value_V = tl.arange(0, C), tl.arange(0, K), tl.program_id(1) * BV + tl.arange(0, BV)
    at_KV = key_K[:, None] * V + value_V[None, :]
    dtype = k_THK.dtype.element_ty
    q_THK += (start * heads + h) * K
    k_THK += (start * heads + h) * K
    v_THV += (start * heads + h) * V
    g_TH += start * heads + h
    writing_TH += start * heads + h
    erasing_TH += start * heads + h
    inverse_THC += (start * heads + h) * C
    out_THV += (start * heads + h) * V
    state_KV = tl.load(first_NHKV + tl.program_id(0).to(tl.int64) * K * V + at_KV)
    for c in range(tl.cdiv(size, C)):
        t_C = c * C + in_C
        inside_C = t_C < size
        at_CK = t_C[:, None] * heads * K + key_K[None, :]
        at_CV = t_C[:, None] * heads * V + value_V[None, :]
        k_CK = tl.load(k_THK + at_CK, mask=inside_C[:, None], other=0.0)
        v_CV = tl.load(v_THV + at_CV, mask=inside_C[:, None], other=0.0).to(tl.float32)
        written_CV = v_CV * tl.load(writing_TH + t_C * heads, mask=inside_C, other=0.0)[:, None]
        before_KV = state_KV.to(dtype)
        sums_C = tl.zeros((C,), tl.float32)
        if DECAYS:
            sums_C = tl.cumsum(tl.load(g_TH + t_C * heads, mask=inside_C, other=0.0), 0)
        if KEEPS:
            tl.store(states_MHKV + ((chunk + c) * heads + h) * K * V + at_KV, before_KV)
        if ERASES:
            erasing_C = tl.load(erasing_TH + t_C * heads, mask=inside_C, other=0.0)
            if DECAYS:
                erasing_C *= tl.exp(sums_C)
            wanted_CV = written_CV - erasing_C[:, None] * dot(k_CK, before_KV)
            at_CC = t_C[:, None] * heads * C + in_C[None, :]
            inverse_CC = tl.load(inverse_THC + at_CC, mask=inside_C[:, None], other=0.0)
            written_CV = dot(inverse_CC, wanted_CV.to(dtype))
        if KEEPS:
            tl.store(out_THV + at_CV, written_CV.to(dtype), mask=inside_C[:, None])
        else:
            q_CK = tl.load(q_THK + at_CK, mask=inside_C[:, None], other=0.0)
            out_CV = dot(q_CK, before_KV)
            if DECAYS:
                out_CV *= tl.exp(sums_C)[:, None]
            inside_CC = reading(dot(q_CK, tl.trans(k_CK)), sums_C, C, DECAYS, False)
            out_CV += dot(inside_CC.to(dtype), written_CV.to(dtype))
            tl.store(out_THV + at_CV, out_CV.to(out_THV.dtype.element_ty), mask=inside_C[:, None])
        if DECAYS:
            whole = last_of(sums_C, C)
            written_CV *= tl.exp(whole - sums_C)[:, None]
            state_KV *= tl.exp(whole)
        state_KV += dot(tl.trans(k_CK), written_CV.to(dtype))
    if not KEEPS:
        tl.store(last_NHKV + tl.program_id(0).to(tl.int64) * K * V + at_KV, state_KV)
