"""What all kernels of the recurrence share: where a sequence lies, how decays act between positions, and dots.

Time is flat: sequence `n` of a dense batch begins at `n * length`. With `length` 0 sequences are of several lengths,
and `layout` lists them: [N + 1] starts, [N + 1] first chunks, and for each chunk the sequence that it is in, N for
none.
"""

import triton
import triton.language as tl


@triton.jit
def sequence(layout, n, sequences, length, C: tl.constexpr):
    """The first position of a sequence, its length and its first chunk."""
    start = n.to(tl.int64) * length
    size = length
    chunk = n.to(tl.int64) * tl.cdiv(length, C)
    if length == 0:
        start = tl.load(layout + n).to(tl.int64)
        size = tl.load(layout + n + 1) - tl.load(layout + n)
        chunk = tl.load(layout + sequences + 1 + n).to(tl.int64)
    return start, size, chunk


@triton.jit
def place(layout, chunk, sequences, length, C: tl.constexpr):
    """The first position of a chunk, and how many of its sequence are left from there; none beyond the last chunk."""
    n = chunk // tl.maximum(tl.cdiv(length, C), 1)
    if length == 0:
        n = tl.load(layout + 2 * (sequences + 1) + chunk)
    start = tl.zeros((), tl.int64)
    left = n * 0
    if n < sequences:
        start, size, first = sequence(layout, n, sequences, length, C)
        passed = ((chunk - first) * C).to(tl.int32)
        start += passed
        left = size - passed
    return start, left


@triton.jit
def dot(left, right):
    """A product in single precision: exact products of half types, three tensor-core products for float32."""
    return tl.dot(left, right, input_precision="tf32x3")


@triton.jit
def last_of(x_C, C: tl.constexpr):
    """The last value of a vector."""
    return tl.sum(tl.where(tl.arange(0, C) == C - 1, x_C, 0.0), 0)


@triton.jit
def reading(met_CC, sums_C, C: tl.constexpr, DECAYS: tl.constexpr, STRICT: tl.constexpr):
    """How rows meet the columns before them (or at them too, unless STRICT), decayed from column to row."""
    row, column = tl.arange(0, C)[:, None], tl.arange(0, C)[None, :]
    seen = row > column if STRICT else row >= column
    if DECAYS:
        met_CC *= tl.exp(tl.where(seen, sums_C[:, None] - sums_C[None, :], 0.0))
    return tl.where(seen, met_CC, 0.0)


@triton.jit
def being_read(met_CC, sums_C, C: tl.constexpr, DECAYS: tl.constexpr, STRICT: tl.constexpr):
    """The same with rows for columns: how rows meet the columns behind them, decayed from row to column."""
    row, column = tl.arange(0, C)[:, None], tl.arange(0, C)[None, :]
    seen = column > row if STRICT else column >= row
    if DECAYS:
        met_CC *= tl.exp(tl.where(seen, sums_C[None, :] - sums_C[:, None], 0.0))
    return tl.where(seen, met_CC, 0.0)
