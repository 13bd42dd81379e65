"""Probes tell the truth, over a real port."""

import asyncio
import socket

import aiohttp
import pytest

from asiarch.kube.operate import Settings
from asiarch.kube.probes import Health, application, serving
from tests.kube.orders import DEPLOYMENT

KINDS = ("architecturesearches", "jobs")
RESYNC = 360.0
LIMIT = 2.5 * RESYNC
PLAIN = "text/plain; version=0.0.4; charset=utf-8"


def a_health(*, listed: bool = True) -> Health:
    """A process that came up at 0 and has listed everything."""
    health = Health(KINDS, RESYNC, now=0.0)
    for kind in KINDS if listed else ():
        health.listed(kind, 0.0)
    return health


def ask(health: Health, path: str, now: float = 1.0) -> tuple[int, str, str]:
    async def story() -> tuple[int, str, str]:
        served = application(health, lambda accept: (f"# {accept}\n".encode(), PLAIN), lambda: now)
        async with (
            serving(served, "127.0.0.1", 0) as port,
            aiohttp.ClientSession(headers={"Accept": "text/plain"}) as session,
            session.get(f"http://127.0.0.1:{port}{path}") as reply,
        ):
            return reply.status, await reply.text(), reply.headers["Content-Type"]

    return asyncio.run(story())


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_a_well_process_says_so(path: str) -> None:
    assert ask(a_health(), path)[:2] == (200, "ok\n")


def test_metrics_come_in_the_format_that_was_asked_for() -> None:
    assert ask(a_health(), "/metrics") == (200, "# text/plain\n", PLAIN)


def test_a_silent_watch_is_dead_and_named() -> None:
    health = a_health()
    health.beat(LIMIT + 1)
    health.event("jobs", None, LIMIT)
    status, body, _ = ask(health, "/livez", now=LIMIT + 1)
    assert status == 503
    assert body == "watch of architecturesearches: nothing heard for 901 s, the limit is 900 s\n"


@pytest.mark.parametrize("sign", ["event", "list"])
def test_an_event_or_a_full_list_is_a_sign_of_life(sign: str) -> None:
    health = a_health()
    health.beat(LIMIT + 1)
    for kind in KINDS:
        if sign == "event":
            health.event(kind, None, 10.0)
        else:
            health.listed(kind, 10.0)
    assert health.dead(LIMIT + 1) == ()


def test_an_event_loop_that_stands_still_is_dead() -> None:
    health = a_health()
    health.beat(5.0)
    assert health.dead(35.0) == ()
    assert health.dead(36.0) == ("event loop: stood still for 31 s, the limit is 30 s",)


def test_nobody_is_ready_before_everything_was_listed() -> None:
    health = a_health(listed=False)
    health.listed("jobs", 1.0)
    health.event("architecturesearches", None, 1.0)
    assert ask(health, "/readyz")[:2] == (503, "store of architecturesearches: not listed yet\n")
    assert health.dead(1.0) == ()
    health.listed("architecturesearches", 2.0)
    assert health.unready(2.0) == ()


def test_an_api_server_that_does_not_answer_makes_unready_but_not_dead() -> None:
    health = a_health()
    for moment in (1.0, 10.0, 17.0):
        health.called(moment, answered=False)
    assert health.unready(16.0) == ()
    assert health.unready(17.0) == ("API server: no answer for 16 s",)
    assert health.dead(17.0) == ()
    health.called(18.0, answered=True)
    assert health.unready(18.0) == ()


def test_silence_while_the_api_server_answers_nobody_is_not_death() -> None:
    health = a_health()
    health.called(100.0, answered=False)
    for moment in (2 * LIMIT, 4 * LIMIT):
        health.beat(moment)
        assert health.dead(moment) == ()
    health.called(4 * LIMIT, answered=True)
    assert health.dead(4 * LIMIT) == ()
    health.beat(5 * LIMIT)
    assert len(health.dead(5 * LIMIT)) == len(KINDS)


def test_a_watch_that_was_dead_before_stays_dead() -> None:
    health = a_health()
    health.called(LIMIT + 1, answered=False)
    health.beat(LIMIT + 2)
    assert len(health.dead(LIMIT + 2)) == len(KINDS)


def test_who_stands_by_is_ready_and_alive_without_watching() -> None:
    health = a_health(listed=False)
    health.stand_by()
    health.beat(2 * LIMIT)
    assert health.dead(2 * LIMIT) == health.unready(2 * LIMIT) == ()
    health.begin(2 * LIMIT)
    assert health.dead(2 * LIMIT + 1) == ()
    assert len(health.unready(2 * LIMIT + 1)) == len(KINDS)
    health.beat(3 * LIMIT + 1)
    assert len(health.dead(3 * LIMIT + 1)) == len(KINDS)


def test_a_watch_that_brings_nothing_while_lists_bring_news_is_dead_and_named() -> None:
    health = a_health()
    for moment in (LIMIT / 2, LIMIT):
        for kind in KINDS:
            health.listed(kind, moment)
        health.hearing.listed("jobs", "team-a", moment, news=True)
        health.beat(moment)
    status, body, _ = ask(health, "/livez", now=LIMIT)
    assert status == 503
    assert body == (
        "watch of jobs in team-a: brought nothing for 900 s, in which two full lists brought news; is the verb watch "
        "granted?\n"
    )
    health.event("jobs", "team-a", LIMIT)
    assert health.dead(LIMIT) == ()


def test_an_outage_takes_no_watch_s_time() -> None:
    health = a_health()
    assert health.hearing.listed("jobs", None, 40.0, news=True)
    health.called(41.0, answered=False)
    health.called(500.0, answered=True)
    health.hearing.listed("jobs", None, 530.0, news=True)
    assert health.hearing.dead() == ()


def test_where_every_namespace_refuses_nobody_is_ready_and_nobody_dead() -> None:
    health = a_health()
    health.cut_off(("namespace team-a: 403 Forbidden: cannot list resource jobs",))
    health.beat(2 * LIMIT)
    assert ask(health, "/livez", now=2 * LIMIT)[0] == 200
    assert ask(health, "/readyz", now=2 * LIMIT)[:2] == (
        503,
        "namespace team-a: 403 Forbidden: cannot list resource jobs\n",
    )
    health.cut_off(())
    assert health.unready(2 * LIMIT) == ()
    assert len(health.dead(2 * LIMIT)) == len(KINDS)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_probes_are_answered_in_either_family(address: str) -> None:
    if address == "::1" and not ipv6():
        pytest.skip("this machine has no IPv6")
    host = Settings(DEPLOYMENT).host

    async def story() -> int:
        served = application(a_health(), lambda _: (b"", PLAIN), lambda: 1.0)
        port = a_port()
        async with serving(served, host, port), aiohttp.ClientSession() as session:
            url = f"http://[{address}]:{port}/livez" if ":" in address else f"http://{address}:{port}/livez"
            async with session.get(url) as reply:
                return reply.status

    assert asyncio.run(story()) == 200


def ipv6() -> bool:
    """Whether this machine has a loopback of IPv6."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def a_port() -> int:
    """A port that is free in both families."""
    with socket.socket() as one:
        one.bind(("", 0))
        return int(one.getsockname()[1])
