"""How kernels are launched so that one compiled kernel serves every call, and how launches are listed to compile them.

Triton compiles a kernel anew for a pointer that is no multiple of 16 bytes and for a length that is or isn't one of 16.
So host launchers pass tensors through `aligned`, and kernels name their lengths in `do_not_specialize`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

ALIGNMENT = 16
"""Bytes; Triton compiles another kernel for a pointer that is no multiple of it."""

Launch = Callable[[], object]
"""Calls host launchers with pretend tensors; under a pretend driver that compiles their kernels and runs none."""


def aligned(tensor: Tensor) -> Tensor:
    """The tensor itself where it is contiguous and aligned, else a copy that is."""
    tensor = tensor.contiguous()
    return tensor if tensor.data_ptr() % ALIGNMENT == 0 else tensor.clone()


def unit(width: int) -> int:
    """What a kernel is told that a width is a multiple of, so that it loads vectors: 16 values, or 1.

    A kernel takes `width // unit` as a plain number and `unit` as a constant, which makes two kernels for all widths.
    """
    return 16 if width % 16 == 0 else 1


@dataclass(frozen=True, slots=True)
class Size:
    """How large the tensors of a pretended launch are, and by how many values their pointers are off."""

    batch: int = 1
    tokens: int = 64
    heads: int = 2
    skew: int = 0

    def tensor(self, *shape: int, dtype: torch.dtype) -> Tensor:
        """A contiguous tensor without memory, which reports an address nevertheless."""
        length = 1
        for size in shape:
            length *= size
        return torch.empty(length + self.skew, dtype=dtype, device="meta")[self.skew :].view(shape)
