"""What the proxy's tests do again and again: call through it, watch through it, wait."""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.cluster.faults.client import FaultProxy
from tests.cluster.faults.settings import (
    Faults,
    Noise,
    NoiseKind,
)
from tests.cluster.faults.upstream import PATH

SPARE = "spare"
Answer = tuple[int, Any]
BROKEN = (ConnectionError, http.client.HTTPException)
"""What a client sees of a connection that is broken off."""


def call(
    proxy: FaultProxy, method: str, path: str = PATH, body: object = None, agent: str = "test"
) -> Answer:
    """Do one call on a connection of its own."""
    connection = http.client.HTTPConnection(proxy.server.removeprefix("http://"), timeout=20)
    try:
        headers = {"Authorization": "Bearer mine", "User-Agent": agent}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


def create(proxy: FaultProxy, name: str, **kind: str) -> Answer:
    return call(proxy, "POST", body={"metadata": {"name": name}}, **kind)


def names(listed: Any) -> list[str]:
    return [item["metadata"]["name"] for item in listed["items"]]


def noisy(kind: NoiseKind, **settings: Any) -> Faults:
    return Faults(noise=Noise(rate=1.0, kinds=(kind,), **settings))


@dataclass
class Watch:
    """An open watch that a test reads by the line."""

    reply: http.client.HTTPResponse
    _connection: http.client.HTTPConnection = field(repr=False)

    def line(self, seconds: float = 5.0) -> bytes:
        """The next line; TimeoutError when none comes, empty at the end."""
        assert self._connection.sock is not None
        self._connection.sock.settimeout(seconds)
        return self.reply.readline()

    def name(self) -> str:
        return str(json.loads(self.line())["object"]["metadata"]["name"])


@contextmanager
def watching(proxy: FaultProxy, since: int = 0) -> Iterator[Watch]:
    connection = http.client.HTTPConnection(proxy.server.removeprefix("http://"), timeout=5)
    connection.request("GET", f"{PATH}?watch=1&resourceVersion={since}")
    try:
        reply = connection.getresponse()
        if reply.status == 200:
            until(lambda: proxy.state()["watches"] == {"candidates": 1})
        yield Watch(reply, connection)
    finally:
        connection.close()
        until(lambda: proxy.state()["watches"] == {})


def until(happened: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


@contextmanager
def an_operator() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()
