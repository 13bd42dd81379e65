"""A candidate's file as text: what makes two files one, and what a file may not contain."""

import textwrap

import pytest

from asiarch.api.code import MAX_DEPTH, MAX_REFUSALS, Refusal, check, digest, fingerprint
from asiarch.api.order import MAX_CODE_BYTES
from asiarch.api.reason import Reason

MIXER = '''"""An idea.

Recipe: rule=none
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CHUNK: int = 64
SCALE = 1 / math.sqrt(2)


class Mixer(nn.Module):
    """Mixes."""

    def __init__(self, width: int, heads: int, layer: int, layers: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, width)

    def forward(self, x_BTC: Tensor) -> Tensor:
        """Mix."""
        opened = self._open(x_BTC)
        return smooth(opened, size=CHUNK) * SCALE

    def _open(self, x_BTC: Tensor) -> Tensor:
        return self.gate(x_BTC)


def smooth(x_BTC: Tensor, size: int) -> Tensor:
    """Smooth."""
    total = [(lambda y: y + part)(x_BTC) for part in range(size)]

    def last(values):
        return values[-1]

    return F.silu(last(total))
'''

SAME_MIXER = '''"""Quite another text."""

from torch.nn import Linear, Module, functional
import torch as t
import math as m


def silken(a, b):
    everything = [(lambda z: z + piece)(a) for piece in range(b)]
    def final(them): return them[-1]
    # A comment.
    return functional.silu(final(everything))


FACTOR = 1 / m.sqrt(2)


class Mixer(Module):
    def __init__(me, width, heads, layer, layers):
        super().__init__()
        me.door = Linear(width, width)

    def forward(me, input):
        through = me._unlock(input)
        pass
        return silken(through, b=PIECE) * FACTOR

    def _unlock(me, input):
        return me.door(input)


PIECE = 64
'''


def file(body: str, *, head: str = '"""An idea."""\n') -> str:
    """A file that may run, with this put before its class."""
    made = "class Mixer(nn.Module):\n    def forward(self, x):\n        return x\n"
    return f"{head}import torch\nfrom torch import nn\n{textwrap.dedent(body)}\n{made}"


def reasons(text: str) -> list[Reason]:
    return [refusal.reason for refusal in check(text)]


def test_a_digest_is_of_the_text() -> None:
    assert digest("é") == "4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c"
    assert digest(MIXER) != digest(SAME_MIXER)


def test_names_comments_annotations_imports_and_order_are_folded() -> None:
    assert fingerprint(MIXER) == fingerprint(SAME_MIXER)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("values[-1]", "values[0]"),
        ("CHUNK: int = 64", "CHUNK: int = 32"),
        ("F.silu", "F.relu"),
        ("self.gate(x_BTC)", "x_BTC"),
        ("* SCALE", "* CHUNK"),
        ("range(size)", "range(size, size)"),
        ("nn.Linear(width, width)", "nn.Linear(width, width, bias=False)"),
        ("def forward", "def backward"),
        ("class Mixer", "class Blender"),
        ("y + part", "y - part"),
    ],
)
def test_what_is_computed_is_not_folded(old: str, new: str) -> None:
    assert old in MIXER
    assert fingerprint(MIXER) != fingerprint(MIXER.replace(old, new))


def test_the_recipe_in_the_docstring_does_not_matter() -> None:
    assert fingerprint(MIXER) == fingerprint(MIXER.replace("rule=none", "rule=delta"))


def test_the_order_of_two_assignments_of_one_name_matters() -> None:
    assert fingerprint("a = 1\na = 2\nb = a") != fingerprint("a = 2\na = 1\nb = a")


def test_a_swap_of_two_definitions_under_their_users_matters() -> None:
    one = "def f(x): return x + 1\ndef g(x): return x + 2\nclass Mixer:\n    def forward(self, x): return f(g(f(x)))"
    assert fingerprint(one) != fingerprint(one.replace("f(g(f(x)))", "g(f(g(x)))"))


