"""All open watches, and which faults wait for the next ones."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from aiohttp import web

from tests.cluster.faults.call import Call
from tests.cluster.faults.journal import Journal
from tests.cluster.faults.settings import WatchFault
from tests.cluster.faults.watch import Held, Stream


class Streams:
    """Hands watch faults to streams: first to those that are open, then to those that come."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._open: set[Stream] = set()
        self._left: list[tuple[WatchFault, float]] = []
        self._held: set[str] = set()
        self._behind: dict[str, float] = {}

    def set(self, faults: Sequence[WatchFault]) -> None:
        """Replace the faults; what has befallen a stream already stays with it."""
        self._left = []
        for fault in faults:
            left = fault.streams or float("inf")
            for stream in self._matching(fault):
                if fault.kind == "gone":
                    stream.tell(WatchFault(kind="disconnect"))
                elif left:
                    stream.tell(fault)
                    left -= 1
            self._left.append((fault, left))

    def relist(self, resource: str) -> None:
        """Make the clients of open watches list again."""
        for stream in self._matching(WatchFault(kind="error-410", resource=resource)):
            stream.tell(WatchFault(kind="error-410"))

    def hold(self, resource: str, how: Held) -> None:
        """Hold a kind's events back, on watches that are open and that come; or release or discard them."""
        if how == "hold":
            self._held.add(resource)
        else:
            self._held.discard(resource)
        for stream in self._open:
            if stream.call.resource == resource:
                stream.tell(how)

    def hang_behind(self, resource_version: str, seconds: float) -> None:
        """The watch that starts there shows nothing for so long."""
        self._behind[resource_version] = seconds

    def gone(self, call: Call) -> bool:
        """Whether a watch that begins is refused with 410."""
        for position, (fault, left) in enumerate(self._left):
            if fault.kind == "gone" and left and fault.resource in {"", call.resource}:
                self._left[position] = (fault, left - 1)
                self._journal.fault("watch-gone", call)
                return True
        return False

    @contextmanager
    def open(self, call: Call, request: web.Request, response: web.StreamResponse) -> Iterator[Stream]:
        """Know of a stream while it runs, and hand it what waits for it."""
        stream = Stream(call, request, response, self._journal)
        if call.resource in self._held:
            stream.tell("hold")
        behind = self._behind.pop(request.query.get("resourceVersion", ""), 0.0)
        if behind:
            stream.tell(WatchFault(kind="pause", seconds=behind))
        for position, (fault, left) in enumerate(self._left):
            if fault.kind != "gone" and left and fault.resource in {"", call.resource}:
                self._left[position] = (fault, left - 1)
                stream.tell(fault)
        self._open.add(stream)
        try:
            yield stream
        finally:
            self._open.discard(stream)

    def totals(self) -> dict[str, int]:
        """How many watches of each resource are open."""
        counted: dict[str, int] = {}
        for stream in self._open:
            counted[stream.call.resource] = counted.get(stream.call.resource, 0) + 1
        return counted

    def _matching(self, fault: WatchFault) -> list[Stream]:
        return [stream for stream in self._open if fault.resource in {"", stream.call.resource}]
