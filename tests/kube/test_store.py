"""A store holds the newest of each object, whatever the order in which news comes."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from asiarch.kube.client import JOBS, Object
from asiarch.kube.store import Store

SEARCH = ("team", "s")


def an_object(name: str = "a", version: int = 1, uid: str = "", search: str = "s", **more: Any) -> Object:
    metadata = {
        "namespace": "team",
        "name": name,
        "uid": uid or f"uid-{name}",
        "resourceVersion": str(version),
    }
    return {"metadata": metadata, "search": search, "version": version, **more}


def a_store() -> Store[int]:
    return Store(JOBS, lambda found: str(found["search"]), lambda found: int(found["version"]))


def test_news_names_whose_it_is() -> None:
    assert a_store().apply(an_object()) == SEARCH


def test_an_older_version_is_no_news() -> None:
    store = a_store()
    store.apply(an_object(version=5))
    assert store.apply(an_object(version=4)) is None
    held = store.get("team", "a")
    assert held is not None
    assert held.value == 5


def test_what_was_deleted_never_comes_back_by_news_of_before() -> None:
    store = a_store()
    store.apply(an_object(version=5))
    assert store.remove(an_object(version=6)) == SEARCH
    assert store.apply(an_object(version=6)) is None
    assert store.get("team", "a") is None


def test_what_we_deleted_never_comes_back_under_its_uid() -> None:
    store = a_store()
    store.apply(an_object(version=5))
    assert store.forget("team", "a", "uid-a") == SEARCH
    assert store.remove(an_object(version=7)) is None
    assert store.apply(an_object(version=8)) is None


def test_what_only_lost_its_labels_comes_back_with_them() -> None:
    store = a_store()
    store.apply(an_object(version=5))
    store.remove(an_object(version=6))
    assert store.apply(an_object(version=7)) == SEARCH
    assert store.remove(an_object(version=6)) is None
    assert store.get("team", "a") is not None


def test_another_object_may_take_the_name_of_one_that_is_gone() -> None:
    store = a_store()
    store.apply(an_object(version=5))
    store.remove(an_object(version=6))
    assert store.apply(an_object(version=8, uid="another")) == SEARCH


def test_a_late_deletion_of_a_predecessor_spares_its_successor() -> None:
    store = a_store()
    store.apply(an_object(version=8, uid="another"))
    assert store.remove(an_object(version=6)) is None
    assert store.get("team", "a") is not None


def test_a_list_ends_ghosts() -> None:
    store = a_store()
    store.apply(an_object("a", version=3))
    store.apply(an_object("b", version=4))
    assert store.replace([an_object("b", version=4)], 9) == {SEARCH}
    assert set(store.of(SEARCH)) == {"b"}


def test_a_list_spares_what_was_written_after_it() -> None:
    store = a_store()
    store.apply(an_object("a", version=10))
    store.replace([], 9)
    assert set(store.of(SEARCH)) == {"a"}


def test_a_list_of_one_namespace_says_nothing_of_others() -> None:
    store = a_store()
    store.apply(an_object("a", version=3))
    store.replace([], 9, "elsewhere")
    assert len(store) == 1


def test_a_list_from_the_past_is_told() -> None:
    store = a_store()
    store.apply(an_object(version=10))
    assert store.newest == 10
    assert store.take([an_object(version=9)], set()) == set()


def test_an_object_may_change_hands() -> None:
    store = a_store()
    store.apply(an_object(version=1))
    store.apply(an_object(version=2, search="t"))
    assert store.searches() == (("team", "t"),)


@given(st.permutations(range(1, 7)), st.integers(1, 6))
def test_any_order_of_news_leaves_the_newest(order: list[int], deleted_at: int) -> None:
    """One object changes six times and is deleted at one of them; a successor takes its name afterwards."""
    store = a_store()
    for version in order:
        if version < deleted_at:
            store.apply(an_object(version=version))
        elif version == deleted_at:
            store.remove(an_object(version=version))
        else:
            store.apply(an_object(version=version, uid="successor"))
    held = store.get("team", "a")
    if deleted_at == 6:
        assert held is None
    else:
        assert held is not None
        assert (held.uid, held.value) == ("successor", 6)
