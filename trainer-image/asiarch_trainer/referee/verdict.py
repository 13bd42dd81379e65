"""How an order ends early: with a reason of the closed list, and a message that says what was found and wanted."""

from asiarch.api.reason import Reason

MAX_MESSAGE = 1024


class Verdict(Exception):  # noqa: N818 - it is a finding, not an error of ours
    """The order has ended; nothing further is asked of the player."""

    def __init__(self, reason: Reason, message: str) -> None:
        """Keep the reason and at most 1,024 characters of message."""
        super().__init__(message[:MAX_MESSAGE])
        self.reason = reason
        self.message = message[:MAX_MESSAGE]