def test_nested_classes_and_functions_keep_their_names_apart() -> None:
    text = (
        "def f(*xs, **ys):\n    class Inner:\n        size = 3\n"
        "    async def g(x): return Inner.size\n    return g(xs) + ys"
    )
    same = text.replace("Inner", "Core").replace("g(", "h(").replace("*xs", "*us").replace("(xs)", "(us)")
    assert fingerprint(text) == fingerprint(same)
    assert fingerprint(text) != fingerprint(text.replace("return Inner.size", "return 3"))


def test_statements_that_bind_no_name_keep_their_order() -> None:
    assert fingerprint("import torch\nf(1)\nf(2)") != fingerprint("import torch\nf(2)\nf(1)")


def test_keywords_of_a_class_of_the_file_are_folded_with_its_arguments() -> None:
    text = "class A:\n    def __init__(self, size): self.size = size\n    def make(): return 1\nB = A(size=3)"
    assert fingerprint(text) == fingerprint(text.replace("size", "length"))


def test_a_class_without_a_constructor_takes_any_keyword() -> None:
    assert fingerprint("class A: pass\nB = A(x=1)") != fingerprint("class A: pass\nB = A(y=1)")


def test_an_import_as_a_whole_is_the_same_as_its_parts() -> None:
    one = "import torch.nn.functional\ndef f(x): return torch.nn.functional.silu(x)"
    assert fingerprint(one) == fingerprint("from torch.nn.functional import silu as s\ndef f(x): return s(x)")


def test_what_is_no_python_is_its_own_fingerprint() -> None:
    assert fingerprint("def") == fingerprint("def")
    assert fingerprint("def") != fingerprint("def ")


def test_a_huge_number_has_a_fingerprint() -> None:
    huge = "x = 0x" + "f" * 50_000
    assert fingerprint(huge) != fingerprint(huge + "f")


def test_an_ordinary_file_may_run() -> None:
    assert check(MIXER) == ()


def test_a_file_that_is_too_large_is_refused() -> None:
    (refusal,) = check(MIXER + "#" * MAX_CODE_BYTES)
    assert refusal.reason is Reason.INVALID_SOURCE
    assert str(MAX_CODE_BYTES) in refusal.message


def test_what_is_no_python_is_refused_with_its_line() -> None:
    assert check("x = 1\ndef f(:") == (Refusal(2, Reason.INVALID_SOURCE, "is no Python: invalid syntax."),)


def test_a_nul_is_refused_with_its_line() -> None:
    assert check("x = 1\n\0") == (Refusal(2, Reason.INVALID_SOURCE, "holds a NUL character."),)


def test_half_a_character_is_refused_with_its_line() -> None:
    (refusal,) = check("x = 1\n'\ud800'")
    assert (refusal.line, refusal.reason) == (2, Reason.INVALID_SOURCE)


@pytest.mark.parametrize(
    "bomb",
    [
        "(" * 10_000 + ")" * 10_000,
        "-" * 50_000 + "1",
        "+".join("1" * 20_000),
        "+".join("1" * (MAX_DEPTH + 5)),
        "x" + ".a" * 30_000,
        "[" * 90 + "[" * 90 + "]" * 180,
    ],
    ids=["brackets", "signs", "sums", "a-few-sums", "attributes", "lists"],
)
def test_a_bomb_of_nesting_is_refused(bomb: str) -> None:
    assert reasons(f"x = 1\ny = {bomb}") == [Reason.INVALID_SOURCE]
    assert len(fingerprint(bomb)) == 64


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("import os", "imports os; allowed are torch, einops, math, asiarch_kernels, typing, __future__."),
        ("import socket as torch", "imports socket"),
        ("from subprocess import run", "imports subprocess.run"),
        ("from . import neighbour", "relative"),
        ("from torch import *", "everything from torch"),
        ("import torch.multiprocessing", "torch.multiprocessing"),
        ("import torch.distributed as d", "torch.distributed"),
        ("from torch import load", "torch.load"),
        ("from torch.utils import cpp_extension", "torch.utils.cpp_extension"),
        ("from torch import _C", "torch._C"),
        ("def f(): torch.save(1, 2)", "torch.save"),
        ("def f(): torch.hub.load('x')", "torch.hub.load"),
        ("def f(): torch.os.system('x')", "torch.os.system"),
        ("def f(): nn.Linear.forward = f", "changes torch.nn.Linear.forward"),
        ("def f(): eval('1')", "names eval"),
        ("def f(): exec('1')", "names exec"),
        ("def f(): __import__('os')", "names __import__"),
        ("def f(): open('x')", "names open"),
        ("def f(): f.__globals__", "attribute __globals__"),
        ("def f(): ().__class__.__base__.__subclasses__()", "attribute __subclasses__"),
        ("def f(x): x._getframe()", "attribute _getframe"),
        ("def f(x): getattr(x, '__globals__')", "text '__globals__'"),
    ],
)
def test_what_leads_out_of_the_file_is_refused_with_its_line(line: str, named: str) -> None:
    first = check(file(line))[0]
    assert (first.line, first.reason) == (4, Reason.IMPORT_REFUSED)
    assert named in first.message


