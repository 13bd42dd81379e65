"""One open watch: lines come in from the API server, faults from the control; what is left goes to the client."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal

from aiohttp import web

from tests.cluster.faults.call import Call
from tests.cluster.faults.journal import Journal
from tests.cluster.faults.settings import WatchFault, WatchKind
from tests.cluster.faults.wire import reset, status

Held = Literal["hold", "release", "discard"]
MALFORMED = b'{"type": "MODIFIED", "object": {"kind": "Cand\n'
_REORDER_WAIT = 0.3
"""Seconds after which an event that nothing overtook is let go."""


class BrokenOffError(Exception):
    """The stream ends here, as a fault wants it."""


class Stream:
    """Passes events on, as faithfully as the faults that reached it allow."""

    def __init__(
        self, call: Call, request: web.Request, response: web.StreamResponse, journal: Journal
    ) -> None:
        self.call = call
        self._request = request
        self._response = response
        self._journal = journal
        self._inbox: asyncio.Queue[bytes | WatchFault | Held | None] = asyncio.Queue()
        self._waiting: list[tuple[int, WatchFault]] = []
        self._lasting: dict[WatchKind, tuple[WatchFault, float, random.Random]] = {}
        self._held: list[bytes] | None = None
        self._kept: bytes | None = None
        self._dead = False

    def tell(self, order: WatchFault | Held) -> None:
        """Hand in a fault, or hold events back, or let them go."""
        self._inbox.put_nowait(order)

    async def run(self, lines: AsyncIterator[bytes]) -> None:
        """Go on until either side ends; a stream in a black hole waits for its client to give up."""
        pump = asyncio.create_task(self._pump(lines))
        try:
            while (item := await self._next()) is not None or self._dead:
                await self._handle(item)
        except BrokenOffError:
            return
        finally:
            pump.cancel()

    async def _pump(self, lines: AsyncIterator[bytes]) -> None:
        try:
            async for line in lines:
                self._inbox.put_nowait(line)
        finally:
            self._inbox.put_nowait(None)

    async def _next(self) -> bytes | WatchFault | Held | None:
        """The next thing that happens; an event that waits to be overtaken waits only so long."""
        if self._kept is not None:
            try:
                async with asyncio.timeout(_REORDER_WAIT):
                    return await self._inbox.get()
            except TimeoutError:
                kept, self._kept = self._kept, None
                await self._send(kept)
        return await self._inbox.get()

    async def _handle(self, item: bytes | WatchFault | Held | None) -> None:
        match item:
            case bytes():
                await self._event(item)
            case WatchFault() if item.after:
                self._waiting.append((item.after, item))
            case WatchFault():
                await self._befall(item)
            case "hold":
                self._held = self._held or []
            case "release" | "discard":
                held, self._held = self._held or [], None
                for line in held if item == "release" else ():
                    await self._send(line)

    async def _event(self, line: bytes) -> None:
        if self._dead:
            return
        if self._held is not None:
            self._held.append(line)
            return
        await self._treated(line)
        waiting = [(left - 1, fault) for left, fault in self._waiting]
        self._waiting = [(left, fault) for left, fault in waiting if left]
        for fault in (fault for left, fault in waiting if not left):
            await self._befall(fault)

    async def _treated(self, line: bytes) -> None:
        """Send an event as the lasting faults make it."""
        if self._strikes("drop") or (self._strikes("bookmarks") and not _bookmark(line)):
            self._journal.fault("event-lost", self.call)
        elif self._kept is not None:
            kept, self._kept = self._kept, None
            await self._send(line)
            await self._send(kept)
        elif self._strikes("reorder"):
            self._kept = line
        elif self._strikes("duplicate"):
            await self._send(line)
            await self._send(line)
        else:
            await self._send(line)

    def _strikes(self, kind: WatchKind) -> bool:
        if kind not in self._lasting:
            return False
        fault, until, chance = self._lasting[kind]
        if asyncio.get_running_loop().time() > until:
            del self._lasting[kind]
            return False
        return chance.random() < fault.rate

    async def _befall(self, fault: WatchFault) -> None:
        self._journal.fault(f"watch-{fault.kind}", self.call)
        if fault.kind in _AT_ONCE:
            await _AT_ONCE[fault.kind](self, fault)
        else:
            until = asyncio.get_running_loop().time() + fault.seconds
            self._lasting[fault.kind] = (fault, until, random.Random(fault.seed))

    async def _fail_in_stream(self, fault: WatchFault) -> None:
        event = {"type": "ERROR", "object": status(int(fault.kind.removeprefix("error-")))}
        await self._send(json.dumps(event).encode() + b"\n")
        raise BrokenOffError

    async def _vanish(self, _: WatchFault) -> None:
        self._dead = True

    async def _garble(self, _: WatchFault) -> None:
        await self._send(MALFORMED)

    async def _pause(self, fault: WatchFault) -> None:
        await asyncio.sleep(fault.seconds)

    async def _disconnect(self, _: WatchFault) -> None:
        reset(self._request.transport)
        raise BrokenOffError

    async def _send(self, line: bytes) -> None:
        await self._response.write(line)


_AT_ONCE: dict[WatchKind, Callable[[Stream, WatchFault], Awaitable[None]]] = {
    "gone": Stream._disconnect,
    "error-410": Stream._fail_in_stream,
    "error-500": Stream._fail_in_stream,
    "black-hole": Stream._vanish,
    "malformed": Stream._garble,
    "pause": Stream._pause,
    "disconnect": Stream._disconnect,
}
"""What happens once; every other kind lasts for its seconds."""


def _bookmark(line: bytes) -> bool:
    return line.startswith(b'{"type":"BOOKMARK"')


async def lines_of(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Cut a body into lines of any length."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line + b"\n"
    if rest:
        yield rest
