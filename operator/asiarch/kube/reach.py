"""Which of the watched namespaces let themselves be listed; one that refuses keeps no other from its work.

A refusal is no proof that objects are gone: what is known of them stays as it is. Of a namespace that isn't known
whole nothing is decided: what can't be seen would be taken for lost.
"""

import logging
from collections.abc import Iterable, Sequence

from asiarch.kube.client import ApiError, Kind

_log = logging.getLogger(__name__)

RETRY_SECONDS = 30.0
"""Until a namespace that refused is asked again; resyncs ask as well."""

Place = str | None
"""Where a kind is listed and watched: one namespace, or, as None, all of them at once."""
EVERYWHERE = "*"
"""The name of all namespaces at once, which no namespace can have."""
_REFUSALS = frozenset({403, 404})
"""Forbidden, or not served there; whatever else goes wrong with a list passes, and is waited out."""


class Reach:
    """What each place answered last to the list of each kind."""

    def __init__(self, places: Sequence[Place], kinds: Iterable[Kind]) -> None:
        """Nothing has been asked yet."""
        self._kinds = frozenset(kinds)
        self._granted: dict[Place, set[Kind]] = {place: set() for place in places}
        self._refused: dict[Place, dict[Kind, str]] = {place: {} for place in places}

    def granted(self, kind: Kind, place: Place) -> None:
        """A kind was listed whole."""
        refused = self._refused[place]
        self._granted[place].add(kind)
        if refused.pop(kind, None) and not refused:
            _log.info("Namespace %s can be listed again, and is served", place or EVERYWHERE)

    def refused(self, kind: Kind, place: Place, error: ApiError) -> bool:
        """Take note of why a kind could not be listed; false for what passes by itself. Said once."""
        if error.status not in _REFUSALS:
            return False
        if not self._refused[place]:
            _log.warning(_WARNING, place or EVERYWHERE, error, RETRY_SECONDS)
        self._granted[place].discard(kind)
        self._refused[place][kind] = str(error)
        return True

    def is_refused(self, kind: Kind, place: Place) -> bool:
        """Whether the last list of a kind was refused."""
        return kind in self._refused[place]

    def knows(self, namespace: str) -> bool:
        """Whether every kind of a namespace was listed, and none is refused now."""
        place = namespace if namespace in self._granted else None
        return self._granted.get(place, set()) == self._kinds

    @property
    def unreachable(self) -> dict[Place, str]:
        """Places that refuse a kind, with the words in which they do."""
        return {place: next(iter(kinds.values())) for place, kinds in self._refused.items() if kinds}

    @property
    def cut_off(self) -> tuple[str, ...]:
        """Why nothing at all can be served; empty when some place doesn't refuse."""
        refusals = self.unreachable
        if len(refusals) < len(self._refused):
            return ()
        return tuple(f"namespace {place or EVERYWHERE}: {why}" for place, why in refusals.items())


_WARNING = (
    "Namespace %s can't be listed: %s. Its searches stand still, the other namespaces' go on. Is it there, and does a "
    "RoleBinding in it give this account the chart's Role? Asked again every %.0f s; once it is listed, they go on"
)
