"""Keeps every version of a search's objects: a watch of the test's own, in a thread, written as JSON lines."""

import asyncio
import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from tests.cluster.checks.evidence import Object, json_lines

KINDS = (
    "apis/asiarch.dev/v1alpha1:architecturesearches",
    "apis/asiarch.dev/v1alpha1:candidates",
    "apis/batch/v1:jobs",
)
"""API and plural of what is watched."""
_RETRY_SECONDS = 0.1
_LINE_BYTES = 1 << 22


class History:
    """Watches a namespace while its block runs; rows have the moment, the event's type and the object."""

    def __init__(
        self, server: str, token: str, namespace: str, path: Path, kinds: Sequence[str] = KINDS
    ) -> None:
        self._server, self._token, self._namespace, self._path = server, token, namespace, path
        self._kinds = tuple(kind.split(":") for kind in kinds)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._task: asyncio.Task[None] | None = None
        self._listed = threading.Semaphore(0)
        self._seen: set[tuple[str, str]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        for _ in self._kinds:
            self._listed.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if error is None:
            self.catch_up()
        self._loop.call_soon_threadsafe(self._stop)
        self._thread.join()

    def rows(self) -> tuple[Object, ...]:
        """What has been seen so far."""
        return json_lines(self._path)

    def catch_up(self, seconds: float = 10.0) -> None:
        """Wait until every object that is there has been seen as it is."""
        asyncio.run_coroutine_threadsafe(self._catch_up(seconds), self._loop).result()

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _run(self) -> None:
        self._task = self._loop.create_task(self._watch_all())
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            # This is how a block ends.
            pass
        finally:
            # TLS connections take a moment to close after their session has.
            self._loop.run_until_complete(asyncio.sleep(0.3))
            self._loop.close()

    def _session(self) -> ClientSession:
        return ClientSession(
            connector=TCPConnector(ssl=False),
            headers={"Authorization": f"Bearer {self._token}"},
            timeout=ClientTimeout(total=None, sock_connect=5),
            read_bufsize=_LINE_BYTES,
        )

    def _url(self, api: str, plural: str) -> str:
        return f"{self._server}/{api}/namespaces/{self._namespace}/{plural}"

    async def _watch_all(self) -> None:
        async with self._session() as session, asyncio.TaskGroup() as tasks:
            for api, plural in self._kinds:
                tasks.create_task(self._watch(session, self._url(api, plural)))

    async def _catch_up(self, seconds: float) -> None:
        async with asyncio.timeout(seconds), self._session() as session:
            for api, plural in self._kinds:
                listed = await _listed(session, self._url(api, plural))
                while any(_version(item) not in self._seen for item in listed["items"]):
                    await asyncio.sleep(0.05)
                    listed = await _listed(session, self._url(api, plural))

    async def _watch(self, session: ClientSession, url: str) -> None:
        """List, watch, and after a break go on from the last revision, or list again when that is gone."""
        since, first = "", True
        while True:
            try:
                if not since:
                    since = await self._list(session, url)
                    if first:
                        first = False
                        self._listed.release()
                since = await self._follow(session, url, since)
            except ClientError:
                # The API server is away, as some tests want it.
                await asyncio.sleep(_RETRY_SECONDS)

    async def _list(self, session: ClientSession, url: str) -> str:
        listed = await _listed(session, url)
        about = {"apiVersion": listed["apiVersion"], "kind": listed["kind"].removesuffix("List")}
        for item in listed["items"]:
            self._keep("ADDED", {**about, **item})
        return str(listed["metadata"]["resourceVersion"])

    async def _follow(self, session: ClientSession, url: str, since: str) -> str:
        params = {"watch": "1", "resourceVersion": since, "allowWatchBookmarks": "true"}
        async with session.get(url, params=params) as reply:
            if reply.status != 200:
                await asyncio.sleep(_RETRY_SECONDS)
                return ""
            async for line in reply.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return ""
                since = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    self._keep(event["type"], event["object"])
        return since

    def _keep(self, kind: str, found: Object) -> None:
        found["metadata"].pop("managedFields", None)
        row = {"moment": time.time(), "type": kind, "object": found}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, separators=(",", ":")) + "\n")
        self._seen.add(_version(found))


async def _listed(session: ClientSession, url: str) -> Object:
    async with session.get(url) as reply:
        reply.raise_for_status()
        listed: Object = json.loads(await reply.read())
        return listed


def _version(found: Object) -> tuple[str, str]:
    return found["metadata"]["uid"], found["metadata"]["resourceVersion"]
