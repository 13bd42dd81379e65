"""The recipes of the shipped baselines, and what writes their files anew: `python -m tests.agents.shipped`."""

from pathlib import Path

from asiarch.agents import baselines
from asiarch.agents.grammar.recipe import read
from asiarch.agents.grammar.writer import write

RECIPES = {
    "softmax-attention": "rule=softmax conv=4",
    "linear-attention": "rule=linear feature=elu conv=4 norm=rms",
    "gated-linear-attention": "rule=linear feature=silu qk=l2 decay=scalar conv=4 norm=rms",
    "delta-net": "rule=delta feature=silu qk=l2 beta=sigmoid conv=4 norm=rms",
    "gated-delta-net": "rule=delta feature=silu qk=l2 decay=scalar beta=sigmoid conv=4 norm=rms gate=sigmoid",
    "fixed-decay": "rule=linear feature=silu qk=l2 decay=fixed norm=rms",
    "no-mixing": "rule=none",
}

if __name__ == "__main__":
    for name, recipe in RECIPES.items():
        path = Path(str(baselines.__file__)).with_name(f"{name}.py")
        path.write_text(write(read(recipe)), encoding="utf-8")
