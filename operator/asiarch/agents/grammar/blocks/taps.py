"""A causal convolution over few positions, each channel by itself."""

from torch import Tensor
from torch.nn import functional


def convolve(x_BTC: Tensor, taps_JC: Tensor) -> Tensor:
    """Weigh the last J positions of each channel; the last tap meets the present one."""
    count, length = len(taps_JC), x_BTC.shape[1]
    padded_BSC = functional.pad(x_BTC, (0, 0, count - 1, 0))
    y_BTC = padded_BSC[:, :length] * taps_JC[0]
    for j in range(1, count):
        y_BTC = y_BTC + padded_BSC[:, j : j + length] * taps_JC[j]
    return y_BTC
