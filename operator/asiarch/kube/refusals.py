"""Jobs that the API server doesn't let us create: why, and when we ask again."""

from dataclasses import dataclass
from typing import Self

from asiarch.api.order import Order
from asiarch.api.reason import Reason
from asiarch.core.observation import Trouble
from asiarch.kube.client import ApiError

_UNASKED = "failed calling webhook"
"""What the API server says when it couldn't ask who has to admit the object; then it keeps nothing."""
FIRST_RETRY, LAST_RETRY = 2.0, 300.0
"""Seconds between attempts to create what the API server refuses."""


@dataclass
class Refusal:
    """An order that was refused, and when it is tried again, by the clock of whoever asks."""

    trouble: Trouble
    wait: float
    again: float = 0.0

    @classmethod
    def of(cls, order: Order, reason: Reason, error: ApiError, before: Self | None) -> Self:
        """What the API server said, with twice the wait of the refusal before."""
        wait = FIRST_RETRY if before is None else min(LAST_RETRY, before.wait * 2)
        message = (
            f"Order {order.name} can't start: {error.message[:700]} It is tried again in {wait:.0f} s; "
            "nothing is lost."
        )
        return cls(Trouble(reason, message, fatal=False), wait)


def reason_of(error: ApiError) -> Reason | None:
    """Why the API server would not have a Job, when asking at once again is of no use."""
    if error.status == 403 and "exceeded quota" in error.message:
        return Reason.QUOTA_EXCEEDED
    if error.status == 403 and "is forbidden: User" in error.message:
        return Reason.FORBIDDEN
    if error.status in {400, 403, 422} or (error.status == 500 and _UNASKED in error.message):
        return Reason.JOB_REJECTED
    return None
