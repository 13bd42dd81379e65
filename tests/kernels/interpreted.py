"""Runs the recurrence's kernels in Triton's interpreter, and mends what that does to bfloat16.

The interpreter keeps bfloat16 as 16 bits, which it multiplies as if they were whole numbers, and it cuts float32
off where hardware rounds to the nearest.
"""

from typing import Any

import numpy as np
import pytest
from torch import Tensor
from triton.language import bfloat16, float32
from triton.runtime import interpreter

from asiarch_kernels.chunk_recurrence import kernel
from asiarch_kernels.chunk_recurrence.inputs import Inputs
from tests.kernels.recurrences import leaves, pulls

FLOAT = 1e-5
"""Relative RMS error that float32 may have."""


def found(inputs: Inputs) -> dict[str, Tensor]:
    """Outputs, last states and gradients by the kernels."""
    out, last = kernel.forward(inputs)
    gradients = kernel.backward(inputs, *pulls(inputs))._asdict()
    return {"out": out, "last": last, **{name: gradients[name] for name in leaves(inputs)}}


def mend_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Multiply and round bfloat16 as hardware does."""
    convert, multiply = interpreter._convert_float, interpreter.InterpreterBuilder.create_dot

    def rounded(x: Any, to: Any, since: Any, mode: Any) -> Any:
        if (to, since) != (float32, bfloat16):
            return convert(x, to, since, mode)
        bits = x.view(np.uint32).astype(np.uint64)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)

    def wide(x: Any) -> Any:
        if x.dtype.scalar != bfloat16:
            return x
        values = (x.data.astype(np.uint32) << 16).view(np.float32)
        return interpreter.TensorHandle(values, float32)

    def create_dot(self: Any, a: Any, b: Any, *rest: Any) -> Any:
        return multiply(self, wide(a), wide(b), *rest)

    monkeypatch.setattr(interpreter, "_convert_float", rounded)
    monkeypatch.setattr(interpreter.InterpreterBuilder, "create_dot", create_dot)