@pytest.mark.parametrize(
    "line",
    [
        "import asiarch_kernels",
        "from __future__ import annotations",
        "from einops import rearrange",
        "from torch.utils.checkpoint import checkpoint",
        "from typing import Final, TypeVar\nT = TypeVar('T')\nN: Final = max(1, 2)",
        "def f(x): return torch.linalg.solve_triangular(x, x, upper=False) + torch.fft.rfft(x)",
        "def f(x): return x.__class__.__name__, getattr(x, 'weight'), super().__init__()",
        "LAST: int",
        "'A note on the constant above.'",
        "async_free = {'a': 1}",
    ],
)
def test_what_a_mixer_needs_is_allowed(line: str) -> None:
    head = f'"""An idea."""\n{line}\n' if "__future__" in line else '"""An idea."""\n'
    assert check(file("" if "__future__" in line else line, head=head)) == ()


@pytest.mark.parametrize(
    "line",
    [
        "torch.manual_seed(1)",
        "for i in range(3): pass",
        "if True: x = 1",
        "x = torch.zeros(3)",
        "x = (lambda: 1)()",
        "x = sorted([1], key=helper())",
        "a, b = 1, 2",
        "nn.x: int = 3",
    ],
)
def test_the_top_level_only_defines(line: str) -> None:
    found = [r for r in check(file(line)) if "top level" in r.message]
    assert [(r.line, r.reason) for r in found] == [(4, Reason.INTERFACE_MISMATCH)]


def test_a_file_states_its_idea() -> None:
    assert [r.message for r in check(file("", head=""))] == [
        "the file has no docstring; state the idea in one paragraph at its head."
    ]


def test_a_file_defines_a_mixer() -> None:
    (refusal,) = check('"""An idea."""\nclass Blender:\n    pass\n')
    assert (refusal.reason, refusal.message) == (
        Reason.INTERFACE_MISMATCH,
        "the file defines no class Mixer at its top level.",
    )


def test_a_mixer_takes_what_the_host_gives() -> None:
    text = '"""An idea."""\nclass Mixer:\n    size = 1\n    def __init__(self, width, depth): pass\n'
    (refusal,) = check(text)
    assert (refusal.line, refusal.reason) == (4, Reason.INTERFACE_MISMATCH)
    assert "wanted self, width, heads, layer, layers" in refusal.message
    assert check(text.replace("width, depth", "width, **rest")) == ()
    assert check(text.replace("depth", "heads, *, layer, layers")) == ()


def test_one_refusal_for_each_line_and_no_more_than_twenty() -> None:
    assert len(check(file("def f(): torch.os.path.join(torch.os.sep)"))) == 1
    assert len(check(file("\n".join(["import os"] * 50)))) == MAX_REFUSALS


def test_what_is_forbidden_comes_before_what_is_missing() -> None:
    assert reasons("import os") == [Reason.IMPORT_REFUSED, Reason.INTERFACE_MISMATCH]
