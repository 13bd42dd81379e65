"""One call as Kubernetes sees it: verb, resource, object."""

from collections.abc import Mapping
from dataclasses import dataclass

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}


@dataclass(frozen=True)
class Call:
    """What a request asks for; a path outside the API's resources has no resource."""

    verb: str
    path: str
    resource: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def writes(self) -> bool:
        """Whether it changes something."""
        return self.verb in WRITES


def parse(method: str, path: str, query: Mapping[str, str]) -> Call:
    """Read a request's line."""
    parts = [part for part in path.split("/") if part]
    head = {"api": 2, "apis": 3}.get(parts[0] if parts else "")
    if head is None or len(parts) <= head:
        return Call(_VERBS.get(method, method.lower()), path)
    inside = parts[head:]
    if inside[0] == "namespaces" and len(inside) > 2 and inside[2] not in {"status", "finalize"}:
        inside = inside[2:]
    resource, name, subresource = (*inside, "", "")[:3]
    return Call(_verb(method, name, query), path, resource, name, subresource)


def _verb(method: str, name: str, query: Mapping[str, str]) -> str:
    if method == "DELETE":
        return "delete" if name else "deletecollection"
    if method != "GET":
        return _VERBS.get(method, method.lower())
    if query.get("watch", "").lower() in {"1", "true"}:
        return "watch"
    return "get" if name else "list"
