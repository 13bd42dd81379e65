"""A cluster in memory: ConfigMaps and TokenReviews as an API server keeps and answers them."""

import asyncio
import base64
import copy
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from asiarch.gateway.cluster import AlreadyExistsError, BusyError, Object, QuotaError, UnavailableError

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_MAX_BYTES = 1024 * 1024


@dataclass
class MemoryCluster:
    """Objects by namespace and name; tokens that end with their pod, their time, or their audience."""

    clock: Callable[[], float]
    objects: dict[tuple[str, str], Object] = field(default_factory=dict)
    pods: set[str] = field(default_factory=set)
    reviews: int = 0
    review_seconds: float = 0.0
    """How long each one takes."""
    most_at_once: int = 0
    down: bool = False
    busy: bool = False
    full: str = ""
    """What the API server says of a full quota."""
    _users: dict[str, tuple[Object, str, float]] = field(default_factory=dict)
    _under_way: int = 0

    async def get_config_map(self, namespace: str, name: str) -> Object | None:
        self._answer()
        return copy.deepcopy(self.objects.get((namespace, _named(name))))

    async def create_config_map(self, namespace: str, body: Object) -> Object:
        self._answer()
        name = _named(body["metadata"]["name"])
        if (namespace, name) in self.objects:
            raise AlreadyExistsError(f'configmaps "{name}" already exists')
        if self.full:
            raise QuotaError(self.full)
        size = sum(len(text.encode()) for text in body["data"].values())
        if size > _MAX_BYTES or body["metadata"].get("namespace", namespace) != namespace:
            raise UnavailableError("422 Invalid")
        made = copy.deepcopy(body)
        made["metadata"]["uid"] = secrets.token_hex(8)
        self.objects[namespace, name] = made
        return copy.deepcopy(made)

    async def review(self, token: str, audience: str) -> Object:
        self._answer()
        self.reviews += 1
        self._under_way += 1
        self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            await asyncio.sleep(self.review_seconds)
        finally:
            self._under_way -= 1
        user, wanted, expiry = self._users.get(token, ({}, "", 0.0))
        uid = user.get("extra", {}).get("authentication.kubernetes.io/pod-uid", [""])[0]
        if wanted != audience or self.clock() >= expiry or uid not in self.pods:
            return {"user": {}, "error": "[invalid bearer token, token lookup failed]"}
        return {"authenticated": True, "user": user, "audiences": [audience]}

    def issue(
        self,
        pod: str,
        uid: str,
        *,
        namespace: str = "team",
        account: str = "asiarch-agent",
        audience: str = "asiarch-gateway",
        life: float = 600,
    ) -> str:
        """Start a pod and give it a token."""
        self.pods.add(uid)
        expiry = self.clock() + life
        names = {"pod-name": [pod], "pod-uid": [uid]}
        user = {
            "username": f"system:serviceaccount:{namespace}:{account}",
            "extra": {f"authentication.kubernetes.io/{name}": value for name, value in names.items()},
        }
        token = ".".join(
            map(_part, ({"alg": "RS256"}, {"exp": expiry, "aud": [audience]}, secrets.token_hex(16)))
        )
        self._users[token] = (user, audience, expiry)
        return token

    def put(self, name: str, data: dict[str, str], *, namespace: str = "team", **labels: str) -> None:
        """Create an object of the operator's, with an owner."""
        owner = {"apiVersion": "asiarch.dev/v1alpha1", "kind": "Candidate", "name": "s-0001", "uid": "c-1"}
        metadata = {"name": _named(name), "labels": labels, "ownerReferences": [owner | {"controller": True}]}
        self.objects[namespace, name] = {"metadata": metadata, "data": data}

    def _answer(self) -> None:
        if self.busy:
            raise BusyError("too much waits already", retry_after=3)
        if self.down:
            raise UnavailableError("503 ServiceUnavailable: etcd is gone", retry_after=2)


def _named(name: str) -> str:
    assert _NAME.fullmatch(name), name
    return name


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
