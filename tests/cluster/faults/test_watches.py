"""The fault proxy does to watches and lists what it is told, and nothing else."""

import json
import time

import pytest

from tests.cluster.faults.client import FaultProxy
from tests.cluster.faults.scene import (
    call,
    create,
    names,
    until,
    watching,
)
from tests.cluster.faults.settings import Faults, Stale, WatchFault, WatchKind
from tests.cluster.faults.upstream import PATH, Upstream


def test_a_watch_is_passed_on_as_it_comes(proxy: FaultProxy) -> None:
    with watching(proxy) as watch:
        create(proxy, "a")
        assert watch.name() == "a"
        create(proxy, "b")
        assert watch.name() == "b"


def test_a_watch_that_begins_is_gone(proxy: FaultProxy) -> None:
    proxy.faults(Faults(watches=(WatchFault(kind="gone", resource="candidates"),)))
    with watching(proxy) as watch:
        assert watch.reply.status == 410
    with watching(proxy) as watch:
        assert watch.reply.status == 200
    assert proxy.state()["faults"] == {"watch-gone": 1}


@pytest.mark.parametrize(("kind", "code"), [("error-410", 410), ("error-500", 500)])
def test_an_error_comes_in_the_stream_and_ends_it(proxy: FaultProxy, kind: WatchKind, code: int) -> None:
    with watching(proxy) as watch:
        proxy.faults(Faults(watches=(WatchFault(kind=kind),)))
        event = json.loads(watch.line())
        assert (event["type"], event["object"]["code"]) == ("ERROR", code)
        assert watch.line() == b""


def test_a_black_hole_shows_nothing_and_does_not_end(proxy: FaultProxy) -> None:
    with watching(proxy) as watch:
        proxy.faults(Faults(watches=(WatchFault(kind="black-hole"),)))
        create(proxy, "a")
        with pytest.raises(TimeoutError):
            watch.line(0.3)
    with watching(proxy) as watch:
        assert watch.name() == "a"


def test_events_come_twice(proxy: FaultProxy) -> None:
    proxy.faults(Faults(watches=(WatchFault(kind="duplicate"),)))
    with watching(proxy) as watch:
        create(proxy, "a")
        assert (watch.name(), watch.name()) == ("a", "a")


def test_events_overtake_each_other_and_none_is_kept_for_ever(proxy: FaultProxy) -> None:
    proxy.faults(Faults(watches=(WatchFault(kind="reorder"),)))
    with watching(proxy) as watch:
        for name in "abc":
            create(proxy, name)
        assert [watch.name() for _ in "abc"] == ["b", "a", "c"]


def test_events_are_dropped(proxy: FaultProxy) -> None:
    proxy.faults(Faults(watches=(WatchFault(kind="drop", rate=0.5, seed=3),)))
    with watching(proxy) as watch:
        for number in range(8):
            create(proxy, f"a{number}")
        until(lambda: len(proxy.rows("write")) == 8)
        proxy.faults(Faults())
        lost = proxy.state()["faults"]["event-lost"]
        assert 0 < lost < 8
        assert len({watch.name() for _ in range(8 - lost)}) == 8 - lost


def test_nothing_but_bookmarks_for_a_while(proxy: FaultProxy) -> None:
    proxy.faults(Faults(watches=(WatchFault(kind="bookmarks", seconds=0.4),)))
    with watching(proxy) as watch:
        create(proxy, "a")
        time.sleep(0.5)
        create(proxy, "b")
        assert watch.name() == "b"


def test_a_malformed_line_is_one_line(proxy: FaultProxy) -> None:
    proxy.faults(Faults(watches=(WatchFault(kind="malformed", after=1),)))
    with watching(proxy) as watch:
        create(proxy, "a")
        create(proxy, "b")
        assert watch.name() == "a"
        with pytest.raises(json.JSONDecodeError):
            watch.name()
        assert watch.name() == "b"


def test_a_pause_ends(proxy: FaultProxy) -> None:
    proxy.faults(Faults(watches=(WatchFault(kind="pause", seconds=0.5),)))
    with watching(proxy) as watch:
        create(proxy, "a")
        start = time.monotonic()
        assert watch.name() == "a"
        assert time.monotonic() - start > 0.3


def test_a_disconnect_is_no_orderly_end(proxy: FaultProxy) -> None:
    proxy.faults(Faults(watches=(WatchFault(kind="disconnect", after=1),)))
    with watching(proxy) as watch:
        create(proxy, "a")
        assert watch.name() == "a"
        with pytest.raises(ConnectionResetError):
            watch.line()


def test_events_are_held_and_released(proxy: FaultProxy) -> None:
    with watching(proxy) as watch:
        proxy.hold("candidates", "hold")
        create(proxy, "a")
        with pytest.raises(TimeoutError):
            watch.line(0.2)
    with watching(proxy) as watch:
        proxy.hold("candidates", "release")
        assert watch.name() == "a"


def test_events_are_held_and_never_seen(proxy: FaultProxy, upstream: Upstream) -> None:
    proxy.hold("candidates", "hold")
    with watching(proxy) as watch:
        create(proxy, "a")
        call(proxy, "DELETE", f"{PATH}/a")
        time.sleep(0.1)
        proxy.hold("candidates", "discard")
        create(proxy, "b")
        assert watch.name() == "b"


def test_a_list_shows_an_earlier_moment_and_its_watch_hangs_behind(proxy: FaultProxy) -> None:
    proxy.record()
    call(proxy, "GET")
    for number in range(12):
        create(proxy, f"a{number}")
    until(lambda: proxy.state()["recorded"].get(PATH) == 12)
    proxy.faults(Faults(stale=(Stale(resource="candidates", back=10, seconds=0.5),)))
    listed = call(proxy, "GET")[1]
    assert names(listed) == ["a0", "a1"]
    start = time.monotonic()
    with watching(proxy, int(listed["metadata"]["resourceVersion"])) as watch:
        assert watch.name() == "a2"
        assert time.monotonic() - start > 0.3
    assert len(names(call(proxy, "GET")[1])) == 12


def test_stale_lists_begin_with_a_new_list(proxy: FaultProxy) -> None:
    with watching(proxy) as watch:
        proxy.faults(Faults(stale=(Stale(resource="candidates", back=1),)))
        assert json.loads(watch.line())["object"]["code"] == 410
