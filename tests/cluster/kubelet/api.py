"""The API as the playing kubelet uses it: small raw calls, for it makes many."""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml

Object = dict[str, Any]

JSON = "application/json"
STRATEGIC = "application/strategic-merge-patch+json"
"""Conditions merge by type: what others said of a pod stays."""
GONE = {404, 409}
"""An object that isn't there any more, or is another one of the same name."""
_TRANSIENT = {408, 429, 500, 502, 503, 504}
_RETRY_SECONDS = 0.2
_MOST_RETRY_SECONDS = 3.0
_WATCH_SECONDS = 300
_CALL_SECONDS = 30.0
_CONNECTIONS = 64


class RefusedError(Exception):
    """The server's definite no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Api:
    """One client with one identity, also for the gateway."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._server = cluster["server"]
        self._ssl = _trust(cluster)
        self._headers = {"Authorization": f"Bearer {user['token']}"}
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """Connections to anywhere; they carry nobody's token by themselves."""
        assert self._session is not None
        return self._session

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._ssl, limit=_CONNECTIONS)
        self._session = aiohttp.ClientSession(connector=connector)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.session.close()

    async def call(self, method: str, path: str, body: Object | None = None, kind: str = JSON) -> Object:
        """One call, again and again until it is answered; raises RefusedError."""
        pause = _RETRY_SECONDS
        while True:
            try:
                return await self._once(method, path, body, kind)
            except RefusedError as error:
                if error.status not in _TRANSIENT:
                    raise
            except (aiohttp.ClientError, TimeoutError, OSError):
                # The server is down or being restarted; a kubelet waits for it.
                pass
            await asyncio.sleep(pause)
            pause = min(2 * pause, _MOST_RETRY_SECONDS)

    async def find(self, path: str) -> Object | None:
        """An object, if there is one."""
        try:
            return await self.call("GET", path)
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    async def watch(self, path: str) -> AsyncIterator[tuple[str, Object]]:
        """`("LISTED", list)` at first and after every gap, and the events that follow it."""
        while True:
            listed = await self.call("GET", path)
            yield "LISTED", listed
            async for event, found in self._follow(path, listed["metadata"]["resourceVersion"]):
                yield event, found
            await asyncio.sleep(_RETRY_SECONDS)

    async def _once(self, method: str, path: str, body: Object | None, kind: str) -> Object:
        data = None if body is None else json.dumps(body).encode()
        headers = {**self._headers, "Content-Type": kind}
        timeout = aiohttp.ClientTimeout(total=_CALL_SECONDS)
        async with self.session.request(
            method, self._server + path, data=data, headers=headers, timeout=timeout
        ) as answer:
            raw = await answer.read()
            if answer.status >= 400:
                raise RefusedError(answer.status, raw.decode(errors="replace")[:500])
            found: Object = json.loads(raw)
            return found

    async def _follow(self, path: str, version: str) -> AsyncIterator[tuple[str, Object]]:
        """Events since `version`, over as many connections as it takes; ends when the server has forgotten it."""
        while True:
            query = (
                f"&watch=1&allowWatchBookmarks=true&timeoutSeconds={_WATCH_SECONDS}&resourceVersion={version}"
            )
            timeout = aiohttp.ClientTimeout(sock_connect=_CALL_SECONDS, sock_read=_WATCH_SECONDS)
            try:
                async with self.session.get(
                    f"{self._server}{path}{query}", headers=self._headers, timeout=timeout
                ) as answer:
                    if answer.status != 200:
                        return
                    async for event in _events(answer.content):
                        if event["type"] == "ERROR":
                            return
                        version = event["object"]["metadata"]["resourceVersion"]
                        if event["type"] != "BOOKMARK":
                            yield event["type"], event["object"]
            except (aiohttp.ClientError, TimeoutError, OSError):
                await asyncio.sleep(_RETRY_SECONDS)


async def _events(stream: aiohttp.StreamReader) -> AsyncIterator[Object]:
    """Lines of any length; one that the connection cut off is lost, and comes again with the next."""
    unread = b""
    async for chunk in stream.iter_any():
        *lines, unread = (unread + chunk).split(b"\n")
        for line in lines:
            yield json.loads(line)


def _trust(cluster: Object) -> ssl.SSLContext | bool:
    if "certificate-authority-data" in cluster:
        pem = base64.b64decode(cluster["certificate-authority-data"]).decode()
        return ssl.create_default_context(cadata=pem)
    return not cluster.get("insecure-skip-tls-verify", False)
