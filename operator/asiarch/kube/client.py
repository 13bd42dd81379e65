"""The Kubernetes API as a few plain calls on JSON objects: bounded in time, polite, and retried by nobody but a turn.

Transport, credentials and their rotation are the `kubernetes` client's.
"""

import asyncio
import json
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, Self
from urllib.parse import quote, urlencode

import aiohttp
import yaml
from kubernetes.aio import client, config

from asiarch.api.fault import Fault, ManifestError
from asiarch.kube.clock import ServerClock
from asiarch.kube.limits import CrowdedError, Limits

Object = dict[str, Any]
"""An API object as JSON."""

PAGE = 100
"""Objects of one page of a list: what is held of it as JSON is ten times its size."""
_WHOLE = "application/json"
_METADATA = f"{_WHOLE};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,{_WHOLE}"
"""Of a list, only its objects' metadata; a server that can't tell sends them whole."""
_SENT = 0.002
"""Seconds that a request is given to leave, before whoever reads a page keeps the event loop to itself."""
_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)
_UNUSABLE = (
    config.ConfigException,
    yaml.YAMLError,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
)
"""What a kubeconfig raises that can't be used; the last four come of values whose type the client takes for granted."""
_MOST_QUIET = 30.0
"""Seconds; a server that asks for more is asked again then: one answer must not put us to sleep."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object and where the API serves it."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """As objects spell it."""
        return f"{self.group}/{self.version}" if self.group else self.version


SEARCHES = Kind("asiarch.dev", "v1alpha1", "architecturesearches", "ArchitectureSearch")
CANDIDATES = Kind("asiarch.dev", "v1alpha1", "candidates", "Candidate")
JOBS = Kind("batch", "v1", "jobs", "Job")
PODS = Kind("", "v1", "pods", "Pod")
CONFIG_MAPS = Kind("", "v1", "configmaps", "ConfigMap")
EVENTS = Kind("events.k8s.io", "v1", "events", "Event")
LEASES = Kind("coordination.k8s.io", "v1", "leases", "Lease")
TOKEN_REVIEWS = Kind("authentication.k8s.io", "v1", "tokenreviews", "TokenReview")


class ApiError(Exception):
    """The API server's refusal, or none at all: `status` 0 says that no whole answer came."""

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        """Keep the parts of the server's Status."""
        super().__init__(f"{status} {reason}: {message}" if status else f"{reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list; all parts of one list carry the same resource version."""

    items: Sequence[Object]
    resource_version: str
    whole: bool = True
    """Whether the items have more than their metadata."""


@dataclass(frozen=True, slots=True)
class _Request:
    """One call, before it is made."""

    method: str
    kind: Kind
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    accept: str = _WHOLE


class Watcher(Protocol):
    """Who counts calls."""

    def api_request(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """Take note of one call; `code` 0 says that no answer came."""


class Api:
    """Calls on behalf of one set of credentials; an `async with` closes its connections."""

    def __init__(self, configuration: client.Configuration, limits: Limits, watcher: Watcher) -> None:
        """Connect to nothing yet."""
        self.configuration = configuration
        # Else aiohttp asks two other threads, at each call, what environment and netrc say of proxies and passwords. A
        # kubeconfig's proxy-url counts all the same.
        configuration.client_session_kwargs = {"middlewares": (_once,), "trust_env": False}
        self._client = client.ApiClient(configuration)
        self.now = ServerClock()
        self._limits = limits
        # Whoever renews too late has lost its lease: it waits for no quiet that others were asked for. And a crowd of
        # strangers, each of whom has a token reviewed, keeps nobody else waiting.
        self._own_limits = {LEASES: Limits(limits.clock), TOKEN_REVIEWS: replace(limits)}
        self._watcher = watcher

    async def __aenter__(self) -> Self:
        """Nothing is opened before the first call."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        await self._client.close()

    async def pages(
        self,
        kind: Kind,
        namespace: str | None,
        labels: str = "",
        knows: Callable[[Object], bool] | None = None,
    ) -> AsyncIterator[Page]:
        """List all objects in pages, as the newest state is; namespace None is all namespaces.

        With `knows`, pages come as metadata alone; one with an object that isn't known by that comes once more, whole.
        """
        path, first = (
            _path(kind, namespace),
            {"limit": str(PAGE)} | ({"labelSelector": labels} if labels else {}),
        )

        def ask(query: Mapping[str, str], accept: str) -> asyncio.Future[Object]:
            return asyncio.ensure_future(self._call(_Request("GET", kind, path, query, accept=accept)))

        accept = _WHOLE if knows is None else _METADATA
        query, coming = first, ask(first, accept)
        try:
            while True:
                found, here = await coming, query
                items, version = found.get("items") or (), found["metadata"]["resourceVersion"]
                further = found["metadata"].get("continue")
                if further:
                    # The server makes up the next page while this one is read.
                    query = first | {"continue": further}
                    coming = ask(query, accept)
                    await asyncio.wait((coming,), timeout=_SENT)
                yield Page(items, version, whole=knows is None)
                if knows is not None and not all(map(knows, items)):
                    again = await ask(here, _WHOLE)
                    yield Page(again.get("items") or (), version)
                if not further:
                    return
        finally:
            coming.cancel()

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object | None:
        """Read one object; none when it isn't there."""
        try:
            return await self._call(_Request("GET", kind, _path(kind, namespace, name)))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def calm(self) -> None:
        """Wait until the server, which may have asked for quiet, can be asked something."""
        await self._limits.wait(write=False)

    async def create(self, kind: Kind, namespace: str | None, body: Object) -> Object:
        """Create an object; raises ApiError 409 AlreadyExists."""
        return await self._call(_Request("POST", kind, _path(kind, namespace), body=_typed(kind, body)))

    async def replace(self, kind: Kind, namespace: str | None, name: str, body: Object) -> Object:
        """Replace an object, fenced by the resource version in `body`."""
        return await self._call(_Request("PUT", kind, _path(kind, namespace, name), body=_typed(kind, body)))

    async def replace_status(self, kind: Kind, namespace: str, name: str, body: Object) -> Object:
        """Replace an object's status, fenced by the resource version in `body`."""
        path = f"{_path(kind, namespace, name)}/status"
        return await self._call(_Request("PUT", kind, path, body=_typed(kind, body)))

    async def patch(self, kind: Kind, namespace: str, name: str, body: Object) -> Object:
        """Merge a patch into an object; a uid or resource version in it is a precondition."""
        return await self._call(_Request("PATCH", kind, _path(kind, namespace, name), body=body))

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Delete exactly the object with this uid; that it is gone, or another one stands there, is success."""
        body = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        try:
            await self._call(_Request("DELETE", kind, _path(kind, namespace, name), body=body))
        except ApiError as error:
            if error.status != 404 and not (error.status == 409 and "UID" in error.message):
                raise

    async def delete_all(self, kind: Kind, namespace: str, labels: str) -> None:
        """Delete all objects that these labels choose; there is no precondition, so let no stranger bear them."""
        query, body = {"labelSelector": labels}, {"propagationPolicy": "Background"}
        await self._call(_Request("DELETE", kind, _path(kind, namespace), query, body))

    async def _call(self, asked: _Request) -> Object:
        method, kind, path, query = asked.method, asked.kind, asked.path, asked.query
        limits = self._own_limits.get(kind, self._limits)
        try:
            await limits.wait(write=method != "GET")
        except CrowdedError as error:
            message = f"{method} {path}: not asked, too much waits already"
            raise ApiError(429, "TooManyRequests", message, error.seconds) from error
        headers = {
            "Accept": asked.accept,
            "Content-Type": "application/merge-patch+json" if method == "PATCH" else "application/json",
            "User-Agent": self._client.user_agent,
        }
        for setting in (await self.configuration.auth_settings()).values():
            headers[setting["key"]] = setting["value"]
        url = f"{self.configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        begun, code = time.monotonic(), 0
        try:
            reply = await self._client.rest_client.request(
                method, url, headers=headers, body=asked.body, _request_timeout=_TIMEOUT
            )
            code, retry_after = reply.status, reply.headers.get("Retry-After")
            self.now.hear(reply.headers.get("Date"))
            return _read(code, await reply.read(), retry_after, limits)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(
                0, "Unreachable", f"{method} {path}: {str(error) or type(error).__name__}"
            ) from error
        finally:
            self._watcher.api_request(method, kind.plural, code, time.monotonic() - begun)


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Sends a request once: aiohttp sends a GET, PUT or DELETE again by itself when its connection is lost.

    It does so for two kinds of its errors only, which become another one here: what was sent may have been done.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientConnectionError(str(error) or type(error).__name__) from error


async def configured(kubeconfig: str | None) -> client.Configuration:
    """Credentials of a kubeconfig, or of the pod that we run in; they are read again when they rotate.

    Raises ManifestError.
    """
    configuration = client.Configuration()
    try:
        if kubeconfig is None:
            config.load_incluster_config(client_configuration=configuration)
        else:
            await config.load_kube_config(config_file=kubeconfig, client_configuration=configuration)
        context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, configuration.key_file)
    except _UNUSABLE as error:
        raise ManifestError([_unusable(kubeconfig, error)]) from error
    return configuration


def _unusable(kubeconfig: str | None, error: Exception) -> Fault:
    """What is wrong with the credentials, in words."""
    said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    if kubeconfig is None:
        found = f"nothing, and no account of a pod ({said})"
        return Fault("--kubeconfig", found, "a kubeconfig outside of a cluster", "name one")
    there = any(Path(part).expanduser().exists() for part in kubeconfig.split(os.pathsep) if part)
    found = f"{kubeconfig}, which " + (f"can't be used ({said})" if there else "does not exist")
    wanted = "a kubeconfig whose current context can be used"
    return Fault("--kubeconfig", found, wanted, "correct the path or the file")


def _read(code: int, payload: bytes, retry_after: str | None, limits: Limits) -> Object:
    """The object of a good answer; the server's Status as an error otherwise."""
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError) as error:
        if code < 400:
            raise ApiError(0, "CutReply", f"{len(payload)} bytes that are not JSON") from error
        found = {}
    if code < 400 and isinstance(found, dict):
        return found
    status = found if isinstance(found, dict) else {}
    wait = _seconds(retry_after)
    if wait is not None:
        limits.be_quiet(wait)
    message = str(status.get("message") or payload[:200].decode(errors="replace"))
    raise ApiError(code, str(status.get("reason") or "Unknown"), message, wait)


def _typed(kind: Kind, body: Object) -> Object:
    return {"apiVersion": kind.api_version, "kind": kind.kind, **body}


def _path(kind: Kind, namespace: str | None, name: str = "") -> str:
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    inside = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    return f"{root}{inside}/{kind.plural}" + (f"/{quote(name, safe='')}" if name else "")


def _seconds(retry_after: str | None) -> float | None:
    """Seconds of a Retry-After; what is no number counts as one second."""
    if retry_after is None:
        return None
    try:
        return min(max(0.0, float(retry_after)), _MOST_QUIET)
    except ValueError:
        return 1.0
