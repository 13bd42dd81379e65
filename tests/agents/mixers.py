"""What tests ask of a candidate's file: to be run, as the player would run it."""

import torch
from torch import Tensor, nn

from asiarch.agents.grammar.recipe import Recipe
from asiarch.agents.grammar.writer import write
from asiarch_trainer.player.candidate import load

WIDTH, HEADS = 32, 2


def built(text: str, width: int = WIDTH, heads: int = HEADS) -> nn.Module:
    """One mixer of the file, with weights that no test shares with another."""
    torch.manual_seed(0)
    return load(text)(width=width, heads=heads, layer=0, layers=2)


def a_mixer(recipe: Recipe) -> nn.Module:
    return built(write(recipe))


def an_input(length: int, rows: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(rows, length, WIDTH, generator=torch.Generator().manual_seed(seed))


def looks_ahead(mixer: nn.Module, length: int) -> float:
    """How much outputs change, relative to their size, when only what lies after them changes."""
    with torch.no_grad():
        x, other = an_input(length), an_input(length, seed=1)
        y = mixer(x)
        worst = 0.0
        for edge in (1, 15, 16, 17, 31, 33, 63, 64, 65, 129):
            if edge < length:
                changed = torch.cat([x[:, :edge], 8 * other[:, edge:]], dim=1)
                worst = max(worst, float((mixer(changed)[:, :edge] - y[:, :edge]).abs().max()))
        return worst / float(y.abs().max())
