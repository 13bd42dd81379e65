"""What the two programs are told by their environment; the one place that reads it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from asiarch.api.order import MAX_CODE_BYTES, Order


@dataclass(frozen=True)
class Settings:
    """One order, the candidate's file, the socket between referee and player, and where the result goes."""

    order: Order
    code: Path
    socket: Path
    result: Path | None
    limits: Mapping[str, int] | None = None
    """What the player's launcher bounds before it runs the candidate; none where a jail has done so already."""


def settings(environment: Mapping[str, str]) -> Settings:
    """Read `ASIARCH_ORDER` (JSON), `ASIARCH_CODE` and `ASIARCH_SOCKET`.

    The referee has `ASIARCH_RESULT` too, and a pod's player `ASIARCH_LIMITS` (JSON). An indexed Job tells each of
    its pods by `JOB_COMPLETION_INDEX` which seed it measures.
    """
    result, limits = environment.get("ASIARCH_RESULT"), environment.get("ASIARCH_LIMITS")
    order = Order.model_validate_json(environment["ASIARCH_ORDER"])
    index = environment.get("JOB_COMPLETION_INDEX")
    return Settings(
        order=order if index is None else order.model_copy(update={"index": int(index)}),
        code=Path(environment["ASIARCH_CODE"]),
        socket=Path(environment["ASIARCH_SOCKET"]),
        result=Path(result) if result else None,
        limits=json.loads(limits) if limits else None,
    )


def read_code(path: Path) -> str:
    """Read the candidate's text, never more than one byte above its limit."""
    with path.open("rb") as file:
        return file.read(MAX_CODE_BYTES + 1).decode("utf-8")
