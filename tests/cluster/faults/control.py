"""The proxy's control: JSON over HTTP, on a port that only the test knows."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from tests.cluster.faults.forward import Proxy
from tests.cluster.faults.settings import Faults

Json = dict[str, Any]


class Control:
    """`PUT /faults`, `POST /target | /hold | /outage | /record | /restart`, `GET /state`."""

    def __init__(self, proxy: Proxy, outage: Callable[[float], Awaitable[None]]) -> None:
        self._proxy = proxy
        self._outage = outage

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/state", self._state)
        app.router.add_put("/faults", self._faults)
        for path, order in {
            "/target": self._target,
            "/hold": self._hold,
            "/outage": self._cut_off,
            "/record": self._record,
            "/restart": self._restart,
        }.items():
            app.router.add_post(path, _obeyed(order))
        return app

    async def _state(self, _: web.Request) -> web.Response:
        proxy = self._proxy
        return web.json_response(
            {
                **proxy.journal.totals(),
                "pid": proxy.executioner.pid,
                "watches": proxy.streams.totals(),
                "recorded": proxy.recorder.totals(),
            }
        )

    async def _faults(self, request: web.Request) -> web.Response:
        try:
            self._proxy.set(Faults.model_validate_json(await request.read()))
        except ValidationError as wrong:
            return web.json_response({"error": str(wrong)}, status=400)
        return web.json_response({})

    async def _target(self, wanted: Json) -> None:
        self._proxy.executioner.pid = wanted["pid"]
        self._proxy.journal.forget_retries()

    async def _hold(self, wanted: Json) -> None:
        self._proxy.streams.hold(wanted["resource"], wanted["how"])

    async def _cut_off(self, wanted: Json) -> None:
        await self._outage(wanted["seconds"])

    async def _record(self, _: Json) -> None:
        self._proxy.recorder.on = True

    async def _restart(self, _: Json) -> None:
        self._proxy.journal.restart()
        self._proxy.executioner.pid = None
        self._proxy.recorder.stop()


def _obeyed(order: Callable[[Json], Awaitable[None]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        await order(await request.json())
        return web.json_response({})

    return handle
