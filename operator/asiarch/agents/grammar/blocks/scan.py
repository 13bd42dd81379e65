"""A gated scan: h_t = a_t h_{t-1} + b_t for each channel by itself (arXiv 2410.01201)."""

from torch import Tensor
from torch.nn import functional


def scan(decay_BTV: Tensor, input_BTV: Tensor) -> Tensor:
    """Return h_t = a_t h_{t-1} + b_t in log2(T) rounds; each one doubles how far back a position sees."""
    length = input_BTV.shape[1]
    step = 1
    while step < length:
        before_BTV = functional.pad(input_BTV, (0, 0, step, 0))[:, :length]
        input_BTV = input_BTV + decay_BTV * before_BTV
        decay_BTV = decay_BTV * functional.pad(decay_BTV, (0, 0, step, 0))[:, :length]
        step *= 2
    return input_BTV
