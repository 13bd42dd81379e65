"""Loaded by Python at the start of a process that has this folder on its path: its time of day is off.

By as many seconds as the file says that ASIARCH_TEST_OFFSET names, at each look anew. The monotonic clock is left
alone, as when a machine's clock is wrong or is set. `datetime.now` isn't skewed: the operator asks `time` alone.
"""

import os
import time
from pathlib import Path

_OFFSET = Path(os.environ["ASIARCH_TEST_OFFSET"])
_time, _time_ns = time.time, time.time_ns


def _skewed() -> float:
    return _time() + float(_OFFSET.read_text())


def _skewed_ns() -> int:
    return _time_ns() + int(float(_OFFSET.read_text()) * 1e9)


time.time, time.time_ns = _skewed, _skewed_ns
