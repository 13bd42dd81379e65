"""Any code on all chunks of time at once: what keeps a new idea linear in the length without a loop over chunks.

No operator and no kernel belong here: the code that is mapped is the user's, and a compiler sees through to it.
"""

from collections.abc import Callable
from typing import TypeVar, overload

from torch import Tensor
from torch.nn import functional

from asiarch_kernels.fault import check_count, check_shape, refuse

_BLOCK = "chunk_map"

Tensors = TypeVar("Tensors", Tensor, tuple[Tensor, ...])


@overload
def chunk_map(fn: Callable[[Tensor], Tensors], xs: Tensor, chunk: int) -> Tensors: ...


@overload
def chunk_map(fn: Callable[..., Tensors], xs: tuple[Tensor, ...], chunk: int) -> Tensors: ...


def chunk_map(
    fn: Callable[..., Tensor | tuple[Tensor, ...]], xs: Tensor | tuple[Tensor, ...], chunk: int
) -> Tensor | tuple[Tensor, ...]:
    """Run code on chunks of time, all of them in one batch.

        fn(x_1[B·N, C, …], x_2[B·N, C, …], …) -> y[B·N, C, …], or a tuple of such,    N = ⌈T / C⌉

    Chunk n of batch row b is row b·N + n. Its C positions are those from n·C on; the last chunk is filled up with
    zeros behind, and what `fn` makes of them is cut off again. So `fn` sees C positions for any T, and is causal over
    the whole length if it is causal within a chunk. What one chunk should know of those before it is carried by
    `scan`: sum each chunk up, scan the sums, and hand them in as one more tensor, repeated at each position.

    Args:
        fn: torch code that takes as many tensors as there are in `xs`. It must treat rows alike, whichever they are.
        xs: one tensor [B, T, …], or a tuple of such; B and T are alike, each at least one. Any types and devices.
        chunk: C, at least one.

    Returns:
        What `fn` returns, [B, T, …] each.

    Raises:
        BlockInputError: naming the argument, what was found and what was wanted.

    Costs: those of `fn` for N·C ≥ T positions, once; linear in T if `fn` keeps to its rows. A copy of each tensor where
    C doesn't divide T. Gradients: those of `fn`, of any order.
    Source: the chunkwise forms of linear attention (arXiv 2312.06635) without their recurrence.
    """
    given = _checked(fn, xs, chunk)
    batch, length = given[0].shape[:2]
    results = fn(*(_cut(x, chunk) for x in given))
    if isinstance(results, tuple):
        return tuple(_joined(f"fn's result {i}", y, batch, length, chunk) for i, y in enumerate(results))
    return _joined("fn's result", results, batch, length, chunk)


def _checked(fn: object, xs: Tensor | tuple[Tensor, ...], chunk: int) -> tuple[Tensor, ...]:
    """The tensors as a tuple."""
    if not callable(fn):
        refuse(_BLOCK, "fn", f"a {type(fn).__name__}", "something to call")
    check_count(_BLOCK, "chunk", chunk)
    given = xs if isinstance(xs, tuple) else (xs,)
    if not given:
        refuse(_BLOCK, "xs", "an empty tuple", "at least one tensor")
    for i, x in enumerate(given):
        name = f"xs[{i}]" if isinstance(xs, tuple) else "xs"
        if not isinstance(x, Tensor):
            refuse(_BLOCK, name, f"a {type(x).__name__}", "a tensor")
        if x.ndim < 2:
            refuse(_BLOCK, name, f"of shape {list(x.shape)}", "the shape [B, T, …]")
        sizes = ("B", "T") if i == 0 else tuple(given[0].shape[:2])
        check_shape(_BLOCK, name, x, (*sizes, *x.shape[2:]))
    return given


def _cut(x: Tensor, chunk: int) -> Tensor:
    """[B, T, …] to [B·N, C, …]."""
    length = x.shape[1]
    padded = functional.pad(x, (0, 0) * (x.ndim - 2) + (0, -length % chunk)) if length % chunk else x
    return padded.reshape(-1, chunk, *x.shape[2:])


def _joined(name: str, y: object, batch: int, length: int, chunk: int) -> Tensor:
    """[B·N, C, …] to [B, T, …]."""
    rows = batch * -(-length // chunk)
    if not isinstance(y, Tensor):
        refuse(_BLOCK, name, f"a {type(y).__name__}", "a tensor")
    if tuple(y.shape[:2]) != (rows, chunk):
        refuse(_BLOCK, name, f"of shape {list(y.shape)}", f"the shape [{rows}, {chunk}, …]")
    return y.reshape(batch, -1, *y.shape[2:])[:, :length]
