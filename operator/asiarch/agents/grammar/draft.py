"""A file in the making: what the parts of a mixer add to it, and how it is put together at the end."""

import textwrap
from dataclasses import dataclass, field
from importlib.resources import files

BLOCKS = files("asiarch.agents.grammar") / "blocks"
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
    "N": "chunks",
    "L": "length of a chunk",
    "J": "taps",
    "S": "positions that are seen",
    "W": "positions of a window",
}


@dataclass
class Draft:
    """Lines for each place of the file, in the order in which they were added."""

    attributes: list[str] = field(default_factory=list)
    init: list[str] = field(default_factory=list)
    forward: list[str] = field(default_factory=list)
    constants: dict[str, str] = field(default_factory=dict)
    blocks: list[str] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    values: str = "width"
    """How wide the values of all heads are, as code."""

    def use(self, *blocks: str) -> None:
        """Copy blocks into the file, each once."""
        self.blocks += [block for block in blocks if block not in self.blocks]

    def text(self, title: str, recipe: str) -> str:
        """Put the file together."""
        code = "\n\n\n".join([self._mixer(title), *(copied(block) for block in self.blocks)])
        head = [self._docstring(title, recipe), imports(code), legend(code)]
        if self.constants:
            head.append("\n".join(f"{name} = {value}" for name, value in self.constants.items()))
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


def copied(block: str) -> str:
    """The functions of a block's module, without its docstring, imports and constants."""
    text = (BLOCKS / f"{block}.py").read_text(encoding="utf-8")
    return text[text.index("\ndef ") + 1 :].rstrip()


def imports(code: str) -> str:
    """Import what the code names."""
    lines = ["import math"] if "math." in code else []
    lines += ["import torch"] if "torch." in code else []
    lines += ["from torch import Tensor, nn"]
    lines += ["from torch.nn import functional"] if "functional." in code else []
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
