"""The fault proxy does to calls what it is told, and nothing else; against a tiny real server, no Kubernetes."""

import socket
import time
import urllib.error

import pytest

from tests.cluster.faults.client import FaultProxy
from tests.cluster.faults.journal import IN_FLIGHT
from tests.cluster.faults.scene import BROKEN, SPARE, an_operator, call, create, names, noisy, until, watching
from tests.cluster.faults.settings import Crash, Faults, Moment, Noise, NoiseKind
from tests.cluster.faults.upstream import PATH, Upstream


def test_a_clean_proxy_passes_calls_and_headers_on(proxy: FaultProxy, upstream: Upstream) -> None:
    assert create(proxy, "a")[0] == 201
    assert call(proxy, "GET", f"{PATH}?labelSelector=x%3Dy%2Cz")[0] == 200
    assert upstream.calls == [("POST", PATH), ("GET", f"{PATH}?labelSelector=x%3Dy%2Cz")]
    assert upstream.headers[0]["Authorization"] == "Bearer mine"
    assert call(proxy, "GET", f"{PATH}/none")[0] == 404


def test_a_call_without_a_token_gets_the_spare_one(proxy: FaultProxy, upstream: Upstream) -> None:
    with watching(proxy):
        assert upstream.headers[0]["Authorization"] == f"Bearer {SPARE}"


def test_every_write_is_counted_and_kept(proxy: FaultProxy) -> None:
    create(proxy, "a")
    call(proxy, "GET")
    call(proxy, "PUT", f"{PATH}/a", {"metadata": {"name": "a"}})
    call(proxy, "DELETE", f"{PATH}/a")
    rows = proxy.rows("write")
    assert [(r["k"], r["verb"], r["name"], r["code"], r["told"]) for r in rows] == [
        (1, "create", "", 201, 201),
        (2, "update", "a", 200, 200),
        (3, "delete", "a", 200, 200),
    ]
    assert rows[0]["digest"] == rows[1]["digest"]
    assert (proxy.state()["calls"], proxy.state()["writes"]) == (4, 3)


@pytest.mark.parametrize(
    ("moment", "there"), [("before", ["a"]), ("committed", ["a", "b"]), ("replied", ["a", "b"])]
)
def test_the_operator_dies_exactly_at_the_write(
    proxy: FaultProxy, upstream: Upstream, moment: Moment, there: list[str]
) -> None:
    with an_operator() as operator:
        proxy.target(operator.pid)
        proxy.faults(Faults(crashes=(Crash(write=2, moment=moment),)))
        create(proxy, "a")
        assert operator.poll() is None
        if moment == "replied":
            assert create(proxy, "b")[0] == 201
        else:
            with pytest.raises(BROKEN):
                create(proxy, "b")
        assert operator.wait(5) == -9
    assert upstream.calls.count(("POST", PATH)) == len(there)
    assert [(kill["k"], kill["at"]) for kill in proxy.state()["kills"]] == [(2, moment)]
    assert names(call(proxy, "GET")[1]) == there


def test_the_next_operator_lives(proxy: FaultProxy) -> None:
    with an_operator() as first, an_operator() as second:
        proxy.target(first.pid)
        proxy.faults(Faults(crashes=(Crash(write=1, moment="before"),)))
        with pytest.raises(BROKEN):
            create(proxy, "a")
        proxy.target(second.pid)
        assert create(proxy, "a")[0] == 201
        assert second.poll() is None


@pytest.mark.parametrize(
    ("kind", "code"), [("conflict", 409), ("throttled-bare", 429), ("error", 500), ("unavailable", 503)]
)
def test_refusals_never_reach_the_server(
    proxy: FaultProxy, upstream: Upstream, kind: NoiseKind, code: int
) -> None:
    proxy.faults(noisy(kind))
    status, body = create(proxy, "a")
    assert (status, body["kind"], body["code"]) == (code, "Status", code)
    assert upstream.calls == []
    assert proxy.state()["faults"] == {kind: 1}
    assert proxy.rows("write")[0] | {"moment": 0, "digest": ""} == {
        "event": "write",
        "k": 1,
        "verb": "create",
        "path": PATH,
        "name": "",
        "fault": kind,
        "code": None,
        "told": code,
        "moment": 0,
        "digest": "",
    }


