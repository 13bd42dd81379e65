"""How objects, labels and annotations are called: deterministic names, so that creating twice is creating once."""

from hashlib import sha256
from typing import Literal, get_args

from asiarch.api.order import OrderKind

MANAGED_BY = ("app.kubernetes.io/managed-by", "asiarch")
"""The label, with its value, of every object that is ours."""

SEARCH = "asiarch.dev/search"
CANDIDATE = "asiarch.dev/candidate"
PART = "asiarch.dev/part"
Part = Literal["agent", "training", "context", "result", "code", "archive"]
PARTS: tuple[Part, ...] = get_args(Part)
"""The values of the label `PART`."""

JOB = "asiarch.dev/job"
"""Label of a training Job: its own name, so that many can be deleted at once."""
CANDIDATE_UID = "asiarch.dev/candidate-uid"
"""Label of a training Job: whose it is, whatever else bears that name later."""

ORDER = "asiarch.dev/order"
"""Annotation: the full name of the order that an object belongs to."""
POD_UID = "asiarch.dev/pod-uid"
"""Annotation: which pod brought a result."""

PAUSE = "asiarch.dev/pause"
RETRY = "asiarch.dev/retry"
PIN = "asiarch.dev/pin"
VETO = "asiarch.dev/veto"
APPROVE = "asiarch.dev/approve"

AUDIENCE = "asiarch-gateway"
"""The audience of the token that an agent shows to the gateway."""

MAX_OBJECT_NAME = 52
"""A Job's name with what Kubernetes appends for its pods, or we for its ConfigMaps, has at most 63 characters."""
_DIGITS = 12
_KINDS = frozenset(get_args(OrderKind))


def candidate_name(search: str, ordinal: int) -> str:
    """`<search>-<ordinal>`."""
    return f"{search}-{ordinal:04d}"


def order_name(candidate: str, kind: OrderKind, attempt: int, rung: str | None = None, turn: int = 0) -> str:
    """`<candidate>-<kind>[-<rung>][-r<turn>]-a<attempt>`; `turn` tells the repetitions of a step apart.

    A candidate's own name may read like the beginning of another one's order (`a-train`): it gets a digest after it,
    longer with a kind than any rung's name, so that no two orders have one name.
    """
    told = f"{candidate}-{_digest(candidate)[:6]}" if _KINDS.intersection(candidate.split("-")) else candidate
    middle = f"-{rung}" if rung else ""
    again = f"-r{turn}" if turn else ""
    return f"{told}-{kind}{middle}{again}-a{attempt}"


def object_name(order: str) -> str:
    """An order's name as a Job can bear it: as it is, or cut short and told apart by a digest."""
    if len(order) <= MAX_OBJECT_NAME:
        return order
    head = order[: MAX_OBJECT_NAME - _DIGITS - 1].rstrip("-")
    return f"{head}-{_digest(order)}"


def context_name(order: str) -> str:
    """The ConfigMap with what an agent's order is told."""
    return f"{object_name(order)}-context"


def result_name(order: str) -> str:
    """The ConfigMap with what came of an agent's order."""
    return f"{object_name(order)}-result"


def code_name(search: str, digest: str) -> str:
    """The ConfigMap with a candidate's file, whose digest is `digest`."""
    return f"{search}-code-{digest[:_DIGITS]}"


def archive_name(search: str, segment: int) -> str:
    """The ConfigMap with one segment of the records of removed candidates."""
    return f"{search}-archive-{segment:04d}"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:_DIGITS]
