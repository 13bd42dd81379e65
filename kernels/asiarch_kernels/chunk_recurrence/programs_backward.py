"""The kernels of the backward pass: one walk back over the chunks of a sequence, then all chunks at once.

The names are those of the forward pass; `d` before a name is the gradient of that quantity. With dS the gradient of the
state behind a chunk:

    dn = lower((q k') * D)' do + exp(g_last - g) * (k dS)
    dx = (1 + A)^-T dn
    dS = exp(g_last) dS + (q * exp(g))' do - (erasing * exp(g) * k)' dx
"""

import triton
import triton.language as tl

from asiarch_kernels.chunk_recurrence.programs import being_read, dot, last_of, place, reading, sequence

# Shapes: T all positions of all sequences, H heads, K key width, V value width, C positions of a chunk, N sequences,
# M chunks, P parts of the key width. A trailing shape without T or M is a tile's.

_OPEN = ["sequences", "length", "heads"]


@triton.jit(do_not_specialize=_OPEN)
def reverse_kernel(
    q_THK,
    k_THK,
    g_TH,
    erasing_TH,
    inverse_THC,
    d_out_THV,
    d_last_NHKV,
    d_wanted_THV,
    d_states_MHKV,
    d_first_NHKV,
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
):
    """Walk back over the chunks of one sequence and head, for BV values. Grid (N * H, V / BV).

    Stores the gradients of the state behind each chunk and of what each position wanted to write (x).
    """
    n, h = tl.program_id(0) // heads, tl.program_id(0) % heads
    start, size, chunk = sequence(layout, n, sequences, length, C)
    in_C, key_K, value_V = tl.arange(0, C), tl.arange(0, K), tl.program_id(1) * BV + tl.arange(0, BV)
    at_KV = key_K[:, None] * V + value_V[None, :]
    dtype = k_THK.dtype.element_ty
    q_THK += (start * heads + h) * K
    k_THK += (start * heads + h) * K
    g_TH += start * heads + h
    erasing_TH += start * heads + h
    inverse_THC += (start * heads + h) * C
    d_out_THV += (start * heads + h) * V
    d_wanted_THV += (start * heads + h) * V
    d_state_KV = tl.load(d_last_NHKV + tl.program_id(0).to(tl.int64) * K * V + at_KV)
    count = tl.cdiv(size, C)
    for back in range(count):
        c = count - 1 - back
        t_C = c * C + in_C
        inside_C = t_C < size
        at_CK = t_C[:, None] * heads * K + key_K[None, :]
        at_CV = t_C[:, None] * heads * V + value_V[None, :]
        q_CK = tl.load(q_THK + at_CK, mask=inside_C[:, None], other=0.0)
        k_CK = tl.load(k_THK + at_CK, mask=inside_C[:, None], other=0.0)
        d_out_CV = tl.load(d_out_THV + at_CV, mask=inside_C[:, None], other=0.0)
        behind_KV = d_state_KV.to(dtype)
        tl.store(d_states_MHKV + ((chunk + c) * heads + h) * K * V + at_KV, behind_KV)
        sums_C = tl.zeros((C,), tl.float32)
        d_written_CV = dot(k_CK, behind_KV)
        d_read_CV = d_out_CV
        if DECAYS:
            sums_C = tl.cumsum(tl.load(g_TH + t_C * heads, mask=inside_C, other=0.0), 0)
            whole = last_of(sums_C, C)
            d_written_CV *= tl.exp(whole - sums_C)[:, None]
            d_state_KV *= tl.exp(whole)
            d_read_CV = (d_out_CV * tl.exp(sums_C)[:, None]).to(dtype)
        inside_CC = being_read(dot(k_CK, tl.trans(q_CK)), sums_C, C, DECAYS, False)
        d_written_CV += dot(inside_CC.to(dtype), d_out_CV)
        d_state_KV += dot(tl.trans(q_CK), d_read_CV)
        if ERASES:
            # The inverse is read transposed, never a product of tensor cores.
            at_CC = t_C[None, :] * heads * C + in_C[:, None]
            transposed_CC = tl.load(inverse_THC + at_CC, mask=inside_C[None, :], other=0.0)
            d_written_CV = dot(transposed_CC, d_written_CV.to(dtype))
            erasing_C = tl.load(erasing_TH + t_C * heads, mask=inside_C, other=0.0)
            if DECAYS:
                erasing_C *= tl.exp(sums_C)
            d_state_KV -= dot(tl.trans(k_CK), (d_written_CV * erasing_C[:, None]).to(dtype))
        tl.store(d_wanted_THV + at_CV, d_written_CV.to(dtype), mask=inside_C[:, None])
    tl.store(d_first_NHKV + tl.program_id(0).to(tl.int64) * K * V + at_KV, d_state_KV)


