"""The API server in memory answers as the real one does."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from asiarch.kube.client import CANDIDATES, ApiError, Object
from tests.kube.memory import Memory


def done(work: Coroutine[Any, Any, Object]) -> Object:
    return asyncio.run(work)


def a_body(name: str = "s-0001", **spec: Any) -> Object:
    return {"metadata": {"name": name, "labels": {"asiarch.dev/search": "s"}}, "spec": spec}


def refused(work: Coroutine[Any, Any, Any]) -> tuple[int, str]:
    with pytest.raises(ApiError) as caught:
        asyncio.run(work)
    return caught.value.status, caught.value.reason


def test_a_name_is_given_once() -> None:
    api = Memory()
    created = done(api.create(CANDIDATES, "a", a_body()))
    assert created["metadata"]["uid"]
    assert refused(api.create(CANDIDATES, "a", a_body())) == (409, "AlreadyExists")
    assert done(api.create(CANDIDATES, "b", a_body()))["metadata"]["uid"] != created["metadata"]["uid"]


def test_what_is_not_there_cannot_be_changed() -> None:
    api = Memory()
    assert asyncio.run(api.get(CANDIDATES, "a", "s-0001")) is None
    assert refused(api.replace(CANDIDATES, "a", "s-0001", a_body())) == (404, "NotFound")
    assert refused(api.patch(CANDIDATES, "a", "s-0001", {"spec": {}})) == (404, "NotFound")


def test_an_overtaken_write_conflicts() -> None:
    api = Memory()
    seen = done(api.create(CANDIDATES, "a", a_body()))
    newer = done(api.replace_status(CANDIDATES, "a", "s-0001", {**seen, "status": {"phase": "Building"}}))
    assert refused(api.replace_status(CANDIDATES, "a", "s-0001", {**seen, "status": {}})) == (409, "Conflict")
    assert refused(api.replace(CANDIDATES, "a", "s-0001", seen)) == (409, "Conflict")
    assert done(api.replace(CANDIDATES, "a", "s-0001", newer))["status"] == {"phase": "Building"}


def test_a_status_write_leaves_the_spec_and_its_generation() -> None:
    api = Memory()
    seen = done(api.create(CANDIDATES, "a", a_body(seed=1)))
    other = {**seen, "spec": {"seed": 2}, "status": {"phase": "Building"}}
    assert done(api.replace_status(CANDIDATES, "a", "s-0001", other))["spec"] == {"seed": 1}
    changed = done(api.patch(CANDIDATES, "a", "s-0001", {"spec": {"seed": 3}, "status": None}))
    assert changed["metadata"]["generation"] == 2
    assert "status" not in changed


def test_a_delete_takes_the_object_that_was_meant() -> None:
    api = Memory()
    uid = done(api.create(CANDIDATES, "a", a_body()))["metadata"]["uid"]
    asyncio.run(api.delete(CANDIDATES, "a", "s-0001", "another"))
    assert api.of(CANDIDATES)
    asyncio.run(api.delete(CANDIDATES, "a", "s-0001", uid))
    assert not api.of(CANDIDATES)
    asyncio.run(api.delete(CANDIDATES, "a", "s-0001", uid))


def test_a_list_selects_by_label_and_namespace() -> None:
    async def names(api: Memory, namespace: str | None, labels: str) -> list[str]:
        pages = [page async for page in api.pages(CANDIDATES, namespace, labels)]
        return [item["metadata"]["name"] for page in pages for item in page.items]

    api = Memory()
    done(api.create(CANDIDATES, "a", a_body("s-0001")))
    done(api.create(CANDIDATES, "b", a_body("s-0002")))
    assert asyncio.run(names(api, "a", "asiarch.dev/search=s")) == ["s-0001"]
    assert asyncio.run(names(api, None, "")) == ["s-0001", "s-0002"]
    assert asyncio.run(names(api, None, "asiarch.dev/search=t")) == []
