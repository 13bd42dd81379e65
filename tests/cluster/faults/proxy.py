"""The proxy: `python -m tests.cluster.faults.proxy --listen HOST:PORT --upstream URL --control HOST:PORT`.

The operator's kubeconfig names `http://HOST:PORT` as its server; its bearer token is passed on. `client.py` is the
test's side of the control.
"""

import argparse
import asyncio
import logging
import signal
import ssl
from contextlib import AsyncExitStack
from pathlib import Path

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web

from tests.cluster.faults.control import Control
from tests.cluster.faults.forward import Proxy
from tests.cluster.faults.journal import Journal
from tests.cluster.faults.wire import reset

_MAX_BODY = 8 << 20


class Listener:
    """The door to the proxy, which an outage closes."""

    def __init__(self, runner: web.AppRunner, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._runner, self._host, self._port, self._tls = runner, host, port, tls
        self._site: web.TCPSite | None = None
        self._outages: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        self._site = web.TCPSite(
            self._runner, self._host, self._port, ssl_context=self._tls, reuse_address=True
        )
        await self._site.start()

    async def outage(self, seconds: float) -> None:
        """Refuse connections, now and for so long."""
        if self._site is not None:
            await self._site.stop()
            self._site = None
        server = self._runner.server
        for connection in [] if server is None else list(server.connections):
            reset(connection.transport)
        task = asyncio.create_task(self._after(seconds))
        self._outages.add(task)
        task.add_done_callback(self._outages.discard)

    async def _after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.open()


async def _serve(options: argparse.Namespace) -> None:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(
            ClientSession(
                connector=TCPConnector(ssl=False, limit=0),
                timeout=ClientTimeout(total=None, sock_connect=5),
                cookie_jar=DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            )
        )
        journal = Journal(options.journal)
        stack.callback(journal.close)
        proxy = Proxy(session, options.upstream.rstrip("/"), options.token, journal)
        stack.callback(proxy.recorder.stop)
        app = web.Application(client_max_size=_MAX_BODY)
        app.router.add_route("*", "/{path:.*}", proxy.handle)
        listener = Listener(await _runner(stack, app), *_address(options.listen), _tls(options))
        await listener.open()
        controls = await _runner(stack, Control(proxy, listener.outage).app())
        await web.TCPSite(controls, *_address(options.control)).start()
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        await stopped.wait()


async def _runner(stack: AsyncExitStack, app: web.Application) -> web.AppRunner:
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    return runner


def _tls(options: argparse.Namespace) -> ssl.SSLContext | None:
    if options.certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(options.certificate, options.key)
    return context


def _address(text: str) -> tuple[str, int]:
    host, port = text.rsplit(":", 1)
    return host, int(port)


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--listen", required=True, help="HOST:PORT for the operator")
    parser.add_argument(
        "--upstream", required=True, help="URL of the API server; its certificate is not checked"
    )
    parser.add_argument("--control", required=True, help="HOST:PORT for the test")
    parser.add_argument("--journal", type=Path, help="file that gets a JSON line per write, fault and kill")
    parser.add_argument("--token", default="", help="for calls that bring none, as kubectl's over http")
    parser.add_argument("--certificate", type=Path, help="serve TLS with this certificate")
    parser.add_argument("--key", type=Path)
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
