"""Who asks: a pod of an agent, told by its bound token, which the API server verifies.

A verified token is believed for ten seconds and never past its expiry: long enough for an agent's few requests in a
row, short enough that a pod's token ends soon after the pod. Few are verified at once, whoever shows them.
"""

import asyncio
import base64
import binascii
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256

from asiarch.api.names import AUDIENCE
from asiarch.gateway.cluster import BusyError, Cluster, Object
from asiarch.gateway.limits import Limits
from asiarch.gateway.refusal import RefusedError

BELIEVED = 10.0
"""Seconds."""
MAX_TOKEN = 8192
_KEPT = 4096
"""Verified tokens; older ones are verified again."""

_SCHEME = "Bearer "
_ACCOUNT = re.compile(
    r"system:serviceaccount:([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?):([a-z0-9][-a-z0-9.]{0,252})"
)
_POD = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_UID = re.compile(r"[0-9A-Za-z-]{1,64}")


@dataclass(frozen=True, slots=True)
class Caller:
    """The pod behind a verified token."""

    namespace: str
    pod: str
    uid: str
    account: str

    @property
    def job(self) -> str:
        """The Job that made the pod: its name without the five letters that Kubernetes appends."""
        return self.pod.rpartition("-")[0]


class Tokens:
    """Verifies tokens, and remembers for a moment which ones were good."""

    def __init__(self, cluster: Cluster, clock: Callable[[], float], limits: Limits) -> None:
        """`clock` tells the time since 1970, as tokens do."""
        self._cluster = cluster
        self._clock = clock
        self._limits = limits
        self._turns = asyncio.Semaphore(limits.reviews)
        self._known: dict[bytes, tuple[Caller, float]] = {}

    def remembered(self, token: str) -> Caller | None:
        """The caller of a token that was verified a moment ago."""
        caller, until = self._known.get(_key(token), (None, 0.0))
        return caller if self._clock() < until else None

    async def caller(self, token: str) -> Caller:
        """Have a token verified. Raises RefusedError 401 or 403, BusyError and UnavailableError."""
        async with self._turn():
            # Whoever waited here may have shown its token in another request too.
            return self.remembered(token) or await self._verified(token)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One of the few reviews at a time."""
        try:
            async with asyncio.timeout(self._limits.review_seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise BusyError("Too many tokens wait to be reviewed.") from None
        try:
            yield
        finally:
            self._turns.release()

    async def _verified(self, token: str) -> Caller:
        caller = _caller(await self._cluster.review(token, AUDIENCE))
        wanted = self._limits.account
        if caller.account != wanted:
            message = f"The pod {caller.pod} has the service account {caller.account}; wanted {wanted}."
            raise RefusedError(403, "AccountRefused", message)
        self._remember(token, caller)
        return caller

    def _remember(self, token: str, caller: Caller) -> None:
        now = self._clock()
        if len(self._known) >= _KEPT:
            self._known = {key: known for key, known in self._known.items() if now < known[1]}
        if len(self._known) < _KEPT:
            self._known[_key(token)] = (caller, min(now + BELIEVED, _expiry(token)))


def bearer(header: str | None) -> str:
    """The token of an Authorization header."""
    token = (header or "").removeprefix(_SCHEME)
    if not header or not header.startswith(_SCHEME) or not token:
        raise RefusedError(401, "TokenMissing", "Send the pod's token: Authorization: Bearer <token>.")
    if len(token) > MAX_TOKEN or not (token.isascii() and token.isprintable()):
        raise RefusedError(401, "TokenRefused", "What was sent as a token can't be one.")
    return token


def _caller(status: Object) -> Caller:
    """The pod that a TokenReview found."""
    if status.get("authenticated") is not True or AUDIENCE not in (status.get("audiences") or ()):
        wanted = f"The token is not valid for the audience {AUDIENCE}, has expired, or its pod is gone."
        raise RefusedError(401, "TokenRefused", wanted)
    user = status.get("user") or {}
    account = _ACCOUNT.fullmatch(str(user.get("username")))
    pod, uid = (_extra(user, name) for name in ("pod-name", "pod-uid"))
    if account is None or not _POD.fullmatch(pod) or not _UID.fullmatch(uid):
        wanted = "The token is not bound to a pod. Use a projected token of the pod's service account."
        raise RefusedError(403, "PodNotNamed", wanted)
    return Caller(namespace=account[1], pod=pod, uid=uid, account=account[3])


def _extra(user: Object, name: str) -> str:
    values = (user.get("extra") or {}).get(f"authentication.kubernetes.io/{name}") or [""]
    return str(values[0])


def _key(token: str) -> bytes:
    return sha256(token.encode()).digest()


def _expiry(token: str) -> float:
    """When a verified token ends, by its own word; one that doesn't say so is not remembered."""
    try:
        body = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return float(claims["exp"])
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return 0.0
