"""The recurrence's kernels in Triton's interpreter: outputs and all gradients against the token-by-token form."""

from dataclasses import replace

import pytest

from tests.kernels.interpreted import FLOAT, found
from tests.kernels.recurrences import Call, given, too_far, wanted

RULES = (("", False), ("head", False), ("", True), ("head", True))
SHAPES = (
    Call(length=1, batch=4, keys=32, values=32),
    Call(length=15, batch=1, keys=16, values=128),
    Call(length=63, batch=1, keys=64, values=16),
    Call(length=64, batch=1, keys=128, values=16),
    Call(length=65, batch=2, keys=16, values=32),
    Call(length=200, batch=1, keys=16, values=16),
    Call(length=256, batch=1, keys=32, values=16),
)
CASES = (
    *(replace(SHAPES[4], decay=decay, delta=delta) for decay, delta in RULES),
    *(replace(shape, decay="head", delta=True, state=True) for shape in (*SHAPES[:4], *SHAPES[5:])),
    *(replace(shape, decay="head") for shape in SHAPES[:3]),
    replace(SHAPES[5], delta=True),
    replace(SHAPES[3], delta=True),
    SHAPES[6],
)


@pytest.mark.parametrize("call", CASES, ids=str)
def test_outputs_and_gradients_are_those_of_the_recurrence(call: Call) -> None:
    inputs = given(call)
    assert not list(too_far(found(inputs), wanted(inputs), FLOAT))
