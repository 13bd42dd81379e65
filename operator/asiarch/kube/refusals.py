"""What the API server doesn't let us create: why, and when we ask again."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
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


@dataclass
class Denied:
    """Objects beside Jobs that one search needs, and that the API server refused when they were last asked for."""

    _troubles: dict[str, Trouble] = field(default_factory=dict)

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """What to say of it."""
        return tuple(self._troubles.values())

    @contextmanager
    def noting(self, what: str, *, goes_on: bool = False) -> Iterator[None]:
        """Around the creation of an object: a refusal is kept until it succeeds, and raised unless all `goes_on`."""
        try:
            yield
        except ApiError as error:
            taken = error.reason == Reason.NAME_CONFLICT
            reason = Reason.NAME_CONFLICT if taken else reason_of(error)
            if reason is not None:
                message = (
                    f"{what} can't be written: {error.message[:800]} It is tried again; nothing is lost."
                )
                self._troubles[what] = Trouble(reason, message, fatal=False)
            if reason is None or not goes_on:
                raise
        else:
            self._troubles.pop(what, None)
