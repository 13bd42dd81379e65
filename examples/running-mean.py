"""Gated running mean.

Every position reads the mean of a projection of itself and of all positions before it, through a gate of its own.
"""

import torch
from torch import Tensor, nn

# Shapes: B batch, T time, C width.


class Mixer(nn.Module):
    """Gated running mean."""

    def __init__(self, width: int, heads: int, layer: int, layers: int) -> None:
        """Hold the weights of one layer; every layer is built alike."""
        super().__init__()
        del heads, layer, layers
        self.project = nn.Linear(width, width, bias=False)
        self.gate = nn.Linear(width, width)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x_BTC: Tensor) -> Tensor:
        """Mix each position with those before it."""
        count_T = torch.arange(1, x_BTC.shape[1] + 1, device=x_BTC.device, dtype=x_BTC.dtype)
        mean_BTC = self.project(x_BTC).cumsum(dim=1) / count_T[:, None]
        mixed_BTC: Tensor = self.out(torch.sigmoid(self.gate(x_BTC)) * mean_BTC)
        return mixed_BTC
