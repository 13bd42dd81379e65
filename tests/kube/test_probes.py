"""Probes tell the truth, over a real port."""

import asyncio

import aiohttp
import pytest

from asiarch.kube.probes import Health, application, serving

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
    health.event("jobs", LIMIT)
    status, body, _ = ask(health, "/livez", now=LIMIT + 1)
    assert status == 503
    assert body == "watch of architecturesearches: nothing heard for 901 s, the limit is 900 s\n"


@pytest.mark.parametrize("sign", ["event", "list"])
def test_an_event_or_a_full_list_is_a_sign_of_life(sign: str) -> None:
    health = a_health()
    health.beat(LIMIT + 1)
    for kind in KINDS:
        (health.event if sign == "event" else health.listed)(kind, 10.0)
    assert health.dead(LIMIT + 1) == ()


def test_an_event_loop_that_stands_still_is_dead() -> None:
    health = a_health()
    health.beat(5.0)
    assert health.dead(35.0) == ()
    assert health.dead(36.0) == ("event loop: stood still for 31 s, the limit is 30 s",)


def test_nobody_is_ready_before_everything_was_listed() -> None:
    health = a_health(listed=False)
    health.listed("jobs", 1.0)
    health.event("architecturesearches", 1.0)
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
