"""What a hostile pod may try, and the one clear answer that it gets."""

import json
import logging
import socket
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asiarch.api.reason import AGENT_REASONS, Reason
from asiarch.gateway.limits import Limits, Rate
from tests.agents.contexts import a_context
from tests.gateway.serving import GENEROUS, Served, gateway, ordered

STATUS_LINE = b"HTTP/1.1 "
GOOD = {"order": "s-0001-propose-a1", "attempt": 1, "reason": "AgentFailed", "message": "No."}


@pytest.fixture
def served() -> Iterator[Served]:
    with gateway() as running:
        yield running


def posted(served: Served, body: bytes | dict[str, Any], token: str | None = None) -> tuple[int, str]:
    """Post a result as the order's own pod, unless another token is given."""
    token = token or ordered(served, a_context())
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = served.ask("POST", "/v1/result", token, content)
    return reply.status_code, reply.json().get("reason", "")


def test_without_a_token_nothing_is_told(served: Served) -> None:
    reply = served.ask("GET", "/v1/context")
    assert (reply.status_code, reply.json()["reason"]) == (401, "TokenMissing")
    assert reply.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("token", ["x", "a.b.c", "é", "x" * 8193])
def test_what_is_no_token_is_refused(served: Served, token: str) -> None:
    headers = [(b"Authorization", b"Bearer " + token.encode())]
    reply = httpx.get(f"{served.url}/v1/context", headers=headers, trust_env=False)
    assert reply.status_code in {400, 401}


def test_a_token_for_another_audience_is_refused(served: Served) -> None:
    ordered(served, a_context())
    token = served.cluster.issue("s-0001-propose-a1-x7k2p", "uid-x7k2p", audience="vault")
    assert posted(served, GOOD, token) == (401, "TokenRefused")


def test_a_token_that_is_bound_to_no_pod_is_refused(served: Served) -> None:
    assert posted(served, GOOD, served.cluster.issue("", "uid")) == (403, "PodNotNamed")


def test_a_pod_of_another_account_is_refused_whatever_it_is_called(served: Served) -> None:
    ordered(served, a_context())
    token = served.cluster.issue("s-0001-propose-a1-x7k2p", "uid-x7k2p", account="default")
    assert posted(served, GOOD, token) == (403, "AccountRefused")


def test_the_agents_account_is_the_one_that_was_told() -> None:
    with gateway(replace(GENEROUS, account="lab-agent")) as served:
        ordered(served, a_context())
        for account, status in (("lab-agent", 201), ("asiarch-agent", 403)):
            token = served.cluster.issue("s-0001-propose-a1-x7k2p", f"uid-{account}", account=account)
            assert posted(served, GOOD, token)[0] == status


@pytest.mark.parametrize("pod", ["../../x", "a/b-c", "UPPER-x", "a%2fb-x", "\x00", "x" * 300])
def test_a_pod_whose_name_is_no_name_is_refused(served: Served, pod: str) -> None:
    assert posted(served, GOOD, served.cluster.issue(pod, "uid")) == (403, "PodNotNamed")


@pytest.mark.parametrize(
    "pod", ["x", "s-0001-propose-a1", "s-0001-propose-a1-x-y", "s-0001-propose-a2-x7k2p"]
)
def test_another_pod_finds_no_order_of_its_own(served: Served, pod: str) -> None:
    ordered(served, a_context())
    reply = served.ask("GET", "/v1/context", served.cluster.issue(pod, "other"))
    assert (reply.status_code, reply.json()["reason"]) == (404, "ContextNotFound")
    assert reply.headers["Retry-After"] == "1"


def test_a_pod_of_another_namespace_finds_no_order(served: Served) -> None:
    ordered(served, a_context())
    token = served.cluster.issue("s-0001-propose-a1-x7k2p", "other", namespace="rival")
    assert posted(served, GOOD, token) == (404, "ContextNotFound")


def test_a_config_map_that_a_user_made_is_no_context(served: Served) -> None:
    token = served.cluster.issue("mine-x7k2p", "uid")
    served.cluster.put("mine-context", {"context.json": a_context().model_dump_json()})
    assert posted(served, GOOD, token) == (404, "ContextNotFound")


def test_a_token_ends_with_its_time_although_it_is_remembered(served: Served) -> None:
    ordered(served, a_context())
    token = served.cluster.issue("s-0001-propose-a1-x7k2p", "uid", life=5)
    assert served.ask("GET", "/v1/context", token).status_code == 200
    served.clock.ahead = 5.1
    assert served.ask("GET", "/v1/context", token).status_code == 401


def test_a_token_ends_soon_after_its_pod(served: Served) -> None:
    token = ordered(served, a_context())
    assert served.ask("GET", "/v1/context", token).status_code == 200
    served.cluster.pods.clear()
    served.clock.ahead = 10.1
    assert served.ask("GET", "/v1/context", token).status_code == 401


