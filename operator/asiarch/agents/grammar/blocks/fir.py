"""A causal convolution over many positions, each channel by itself."""

from torch import Tensor
from torch.nn import functional


def filtered(x_BTC: Tensor, filter_C1J: Tensor) -> Tensor:
    """Weigh the last J positions of each channel; the last tap meets the present one."""
    padded_BCS = functional.pad(x_BTC.transpose(1, 2), (filter_C1J.shape[-1] - 1, 0))
    return functional.conv1d(padded_BCS, filter_C1J, groups=len(filter_C1J)).transpose(1, 2)
