"""No mixing.

Nothing is mixed: each position sees itself alone. A yardstick that must lose.

Recipe: rule=none
"""

from torch import Tensor, nn

# Shapes: B batch, T time, C width, E value width of all heads.


class Mixer(nn.Module):
    """No mixing."""

    def __init__(self, width: int, heads: int, layer: int, layers: int) -> None:
        """Hold the weights of one layer; every layer is built alike."""
        super().__init__()
        del heads, layer, layers
        self.project = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x_BTC: Tensor) -> Tensor:
        """Mix each position with those before it."""
        v_BTE = self.project(x_BTC)
        y_BTE = v_BTE
        mixed_BTC: Tensor = self.out(y_BTE)
        return mixed_BTC
