"""The API server's time, which pods and Jobs are stamped with; our machine's own may be hours off, or jump."""

import time
from email.utils import parsedate_to_datetime

from asiarch.api.base import Instant

_TOLERANCE = 2.0
"""Seconds that our reckoning may differ from a reply's Date, which has whole seconds and took its time to come."""


class ServerClock:
    """Goes with our monotonic clock, and is set by the Date of the server's replies."""

    def __init__(self) -> None:
        """Until the first reply, our own machine's time must do."""
        self._offset = time.time() - time.monotonic()

    def __call__(self) -> Instant:
        """The API server's time, in seconds since 1970."""
        return time.monotonic() + self._offset

    def hear(self, date: str | None) -> None:
        """Take a reply's Date; one that we can't read, or that agrees with our reckoning, changes nothing."""
        if date is None:
            return
        try:
            said = parsedate_to_datetime(date).timestamp() + 0.5
        except ValueError:
            return
        if abs(said - self()) > _TOLERANCE:
            self._offset = said - time.monotonic()
