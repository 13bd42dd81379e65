"""The gateway's HTTP: routes, one answer and one audit line for every request, and never a traceback.

The audit line names who asked for what and how it ended; tokens and texts stay out of it.
"""

import asyncio
import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic import ValidationError

from asiarch.api.base import timestamp
from asiarch.gateway import contexts, results
from asiarch.gateway.cluster import BusyError, Cluster, Contact, QuotaError, UnavailableError
from asiarch.gateway.limits import Buckets, Limits
from asiarch.gateway.meter import Meter
from asiarch.gateway.metrics import Metrics
from asiarch.gateway.provider import Completion, NoModelError, Provider
from asiarch.gateway.refusal import RefusedError
from asiarch.gateway.tokens import Caller, Tokens, bearer

_READY_SECONDS = 30.0
"""A cluster that answered so long ago counts as reached."""
_DRAIN_SECONDS = 2.0
"""Of each port, for what is under way when the process is told to stop."""
_PROBES = ("/livez", "/readyz")
_HTTP_REASONS = {404: "RouteNotFound", 405: "MethodNotAllowed", 413: "TooLarge"}

_log = logging.getLogger(__name__)
_audit = logging.getLogger("asiarch.gateway.audit")


@dataclass(slots=True)
class _Entry:
    """What the audit line will say."""

    caller: Caller | None = None
    order: str = ""
    received: int = 0
    reason: str = ""

    def line(self, request: web.Request, response: web.StreamResponse, spent: float, now: float) -> str:
        """The line, as JSON."""
        who = {} if self.caller is None else asdict(self.caller)
        return json.dumps(
            {
                "time": timestamp(now),
                **who,
                "address": request.remote,
                "order": self.order,
                "route": _route(request),
                "status": response.status,
                "reason": self.reason,
                "received": self.received,
                "sent": response.content_length or 0,
                "ms": round(spent * 1000, 1),
            }
        )


_ENTRY: web.RequestKey[_Entry] = web.RequestKey("entry", _Entry)


def app(
    cluster: Cluster,
    provider: Provider,
    metrics: Metrics,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    clock: Callable[[], float] = time.time,
) -> web.Application:
    """The application of the agents' port."""
    gateway = Gateway(Contact(cluster, clock), provider, limits, clock)
    made = web.Application(
        client_max_size=limits.body, middlewares=[_answering(metrics, limits.seconds, clock)]
    )
    made.router.add_get("/v1/context", gateway.context, allow_head=False)
    made.router.add_post("/v1/result", gateway.result)
    made.router.add_post("/v1/complete", gateway.complete)
    made.router.add_get("/livez", gateway.livez)
    made.router.add_get("/readyz", gateway.readyz)
    return made


def runner(made: web.Application) -> web.AppRunner:
    """Serves an application as it must be: what is sent is taken literally, idle connections and drains end."""
    quiet = logging.getLogger("asiarch.gateway.http")
    quiet.addFilter(_without_traceback)
    return web.AppRunner(
        made,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=30.0,
        lingering_time=2.0,
        logger=quiet,
        shutdown_timeout=_DRAIN_SECONDS,
    )


