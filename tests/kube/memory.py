"""A small real API server in memory: resource versions, generations, uids, 404 and 409 as the real one answers them."""

import re
from collections.abc import AsyncIterator, Callable
from copy import deepcopy
from itertools import count

from asiarch.kube.client import ApiError, Kind, Object, Page

Key = tuple[str, str, str]


class Memory:
    """The calls of `asiarch.kube.client.Api` on objects in memory; nothing is collected when its owner goes."""

    def __init__(self) -> None:
        self.objects: dict[Key, Object] = {}
        self.calls: list[tuple[str, str, str]] = []
        """Verb, plural and name of each call, in order."""
        self.before: Callable[[str, Kind, str], None] = lambda _verb, _kind, _name: None
        """Called before each call; what it raises, the caller gets."""
        self._revisions = count(1)

    async def pages(
        self,
        kind: Kind,
        namespace: str | None,
        labels: str = "",
        knows: Callable[[Object], bool] | None = None,
    ) -> AsyncIterator[Page]:
        self._called("list", kind, "")
        found = [
            deepcopy(body)
            for (plural, space, _), body in sorted(self.objects.items())
            if plural == kind.plural and namespace in (None, space) and _chosen(body, labels)
        ]
        revision = str(next(self._revisions))
        if knows is not None:
            yield Page([{"metadata": one["metadata"]} for one in found], revision, whole=False)
        if knows is None or not all(map(knows, found)):
            yield Page(found, revision)

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object | None:
        self._called("get", kind, name)
        return deepcopy(self.objects.get((kind.plural, namespace or "", name)))

    async def calm(self) -> None:
        """There is always room."""

    async def create(self, kind: Kind, namespace: str | None, body: Object) -> Object:
        name = body["metadata"]["name"]
        self._called("create", kind, name)
        key = kind.plural, namespace or "", name
        if key in self.objects:
            raise ApiError(409, "AlreadyExists", f'{kind.plural} "{name}" already exists')
        revision = next(self._revisions)
        meta = body["metadata"] | {"namespace": namespace, "uid": f"uid-{revision}", "generation": 1}
        new = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            **deepcopy(body),
            "metadata": deepcopy(meta),
        }
        return self._store(key, new, revision)

    async def replace(self, kind: Kind, namespace: str | None, name: str, body: Object) -> Object:
        self._called("update", kind, name)
        key, old = self._fenced(kind, namespace, name, body)
        changed = {k: v for k, v in body.items() if k not in ("status", "metadata")}
        kept = {"status": old["status"]} if "status" in old else {}
        return self._store(key, self._numbered(old, {**deepcopy(changed), **kept}, body["metadata"]))

    async def replace_status(self, kind: Kind, namespace: str, name: str, body: Object) -> Object:
        self._called("update/status", kind, name)
        key, old = self._fenced(kind, namespace, name, body)
        return self._store(key, {**old, "status": deepcopy(body.get("status"))})

    async def patch(self, kind: Kind, namespace: str, name: str, body: Object) -> Object:
        self._called("patch", kind, name)
        key, old = self._fenced(kind, namespace, name, body)
        merged = _merged(old, deepcopy(body))
        return self._store(key, self._numbered(old, merged, merged["metadata"]))

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        self._called("delete", kind, name)
        key = kind.plural, namespace, name
        if key in self.objects and self.objects[key]["metadata"]["uid"] == uid:
            del self.objects[key]

    async def delete_all(self, kind: Kind, namespace: str, labels: str) -> None:
        self._called("deletecollection", kind, "")
        assert labels
        for key, body in list(self.objects.items()):
            if key[:2] == (kind.plural, namespace) and _chosen(body, labels):
                del self.objects[key]

    def of(self, kind: Kind) -> list[Object]:
        """All objects of a kind."""
        return [body for (plural, _, _), body in sorted(self.objects.items()) if plural == kind.plural]

    def _called(self, verb: str, kind: Kind, name: str) -> None:
        self.before(verb, kind, name)
        self.calls.append((verb, kind.plural, name))

    def _fenced(self, kind: Kind, namespace: str | None, name: str, body: Object) -> tuple[Key, Object]:
        """The object as it stands, unless it isn't there or isn't the one that the caller saw."""
        key = kind.plural, namespace or "", name
        old = self.objects.get(key)
        if old is None:
            raise ApiError(404, "NotFound", f'{kind.plural} "{name}" not found')
        sent = body.get("metadata", {})
        for fence in ("resourceVersion", "uid"):
            if sent.get(fence) and sent[fence] != old["metadata"][fence]:
                raise ApiError(409, "Conflict", f'{kind.plural} "{name}": the object has been modified')
        return key, old

    def _numbered(self, old: Object, new: Object, meta: Object) -> Object:
        """Keep what the server owns; a changed spec is a new generation."""
        owned = {k: old["metadata"][k] for k in ("namespace", "uid", "generation")}
        if new.get("spec") != old.get("spec"):
            owned["generation"] += 1
        return {
            **new,
            "apiVersion": old["apiVersion"],
            "kind": old["kind"],
            "metadata": {**deepcopy(meta), **owned},
        }

    def _store(self, key: Key, body: Object, revision: int | None = None) -> Object:
        revision = next(self._revisions) if revision is None else revision
        body = {**body, "metadata": {**body["metadata"], "resourceVersion": str(revision)}}
        self.objects[key] = body
        return deepcopy(body)


def _merged(old: Object, patch: Object) -> Object:
    """RFC 7386."""
    merged = dict(old)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            under = old.get(key)
            merged[key] = _merged(under if isinstance(under, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def _chosen(body: Object, labels: str) -> bool:
    """Whether an object bears the labels that a selector asks for: `a=b` and `a in (b,c)`."""
    borne = body["metadata"].get("labels", {})
    clauses = re.findall(r"([\w./-]+)(?:=([^,]*)| in \(([^)]*)\))", labels)
    return all(borne.get(name) in (one or several).split(",") for name, one, several in clauses)
