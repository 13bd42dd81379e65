"""What the API server refuses us: why, and when we ask again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

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
    def of(cls, what: str, reason: Reason, error: ApiError, before: Self | None) -> Self:
        """What can't be done, in the API server's words, with twice the wait of the refusal before."""
        wait = FIRST_RETRY if before is None else min(LAST_RETRY, before.wait * 2)
        message = f"{what}: {said(error)} It is tried again in {wait:.0f} s; nothing is lost."
        return cls(Trouble(reason, message, fatal=False), wait)


def reason_of(error: ApiError) -> Reason | None:
    """Why the API server would not have a Job, when asking at once again is of no use."""
    if error.status == 403 and "exceeded quota" in error.message:
        return Reason.QUOTA_EXCEEDED
    if error.status == 403 and "is forbidden: User" in error.message:
        return Reason.FORBIDDEN
    if error.status in {400, 403, 422} or is_unasked(error):
        return Reason.JOB_REJECTED
    return None


def said(error: ApiError) -> str:
    """The API server's words as a sentence that others follow."""
    return f"{error.message[:700].rstrip('. ')}."


def is_unasked(error: ApiError) -> bool:
    """Whether a webhook that has to admit the object could not be asked."""
    return error.status == 500 and _UNASKED in error.message


@dataclass
class Denied:
    """Objects beside Jobs that one search needs, and that the API server refused when they were last asked for."""

    _troubles: dict[str, Trouble] = field(default_factory=dict)

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """What to say of it."""
        return tuple(self._troubles.values())

    @contextmanager
    def noting(self, what: str, how: str = "can't be written", *, goes_on: bool = False) -> Iterator[None]:
        """Around a call about an object: a refusal is kept until it succeeds, and raised unless all `goes_on`."""
        try:
            yield
        except ApiError as error:
            taken = error.reason == Reason.NAME_CONFLICT
            reason = Reason.NAME_CONFLICT if taken else reason_of(error)
            if reason is not None:
                message = f"{what} {how}: {said(error)} It is tried again; nothing is lost."
                self._troubles[what] = Trouble(reason, message, fatal=False)
            if reason is None or not goes_on:
                raise
        else:
            self._troubles.pop(what, None)


@dataclass
class Door:
    """Through which all calls of one kind go: while one of them is refused the others wait with it."""

    clock: Callable[[], float]
    _denied: Denied = field(default_factory=Denied)
    _wait: float = 0.0
    _again: float = float("-inf")

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """What to say of it."""
        return self._denied.troubles

    @property
    def wait(self) -> float | None:
        """Seconds until it is tried again; none while it is open."""
        left = self._again - self.clock()
        return left if left > 0 else None

    def begin(self) -> None:
        """Forget an old refusal: what is refused still is refused again."""
        if self.wait is None:
            self._denied = Denied()

    @contextmanager
    def passing(self, what: str, how: str = "can't be written") -> Iterator[None]:
        """Around one call: a refusal is kept and ends the block; whatever else is wrong is raised."""
        with self._denied.noting(what, how, goes_on=True):
            yield
        refused = bool(self._denied.troubles)
        self._wait = min(LAST_RETRY, max(FIRST_RETRY, 2 * self._wait)) if refused else 0.0
        self._again = self.clock() + self._wait
