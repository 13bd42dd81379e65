"""What people tell a search or a candidate by annotations, without touching its spec.

A switch is on for any value but `false`, so that a reason can stand there: `asiarch.dev/veto=reads the labels`.
"""

from dataclasses import dataclass

from asiarch.api.candidate import Candidate
from asiarch.api.meta import Metadata
from asiarch.api.names import APPROVE, PAUSE, PIN, RETRY, VETO
from asiarch.api.reason import Reason
from asiarch.api.search import SearchSpec

_RETRY_LENGTH = 64
"""Characters of a retry's value that tell it from the one before."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a candidate gets no order for now."""

    reason: Reason
    message: str


HOLDS = frozenset({Reason.PAUSED, Reason.AWAITING_APPROVAL})
REFUSALS = frozenset({Reason.QUOTA_EXCEEDED, Reason.JOB_REJECTED, Reason.FORBIDDEN})
"""What is said of an order of which nothing could be started: it never ran."""


def is_paused(metadata: Metadata) -> bool:
    """Whether nothing new may be started for the object."""
    return _is_on(metadata, PAUSE)


def is_pinned(metadata: Metadata) -> bool:
    """Whether a candidate's object stays, however old it is."""
    return _is_on(metadata, PIN)


def is_vetoed(metadata: Metadata) -> bool:
    """Whether a candidate is taken out: a live one ends, a finished one never breeds nor leads again."""
    return _is_on(metadata, VETO)


def wanted_retry(candidate: Candidate) -> str | None:
    """The retry that a person wants and that wasn't followed yet: it is followed once for each value."""
    wanted = candidate.metadata.annotations.get(RETRY, "")[:_RETRY_LENGTH]
    return wanted if wanted and wanted != candidate.status.retried else None


def hold(candidate: Candidate, spec: SearchSpec) -> Hold | None:
    """Why a candidate that waits for an order gets none, if a person has to do something first."""
    if candidate.status.order is not None:
        return None
    if is_paused(candidate.metadata):
        return Hold(Reason.PAUSED, f"Remove the annotation {PAUSE} to go on; nothing is lost.")
    if candidate.status.phase != "Evaluating" or candidate.spec.origin == "Baseline":
        return None
    rung = spec.evaluation.ladder[candidate.status.rung]
    if not rung.approval or candidate.metadata.annotations.get(APPROVE) in ("true", rung.name):
        return None
    message = (
        f"Rung {rung.name} wants a person's approval. Annotate {candidate.name} with {APPROVE}={rung.name}."
    )
    return Hold(Reason.AWAITING_APPROVAL, message)


def _is_on(metadata: Metadata, name: str) -> bool:
    return metadata.annotations.get(name, "false") != "false"
