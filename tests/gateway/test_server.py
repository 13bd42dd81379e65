"""The gateway as a service: probes, counts, audit lines, a cluster that fails, models."""

import json
import logging
import re
from pathlib import Path

import httpx
import pytest

from asiarch.agents.gateway import Gateway, UnansweredError
from asiarch.gateway.provider import Completion, Reply
from tests.agents.contexts import a_context, an_experiment
from tests.agents.test_gateway import Time
from tests.gateway.serving import gateway, ordered
from tests.gateway.test_attacks import GOOD, posted


class Echo:
    """A provider that says what it was asked."""

    async def complete(self, request: Completion) -> Reply:
        return Reply(text=request.prompt[: request.max_tokens], tokens=2)


def test_it_lives_and_is_ready_as_soon_as_the_cluster_answers() -> None:
    with gateway() as served:
        served.cluster.down = True
        assert served.ask("GET", "/livez").text == "ok"
        reply = served.ask("GET", "/readyz")
        assert (reply.status_code, reply.json()["reason"]) == (503, "ClusterUnreachable")
        served.cluster.down = False
        assert served.ask("GET", "/readyz").status_code == 200


def test_it_is_no_longer_ready_when_the_cluster_has_been_silent() -> None:
    with gateway() as served:
        assert served.ask("GET", "/readyz").status_code == 200
        served.cluster.down = True
        assert served.ask("GET", "/readyz").status_code == 200
        served.clock.ahead = 31
        assert served.ask("GET", "/readyz").status_code == 503


def test_readiness_asks_the_cluster_only_when_nobody_else_did() -> None:
    with gateway() as served:
        for _ in range(20):
            served.ask("GET", "/readyz")
        assert served.cluster.reviews == 1


def test_a_cluster_that_fails_is_told_apart_from_a_refusal() -> None:
    with gateway() as served:
        token = ordered(served, a_context())
        served.cluster.down = True
        reply = served.ask("GET", "/v1/context", token)
        assert (reply.status_code, reply.headers["Retry-After"]) == (503, "2")
        assert reply.json() == {
            "reason": "ClusterUnavailable",
            "message": "The API server gave no usable answer; try again.",
        }


def test_a_cluster_that_is_asked_too_much_asks_for_patience() -> None:
    with gateway() as served:
        token = ordered(served, a_context())
        served.cluster.busy = True
        reply = served.ask("GET", "/v1/context", token)
        assert (reply.status_code, reply.headers["Retry-After"]) == (429, "3")
        assert reply.json()["reason"] == "ClusterBusy"


def test_a_quota_that_refuses_a_result_is_told_to_its_agent_which_tries_again(tmp_path: Path) -> None:
    words = 'configmaps "r" is forbidden: exceeded quota: small, requested: count/configmaps=1'
    with gateway() as served:
        (tmp_path / "token").write_text(ordered(served, a_context()))
        agent = Gateway(served.url, tmp_path / "token", Time().patience(deadline=3.0))
        served.cluster.full = words
        with pytest.raises(UnansweredError, match=re.escape(f"3 tries; 503 QuotaExceeded: {words}")):
            agent.store(json.dumps(GOOD))
        served.cluster.full = ""
        agent.store(json.dumps(GOOD))
        assert "No." in served.stored()


def test_each_request_leaves_one_line_without_token_or_texts(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "asiarch.gateway.audit")
    with gateway() as served:
        token = ordered(served, a_context())
        assert posted(served, GOOD, token)[0] == 201
        assert posted(served, {"message": "SECRET"}, token)[0] == 400
        served.ask("GET", "/livez")
    lines = [json.loads(r.message) for r in caplog.records if r.name == "asiarch.gateway.audit"]
    assert [(line["route"], line["status"], line["reason"]) for line in lines] == [
        ("/v1/result", 201, ""),
        ("/v1/result", 400, "ResultInvalid"),
    ]
    first = lines[0]
    assert {name: first[name] for name in ("namespace", "pod", "uid", "account", "order")} == {
        "namespace": "team",
        "pod": "s-0001-propose-a1-x7k2p",
        "uid": "uid-x7k2p",
        "account": "asiarch-agent",
        "order": "s-0001-propose-a1",
    }
    assert first["received"] == len(json.dumps(GOOD))
    assert first["ms"] > 0
    assert token not in caplog.text
    assert "SECRET" not in caplog.text


