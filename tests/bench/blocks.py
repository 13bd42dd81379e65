"""What building blocks save: a training step on a CPU, and the time that a compiler takes, each beside plain code.

Run: python -m tests.bench.blocks
"""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from asiarch.agents import baselines
from asiarch_trainer.player.candidate import load
from asiarch_trainer.player.model import Host, Shape
from asiarch_trainer.player.train import Trainer
from tests.bench import loops
from tests.bench.figures import publish, written

WRITTEN_OUT = Path(__file__).parent / "written_out"
"""The shipped mixers as they are without blocks: plain PyTorch, in chunks, with nothing imported."""
ROUNDS, STEPS = 15, 4
RUNGS = {
    "recall": (Shape(vocabulary=48, width=64, heads=4, layers=2), 32, 48),
    "bytes": (Shape(vocabulary=256, width=48, heads=3, layers=2), 16, 96),
    "longer": (Shape(vocabulary=256, width=48, heads=3, layers=2), 4, 512),
}
"""Model, batch and length; the first two are those of examples/quickstart.yaml."""
LENGTHS = (512, 2048)
WIDTH, HEADS = 64, 2


def main() -> None:
    """Measure and publish."""
    torch.set_num_threads(1)
    head = ("mixer", *(f"{name}: T {length}, batch {batch}" for name, (_, batch, length) in RUNGS.items()))
    steps = [(name, *(_beside(name, *rung) for rung in RUNGS.values())) for name in baselines.NAMES]
    compiles = [("layer", *(f"T {length}" for length in LENGTHS)), *_compiled()]
    notes = f"{STEP_NOTES}\n\n## A DeltaNet layer in front of a compiler\n\n{written(compiles)}\n\n{COMPILE_NOTES}"
    publish("blocks", "Building blocks beside plain code", [head, *steps], notes)


STEP_NOTES = (
    "One training step, forward, backward and optimiser: milliseconds written out in plain PyTorch → with blocks, and "
    f"how many times less that is. Medians of {ROUNDS} turns of {STEPS} steps each, taken alternately in one process "
    "on one thread."
)
COMPILE_NOTES = (
    "Seconds that Dynamo and AOTAutograd take for forward and backward, before any backend: the first call of "
    "`torch.compile(fullgraph=True)` with a backend that does nothing, less a second call. *Rows and chunks* is the "
    "delta rule as machine-written candidates mostly have it: a loop over the rows of a chunk's inverse, then one over "
    "the chunks of 32. *Positions* is a loop over all positions. Nodes are those of the graph; × says how many times "
    "as long it takes as with blocks."
)


def _beside(name: str, shape: Shape, batch: int, length: int) -> str:
    """One step written out, one with blocks, and their ratio."""
    texts = ((WRITTEN_OUT / f"{name}.py").read_text(), baselines.source(name))
    trainers = [Trainer(Host(shape, load(text), seed=0), 10_000, 1e-3) for text in texts]
    tokens_BT = torch.randint(shape.vocabulary, (batch, length), generator=torch.Generator().manual_seed(0))
    times: list[list[float]] = [[], []]
    for trainer in trainers:
        trainer.step(tokens_BT, tokens_BT)
    for _ in range(ROUNDS):
        for trainer, mine in zip(trainers, times, strict=True):
            begun = time.perf_counter()
            for _ in range(STEPS):
                trainer.step(tokens_BT, tokens_BT)
            mine.append((time.perf_counter() - begun) / STEPS)
    plain, blocks = (median(mine) for mine in times)
    return f"{1000 * plain:.1f} → {1000 * blocks:.1f} ms, {plain / blocks:.2f}×"


def _compiled() -> list[tuple[str, ...]]:
    """How long each way to write the layer keeps a compiler busy."""
    _traced(_with_blocks(), 32)  # what a compiler does once in its life counts for none
    blocks = [_traced(_with_blocks(), length) for length in LENGTHS]
    rows = [("blocks", *(f"{seconds:.2f} s, {nodes} nodes" for seconds, nodes in blocks))]
    for name, (rule, lengths) in LOOPS.items():
        loop = [_traced(loops.DeltaNet(WIDTH, HEADS, rule), length) for length in lengths]
        cells = [
            f"{seconds:.2f} s, {nodes:,} nodes, {seconds / ours:.0f}×"
            for (seconds, nodes), (ours, _) in zip(loop, blocks, strict=False)
        ]
        rows.append((name, *cells, *("not tried" for _ in LENGTHS[len(cells) :])))
    return rows


def _traced(layer: nn.Module, length: int) -> tuple[float, int]:
    """Seconds of tracing, and nodes of the forward graph."""
    torch._dynamo.reset()
    nodes = 0

    def backend(graph: torch.fx.GraphModule, _inputs: list[Tensor]) -> Callable[..., object]:
        nonlocal nodes
        nodes += len(graph.graph.nodes)
        return torch._dynamo.backends.debugging.aot_eager(graph, _inputs)

    compiled = torch.compile(layer, backend=backend, fullgraph=True, dynamic=False)
    x_BTC = torch.randn(1, length, WIDTH, requires_grad=True)
    times = []
    for _ in range(2):
        begun = time.perf_counter()
        compiled(x_BTC).square().mean().backward()
        times.append(time.perf_counter() - begun)
    return times[0] - times[1], nodes


def _with_blocks() -> nn.Module:
    return load(baselines.source("delta-net"))(width=WIDTH, heads=HEADS, layer=0, layers=1)


LOOPS: dict[str, tuple[loops.Rule, tuple[int, ...]]] = {
    "rows and chunks": (loops.over_chunks, LENGTHS),
    "positions": (loops.over_positions, LENGTHS[:1]),
}

if __name__ == "__main__":
    main()
