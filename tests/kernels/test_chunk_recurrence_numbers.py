"""The numbers of the recurrence's kernels in Triton's interpreter: strong decays, chunks of all sizes, half types."""

from dataclasses import replace

import pytest
import torch

from asiarch_kernels import chunk_recurrence, pinned
from asiarch_kernels.pinned import Pinned, Row
from tests.kernels.checks import error
from tests.kernels.interpreted import FLOAT, found, mend_bfloat16
from tests.kernels.recurrences import Call, by_token, given, too_far, wanted

GATED_DELTA = Call(decay="head", delta=True)
RULES = (("", False), ("head", False), ("", True), ("head", True))


@pytest.mark.parametrize("strength", [0.01, 0.1, 1.0, 10.0])
def test_decays_of_any_strength_are_computed(strength: float) -> None:
    inputs = given(replace(GATED_DELTA, length=20, batch=1, strength=strength))
    assert not list(too_far(found(inputs), wanted(inputs), FLOAT))


@pytest.mark.parametrize("decay", ["head", "channel"])
@pytest.mark.parametrize("reset", [-100.0, -1e4, -1e9, -1e38])
def test_a_reset_leaves_later_decays_what_they_are(decay: str, reset: float) -> None:
    inputs = given(replace(GATED_DELTA, length=50, decay=decay, strength=0.1))
    assert inputs.log_decay is not None
    inputs.log_decay[:, 20] = reset
    right = by_token(inputs)
    out, last = chunk_recurrence(
        inputs.q,
        inputs.k,
        inputs.v,
        log_decay=inputs.log_decay,
        beta=inputs.beta,
        delta=True,
        return_state=True,
    )
    assert error(out, right[0]) < 1e-5
    assert error(last, right[1]) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("width", [64, 128])
def test_the_widest_values_are_computed_in_every_block(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = given(replace(GATED_DELTA, length=70, batch=1, keys=width, values=width, state=True))
    assert not list(too_far(found(inputs), wanted(inputs), FLOAT))
    mend_bfloat16(monkeypatch)
    half = given(replace(GATED_DELTA, length=70, batch=1, keys=width, values=width, dtype=torch.bfloat16))
    assert not list(too_far(found(half), wanted(half)))


@pytest.mark.parametrize("chunk", [16, 32, 64])
def test_chunks_of_any_size_give_the_same(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("forward", "keep", "reverse", "gradient"):
        constants = (("C", chunk), ("BV", 16), *((("BK", 16),) if name == "gradient" else ()))
        monkeypatch.setitem(
            pinned.TABLE, Row(f"chunk_recurrence.{name}", 32, "float"), Pinned(2, 1, constants)
        )
    inputs = given(replace(GATED_DELTA, length=70, batch=1, keys=32))
    assert not list(too_far(found(inputs), wanted(inputs), FLOAT))


@pytest.mark.parametrize(("decay", "delta"), RULES)
def test_bfloat16_stays_within_its_tolerances(
    decay: str, monkeypatch: pytest.MonkeyPatch, *, delta: bool
) -> None:
    inputs = given(Call(100, 1, 1, 64, 64, decay=decay, delta=delta, dtype=torch.bfloat16))
    mend_bfloat16(monkeypatch)
    results = found(inputs)
    assert not list(too_far(results, wanted(inputs)))
    assert results["out"].dtype == results["q"].dtype == torch.bfloat16


def test_float16_is_computed_in_float32() -> None:
    inputs = given(replace(GATED_DELTA, length=40, batch=1, dtype=torch.float16))
    results = found(inputs)
    assert not list(too_far(results, wanted(inputs), 5e-4))
    assert results["out"].dtype == results["q"].dtype == torch.float16
