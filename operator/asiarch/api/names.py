"""How objects are called: deterministic names, so that creating twice is creating once."""

from asiarch.api.order import OrderKind


def candidate_name(search: str, ordinal: int) -> str:
    """`<search>-<ordinal>`."""
    return f"{search}-{ordinal:04d}"


def order_name(candidate: str, kind: OrderKind, attempt: int, rung: str | None = None, turn: int = 0) -> str:
    """`<candidate>-<kind>[-<rung>][-r<turn>]-a<attempt>`; `turn` tells the repetitions of a step apart."""
    middle = f"-{rung}" if rung else ""
    again = f"-r{turn}" if turn else ""
    return f"{candidate}-{kind}{middle}{again}-a{attempt}"
