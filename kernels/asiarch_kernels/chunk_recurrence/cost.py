"""How many floating-point operations the recurrence's matrix products take; to multiply and add is two.

Counted at chunks of at most 64 positions, their causal halves in full, for a decay of any kind; several sequences in
one batch count as one. Exponentials, sums and products by element aren't counted, as in PyTorch's own formulas.
"""

from dataclasses import dataclass

from asiarch_kernels.chunk_recurrence.reference import CHUNK


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the work depends on: B, T, H, K, V, the rule, and whether states come in and go out."""

    batch: int
    length: int
    heads: int
    keys: int
    values: int
    delta: bool = False
    starts_with_state: bool = False
    returns_state: bool = False


def forward(sizes: Sizes) -> int:
    """For each chunk: two or three products within it, two or three with a state, and a delta rule's solution."""
    return _products(sizes) + _solutions(sizes)


def backward(sizes: Sizes) -> int:
    """Two products for each one of the forward pass; for a triangular solution another and a product of its size."""
    count, size = _chunks(sizes)
    inverse = 2 * count * size * size * sizes.values if sizes.delta else 0
    return 2 * _products(sizes) + _solutions(sizes) + sizes.batch * sizes.heads * inverse


def _products(sizes: Sizes) -> int:
    count, size = _chunks(sizes)
    within = 2 * size * size * ((2 if sizes.delta else 1) * sizes.keys + sizes.values)
    read = count if sizes.starts_with_state else count - 1
    written = count if sizes.returns_state else count - 1
    carried = 2 * size * sizes.keys * sizes.values * ((2 if sizes.delta else 1) * read + written)
    return sizes.batch * sizes.heads * (count * within + carried)


def _solutions(sizes: Sizes) -> int:
    count, size = _chunks(sizes)
    return sizes.batch * sizes.heads * count * size * size * sizes.values if sizes.delta else 0


def _chunks(sizes: Sizes) -> tuple[int, int]:
    count = -(-sizes.length // CHUNK)
    return count, -(-sizes.length // count)