@pytest.mark.parametrize(("kind", "reached"), [("reset", 0), ("reset-after", 1), ("cut", 1)])
def test_connections_break_before_and_after_the_commit(
    proxy: FaultProxy, upstream: Upstream, kind: NoiseKind, reached: int
) -> None:
    proxy.faults(noisy(kind))
    with pytest.raises(BROKEN):
        create(proxy, "a")
    assert len(upstream.calls) == reached
    assert [row["told"] for row in proxy.rows("write")] == [None]


def test_a_read_is_cut_too(proxy: FaultProxy) -> None:
    proxy.faults(noisy("cut"))
    with pytest.raises(BROKEN):
        call(proxy, "GET")


def test_a_timeout_is_told_after_the_commit(proxy: FaultProxy) -> None:
    proxy.faults(noisy("timeout"))
    assert create(proxy, "a")[0] == 504
    assert names(call(proxy, "GET")[1]) == ["a"]
    assert (proxy.rows("write")[0]["code"], proxy.rows("write")[0]["told"]) == (201, 504)


def test_a_repeated_write_reaches_the_server_twice(proxy: FaultProxy, upstream: Upstream) -> None:
    proxy.faults(noisy("repeat"))
    assert create(proxy, "a")[0] == 201
    assert upstream.calls == [("POST", PATH)] * 2


def test_a_delay_delays(proxy: FaultProxy) -> None:
    proxy.faults(noisy("delay", delay=0.3))
    start = time.monotonic()
    for number in range(4):
        assert create(proxy, f"a{number}")[0] == 201
    assert 0.1 < time.monotonic() - start < 1.5


def test_noise_is_drawn_by_seed_and_rate(proxy: FaultProxy) -> None:
    def faulty(seed: int) -> list[int]:
        proxy.restart()
        proxy.faults(Faults(noise=Noise(rate=0.3, seed=seed, kinds=("error",))))
        return [call(proxy, "GET")[0] for _ in range(30)]

    first = faulty(1)
    assert 2 <= first.count(500) <= 18
    assert faulty(1) == first
    assert faulty(2) != first


def test_noise_keeps_to_its_resources(proxy: FaultProxy) -> None:
    proxy.faults(noisy("error", resources=("jobs",)))
    assert create(proxy, "a")[0] == 201


def test_a_call_before_its_retry_after_is_kept(proxy: FaultProxy) -> None:
    proxy.faults(noisy("throttled", retry_after=1))
    assert create(proxy, "a")[0] == 429
    proxy.faults(Faults())
    time.sleep(2 * IN_FLIGHT)
    create(proxy, "b", agent="another")
    create(proxy, "b")
    create(proxy, "a")
    time.sleep(1)
    create(proxy, "a")
    assert [row["same"] for row in proxy.state()["early"]] == [False, True]


def test_a_new_process_waits_for_no_retry_after_of_the_one_before(proxy: FaultProxy) -> None:
    proxy.faults(noisy("throttled", retry_after=5))
    assert create(proxy, "a")[0] == 429
    proxy.faults(Faults())
    time.sleep(2 * IN_FLIGHT)
    proxy.target(0)
    create(proxy, "a")
    assert proxy.state()["early"] == []


def test_an_outage_breaks_and_refuses_and_ends(proxy: FaultProxy) -> None:
    with watching(proxy) as watch:
        proxy.outage(0.5)
        with pytest.raises(ConnectionResetError):
            watch.line()
        with pytest.raises(ConnectionRefusedError):
            call(proxy, "GET")
        until(lambda: _reachable(proxy))
        assert call(proxy, "GET")[0] == 200


def _reachable(proxy: FaultProxy) -> bool:
    host, port = proxy.server.removeprefix("http://").split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_an_upstream_that_is_away_is_a_broken_connection(running: FaultProxy) -> None:
    running.faults(Faults())
    with pytest.raises(BROKEN):
        call(running, "GET")


def test_a_document_with_an_unknown_field_is_refused(proxy: FaultProxy) -> None:
    with pytest.raises(urllib.error.HTTPError, match="400"):
        proxy._call("PUT", "/faults", {"noize": {}})
