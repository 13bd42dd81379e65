"""What a turn wants done, as data; worlds carry it out."""

from dataclasses import dataclass

from asiarch.api.candidate import Candidate, CandidateSpec, CandidateStatus
from asiarch.api.order import Order
from asiarch.api.reason import Reason
from asiarch.api.search import ArchitectureSearch, SearchStatus


@dataclass(frozen=True, slots=True)
class CreateCandidate:
    """Create a candidate under its deterministic name; that it exists already is success."""

    name: str
    spec: CandidateSpec


@dataclass(frozen=True, slots=True)
class StartOrder:
    """Start an order's process, or the processes of its seeds; that it was started already is success."""

    order: Order


@dataclass(frozen=True, slots=True)
class StopOrder:
    """Stop an order's processes; the world then reports them ended with this reason."""

    order: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class ArchiveCandidates:
    """Keep the records of finished candidates in the archive, verify that they are there, then delete the objects."""

    names: tuple[str, ...]


Action = CreateCandidate | StartOrder | StopOrder | ArchiveCandidates


@dataclass(frozen=True, slots=True)
class SearchWrite:
    """The one status write of a search in a turn."""

    search: ArchitectureSearch
    status: SearchStatus


@dataclass(frozen=True, slots=True)
class CandidateWrite:
    """The one status write of a candidate in a turn."""

    candidate: Candidate
    status: CandidateStatus


Write = SearchWrite | CandidateWrite


@dataclass(frozen=True, slots=True)
class Plan:
    """What a turn writes, in this order, and then does; and when it must look again at the latest."""

    statuses: tuple[Write, ...] = ()
    actions: tuple[Action, ...] = ()
    wake_after: float | None = None
    """Seconds; none when only an event can change anything."""

    @property
    def idle(self) -> bool:
        """Whether nothing is written and nothing is done."""
        return not self.statuses and not self.actions
