"""MicroTime, the form in which events and leases write a moment: RFC 3339 with exactly six digits, or it is refused."""

from asiarch.api.base import Instant, timestamp


def micro_time(moment: Instant) -> str:
    """Write a moment as MicroTime in UTC, to the millisecond."""
    return timestamp(moment).removesuffix("Z") + "000Z"
