"""A tiny API server of one collection, for the proxy's own tests: create, replace, delete, get, list and watch."""

import asyncio
import json
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from aiohttp import web

Object = dict[str, Any]
PATH = "/apis/asiarch.dev/v1alpha1/namespaces/lab/candidates"
_ABOUT = {"apiVersion": "asiarch.dev/v1alpha1", "kind": "Candidate"}


class Upstream:
    """Serves from a thread; `calls` is what really arrived."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.calls: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self._port = port
        self._items: dict[str, Object] = {}
        self._events: list[Object] = []
        self._changed = asyncio.Condition()
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._done = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        app = web.Application()
        app.router.add_route("*", PATH, self._collection)
        app.router.add_route("*", PATH + "/{name}", self._single)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self._port).start()
        self._up.set()
        await self._done.wait()
        await runner.cleanup()

    async def _collection(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        if request.method == "POST":
            made = await request.json()
            name = made["metadata"]["name"]
            if name in self._items:
                return web.json_response({"kind": "Status", "code": 409}, status=409)
            return web.json_response(await self._change("ADDED", name, made), status=201)
        if request.query.get("watch"):
            return await self._watch(request)
        bare = [{k: v for k, v in item.items() if k not in _ABOUT} for item in self._items.values()]
        version = str(len(self._events))
        return web.json_response(
            {
                "apiVersion": _ABOUT["apiVersion"],
                "kind": "CandidateList",
                "metadata": {"resourceVersion": version},
                "items": bare,
            }
        )

    async def _single(self, request: web.Request) -> web.Response:
        self._note(request)
        name = request.match_info["name"]
        if name not in self._items:
            return web.json_response({"kind": "Status", "code": 404}, status=404)
        if request.method == "DELETE":
            return web.json_response(await self._change("DELETED", name, self._items[name]))
        if request.method == "PUT":
            return web.json_response(await self._change("MODIFIED", name, await request.json()))
        return web.json_response(self._items[name])

    async def _change(self, kind: str, name: str, found: Object) -> Object:
        version = str(len(self._events) + 1)
        uid = self._items.get(name, {}).get("metadata", {}).get("uid", f"u{version}")
        changed = {**_ABOUT, **found, "metadata": {"name": name, "uid": uid, "resourceVersion": version}}
        if kind == "DELETED":
            del self._items[name]
        else:
            self._items[name] = changed
        async with self._changed:
            self._events.append({"type": kind, "object": changed})
            self._changed.notify_all()
        return changed

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        position = int(request.query["resourceVersion"])
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        with suppress(ConnectionError):
            while True:
                for event in self._events[position:]:
                    await response.write(json.dumps(event, separators=(",", ":")).encode() + b"\n")
                position = max(position, len(self._events))
                async with self._changed:
                    while len(self._events) == position:
                        await self._changed.wait()
        return response

    def _note(self, request: web.Request) -> None:
        self.calls.append((request.method, request.path_qs))
        self.headers.append(dict(request.headers))
