"""The doorbell: kopf's watches feed the stores and ring for a search. The only module that knows kopf.

Handlers keep no state and decide nothing. No indexes, daemons or create and update handlers: with them start-up grows
with the square of the objects, ghosts survive a relist, and an object's own events are seen too late.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import chain, repeat
from typing import Any

import kopf
from kubernetes.aio import client

from asiarch.kube.client import PAGE, Kind
from asiarch.kube.cluster import SELECTORS

Ring = Callable[[Kind, str | None, dict[str, Any]], None]
"""Takes a kind, what happened (ADDED, MODIFIED, DELETED, or None for the first list) and the object."""


class _Backoffs:
    """Seconds between attempts of a watch, without an end: who watches never gives up."""

    def __iter__(self) -> Iterator[float]:
        """From one second up to a quarter of a minute."""
        return chain((1.0, 1.0, 2.0, 3.0, 5.0, 8.0), repeat(13.0))


def registry(ring: Ring, configuration: client.Configuration) -> kopf.OperatorRegistry:
    """All handlers: who we are, and one doorbell for each kind."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return await _connection(configuration)

    for kind in SELECTORS:
        _doorbell(handlers, kind, ring)
    return handlers


def _doorbell(handlers: kopf.OperatorRegistry, kind: Kind, ring: Ring) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, id=f"ring-{kind.plural}", registry=handlers)
    async def heard(event: Any, **_: Any) -> None:
        ring(kind, event["type"], event["object"])


class _NoDiffs(kopf.DiffBaseStorage):
    """Remembers no former state of any object: events only ring."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        pass


class _NoProgress(kopf.ProgressStorage):
    """Remembers no progress of any handler: ours have none."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        pass

    def purge(self, **_: Any) -> None:
        pass

    def touch(self, **_: Any) -> None:
        pass

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


ASKED: Mapping[str, Mapping[str, Any]] = {
    "posting": {"enabled": False},  # one object for each event, without end; we have a recorder
    "peering": {"standalone": True},  # two operators at once are safe, and a Lease keeps one of them idle
    "scanning": {"disabled": True},  # needs rights on namespaces and definitions that we don't want
    "execution": {"max_workers": 1},  # all our handlers are coroutines
    "watching": {"chunk_size": PAGE, "server_timeout": 300, "client_timeout": 330, "inactivity_timeout": 70},
    "networking": {
        "request_timeout": 30,
        "connect_timeout": 5,
        "error_backoffs": _Backoffs(),
        "enforce_retry_after": True,
    },
    "queueing": {
        "exit_timeout": 2,
        "idle_timeout": 0.1,  # so long each object's worker keeps it, of which there are thousands at the start
    },
    "persistence": {
        "diffbase_storage": _NoDiffs(),  # a copy of each object, for a diff that nobody asks for
        "progress_storage": _NoProgress(),
    },
    "process": {"ultimate_exiting_timeout": 10},
}
"""What we ask of kopf, beside the selectors of what is ours."""


def settings() -> kopf.OperatorSettings:
    """Kopf's settings with what we ask; raises AttributeError for what this version of it doesn't know."""
    chosen = kopf.OperatorSettings()
    for group, values in ASKED.items():
        for name, value in values.items():
            getattr(getattr(chosen, group), name)
            setattr(getattr(chosen, group), name, value)
    for kind, selector in SELECTORS.items():
        if selector:
            chosen.watching.label_selectors[kind.plural] = selector
    return chosen


class _Everything(Collection[asyncio.Task[Any]]):
    """All tasks: the framework is to wait for none of them at its end, nor cancel ours. The process ends with it."""

    def __contains__(self, task: object) -> bool:
        return True

    def __iter__(self) -> Iterator[asyncio.Task[Any]]:
        return iter(asyncio.all_tasks())

    def __len__(self) -> int:
        return len(asyncio.all_tasks())


async def watch(
    ring: Ring,
    configuration: client.Configuration,
    namespaces: tuple[str, ...] | None,
    obey: Callable[[], None],
) -> None:
    """Watch for ever; any error of the framework is raised. `obey` takes back the signals, which it took for itself."""
    theirs = await kopf.spawn_tasks(
        registry=registry(ring, configuration),
        settings=settings(),
        standalone=True,
        clusterwide=namespaces is None,
        namespaces=namespaces or (),
    )
    obey()
    await kopf.run_tasks(theirs, ignored=_Everything())


async def _connection(configuration: client.Configuration) -> kopf.ConnectionInfo:
    """The same credentials as our own client's, read anew each time that kopf asks."""
    auth = (await configuration.auth_settings()).get("BearerToken")
    scheme, _, token = str(auth["value"] if auth else "").partition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        scheme="Bearer" if token else None,
        token=token or scheme or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
    )
