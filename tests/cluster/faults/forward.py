"""Takes calls, does to them what the document says, and passes the rest on."""

import asyncio
import random
from typing import Any

from aiohttp import ClientError, ClientResponse, ClientSession, web
from multidict import CIMultiDict
from yarl import URL

from tests.cluster.faults.call import Call, parse
from tests.cluster.faults.journal import Journal, retry_key
from tests.cluster.faults.kill import Executioner
from tests.cluster.faults.settings import ANSWERED, Faults, NoiseKind
from tests.cluster.faults.streams import Streams
from tests.cluster.faults.travel import Recorder
from tests.cluster.faults.watch import lines_of
from tests.cluster.faults.wire import broken, is_whole, passed_on, refusal

_WHOLE_BYTES = 1 << 18
"""Replies up to this size are passed on in one piece."""
_CODES = {"conflict": 409, "throttled": 429, "throttled-bare": 429, "error": 500, "unavailable": 503}


class Proxy:
    """One proxy: its document, its counters, its open watches."""

    def __init__(self, session: ClientSession, upstream: str, token: str, journal: Journal) -> None:
        self.journal = journal
        self.executioner = Executioner(journal)
        self.recorder = Recorder(session, upstream)
        self.streams = Streams(journal)
        self.faults = Faults()
        self._session = session
        self._upstream = upstream
        self._token = token
        self._stale_left: list[int] = []
        self._writing: set[asyncio.Task[web.StreamResponse]] = set()

    def set(self, faults: Faults) -> None:
        """Replace the document."""
        self.faults = faults
        self._stale_left = [stale.lists for stale in faults.stale]
        self.executioner.plan(faults.crashes)
        self.streams.set(faults.watches)
        for stale in faults.stale:
            if stale.reconnect:
                self.streams.relist(stale.resource)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one call."""
        call = parse(request.method, request.path, request.query)
        number = self.journal.next_call()
        if await self.executioner.passage():
            return broken(request)
        body = await request.read()
        self.journal.note_early(_client(request), retry_key(call, body), call)
        noise = self._noise(number, call)
        if noise:
            self.journal.fault(noise, call)
        if call.writes:
            # A write that has been taken is seen to its end, even when its client dies meanwhile.
            writing = asyncio.create_task(self._write(request, call, body, noise))
            self._writing.add(writing)
            writing.add_done_callback(self._writing.discard)
            return await asyncio.shield(writing)
        return await self._read(request, call, noise)

    def _noise(self, number: int, call: Call) -> NoiseKind | None:
        """Draw what a call suffers; the same seed and number draw the same."""
        noise = self.faults.noise
        if noise is None or (noise.resources and call.resource not in noise.resources):
            return None
        chance = random.Random(f"{noise.seed}/{number}")
        if chance.random() >= noise.rate:
            return None
        kinds = [kind for kind in noise.kinds if noise.fits(kind, writes=call.writes)]
        return chance.choice(kinds) if kinds else None

    async def _write(
        self, request: web.Request, call: Call, body: bytes, noise: NoiseKind | None
    ) -> web.StreamResponse:
        """Forward a write, with everything that may go wrong around it; it is in the journal before its reply."""
        k = self.journal.next_write()
        outcome: dict[str, Any] = {"name": call.name, "fault": noise, "code": None, "told": None}
        try:
            if self.executioner.due(k, "before"):
                await self.executioner.kill(k, "before")
                return broken(request)
            told = await self._unforwarded(request, call, body, noise)
            if told is None:
                told = await self._forwarded(request, body, noise, outcome)
                if self.executioner.due(k, "committed"):
                    await self.executioner.kill(k, "committed")
                    told = broken(request)
            outcome["told"] = told.status if is_whole(request) else None
        finally:
            self.journal.write(call, k, body, outcome)
        await self._reply(request, told, k)
        return told

    async def _reply(self, request: web.Request, told: web.Response, k: int) -> None:
        """Answer, and kill right after the last byte if it is due."""
        due = self.executioner.due(k, "replied")
        try:
            await told.prepare(request)
            await told.write_eof()
        except ConnectionError:
            # The client is gone, or the connection was broken off on purpose.
            return
        finally:
            if due:
                await self.executioner.kill(k, "replied")

    async def _unforwarded(
        self, request: web.Request, call: Call, body: bytes, noise: NoiseKind | None
    ) -> web.Response | None:
        """Answer noise that never reaches the API server; none when the call is to be forwarded."""
        settings = self.faults.noise
        if noise is None or settings is None:
            return None
        if noise == "delay":
            await asyncio.sleep(random.Random(self.journal.calls).uniform(0, settings.delay))
        if noise == "reset":
            return broken(request)
        if noise not in ANSWERED:
            return None
        after = settings.retry_after if noise == "throttled" else None
        if after is not None:
            self.journal.ask_to_wait(_client(request), retry_key(call, body), after)
        return refusal(_CODES[noise], after)

    async def _forwarded(
        self, request: web.Request, body: bytes, noise: NoiseKind | None, outcome: dict[str, Any]
    ) -> web.Response:
        """Let the API server answer, and tell the client what the noise leaves of it."""
        try:
            answer = await self._answer(request, body)
            if noise == "repeat":
                await self._answer(request, body)
        except ClientError:
            # The API server is away: its client sees a broken connection, as it would without us.
            return broken(request)
        outcome["code"] = answer.status
        if noise == "timeout":
            return refusal(504)
        if noise == "reset-after":
            return broken(request)
        if noise == "cut":
            return await _cut(request, answer)
        return answer

    async def _answer(self, request: web.Request, body: bytes) -> web.Response:
        async with self._ask(request, body) as reply:
            text = await reply.read()
            return web.Response(status=reply.status, body=text, headers=passed_on(reply.headers))

    async def _read(self, request: web.Request, call: Call, noise: NoiseKind | None) -> web.StreamResponse:
        told = await self._unforwarded(request, call, b"", noise)
        if told is None and call.verb == "watch":
            told = refusal(410) if self.streams.gone(call) else None
        if told is None and call.verb == "list":
            self.recorder.follow(request.path, request.query, self._headers(request)["Authorization"])
            told = self._earlier(request, call)
        if told is not None:
            return told
        try:
            async with self._ask(request, b"") as reply:
                return await self._pass_on(request, call, reply, noise)
        except ClientError:
            # As above.
            return broken(request)

    def _earlier(self, request: web.Request, call: Call) -> web.Response | None:
        """Answer a list from an earlier moment, if one is to be stale."""
        if "continue" in request.query:
            return None
        for position, stale in enumerate(self.faults.stale):
            if stale.resource != call.resource or not self._stale_left[position]:
                continue
            listed = self.recorder.before(request.path, request.query, stale.back)
            if listed is None:
                continue
            self._stale_left[position] -= 1
            self.journal.fault("stale", call)
            self.streams.hang_behind(listed["metadata"]["resourceVersion"], stale.seconds)
            return web.json_response(listed)
        return None

    async def _pass_on(
        self, request: web.Request, call: Call, reply: ClientResponse, noise: NoiseKind | None
    ) -> web.StreamResponse:
        headers = passed_on(reply.headers)
        if call.verb != "watch" and (noise == "cut" or (reply.content_length or _WHOLE_BYTES) < _WHOLE_BYTES):
            answer = web.Response(status=reply.status, body=await reply.read(), headers=headers)
            return await _cut(request, answer) if noise == "cut" else answer
        response = web.StreamResponse(status=reply.status, headers=headers)
        await response.prepare(request)
        if call.verb == "watch" and reply.status == 200:
            with self.streams.open(call, request, response) as stream:
                await stream.run(lines_of(reply.content.iter_any()))
            return response
        async for chunk in reply.content.iter_any():
            await response.write(chunk)
        return response

    def _ask(self, request: web.Request, body: bytes) -> Any:
        url = URL(self._upstream + request.raw_path, encoded=True)
        headers = self._headers(request)
        return self._session.request(
            request.method, url, data=body or None, headers=headers, allow_redirects=False
        )

    def _headers(self, request: web.Request) -> CIMultiDict[str]:
        headers = passed_on(request.headers)
        headers.setdefault("Authorization", f"Bearer {self._token}")
        return headers


def _client(request: web.Request) -> str:
    """Who calls: a token and a program."""
    return f"{request.headers.get('Authorization', '')} {request.headers.get('User-Agent', '')}"


async def _cut(request: web.Request, answer: web.Response) -> web.Response:
    """Send half of a body, then break off."""
    body = answer.body if isinstance(answer.body, bytes) else b""
    response = web.StreamResponse(status=answer.status, headers=passed_on(answer.headers))
    response.content_length = len(body)
    try:
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        await asyncio.sleep(0.01)
    except ConnectionError:
        # The client left before we could.
        return answer
    return broken(request)