def test_a_second_different_result_is_refused_and_the_first_one_stands(served: Served) -> None:
    token = ordered(served, a_context())
    assert posted(served, GOOD, token) == (201, "")
    first = served.stored()
    assert posted(served, GOOD | {"message": "Yes."}, token) == (409, "ResultExists")
    assert posted(served, GOOD, token) == (200, "")
    assert served.stored() == first


def test_a_name_that_somebody_took_is_not_overwritten(served: Served) -> None:
    token = ordered(served, a_context())
    served.cluster.put("s-0001-propose-a1-result", {"result.json": "mine"})
    assert posted(served, GOOD, token) == (409, "ResultExists")


@pytest.mark.parametrize("name", ["s-0001-propose-a2", "../../s-0001-propose-a1", "s-0002-propose-a1", ""])
def test_a_result_of_another_order_is_refused(served: Served, name: str) -> None:
    assert posted(served, GOOD | {"order": name}) == (400, "WrongOrder")


@pytest.mark.parametrize("other", [{"attempt": 2}, {"index": 1}])
def test_a_result_of_another_attempt_is_refused(served: Served, other: dict[str, int]) -> None:
    assert posted(served, GOOD | other) == (400, "WrongOrder")


@pytest.mark.parametrize(
    "other",
    [
        {"reason": None},
        {"reason": None, "writing": {"text": "x"}},
        {"finding": {"analysis": "It won."}},
        {"reason": None, "measurement": {"score": "1"}},
    ],
)
def test_an_answer_to_another_question_is_refused(served: Served, other: dict[str, Any]) -> None:
    assert posted(served, GOOD | other) == (400, "WrongAnswer")


@pytest.mark.parametrize("reason", sorted(set(Reason) - AGENT_REASONS))
def test_a_reason_that_is_not_the_agents_to_give_is_refused(served: Served, reason: Reason) -> None:
    reply = served.ask(
        "POST",
        "/v1/result",
        ordered(served, a_context()),
        json.dumps(GOOD | {"reason": reason}).encode(),
    )
    assert reply.status_code == 400
    assert reply.json() == {
        "reason": "WrongReason",
        "message": f"reason: found {reason}, wanted none or AgentFailed; all else is not the agent's to say.",
    }


@pytest.mark.parametrize("cost", [{"tokens": 10**9}, {"usd": 1e6}, {"seconds": 9.0, "gpuSeconds": 9.0}])
def test_what_a_pod_says_of_its_cost_is_not_kept(served: Served, cost: dict[str, float]) -> None:
    assert posted(served, GOOD | {"cost": cost}) == (201, "")
    assert set(json.loads(served.stored())["cost"].values()) == {0}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"order": "\\ud800"}',
        b'{"\\udfff": 1}',
        b"[" * 200_000,
        b'{"a":' * 40_000,
        b'{"attempt": 1' + b"0" * 10_000 + b"}",
        b'{"attempt": NaN, "cost": {"usd": Infinity}}',
        json.dumps(GOOD | {"attempt": "1"}).encode(),
        json.dumps(GOOD | {"image": "evil"}).encode(),
        json.dumps(GOOD | {"cost": {"usd": -1}}).encode(),
        json.dumps(GOOD | {"message": "x" * 1025}).encode(),
        json.dumps(GOOD).encode() + b"{}",
        b"\x1f\x8b\x08" + bytes(100),
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_no_result_is_refused(served: Served, body: bytes) -> None:
    assert posted(served, body) == (400, "ResultInvalid")


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x7f", "\x08"])
def test_control_characters_are_refused(served: Served, character: str) -> None:
    assert posted(served, GOOD | {"message": f"a{character}"}) == (400, "ControlCharacter")


def test_a_refusal_repeats_nothing_of_what_was_sent(served: Served) -> None:
    token = ordered(served, a_context())
    body = json.dumps(GOOD | {"proposal": {"name": "SECRET" * 50, "recipe": 3}}).encode()
    reply = served.ask("POST", "/v1/result", token, body)
    assert "SECRET" not in reply.text
    assert "proposal.name" in reply.json()["message"]


def test_a_body_that_is_too_large_is_refused_by_its_length_alone(served: Served) -> None:
    assert posted(served, b"x" * (300 * 1024 + 1)) == (413, "TooLarge")
    assert posted(served, b" " * (300 * 1024)) == (400, "ResultInvalid")


def test_a_body_that_hides_its_length_is_cut_off(served: Served) -> None:
    chunks = (b"x" * 65_536 for _ in range(100))
    headers = {"Authorization": f"Bearer {ordered(served, a_context())}"}
    try:
        reply = httpx.post(f"{served.url}/v1/result", content=chunks, headers=headers, trust_env=False)
    except httpx.TransportError:
        return
    assert (reply.status_code, reply.json()["reason"]) == (413, "TooLarge")


