"""A file in the making: what the parts of a mixer add to it, and how it is put together at the end."""

import textwrap
from collections.abc import Collection
from dataclasses import dataclass, field

WIDTH = 110

LEGEND = {
    "B": "batch",
    "T": "time",
    "C": "width",
    "D": "channels of queries, keys and values together",
    "H": "heads",
    "K": "key width of a head",
    "V": "value width of a head",
    "E": "value width of all heads",
    "J": "taps",
}


@dataclass
class Draft:
    """Lines for each place of the file, in the order in which they were added."""

    attributes: list[str] = field(default_factory=list)
    init: list[str] = field(default_factory=list)
    forward: list[str] = field(default_factory=list)
    blocks: set[str] = field(default_factory=set)
    sentences: list[str] = field(default_factory=list)
    values: str = "width"
    """How wide the values of all heads are, as code."""

    def use(self, block: str) -> None:
        """Import a block of asiarch_kernels."""
        self.blocks.add(block)

    def text(self, title: str, recipe: str) -> str:
        """Put the file together."""
        code = self._mixer(title)
        head = [self._docstring(title, recipe), imports(code, self.blocks), legend(code)]
        return "\n\n".join(head) + "\n\n\n" + code + "\n"

    def _docstring(self, title: str, recipe: str) -> str:
        idea = textwrap.fill(" ".join(self.sentences), WIDTH)
        return f'"""{title}.\n\n{idea}\n\nRecipe: {recipe}\n"""'

    def _mixer(self, title: str) -> str:
        attributes = "".join(f"    {line}\n" for line in self.attributes) + "\n" * bool(self.attributes)
        return (
            "class Mixer(nn.Module):\n"
            f'    """{title}."""\n\n'
            f"{attributes}"
            "    def __init__(self, width: int, heads: int, layer: int, layers: int) -> None:\n"
            f"{_indented(self.init)}\n"
            "    def forward(self, x_BTC: Tensor) -> Tensor:\n"
            f"{_indented(self.forward)}"
        ).rstrip()


def imports(code: str, blocks: Collection[str]) -> str:
    """Import what the code names."""
    lines = ["import torch"] if "torch." in code else []
    lines += ["from torch import Tensor, nn"]
    lines += ["from torch.nn import functional"] if "functional." in code else []
    lines += ["", f"from asiarch_kernels import {', '.join(sorted(blocks))}"] if blocks else []
    return "\n".join(lines)


def legend(code: str) -> str:
    """Say what the letters of the tensors' suffixes mean, for those that the code uses."""
    suffixes = {word.rpartition("_")[2] for word in _words(code) if "_" in word}
    used = set("".join(suffix for suffix in suffixes if set(suffix) <= {*LEGEND, "1"} and suffix))
    meanings = ", ".join(f"{letter} {meaning}" for letter, meaning in LEGEND.items() if letter in used)
    return textwrap.fill(f"Shapes: {meanings}.", WIDTH, initial_indent="# ", subsequent_indent="# ")


def _words(code: str) -> list[str]:
    return "".join(c if c.isalnum() or c == "_" else " " for c in code).split()


def _indented(lines: list[str]) -> str:
    return "".join(f"        {line}\n" if line else "\n" for line in lines)
