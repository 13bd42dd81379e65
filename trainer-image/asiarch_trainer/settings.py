"""What the two programs are told by their environment; the one place that reads it."""

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


def settings(environment: Mapping[str, str]) -> Settings:
    """Read `ASIARCH_ORDER` (JSON), `ASIARCH_CODE`, `ASIARCH_SOCKET` and, for the referee, `ASIARCH_RESULT`."""
    result = environment.get("ASIARCH_RESULT")
    return Settings(
        order=Order.model_validate_json(environment["ASIARCH_ORDER"]),
        code=Path(environment["ASIARCH_CODE"]),
        socket=Path(environment["ASIARCH_SOCKET"]),
        result=Path(result) if result else None,
    )


def read_code(path: Path) -> str:
    """Read the candidate's text, never more than one byte above its limit."""
    with path.open("rb") as file:
        return file.read(MAX_CODE_BYTES + 1).decode("utf-8")