def spoken(served: Served, lines: bytes, wait: float = 5.0) -> bytes:
    """Speak to the gateway's port without a client's manners; whatever comes back."""
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=wait) as wire:
        wire.sendall(lines)
        heard = b""
        try:
            while more := wire.recv(65_536):
                heard += more
        except (TimeoutError, ConnectionError):
            pass
        return heard


def a_head(token: str, more: str) -> bytes:
    head = f"POST /v1/result HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {token}\r\n{more}\r\n\r\n"
    return head.encode()


def test_a_slow_body_is_given_up() -> None:
    with gateway(replace(GENEROUS, body_seconds=0.2)) as served:
        token, begun = ordered(served, a_context()), time.monotonic()
        heard = spoken(served, a_head(token, "Content-Length: 100") + b"{", wait=10)
    assert b"408" in heard.splitlines()[0]
    assert b"BodyTooSlow" in heard
    assert time.monotonic() - begun < 8


def test_a_body_that_breaks_off_or_is_garbled_is_refused(served: Served) -> None:
    token = ordered(served, a_context())
    heard = spoken(served, a_head(token, "Transfer-Encoding: chunked") + b"zz\r\n", wait=3)
    assert b" 400 " in heard.splitlines()[0]
    assert b"Traceback" not in heard


def test_what_is_no_http_gets_one_line(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    heard = spoken(served, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", wait=3)
    assert heard == b"" or b" 400 " in heard.splitlines()[0]
    assert "Traceback" not in heard.decode() + caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/v1/context/../../etc/passwd", 404, "RouteNotFound"),
        ("GET", "/v1/context/s-0002-propose-a1", 404, "RouteNotFound"),
        ("GET", "/metrics", 404, "RouteNotFound"),
        ("DELETE", "/v1/result", 405, "MethodNotAllowed"),
    ],
)
def test_there_is_nothing_else_to_ask(
    served: Served, method: str, path: str, status: int, reason: str
) -> None:
    reply = served.ask(method, path, ordered(served, a_context()))
    assert (reply.status_code, reply.json()["reason"]) == (status, reason)


def answered(served: Served, token: str, count: int) -> Counter[tuple[bytes, bool]]:
    """Ask for the context so often on one connection, a hundred requests at once.

    Counts each status, and whether the answer said to come back in a second.
    """
    host, port = served.url.removeprefix("http://").split(":")
    line = f"GET /v1/context HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    seen: Counter[tuple[bytes, bool]] = Counter()
    with socket.create_connection((host, int(port)), timeout=10) as wire:
        for _ in range(count // 100):
            wire.sendall(line * 100)
            heard = b""
            while heard.count(STATUS_LINE) < 100 or not heard.endswith(b"}"):
                heard += wire.recv(1 << 20)
            replies = heard.split(STATUS_LINE)[1:]
            seen.update((reply[:3], b"\r\nRetry-After: 1\r\n" in reply) for reply in replies)
    return seen


@pytest.mark.slow
def test_ten_thousand_requests_of_a_pod_are_too_many() -> None:
    with gateway(Limits()) as served:
        token, other = ordered(served, a_context()), ordered(served, a_context(), pod="other")
        begun = time.monotonic()
        answers = answered(served, token, 10_000)
        spent = time.monotonic() - begun
        granted, refused = answers[b"200", False], answers[b"429", True]
        assert granted + refused == 10_000
        assert granted <= 31 + 2 * spent
        assert served.cluster.reviews <= 2 + spent / 10
        assert served.ask("GET", "/v1/context", other).status_code == 200


def test_an_address_can_t_have_the_api_server_review_token_after_token() -> None:
    with gateway(replace(GENEROUS, stranger=Rate(20, 0.001))) as served:
        answers = [served.ask("GET", "/v1/context", f"a.{n}.c").status_code for n in range(50)]
    assert answers == [401] * 20 + [429] * 30
    assert served.cluster.reviews == 20


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(), below, max_size=4),
    max_leaves=12,
)
FIELDS = (*GOOD, "index", "measurement", "proposal", "writing", "finding", "cost", "isolation", "evil")
NEARLY = st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3).map(lambda some: GOOD | some)
BODIES = st.binary(max_size=400) | st.one_of(JSON, NEARLY).map(lambda value: json.dumps(value).encode())


@pytest.mark.slow
def test_no_body_gets_anything_but_a_typed_answer(caplog: pytest.LogCaptureFixture) -> None:
    seen: set[int] = set()
    with gateway() as served, httpx.Client(base_url=served.url, trust_env=False) as client:
        token = ordered(served, a_context())

        @settings(max_examples=700, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
        @given(BODIES)
        def answered(body: bytes) -> None:
            reply = client.post("/v1/result", content=body, headers={"Authorization": f"Bearer {token}"})
            assert reply.status_code in {200, 201, 400, 409}
            assert set(reply.json()) in ({"order"}, {"reason", "message"})
            seen.add(reply.status_code)

        answered()
    assert seen >= {201, 400}
    assert "Traceback" not in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
