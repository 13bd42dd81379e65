"""What a recipe weighs: the parameters of its mixer, counted block by block without building it.

Shapes: width of the model, heads; `keys` and `values` are the widths of all heads' keys and values.
"""

from asiarch.agents.grammar.decays import LOW_RANK
from asiarch.agents.grammar.mixing import FILTER
from asiarch.agents.grammar.parts import LOOKUPS
from asiarch.agents.grammar.recipe import Recipe


def parameters(recipe: Recipe, width: int, heads: int) -> int:
    """Count the parameters of one mixer."""
    return sum(by_block(recipe, width, heads).values())


def by_block(recipe: Recipe, width: int, heads: int) -> dict[str, int]:
    """Count the parameters that each part of a mixer holds."""
    values = width * int(recipe.expand)
    keys = width // 2 if recipe.keys == "half" else width
    lookup = recipe.rule in LOOKUPS
    channels = keys + (keys // heads if recipe.heads == "shared" else keys) + values if lookup else values
    return {
        "project": width * channels,
        "conv": int(recipe.conv) * channels,
        "beta": 0 if recipe.beta == "none" else heads * (width + 1),
        "decay": _decay(recipe, width, heads, keys, values),
        "rule": values * int(recipe.taps),
        "norm": {"none": 0, "rms": 1, "layer": 2}[recipe.norm] * (values // heads if lookup else values),
        "heads": heads * heads if recipe.heads == "mixed" else 0,
        "path": {"none": 0, "shift": 0, "conv": FILTER * values, "ema": values, "local": heads}[recipe.path],
        "join": 0 if recipe.path == "none" else {"sum": values, "gate": width + 1}[recipe.join],
        "gate": 0 if recipe.gate == "none" else values * (width + 1),
        "out": values * width,
    }


def _decay(recipe: Recipe, width: int, heads: int, keys: int, values: int) -> int:
    forgetting = values if recipe.rule == "scan" else keys
    rates = 1 if recipe.rule == "scan" else heads
    return {"channel": LOW_RANK * (width + forgetting) + forgetting, "scalar": rates * (width + 1)}.get(
        recipe.decay, 0
    )