def test_requests_are_counted_on_a_port_of_their_own() -> None:
    with gateway() as served:
        posted(served, GOOD)
        served.ask("GET", "/nowhere")
        served.metrics.api_request("POST", "configmaps", 201, 0.1)
        text = httpx.get(f"{served.metrics_url}/metrics", trust_env=False).text
    for line in (
        'asiarch_gateway_requests_total{code="201",route="/v1/result"} 1.0',
        'asiarch_gateway_requests_total{code="404",route="other"} 1.0',
        'asiarch_gateway_rejected_total{reason="RouteNotFound"} 1.0',
        'asiarch_gateway_request_seconds_count{route="/v1/result"} 1.0',
        'asiarch_gateway_api_requests_total{code="201",resource="configmaps",verb="POST"} 1.0',
    ):
        assert line in text


def test_a_refused_result_is_counted_and_audited(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "asiarch.gateway.audit")
    with gateway() as served:
        assert posted(served, GOOD | {"reason": "Preempted"}) == (400, "WrongReason")
        text = httpx.get(f"{served.metrics_url}/metrics", trust_env=False).text
    assert 'asiarch_gateway_rejected_total{reason="WrongReason"} 1.0' in text
    (line,) = (json.loads(r.message) for r in caplog.records if r.name == "asiarch.gateway.audit")
    assert (line["pod"], line["reason"]) == ("s-0001-propose-a1-x7k2p", "WrongReason")


def test_a_context_of_another_version_is_said_to_be_unreadable() -> None:
    with gateway() as served:
        token = ordered(served, a_context())
        served.cluster.objects["team", "s-0001-propose-a1-context"]["data"] = {"context.json": '{"v": 2}'}
        reply = served.ask("GET", "/v1/context", token)
    assert (reply.status_code, reply.json()["reason"]) == (500, "ContextUnreadable")


def test_a_context_under_another_order_s_name_is_not_handed_out() -> None:
    with gateway() as served:
        ordered(served, a_context())
        objects = served.cluster.objects
        objects["team", "s-0001-propose-a2-context"] = objects["team", "s-0001-propose-a1-context"]
        reply = served.ask("GET", "/v1/context", served.cluster.issue("s-0001-propose-a2-x7k2p", "uid"))
    assert (reply.status_code, reply.json()["reason"]) == (500, "ContextUnreadable")


@pytest.mark.parametrize(
    ("found", "status", "reason"), [(None, 503, "CodeNotFound"), ("x", 500, "CodeCorrupt")]
)
def test_a_file_that_is_not_what_its_digest_says_is_not_handed_out(
    found: str | None, status: int, reason: str
) -> None:
    with gateway() as served:
        token = ordered(served, a_context(parent=an_experiment()))
        (key,) = (key for key in served.cluster.objects if "-code-" in key[1])
        if found is None:
            del served.cluster.objects[key]
        else:
            served.cluster.objects[key]["data"] = {"candidate.py": found}
        reply = served.ask("GET", "/v1/context", token)
    assert (reply.status_code, reply.json()["reason"]) == (status, reason)


def test_the_grammar_has_no_model_to_ask() -> None:
    with gateway() as served:
        token = ordered(served, a_context())
        reply = served.ask("POST", "/v1/complete", token, b'{"prompt": "Why?"}')
    assert (reply.status_code, reply.json()["reason"]) == (501, "ProviderUnavailable")
    assert "Grammar" in reply.json()["message"]


def test_a_model_s_reply_is_handed_on() -> None:
    with gateway(provider=Echo()) as served:
        token = ordered(served, a_context())
        reply = served.ask("POST", "/v1/complete", token, b'{"prompt": "Why?", "maxTokens": 3}')
        assert (reply.status_code, reply.json()) == (200, {"text": "Why", "tokens": 2})
        refused = served.ask("POST", "/v1/complete", token, b'{"prompt": 3}')
    assert (refused.status_code, refused.json()["reason"]) == (400, "CompletionInvalid")


def test_a_result_costs_what_the_gateway_counted_of_its_own_pod() -> None:
    with gateway(provider=Echo()) as served:
        token = ordered(served, a_context())
        stranger = served.cluster.issue("s-0009-propose-a1-x7k2p", "uid-other")
        for one in (token, token, stranger):
            assert served.ask("POST", "/v1/complete", one, b'{"prompt": "Why?"}').status_code == 200
        assert posted(served, GOOD | {"cost": {"tokens": 10**9}}, token) == (201, "")
        assert json.loads(served.stored())["cost"]["tokens"] == 4


def test_a_result_that_comes_again_is_the_same_whatever_was_asked_since() -> None:
    with gateway(provider=Echo()) as served:
        token = ordered(served, a_context())
        assert posted(served, GOOD, token) == (201, "")
        served.ask("POST", "/v1/complete", token, b'{"prompt": "Why?"}')
        assert posted(served, GOOD, token) == (200, "")
        assert json.loads(served.stored())["cost"]["tokens"] == 0
