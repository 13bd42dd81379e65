"""The gateway in a cluster: its port over the Kubernetes API, and its two HTTP ports until SIGTERM."""

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass

from asiarch.api.reason import Reason
from asiarch.gateway.cluster import AlreadyExistsError, BusyError, QuotaError, UnavailableError
from asiarch.gateway.limits import Limits as AgentLimits
from asiarch.gateway.metrics import Metrics, page
from asiarch.gateway.provider import Grammar
from asiarch.gateway.server import app, runner
from asiarch.kube.client import CONFIG_MAPS, TOKEN_REVIEWS, Api, ApiError, Object, configured
from asiarch.kube.limits import Limits
from asiarch.kube.probes import listen
from asiarch.kube.refusals import reason_of

_LONGEST_WAIT = 2.0
"""Seconds that a call may wait for its turn; an agent does better to come again than to hold a connection."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """How the gateway is deployed; no host is every address, no kubeconfig is the pod's own account."""

    port: int = 8081
    metrics_port: int = 8082
    host: str | None = None
    kubeconfig: str | None = None
    agent_service_account: str = "asiarch-agent"


class ApiCluster:
    """The gateway's three calls."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def get_config_map(self, namespace: str, name: str) -> Object | None:
        with _translated():
            return await self._api.get(CONFIG_MAPS, namespace, name)

    async def create_config_map(self, namespace: str, body: Object) -> Object:
        with _translated():
            return await self._api.create(CONFIG_MAPS, namespace, body)

    async def review(self, token: str, audience: str) -> Object:
        with _translated():
            body = {"spec": {"token": token, "audiences": [audience]}}
            found: Object = (await self._api.create(TOKEN_REVIEWS, None, body)).get("status", {})
            return found


async def serve(settings: Settings) -> None:
    """Serve both ports until SIGTERM or SIGINT; what is under way then ends within some seconds."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        api = Api(
            await configured(settings.kubeconfig), Limits(time.monotonic, longest=_LONGEST_WAIT), metrics
        )
        await stack.enter_async_context(api)
        rules = AgentLimits(account=settings.agent_service_account)
        agents = app(ApiCluster(api), Grammar(), metrics, rules)
        ports = {"--metrics-port": settings.metrics_port, "--port": settings.port}
        for made, (option, port) in zip((page(metrics), agents), ports.items(), strict=True):
            served = runner(made)
            stack.push_async_callback(served.cleanup)
            await served.setup()
            await listen(served, settings.host, port, option)
        _log.info(
            "The gateway serves agents on port %d, metrics on port %d.", settings.port, settings.metrics_port
        )
        await stop.wait()
        _log.info("The gateway stops.")


@contextmanager
def _translated() -> Iterator[None]:
    """Says in the gateway's words what the API server refused."""
    try:
        yield
    except ApiError as error:
        if error.status == 409 and error.reason == "AlreadyExists":
            raise AlreadyExistsError(error.message) from error
        if reason_of(error) == Reason.QUOTA_EXCEEDED:
            raise QuotaError(error.message) from error
        refusal = BusyError if error.status == 429 else UnavailableError
        raise refusal(str(error), error.retry_after) from error
