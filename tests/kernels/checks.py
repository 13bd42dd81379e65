"""What the tests of several blocks measure alike: errors, poisoned memory, perturbations, compiled graphs."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

Block = Callable[..., Tensor]


def error(found: Tensor, wanted: Tensor) -> float:
    """The relative root mean square error; where zero is wanted, the absolute one."""
    assert found.shape == wanted.shape
    found, wanted = found.detach().double(), wanted.detach().double()
    size = float(wanted.norm())
    return float((found - wanted).norm()) / (size or 1)


def gradients(y: Tensor, g: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(y, inputs, g.to(y.dtype))


def leaves(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Copies that record gradients."""
    return tuple(tensor.detach().clone().requires_grad_() for tensor in tensors)


def in_poison(tensor: Tensor) -> Tensor:
    """The same values with NaN in the memory before and behind them."""
    around = torch.full((tensor.numel() + 512,), torch.nan, dtype=tensor.dtype)
    copy = around[256:-256].view(tensor.shape)
    return copy.copy_(tensor)


@contextmanager
def poisoned_memory() -> Iterator[None]:
    """New tensors hold NaN until somebody writes them."""
    empty, empty_like = torch.empty, torch.empty_like

    def poisoned(*arguments: Any, **options: Any) -> Tensor:
        return _poison(empty(*arguments, **options))

    def poisoned_like(*arguments: Any, **options: Any) -> Tensor:
        return _poison(empty_like(*arguments, **options))

    with mock.patch.object(torch, "empty", poisoned), mock.patch.object(torch, "empty_like", poisoned_like):
        yield


def _poison(tensor: Tensor) -> Tensor:
    return tensor.fill_(torch.nan) if tensor.is_floating_point() else tensor


def changed_from(block: Callable[[Tensor], Tensor], x: Tensor, edge: int) -> int:
    """The first position whose result changes when all of `x` from `edge` on does; its length where none does."""
    other = x.clone()
    other[:, edge:] = torch.rand_like(other[:, edge:]) * 0.9
    differs_T = (block(x) != block(other)).movedim(1, 0).flatten(1).any(1)
    return int(differs_T.int().argmax()) if differs_T.any() else x.shape[1]


def changed_rows(block: Callable[[Tensor], Tensor], x: Tensor, row: int) -> list[int]:
    """Which batch rows of the result change when one of `x` does."""
    other = x.clone()
    other[row] = torch.rand_like(other[row]) * 0.9
    return (block(x) != block(other)).flatten(1).any(1).nonzero().flatten().tolist()


def agrees_when_compiled(block: Block, *inputs: Tensor) -> bool:
    """Whether a full graph of the block has its results and gradients, to the last few bits."""
    torch._dynamo.reset()
    ours, theirs = leaves(*inputs), leaves(*inputs)
    y = block(*ours)
    compiled_y = torch.compile(block, backend="aot_eager", fullgraph=True)(*theirs)
    g = torch.randn_like(y)
    pairs = zip(gradients(y, g, *ours), gradients(compiled_y, g, *theirs), strict=True)
    return error(compiled_y, y) < 1e-6 and all(error(theirs_d, d) < 1e-6 for d, theirs_d in pairs)


def counted(work: Callable[[], object], rules: Mapping[Any, Any] | None = None) -> int:
    """FLOP that PyTorch counts, by rules of one's own for some of its operators."""
    with FlopCounterMode(display=False, custom_mapping=dict(rules or {})) as counter:
        work()
    return int(counter.get_total_flops())


def growth(work: Callable[[int], object]) -> float:
    """By how much the FLOP grow from a length of 256 to one of 2048."""
    return counted(lambda: work(2048)) / counted(lambda: work(256))


def _values(*_: Any, out_shape: tuple[int, ...], **__: Any) -> int:
    return math.prod(out_shape)


ELEMENTWISE = {torch.ops.aten.add: _values, torch.ops.aten.mul: _values}
"""The rules that count additions and multiplications of single values."""
