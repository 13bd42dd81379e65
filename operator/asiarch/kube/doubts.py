"""Signs that a view of one search is old: news of each kind comes on a way of its own.

The fence on a search's status doesn't notice that candidates are older than their search, and what is derived from them
then is old: a cost that was counted already would be forgotten, or a reservation dropped that somebody relies on.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from asiarch.api.candidate import Candidate
from asiarch.api.search import ArchitectureSearch
from asiarch.core import budget, lifecycle, orders
from asiarch.core.observation import Record

_ROUNDING = 1e-3
"""By so much may sums differ that are added up in another order."""


def contradicts(search: ArchitectureSearch, records: Mapping[str, Record], named: AbstractSet[str]) -> bool:
    """Whether a search knows of more than its candidates tell, or a candidate waits for what wasn't reserved."""
    said, summed, counts = search.status.cost, budget.spent(records.values()), search.status.counts
    numbered = sum(record.ordinal >= 0 for record in records.values())
    more = (
        said.seconds - summed.seconds,
        said.gpu_seconds - summed.gpu_seconds,
        float(said.tokens - summed.tokens),
        said.usd - summed.usd,
        float(counts.baselines + counts.proposed - numbered),
    )
    return max(more) > _ROUNDING or not named <= search.status.reservations.keys()


@dataclass
class Passed:
    """Orders that are known to be behind their candidates, so that nothing need be reserved for them any more."""

    _known: set[str] = field(default_factory=set)

    def unsure(self, search: ArchitectureSearch, live: Iterable[Candidate]) -> tuple[str, ...]:
        """Candidates that may be further than they are seen: something is reserved that leads on from nowhere."""
        reserved = search.status.reservations.keys()
        at_work = [candidate for candidate in live if candidate.status.phase in lifecycle.WORK]
        self._known &= reserved
        self._known |= {c.status.order.name for c in at_work if c.status.order is not None}
        steps = {step for candidate in at_work for step in orders.steps_of(search, candidate)}
        strange = reserved - self._known - steps
        return tuple(c.name for c in at_work if any(order.startswith(f"{c.name}-") for order in strange))

    def looked(self, search: ArchitectureSearch) -> None:
        """Take note that the candidates that were unsure have been looked at."""
        self._known |= search.status.reservations.keys()
