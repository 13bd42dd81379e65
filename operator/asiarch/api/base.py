"""The base of every API type, and the bounded scalars that the types share."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class ApiModel(BaseModel):
    """A strict, frozen value whose YAML spelling is camelCase."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        allow_inf_nan=False,
        extra="forbid",
        frozen=True,
        populate_by_name=True,
    )


Name = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
"""The name of an object: a DNS label."""

Title = Annotated[str, Field(max_length=80)]
Sentence = Annotated[str, Field(max_length=256)]
Paragraph = Annotated[str, Field(max_length=1024)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", max_length=64)]
"""A SHA-256 in lower-case hexadecimal."""

_DAY = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
TIMESTAMP = rf"^{_DAY}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{{1,9}})?Z$"
Tag = Annotated[str, Field(max_length=40, pattern=r"^[a-z]+=[a-z0-9.-]+$")]
"""One building block of a candidate: `rule=delta`, `decay=scalar`, `conv=4`."""

Timestamp = Annotated[str, Field(max_length=32, pattern=TIMESTAMP)]
"""RFC 3339 in UTC."""

Decimal = Annotated[str, Field(max_length=24, pattern=r"^-?[0-9]{1,12}(\.[0-9]{1,9})?$")]
"""A finite decimal number as text, so that no reader rounds it."""

Amount = Annotated[str, Field(max_length=24, pattern=r"^[0-9]{1,12}(\.[0-9]{1,9})?$")]
"""A decimal number that is not negative."""

Count = Annotated[int, Field(ge=0, le=10**9)]
"""How many, or how often."""

_MOST = 10**18
"""Where a sum stops: above every budget, and within the whole numbers of 64 bits that the API server takes."""

Measure = Annotated[
    float,
    Field(ge=0, json_schema_extra={"maximum": _MOST}),
    AfterValidator(lambda value: min(value, float(_MOST))),
]
"""A measured quantity that is not negative, or a sum of such; it stops at its bound, and is never refused for it."""

Tokens = Annotated[
    int, Field(ge=0, json_schema_extra={"maximum": _MOST}), AfterValidator(lambda value: min(value, _MOST))
]
"""A sum of tokens; it stops at its bound, and is never refused for it."""

Duration = Annotated[
    str, Field(max_length=16, pattern=r"^([1-9][0-9]{0,8}s|[1-9][0-9]{0,6}m|[1-9][0-9]{0,4}h)$")
]
"""Whole seconds, minutes or hours: 90s, 15m, 48h; some decades at most, so that every moment has a date."""

Cores = Annotated[str, Field(max_length=8, pattern=r"^[1-9][0-9]{0,5}m?$")]
"""Processor cores, whole or in thousandths: 2, 500m."""

Bytes = Annotated[str, Field(max_length=16, pattern=r"^[1-9][0-9]{0,8}(Ki|Mi|Gi|Ti)$")]
"""Memory in binary units: 512Mi, 2Gi."""

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
"""The name of another object in the same namespace."""

Key = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
"""A key of a ConfigMap."""


def keyed(field: str) -> dict[str, Any]:
    """Tell the API server that a list holds one entry for each value of `field`; a `json_schema_extra`."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [field]}


ATOMIC: dict[str, Any] = {"x-kubernetes-map-type": "atomic"}
"""Tells the API server that a map has one writer, so that it keeps no account of who set each field; as `keyed`."""


def decimal(value: float, digits: int = 6) -> str:
    """Write a finite number in the fewest digits; the inverse is `float`."""
    text = f"{value:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


_SECONDS = {"s": 1, "m": 60, "h": 3600}


def seconds(duration: str) -> int:
    """Seconds of a `Duration`."""
    return int(duration[:-1]) * _SECONDS[duration[-1]]


Instant = float
"""A moment in seconds since 1970 UTC; passed in, never read below an entry point."""


def timestamp(moment: Instant) -> str:
    """Write a moment as RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def instant(text: str) -> Instant:
    """Read a `Timestamp`."""
    return datetime.fromisoformat(text).timestamp()
