"""Files that are written with building blocks are one graph to a compiler, whatever they mix with."""

import pytest
import torch

from asiarch.agents import baselines
from asiarch.agents.grammar.recipe import read
from asiarch.agents.grammar.writer import write
from tests.agents.mixers import an_input, built

ODD = {
    "channels": "rule=delta feature=silu qk=l2 decay=channel beta=double conv=8 path=ema join=gate norm=layer",
    "scan": "rule=scan decay=channel conv=4 norm=rms path=conv",
    "local": "rule=local window=16 heads=shared conv=2",
    "filter": "rule=conv taps=32 norm=rms gate=silu",
    "second path": "rule=linear feature=elu decay=ladder path=local heads=mixed norm=rms",
}
FILES = {
    **{name: baselines.source(name) for name in baselines.NAMES},
    **{n: write(read(r)) for n, r in ODD.items()},
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_compiles_as_one_graph_with_its_gradients(name: str) -> None:
    torch._dynamo.reset()
    mixer, x = built(FILES[name]), an_input(70)
    compiled = torch.compile(mixer, backend="aot_eager", fullgraph=True)
    for length in (70, 48, 33):  # from the second on, a length is a symbol to the compiler
        torch.testing.assert_close(compiled(x[:, :length]), mixer(x[:, :length]), rtol=1e-4, atol=1e-5)
    gradients = []
    for form in (mixer, compiled):
        mixer.zero_grad()
        form(x).square().mean().backward()
        gradients.append([p.grad for p in mixer.parameters()])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(theirs, ours, rtol=1e-3, atol=1e-6)