@triton.jit(do_not_specialize=[*_OPEN, "total", "blocks"])
def gradient_kernel(
    q_THK,
    k_THK,
    v_THV,
    g_TH,
    writing_TH,
    erasing_TH,
    written_THV,
    states_MHKV,
    d_out_THV,
    d_wanted_THV,
    d_states_MHKV,
    dq_THK,
    dk_THK,
    dv_THV,
    dg_PTH,
    d_writing_TH,
    d_erasing_PTH,
    layout,
    sequences,
    length,
    heads,
    total,
    blocks,
    K: tl.constexpr,
    V: tl.constexpr,
    C: tl.constexpr,
    BK: tl.constexpr,
    BV: tl.constexpr,
    DECAYS: tl.constexpr,
    ERASES: tl.constexpr,
):
    """All gradients of one chunk and head, for BK keys. Grid (M * H, K / BK); gradients of gates come in P parts."""
    h, part = tl.program_id(0) % heads, tl.program_id(1)
    m = tl.program_id(0) // heads
    start, left = place(layout, m, sequences, length, C)
    if left <= 0:
        return
    t_C, key_K = tl.arange(0, C), part * BK + tl.arange(0, BK)
    inside_C = t_C < left
    row = start * heads + h
    at_C = row + t_C * heads
    at_CK = row * K + t_C[:, None] * heads * K + key_K[None, :]
    dtype = k_THK.dtype.element_ty
    q_CK = tl.load(q_THK + at_CK, mask=inside_C[:, None], other=0.0)
    k_CK = tl.load(k_THK + at_CK, mask=inside_C[:, None], other=0.0)
    writing_C = tl.load(writing_TH + at_C, mask=inside_C, other=0.0)
    erasing_C = tl.load(erasing_TH + at_C, mask=inside_C, other=0.0)
    dq_CK, dk_CK = tl.zeros((C, BK), tl.float32), tl.zeros((C, BK), tl.float32)
    erased_CK = tl.zeros((C, BK), tl.float32)
    d_reads_CC, d_meets_CC = tl.zeros((C, C), tl.float32), tl.zeros((C, C), tl.float32)
    d_writing_C, d_whole = tl.zeros((C,), tl.float32), 0.0
    # A count that the compiler knew would have it unroll the loop and run out of registers.
    for block in range(blocks):
        value_V = block * BV + tl.arange(0, BV)
        at_CV = row * V + t_C[:, None] * heads * V + value_V[None, :]
        at_KV = (m.to(tl.int64) * heads + h) * K * V + key_K[:, None] * V + value_V[None, :]
        v_CV = tl.load(v_THV + at_CV, mask=inside_C[:, None], other=0.0).to(tl.float32)
        written_CV = tl.load(written_THV + at_CV, mask=inside_C[:, None], other=0.0)
        d_out_CV = tl.load(d_out_THV + at_CV, mask=inside_C[:, None], other=0.0)
        d_wanted_CV = tl.load(d_wanted_THV + at_CV, mask=inside_C[:, None], other=0.0)
        before_KV, d_behind_KV = tl.load(states_MHKV + at_KV), tl.load(d_states_MHKV + at_KV)
        dq_CK += dot(d_out_CV, tl.trans(before_KV))
        dk_CK += dot(written_CV, tl.trans(d_behind_KV))
        d_reads_CC += dot(d_out_CV, tl.trans(written_CV))
        if ERASES:
            erased_CK += dot(d_wanted_CV, tl.trans(before_KV))
            d_meets_CC -= dot(d_wanted_CV, tl.trans(written_CV))
        if DECAYS:
            d_whole += tl.sum(tl.sum(before_KV.to(tl.float32) * d_behind_KV.to(tl.float32), 1), 0)
        if part == 0:
            d_writing_C += tl.sum(d_wanted_CV.to(tl.float32) * v_CV, 1)
            dv_CV = d_wanted_CV.to(tl.float32) * writing_C[:, None]
            tl.store(dv_THV + at_CV, dv_CV.to(dv_THV.dtype.element_ty), mask=inside_C[:, None])
    if part == 0:
        tl.store(d_writing_TH + at_C, d_writing_C, mask=inside_C)
    sums_C, dg_C = tl.zeros((C,), tl.float32), tl.zeros((C,), tl.float32)
    if DECAYS:
        sums_C = tl.cumsum(tl.load(g_TH + at_C, mask=inside_C, other=0.0), 0)
        whole = last_of(sums_C, C)
        dq_CK *= tl.exp(sums_C)[:, None]
        dk_CK *= tl.exp(whole - sums_C)[:, None]
        erased_CK *= tl.exp(sums_C)[:, None]
        late_C = tl.sum(dk_CK * k_CK, 1)
        dg_C += tl.sum(dq_CK * q_CK, 1) - late_C
        d_whole = d_whole * tl.exp(whole) + tl.sum(late_C, 0)
    d_reads_CC = reading(d_reads_CC, sums_C, C, DECAYS, False)
    dq_CK += dot(d_reads_CC.to(dtype), k_CK)
    dk_CK += dot(tl.trans(d_reads_CC.to(dtype)), q_CK)
    if DECAYS:
        moved_CC = d_reads_CC * dot(q_CK, tl.trans(k_CK))
        dg_C += tl.sum(moved_CC, 1) - tl.sum(moved_CC, 0)
    if ERASES:
        d_meets_CC = reading(d_meets_CC, sums_C, C, DECAYS, True)
        met_C = tl.sum(erased_CK * k_CK, 1)
        moved_CC = d_meets_CC * dot(k_CK, tl.trans(k_CK))
        d_erasing_C = tl.sum(moved_CC, 1) - met_C
        tl.store(d_erasing_PTH + part.to(tl.int64) * total * heads + at_C, d_erasing_C, mask=inside_C)
        if DECAYS:
            dg_C += d_erasing_C * erasing_C - tl.sum(moved_CC * erasing_C[:, None], 0)
        d_meets_CC = (d_meets_CC * erasing_C[:, None]).to(dtype)
        dk_CK += dot(d_meets_CC, k_CK) + dot(tl.trans(d_meets_CC), k_CK) - erasing_C[:, None] * erased_CK
    if DECAYS:
        dg_C = tl.cumsum(dg_C, 0, reverse=True) + d_whole
        tl.store(dg_PTH + part.to(tl.int64) * total * heads + at_C, dg_C, mask=inside_C)
    tl.store(dq_THK + at_CK, dq_CK.to(dq_THK.dtype.element_ty), mask=inside_C[:, None])
    tl.store(dk_THK + at_CK, dk_CK.to(dk_THK.dtype.element_ty), mask=inside_C[:, None])
