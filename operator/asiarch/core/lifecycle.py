"""The candidate's lifecycle: one table of what follows on what, one of what each reason means.

The diagram in docs/lifecycle.md is drawn from `NEXT`.
"""

from collections.abc import Mapping
from typing import Literal

from asiarch.api.candidate import Phase
from asiarch.api.order import OrderKind
from asiarch.api.reason import Reason
from asiarch.core.observation import TERMINAL

Event = Literal[
    "has-to-be-proposed",
    "has-an-idea",
    "has-a-file",
    "proposed",
    "written",
    "repeats-a-known-one",
    "repeats-once-too-often",
    "climbs",
    "measured",
    "measured-as-baseline",
    "broken",
    "mended",
    "explained",
    "refused",
    "vetoed",
    "unknown",
]

NEXT: Mapping[tuple[Phase, Event], Phase] = {
    ("Pending", "has-to-be-proposed"): "Proposing",
    ("Pending", "has-an-idea"): "Building",
    ("Pending", "has-a-file"): "Evaluating",
    ("Pending", "refused"): "Rejected",
    ("Proposing", "proposed"): "Building",
    ("Proposing", "unknown"): "Failed",
    ("Building", "written"): "Evaluating",
    ("Building", "repeats-a-known-one"): "Proposing",
    ("Building", "repeats-once-too-often"): "Rejected",
    ("Building", "unknown"): "Failed",
    ("Evaluating", "climbs"): "Evaluating",
    ("Evaluating", "broken"): "Repairing",
    ("Evaluating", "measured"): "Analyzing",
    ("Evaluating", "measured-as-baseline"): "Complete",
    ("Evaluating", "refused"): "Rejected",
    ("Evaluating", "unknown"): "Failed",
    ("Repairing", "mended"): "Evaluating",
    ("Repairing", "repeats-once-too-often"): "Rejected",
    ("Repairing", "unknown"): "Failed",
    ("Analyzing", "explained"): "Complete",
    ("Pending", "vetoed"): "Rejected",
    ("Proposing", "vetoed"): "Rejected",
    ("Building", "vetoed"): "Rejected",
    ("Evaluating", "vetoed"): "Rejected",
    ("Repairing", "vetoed"): "Rejected",
    ("Analyzing", "vetoed"): "Rejected",
}

WORK: Mapping[Phase, OrderKind] = {
    "Proposing": "propose",
    "Building": "build",
    "Repairing": "repair",
    "Evaluating": "train",
    "Analyzing": "analyze",
}
"""The kind of order that a candidate in this phase waits for."""

LOST = frozenset(
    {
        Reason.LOST,
        Reason.EVICTED,
        Reason.PREEMPTED,
        Reason.NODE_LOST,
        Reason.IMAGE_PULL_FAILED,
        Reason.UNSCHEDULABLE,
        Reason.QUOTA_EXCEEDED,
        Reason.JOB_REJECTED,
        Reason.FORBIDDEN,
        Reason.GATEWAY_UNREACHABLE,
        Reason.CANCELLED,
        Reason.INFRASTRUCTURE_FAILED,
    }
)
"""Ends of an attempt that are never the candidate's fault; the step is tried again."""

NEVER_RAN = frozenset(
    {
        Reason.IMAGE_PULL_FAILED,
        Reason.UNSCHEDULABLE,
        Reason.QUOTA_EXCEEDED,
        Reason.JOB_REJECTED,
        Reason.FORBIDDEN,
    }
)
"""Ends of an attempt that used nothing."""

EXCUSED = NEVER_RAN | {Reason.CANCELLED, Reason.PREEMPTED, Reason.GATEWAY_UNREACHABLE}
"""Ends that heal by themselves once their cause goes, however often they come: nobody is given up for them."""

MAX_LOST = 10
"""After so many lost attempts of one step, excused ones aside, the candidate is `InfrastructureFailed`."""

LONGEST_RETRY = 300
"""Seconds between two attempts at most; the first comes at once, then they are ever further apart."""
MOST_DOUBLINGS = 10
"""Enough to exceed the longest wait; excused attempts are lost without limit, and a float isn't."""

UNEXPLAINED = "Not explained: "
"""How the analysis of a candidate begins that was measured, and of which no analyst had anything to say."""

REFUSED = frozenset(
    {
        Reason.DUPLICATE,
        Reason.CAUSALITY_VIOLATION,
        Reason.BATCH_LEAK,
        Reason.NOT_REPEATABLE,
        Reason.STEP_ZERO_LOSS,
        Reason.IMPLAUSIBLE_METRIC,
        Reason.INVALID_PARENT,
    }
)
"""The idea lost its right to run; no repair is tried."""

BROKEN: Mapping[Reason, Phase] = {
    Reason.COST_GROWTH: "Rejected",
    Reason.BUDGET_MISMATCH: "Rejected",
    Reason.DIVERGED: "Rejected",
    Reason.NON_FINITE: "Rejected",
    Reason.IMPORT_REFUSED: "Rejected",
    Reason.INVALID_SOURCE: "Rejected",
    Reason.INTERFACE_MISMATCH: "Rejected",
    Reason.WRONG_SHAPE: "Rejected",
    Reason.CODE_ERROR: "Failed",
    Reason.OUT_OF_MEMORY: "Failed",
    Reason.STORAGE_EXCEEDED: "Failed",
    Reason.PROTOCOL_ERROR: "Rejected",
    Reason.NO_RESULT: "Failed",
    Reason.CRASHED: "Failed",
    Reason.DEADLINE_EXCEEDED: "Failed",
}
"""What an engineer may repair, and where a candidate ends that has no engineer: a baseline, a user's file."""


def follow(phase: Phase, event: Event) -> Phase:
    """Say which phase follows; raises KeyError for what the lifecycle doesn't know."""
    return NEXT[phase, event]


def diagram() -> str:
    """Draw the table as a Mermaid state diagram."""
    arrows = [f"    {here} --> {there}: {event.replace('-', ' ')}" for (here, event), there in NEXT.items()]
    ends = [f"    {phase} --> [*]" for phase in sorted(TERMINAL)]
    return "\n".join(["stateDiagram-v2", "    [*] --> Pending", *arrows, *ends])
