"""Tokens that nobody knows yet: each costs the API server a review, and no crowd of them shuts anybody else out."""

import socket
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from asiarch.gateway.limits import Rate
from tests.agents.contexts import a_context
from tests.gateway.serving import GENEROUS, Served, gateway, ordered

FEW = replace(GENEROUS, stranger=Rate(20, 0.001))
"""Twenty tokens from an address, and no more as long as a test lasts."""


def asked(served: Served, tokens: Sequence[str]) -> list[int]:
    """Ask with all of these tokens at once, each on a connection of its own; the statuses."""
    host, port = served.url.removeprefix("http://").split(":")
    with ExitStack() as stack:
        wires = [stack.enter_context(socket.create_connection((host, int(port)), timeout=30)) for _ in tokens]
        for wire, token in zip(wires, tokens, strict=True):
            head = f"GET /v1/context HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {token}\r\n\r\n"
            wire.sendall(head.encode())
        return [int(stack.enter_context(wire.makefile("rb")).readline().split()[1]) for wire in wires]


def bogus(count: int) -> list[str]:
    return [f"a.{n}.c" for n in range(count)]


def pods(served: Served, count: int) -> list[str]:
    """The tokens of so many pods of one order."""
    return [ordered(served, a_context(), pod=f"pod{n}") for n in range(count)]


def test_two_hundred_tokens_at_once_are_no_more_than_one_after_the_other() -> None:
    with gateway(FEW) as served:
        served.cluster.review_seconds = 0.05
        answers = Counter(asked(served, bogus(200)))
    assert answers == {401: 20, 429: 180}
    assert served.cluster.reviews == 20


def test_a_review_that_brings_no_answer_is_charged_too() -> None:
    with gateway(FEW) as served:
        served.cluster.down = True
        answers = [served.ask("GET", "/v1/context", token).status_code for token in bogus(25)]
    assert answers == [503] * 20 + [429] * 5


def test_a_review_that_takes_too_long_is_charged_too() -> None:
    with gateway(replace(FEW, seconds=0.2)) as served:
        served.cluster.review_seconds = 10
        first = asked(served, bogus(20))
        assert set(first) == {503}
        assert asked(served, bogus(5)) == [429] * 5


def test_pods_of_one_address_are_all_served() -> None:
    with gateway(FEW) as served:
        served.cluster.review_seconds = 0.01
        tokens = pods(served, 60)
        for some in (tokens[:20], tokens[20:40], tokens[40:]):
            assert asked(served, some) == [200] * 20


def test_few_tokens_are_reviewed_at_once() -> None:
    with gateway() as served:
        served.cluster.review_seconds = 0.3
        assert asked(served, pods(served, 24)) == [200] * 24
    assert served.cluster.most_at_once == 8


def test_who_would_wait_too_long_for_a_review_is_told_to_come_again() -> None:
    with gateway(replace(GENEROUS, reviews=1, review_seconds=0.1)) as served:
        served.cluster.review_seconds = 3.0
        answers = Counter(asked(served, pods(served, 4)))
    assert answers == {200: 1, 429: 3}


def test_one_token_in_many_requests_at_once_is_reviewed_few_times() -> None:
    with gateway() as served:
        served.cluster.review_seconds = 0.3
        assert asked(served, pods(served, 1) * 30) == [200] * 30
    assert served.cluster.reviews <= 8


def test_a_pod_that_asks_too_often_pays_for_its_reviews() -> None:
    with gateway(replace(GENEROUS, pod=Rate(1, 0.001), stranger=Rate(3, 0.001))) as served:
        (token,) = pods(served, 1)
        answers = []
        for _ in range(8):
            answers.append(served.ask("GET", "/v1/context", token).status_code)
            served.clock.ahead += 11
        assert answers == [200] + [429] * 7
        assert served.cluster.reviews == 4
