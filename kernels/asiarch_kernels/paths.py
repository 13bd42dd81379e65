"""Which of a block's implementations computes a call: our kernel, flash-linear-attention's, or plain PyTorch.

The order is fixed, a fallback is counted and logged once for each reason, and nothing falls back in silence.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Path = Literal["kernel", "fla", "reference"]

_log = logging.getLogger(__name__)
_taken: Counter[tuple[str, Path]] = Counter()
_told: set[tuple[str, str]] = set()


@dataclass(frozen=True, slots=True)
class Choice:
    """The implementation of one call, and why it isn't our kernel; empty where it is, or on a CPU."""

    path: Path
    why: str = ""


def take(block: str, choice: Choice) -> Path:
    """Count a choice, and tell of a fallback the first time that its reason comes up."""
    _taken[block, choice.path] += 1
    if choice.why and (block, choice.why) not in _told:
        _told.add((block, choice.why))
        _log.warning("%s falls back to %s: %s", block, choice.path, choice.why)
    return choice.path


def counts() -> Mapping[str, int]:
    """How many calls took each way since the process began, as `block/path`."""
    return {f"{block}/{path}": count for (block, path), count in sorted(_taken.items())}