class Gateway:
    """Answers agents."""

    def __init__(
        self, cluster: Contact, provider: Provider, limits: Limits, clock: Callable[[], float]
    ) -> None:
        self._cluster = cluster
        self._provider = provider
        self._limits = limits
        self._tokens = Tokens(cluster, clock, limits)
        self._meter = Meter()
        self._pods = Buckets(limits.pod, clock)
        self._strangers = Buckets(limits.stranger, clock)

    async def context(self, request: web.Request) -> web.Response:
        """Tell a pod its order's context."""
        caller = await self._caller(request)
        told = await self._told(request, caller)
        whole = await contexts.filled(self._cluster, caller.namespace, told.context)
        return web.Response(text=whole.model_dump_json(by_alias=True), content_type="application/json")

    async def result(self, request: web.Request) -> web.Response:
        """Keep a pod's result with what we counted: 201 for a new one, 200 for the same one again."""
        caller = await self._caller(request)
        body = await self._body(request)
        told = await self._told(request, caller)
        brought = results.read(body, told.context.order)
        result = brought.model_copy(update={"cost": self._meter.cost(caller.uid)})
        new = await results.keep(self._cluster, caller, told, result)
        return web.json_response({"order": result.order}, status=201 if new else 200)

    async def complete(self, request: web.Request) -> web.Response:
        """Ask a language model for a pod."""
        caller = await self._caller(request)
        try:
            question = Completion.model_validate_json(await self._body(request), strict=True)
            reply = await self._provider.complete(question)
        except ValidationError as error:
            message = f"Not a question to a model: {error.error_count()} faults."
            raise RefusedError(400, "CompletionInvalid", message) from None
        except NoModelError as error:
            raise RefusedError(501, "ProviderUnavailable", str(error)) from None
        self._meter.count(caller.uid, reply.tokens)
        return web.Response(text=reply.model_dump_json(by_alias=True), content_type="application/json")

    async def livez(self, _: web.Request) -> web.Response:
        """Say that the event loop runs."""
        return web.Response(text="ok")

    async def readyz(self, _: web.Request) -> web.Response:
        """Say whether the API server answers."""
        if await self._cluster.within(_READY_SECONDS):
            return web.Response(text="ok")
        raise RefusedError(503, "ClusterUnreachable", "The API server gave no usable answer.", retry_after=1)

    async def _caller(self, request: web.Request) -> Caller:
        """The pod that asks, if it may ask now."""
        token = bearer(request.headers.get("Authorization"))
        caller = self._tokens.remembered(token)
        if caller is None:
            return await self._introduced(token, request)
        self._welcome(caller, request)
        return caller

    async def _introduced(self, token: str, request: web.Request) -> Caller:
        """The pod behind a token that has to be reviewed; its address pays first, and is paid back for a good pod."""
        address = request.remote or ""
        _granted(self._strangers.take(address), f"The address {address}, with tokens that are not known yet,")
        caller = await self._tokens.caller(token)
        self._welcome(caller, request)
        self._strangers.give_back(address)
        return caller

    def _welcome(self, caller: Caller, request: web.Request) -> None:
        request[_ENTRY].caller = caller
        _granted(self._pods.take(caller.uid), f"The pod {caller.pod}")

    async def _told(self, request: web.Request, caller: Caller) -> contexts.Told:
        told = await contexts.find(self._cluster, caller)
        request[_ENTRY].order = told.context.order.name
        return told

    async def _body(self, request: web.Request) -> bytes:
        """The whole body, bounded in bytes and time."""
        limit, length = self._limits.body, request.content_length or 0
        if length > limit:
            raise RefusedError(413, "TooLarge", f"The body has {length} bytes; at most {limit} are taken.")
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                body = await request.read()
        except TimeoutError:
            message = f"The body did not come within {self._limits.body_seconds:g} s."
            raise RefusedError(408, "BodyTooSlow", message) from None
        except (web.RequestPayloadError, ConnectionError) as error:
            raise RefusedError(
                400, "BodyBroken", f"The body could not be read: {type(error).__name__}."
            ) from None
        request[_ENTRY].received = len(body)
        return body


def _granted(wait: float, who: str) -> None:
    if wait:
        raise RefusedError(429, "TooManyRequests", f"{who} asks too often.", retry_after=wait)


def _answering(metrics: Metrics, seconds: float, clock: Callable[[], float]) -> Middleware:
    """Turns whatever happens into one answer, one audit line and its counts."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        begun = time.perf_counter()
        entry = request[_ENTRY] = _Entry()
        try:
            async with asyncio.timeout(seconds):
                response = await handler(request)
        except Exception as error:  # noqa: BLE001 - answered, and logged if it is a fault of ours
            refused = _refused(error)
            entry.reason = refused.reason
            response = _response(refused)
        spent = time.perf_counter() - begun
        metrics.answered(_route(request), response.status, spent, entry.reason)
        if request.path not in _PROBES:
            _audit.info(entry.line(request, response, spent, clock()))
        return response

    return answer


def _route(request: web.Request) -> str:
    """The route as it was declared; whatever else was asked for is one route."""
    resource = request.match_info.route.resource
    return "other" if resource is None else resource.canonical


def _refused(error: Exception) -> RefusedError:
    """What is said of an error; one that we didn't foresee is logged and told apart from nothing else."""
    match error:
        case RefusedError():
            return error
        case UnavailableError():
            return _unserved(error)
        case TimeoutError():
            return RefusedError(503, "TooSlow", "The answer took too long; try again.", retry_after=1)
        case web.HTTPException():
            reason = _HTTP_REASONS.get(error.status, "BadRequest")
            return RefusedError(error.status, reason, f"{error.reason}.")
        case _:
            _log.error("A fault of the gateway's own", exc_info=error)
            return RefusedError(500, "InternalError", "The gateway failed; its log says why.", retry_after=1)


def _unserved(error: UnavailableError) -> RefusedError:
    """What is said while the cluster doesn't do its part."""
    status, reason, message = 503, "ClusterUnavailable", "The API server gave no usable answer; try again."
    if isinstance(error, BusyError):
        status, reason = 429, "ClusterBusy"
        message = "The API server is asked too much at the moment; try again."
    elif isinstance(error, QuotaError):
        reason, message = "QuotaExceeded", f"{error}; try again."
    else:
        _log.warning("The API server gave no usable answer: %s", error)
    return RefusedError(status, reason, message, error.retry_after or 1)


def _response(refused: RefusedError) -> web.Response:
    headers = {}
    if refused.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(refused.retry_after)))
    if refused.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    body = {"reason": refused.reason, "message": str(refused)}
    return web.json_response(body, status=refused.status, headers=headers)


def _without_traceback(record: logging.LogRecord) -> bool:
    """Keep one line of what is no HTTP at all."""
    vars(record)["exc_info"] = None
    return True
