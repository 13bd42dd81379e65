"""The result: written whole, last, and at most 4,096 bytes."""

import os
from contextlib import suppress
from pathlib import Path

from asiarch.api.order import MAX_RESULT_BYTES, Order, Result
from asiarch.api.reason import Reason
from asiarch.api.search import Cost
from asiarch_trainer.referee.record import Record

_GPU = "nvidia.com/gpu"


def result(order: Order, record: Record, seconds: float, reason: Reason | None, message: str) -> Result:
    """Put together what came of the order."""
    gpus = order.rung.resources.get(_GPU, 0) if order.rung else 0
    return Result(
        order=order.name,
        attempt=order.attempt,
        index=order.index,
        reason=reason,
        message=message,
        measurement=record.measurement(),
        cost=Cost(seconds=round(seconds, 3), gpu_seconds=round(seconds * gpus, 3)),
    )


def write(path: Path, found: Result) -> None:
    """Write through a temporary file and a rename, or in place what can't be replaced (a termination log, a pipe)."""
    payload = fit(found)
    if path.exists() and not path.is_file():
        _store(path, payload)
        return
    temporary = path.with_name(f".{path.name}.part")
    try:
        _store(temporary, payload)
        temporary.replace(path)
    except OSError:
        # Where nothing may be created, nothing may be removed either.
        with suppress(OSError):
            temporary.unlink()
        _store(path, payload)


def fit(found: Result) -> bytes:
    """Write as JSON; what would exceed the limit loses its curve, then the end of its message."""
    payload = _json(found)
    if len(payload) > MAX_RESULT_BYTES and found.measurement is not None:
        found = found.model_copy(update={"measurement": found.measurement.model_copy(update={"curve": ()})})
        payload = _json(found)
    while len(payload) > MAX_RESULT_BYTES:
        found = found.model_copy(update={"message": found.message[: len(found.message) // 2]})
        payload = _json(found)
    return payload


def _json(found: Result) -> bytes:
    return found.model_dump_json(by_alias=True, exclude_defaults=True).encode()


def _store(path: Path, payload: bytes) -> None:
    with path.open("wb") as file:
        file.write(payload)
        file.flush()
        try:
            os.fsync(file.fileno())
        except OSError:
            # A pipe or a device has nothing to sync.
            return
