"""I7: after a search has been deleted nothing of ours is left; and the reading that this and `gather` need."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator
from typing import Any

from tests.cluster.checks.evidence import GROUP, Object

_SKIPPED = frozenset({"events"})
"""What Kubernetes keeps for an hour by itself, of whatever is gone."""
MANAGED = ("app.kubernetes.io/managed-by", "asiarch")


class Reader:
    """Reads an API server as its administrator."""

    def __init__(self, server: str, token: str) -> None:
        self._server = server
        self._headers = {"Authorization": f"Bearer {token}"}
        self._unchecked = ssl.create_default_context()
        self._unchecked.check_hostname, self._unchecked.verify_mode = False, ssl.CERT_NONE

    def get(self, path: str) -> Object | None:
        """What stands at a path; none if nothing does."""
        request = urllib.request.Request(self._server + path, headers=self._headers)  # noqa: S310  # the test's own
        try:
            with urllib.request.urlopen(request, timeout=30, context=self._unchecked) as reply:  # noqa: S310  # the same
                found: Object = json.loads(reply.read())
                return found
        except urllib.error.HTTPError as refused:
            if refused.code == 404:
                return None
            raise

    def items(self, path: str) -> list[Object]:
        """A list's items, each with its kind."""
        listed = self.get(path)
        if listed is None:
            return []
        about = {"apiVersion": listed["apiVersion"], "kind": listed["kind"].removesuffix("List")}
        return [{**about, **item} for item in listed["items"]]

    def everything(self, namespace: str) -> Iterator[Object]:
        """Every object of a namespace, of every kind that can be listed."""
        for api in self._apis():
            found = self.get(api)
            for resource in (found or {}).get("resources", ()):
                listed = (
                    resource["namespaced"] and "list" in resource["verbs"] and "/" not in resource["name"]
                )
                if listed and resource["name"] not in _SKIPPED:
                    yield from self.items(f"{api}/namespaces/{namespace}/{resource['name']}")

    def _apis(self) -> Iterator[str]:
        yield "/api/v1"
        groups: Any = self.get("/apis") or {}
        for group in groups.get("groups", ()):
            yield f"/apis/{group['preferredVersion']['groupVersion']}"


def nothing_left(objects: Collection[Object], uids: Collection[str]) -> list[str]:
    """I7: of all objects of a namespace none is ours, bears our labels or is owned by one of `uids`, ours that were."""
    known, found = set(uids), []
    for thing in objects:
        metadata = thing["metadata"]
        labels = metadata.get("labels") or {}
        owners = {owner["uid"] for owner in metadata.get("ownerReferences") or ()}
        ours = labels.get(MANAGED[0]) == MANAGED[1] or any(label.startswith(f"{GROUP}/") for label in labels)
        if thing["apiVersion"].startswith(f"{GROUP}/"):
            found.append(f"I7 {thing['kind']} {metadata['name']} is left")
        elif ours:
            found.append(f"I7 {thing['kind']} {metadata['name']} is left, with our labels")
        elif owners & known:
            found.append(f"I7 {thing['kind']} {metadata['name']} is left, owned by {sorted(owners & known)}")
    return found
