"""The agent's way to the gateway: what it tries again, and when it gives up."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from asiarch.agents.gateway import Gateway, GatewayError, Patience, UnansweredError

Answer = tuple[int, dict[str, str], bytes]


class Time:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def patience(self, deadline: float = 100.0, chance: float = 0.5) -> Patience:
        return Patience(deadline, lambda: self.now, self.sleep, lambda: chance)


@contextmanager
def answering(*answers: Answer) -> Iterator[tuple[str, list[Any]]]:
    """A server with prepared answers, the last one for ever; its URL, and what it was asked."""
    asked: list[Any] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        asked.append((handler.command, handler.path, handler.headers["Authorization"], body))
        status, headers, text = answers[min(len(asked), len(answers)) - 1]
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(text)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(text)

    verbs = {"do_GET": answer, "do_POST": answer, "log_message": lambda *_: None}
    handler = type("Handler", (BaseHTTPRequestHandler,), {"protocol_version": "HTTP/1.1", **verbs})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("one\n")
    return path


def test_a_context_that_isn_t_there_yet_is_waited_for(token: Path) -> None:
    time = Time()
    with answering((404, {"Retry-After": "1"}, b"{}"), (200, {}, b"told")) as (url, asked):
        assert Gateway(url, token, time.patience()).context() == b"told"
    assert asked == [("GET", "/v1/context", "Bearer one", b"")] * 2
    assert time.waits == [1.0]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again_at_growing_random_distances(token: Path, status: int) -> None:
    time = Time()
    with answering(*[(status, {}, b"")] * 7, (201, {}, b"{}")) as (url, asked):
        Gateway(url, token, time.patience()).store("result")
    assert time.waits == [0.25, 0.5, 1, 2, 4, 5, 5]
    assert asked[-1] == ("POST", "/v1/result", "Bearer one", b"result")


def test_a_retry_after_is_a_floor(token: Path) -> None:
    time = Time()
    with answering((429, {"Retry-After": "7"}, b""), (503, {"Retry-After": "soon"}, b""), (200, {}, b"")) as (
        url,
        _,
    ):
        Gateway(url, token, time.patience()).context()
    assert time.waits == [7, 0.5]


@pytest.mark.parametrize("status", [302, 401, 403, 405, 501])
def test_what_a_person_must_mend_is_tried_a_few_times_and_never_the_agents_fault(
    token: Path, status: int
) -> None:
    time = Time()
    told = b'{"reason": "AccountRefused", "message": "wanted asiarch-agent"}'
    with answering((status, {"Location": "http://127.0.0.1:1/"}, told)) as (url, asked):
        said = f"^GET /v1/context: refused 5 times; {status} AccountRefused: wanted asiarch-agent$"
        with pytest.raises(UnansweredError, match=said):
            Gateway(url, token, time.patience()).context()
        assert (len(asked), time.waits) == (5, [0.25, 0.5, 1, 2])


def test_a_token_that_is_known_a_moment_later_is_served(token: Path) -> None:
    time = Time()
    with answering((401, {}, b""), (401, {}, b""), (200, {}, b"told")) as (url, _):
        assert Gateway(url, token, time.patience()).context() == b"told"


@pytest.mark.parametrize("status", [400, 413])
def test_who_brings_nothing_can_bring_nothing_wrong(token: Path, status: int) -> None:
    with answering((status, {}, b"<html>")) as (url, _), pytest.raises(UnansweredError):
        Gateway(url, token, Time().patience()).context()


@pytest.mark.parametrize("status", [400, 409, 413])
def test_a_result_that_is_refused_for_good_is_not_tried_again(token: Path, status: int) -> None:
    time = Time()
    told = b'{"reason": "Because", "message": "It is so."}'
    with answering((status, {"Location": "http://127.0.0.1:1/"}, told)) as (url, asked):
        with pytest.raises(GatewayError, match=f"^POST /v1/result: {status} Because: It is so.$") as refusal:
            Gateway(url, token, time.patience()).store("result")
        assert not isinstance(refusal.value, UnansweredError)
        assert (len(asked), time.waits) == (1, [])


def test_it_gives_up_at_the_deadline_and_says_what_was_wrong(token: Path) -> None:
    time = Time()
    with answering((503, {"Retry-After": "4"}, b"<html>")) as (url, asked):
        with pytest.raises(
            GatewayError, match="no success before the order's deadline, 3 tries; 503 b'<html>'"
        ):
            Gateway(url, token, time.patience(deadline=10)).context()
        assert (len(asked), time.now) == (3, 8)


def test_an_unreachable_gateway_is_tried_until_the_deadline(token: Path) -> None:
    time = Time()
    with pytest.raises(GatewayError, match="ConnectError"):
        Gateway("http://127.0.0.1:1", token, time.patience(deadline=10)).context()
    assert len(time.waits) > 3


def test_an_address_that_is_none_is_not_tried_again(token: Path) -> None:
    time = Time()
    with pytest.raises(UnansweredError, match="gateway:8081"):
        Gateway("gateway:8081", token, time.patience()).context()
    assert time.waits == []


def test_the_token_is_read_again_for_each_try(token: Path) -> None:
    time = Time()

    def rotate(seconds: float) -> None:
        token.write_text("two")
        time.sleep(seconds)

    patience = Patience(100.0, lambda: time.now, rotate, lambda: 0.5)
    with answering((503, {}, b""), (200, {}, b"")) as (url, asked):
        Gateway(url, token, patience).context()
    assert [header for _, _, header, _ in asked] == ["Bearer one", "Bearer two"]


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_ignored(
    token: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    with answering((200, {}, b"told")) as (url, _):
        assert Gateway(url, token, Time().patience()).context() == b"told"
