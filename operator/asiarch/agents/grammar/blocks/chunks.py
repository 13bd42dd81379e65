"""Time in chunks: what every chunked recurrence starts from."""

from torch import Tensor
from torch.nn import functional

CHUNK = 64


def in_chunks(x_BHTD: Tensor) -> Tensor:
    """Cut time into chunks of at most CHUNK positions, the last one filled up with zeros."""
    length = x_BHTD.shape[2]
    size = min(CHUNK, length)
    padded_BHTD = functional.pad(x_BHTD, (0, 0, 0, -length % size))
    return padded_BHTD.view(*x_BHTD.shape[:2], -1, size, x_BHTD.shape[3])
