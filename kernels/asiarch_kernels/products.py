"""Matrix products whose sums and results are float32, whatever their factors are."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

_HALF = (torch.bfloat16, torch.float16)


def product(left: Tensor, right: Tensor) -> Tensor:
    """The product of two matrices, or of two batches of them, in float32; in float64 where the factors are.

    A GPU's matrix units take half precision and sum in float32; elsewhere the factors are widened.
    """
    if left.dtype in _HALF and left.device.type == "cuda":
        multiply = torch.mm if left.ndim == 2 else torch.bmm
        return multiply(left, right, out_dtype=torch.float32)
    wide = torch.promote_types(left.dtype, torch.float32)
    with _as_they_are(left.device.type):
        return left.to(wide) @ right.to(wide)


def _as_they_are(device: str) -> AbstractContextManager[object]:
    """Where autocast narrows no factor again."""
    casts = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.autocast(device, enabled=False) if casts else nullcontext()
