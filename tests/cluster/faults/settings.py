"""What the proxy is to do wrong: one JSON document, so that a failing run is saved as a file that replays it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Moment = Literal["before", "committed", "replied"]
NoiseKind = Literal[
    "conflict",  # 409
    "throttled",  # 429 with Retry-After
    "throttled-bare",  # 429 without
    "error",  # 500
    "unavailable",  # 503
    "timeout",  # 504 after a commit
    "reset",  # connection reset before anything was forwarded
    "reset-after",  # and after a commit
    "cut",  # half of the reply's body
    "delay",
    "repeat",  # forwarded twice
]
WatchKind = Literal[
    "gone",  # HTTP 410 at the start
    "error-410",  # an ERROR event in the stream, then the end
    "error-500",
    "black-hole",  # nothing more, and no end either
    "duplicate",
    "reorder",
    "drop",
    "bookmarks",  # nothing but bookmarks
    "malformed",  # one line that is no JSON
    "pause",
    "disconnect",
]
ANSWERED: frozenset[NoiseKind] = frozenset(
    {"conflict", "throttled", "throttled-bare", "error", "unavailable"}
)
"""Noise that is answered without the API server."""
_WRITES_ONLY: frozenset[NoiseKind] = frozenset({"conflict", "timeout", "reset-after", "repeat"})


class Setting(BaseModel):
    """Part of the document; nothing unknown is taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Crash(Setting):
    """Where the operator dies: around one write, counted from 1."""

    write: int = Field(ge=1)
    moment: Moment


class Noise(Setting):
    """Faulty calls, drawn with a seed."""

    rate: float = Field(ge=0, le=1)
    seed: int = 0
    kinds: tuple[NoiseKind, ...] = (
        "conflict",
        "throttled",
        "throttled-bare",
        "error",
        "unavailable",
        "timeout",
        "reset",
        "reset-after",
        "cut",
        "delay",
    )
    resources: tuple[str, ...] = ()
    """Plurals; none means all."""
    delay: float = 10.0
    """Seconds that a delay takes at most."""
    retry_after: int = 1

    def fits(self, kind: NoiseKind, *, writes: bool) -> bool:
        """Whether a call may suffer this: a read has no commit to be unsure of."""
        return writes or kind not in _WRITES_ONLY


class WatchFault(Setting):
    """What befalls watches, those that are open at once and others as they come."""

    kind: WatchKind
    resource: str = ""
    """A plural; empty means all."""
    streams: int = Field(1, ge=0)
    """How many watches suffer it; 0 means all until the document is replaced."""
    after: int = Field(0, ge=0)
    """It starts after so many further events."""
    seconds: float = 60.0
    """How long a pause or a lasting fault holds; a black hole holds for the stream's life."""
    rate: float = Field(1.0, ge=0, le=1)
    """The share of events that are duplicated, reordered or dropped."""
    seed: int = 0


class Stale(Setting):
    """Lists that are answered from an earlier state, and the watch from there that hangs behind."""

    resource: str
    back: int = Field(ge=1)
    """How many changes of the collection are not yet seen."""
    lists: int = Field(1, ge=1)
    seconds: float = 0.0
    """How long the watch that starts at the earlier state shows nothing."""
    reconnect: bool = True
    """Whether open watches are told to list again."""


class Faults(Setting):
    """Everything that goes wrong; the empty document is a clean proxy."""

    crashes: tuple[Crash, ...] = ()
    noise: Noise | None = None
    watches: tuple[WatchFault, ...] = ()
    stale: tuple[Stale, ...] = ()
