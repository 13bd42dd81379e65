"""Instant play: what comes of an order as a pure function of it, the same as in `tests.worlds.SimulatedWorld`."""

import json
from hashlib import sha256

from asiarch.api.order import Order, Result, Writing
from asiarch.api.reason import Reason
from asiarch.core import chance
from tests import worlds

_FILE = '''"""A played idea: {what}."""

import torch
from torch import nn


class Mixer(nn.Module):
    """Weighs its input."""

    def __init__(self, width: int, heads: int, layer: int, layers: int) -> None:
        super().__init__()
        self.what = "{what}"

    def forward(self, x_BTC: torch.Tensor) -> torch.Tensor:
        return x_BTC
'''


def played(order: Order) -> tuple[Result, ...]:
    """One result for each index; an engineer's file is one that every check of source lets pass."""
    return tuple(_legible(result) for result in worlds.played(order))


def lasts(order: Order, seconds: float, spread: float) -> float:
    """How long an order takes: so many seconds, less or more by a share of them, as its name will have it."""
    return seconds * (1 + spread * (2 * chance.uniform(f"lasts/{order.name}") - 1))


def no_result(order: Order, reason: Reason, message: str) -> Result:
    """What a referee says that could not measure."""
    return Result(order=order.name, attempt=order.attempt, index=order.index, reason=reason, message=message)


def another(result: Result) -> Result:
    """A result of the same order that differs."""
    return result.model_copy(update={"message": "another result of the same order"})


def written(result: Result) -> str:
    """A result as it leaves a pod."""
    return result.model_dump_json(by_alias=True, exclude_defaults=True)


def digest(text: str) -> str:
    """SHA-256 of a result's canonical JSON, however it was written."""
    found = Result.model_validate_json(text).model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return sha256(json.dumps(found, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _legible(result: Result) -> Result:
    if result.writing is None:
        return result
    text = _FILE.format(what=result.writing.text)
    return result.model_copy(update={"writing": Writing(text=text, tags=result.writing.tags)})
