"""Orders end to end: the operator's objects, the gateway over HTTP, the agent in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from asiarch.api.context import Context, Failure
from asiarch.api.order import Order, OrderKind
from asiarch.api.reason import Reason
from tests.agents.contexts import a_context, a_lesson, a_rung, an_experiment
from tests.agents.test_engineer import a_proposal
from tests.gateway.serving import Served, gateway, ordered

GATED = "rule=linear feature=elu decay=scalar conv=4 norm=rms"


def a_full_context(kind: OrderKind) -> Context:
    """One of everything that an agent may look at."""
    return a_context(
        kind,
        me=an_experiment(candidate="s-0001", rungs=(a_rung(0.7, 0.01),)),
        parent=an_experiment(rungs=(a_rung(0.6, 0.01),)),
        grandparent=an_experiment(candidate="s-0004", code=""),
        references=(an_experiment(candidate="s-0002"), an_experiment(GATED, candidate="s-0003")),
        siblings=(an_experiment(candidate="s-0005", rungs=(a_rung(0.5, 0.01),)),),
        proposal=a_proposal(),
        failure=Failure(reason=Reason.DIVERGED, message="The loss rose.\nAt step 3."),
        lessons=(a_lesson(("decay=scalar",), 0.1),),
        goal="Größer als α.",
    )


def agent(order: Order, **env: str) -> tuple[int, str]:
    """An agent's process; its exit code and what it says."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ASIARCH_")}
    command = [sys.executable, "-m", "asiarch.agents.run"]
    environment = clean | {"ASIARCH_ORDER": order.model_dump_json(by_alias=True)} | env
    ended = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=60)
    return ended.returncode, ended.stderr


def in_a_pod(served: Served, order: Order, token: str, place: Path) -> tuple[int, str]:
    (place / "token").write_text(token + "\n")
    return agent(
        order, ASIARCH_GATEWAY=served.url, ASIARCH_TOKEN=str(place / "token"), HTTP_PROXY="http://127.0.0.1:9"
    )


@pytest.mark.parametrize("kind", ["propose", "build", "repair", "analyze"])
def test_a_pod_leaves_the_same_bytes_as_a_laptop_s_process(tmp_path: Path, kind: OrderKind) -> None:
    context = a_full_context(kind)
    (tmp_path / "context.json").write_text(context.model_dump_json(by_alias=True))
    result = tmp_path / "result.json"
    files = {"ASIARCH_CONTEXT": str(tmp_path / "context.json"), "ASIARCH_RESULT": str(result)}
    assert agent(context.order, **files) == (0, "")
    with gateway() as served:
        token = ordered(served, context)
        assert in_a_pod(served, context.order, token, tmp_path) == (0, "")
        assert served.stored(context.order.name) == result.read_text()
        assert '"reason":null' in result.read_text()


def test_the_context_comes_with_the_texts_of_its_files() -> None:
    context = a_full_context("analyze")
    with gateway() as served:
        reply = served.ask("GET", "/v1/context", ordered(served, context))
    assert reply.status_code == 200
    assert reply.text == context.model_dump_json(by_alias=True)


def test_an_agent_that_can_t_do_its_order_stores_that(tmp_path: Path) -> None:
    context = a_context("build")
    with gateway() as served:
        assert in_a_pod(served, context.order, ordered(served, context), tmp_path) == (0, "")
        assert "The order to build names no proposal." in served.stored(context.order.name)


def test_an_agent_whose_result_is_not_stored_says_so_and_fails(tmp_path: Path) -> None:
    context = a_full_context("propose")
    with gateway() as served:
        token = ordered(served, context)
        other = '{"order": "s-0001-propose-a1", "attempt": 1, "reason": "AgentFailed"}'
        assert served.ask("POST", "/v1/result", token, other.encode()).status_code == 201
        code, said = in_a_pod(served, context.order, token, tmp_path)
    assert code == os.EX_DATAERR
    assert said == (
        "s-0001-propose-a1: POST /v1/result: 409 ResultExists: "
        "The order s-0001-propose-a1 has another result already; the first one stands.\n"
    )


@pytest.mark.parametrize("message", ["No.", "Yes."])
def test_a_predecessor_s_result_is_waited_out_and_neither_acknowledged_nor_held_against_the_agent(
    message: str,
) -> None:
    context = a_full_context("propose")
    text = '{"order": "s-0001-propose-a1", "attempt": 1, "reason": "AgentFailed", "message": "No."}'
    with gateway() as served:
        token = ordered(served, context)
        assert served.ask("POST", "/v1/result", token, text.encode()).status_code == 201
        kept = served.cluster.objects["team", "s-0001-propose-a1-result"]
        kept["metadata"]["ownerReferences"][0]["uid"] = "c-0"
        brought = text.replace("No.", message).encode()
        reply = served.ask("POST", "/v1/result", token, brought)
        assert (reply.status_code, reply.headers["Retry-After"]) == (503, "1")
        assert reply.json()["message"].startswith("ConfigMap s-0001-propose-a1-result belongs to something")
        del served.cluster.objects["team", "s-0001-propose-a1-result"]
        assert served.ask("POST", "/v1/result", token, brought).status_code == 201
        assert message in served.stored()


@pytest.mark.parametrize("message", ["No.", "Yes."])
def test_a_result_of_nobodys_in_its_place_is_not_waited_out(message: str) -> None:
    text = '{"order": "s-0001-propose-a1", "attempt": 1, "reason": "AgentFailed", "message": "No."}'
    with gateway() as served:
        token = ordered(served, a_full_context("propose"))
        assert served.ask("POST", "/v1/result", token, text.encode()).status_code == 201
        del served.cluster.objects["team", "s-0001-propose-a1-result"]["metadata"]["ownerReferences"]
        brought = text.replace("No.", message).encode()
        assert served.ask("POST", "/v1/result", token, brought).status_code == 409


def test_an_order_with_a_long_name_finds_its_way(tmp_path: Path) -> None:
    base = a_full_context("propose")
    order = base.order.model_copy(update={"name": f"{'s' * 40}-0001-propose-r3-a1", "search": "s" * 40})
    context = base.model_copy(update={"order": order})
    with gateway() as served:
        assert in_a_pod(served, order, ordered(served, context), tmp_path) == (0, "")
        assert order.name in served.stored(order.name)


def test_a_result_s_object_says_whose_it_is_and_never_changes() -> None:
    context = a_context()
    with gateway() as served:
        token = ordered(served, context)
        text = '{"order": "s-0001-propose-a1", "attempt": 1, "reason": "AgentFailed"}'
        assert served.ask("POST", "/v1/result", token, text.encode()).status_code == 201
        assert served.ask("POST", "/v1/result", token, text.replace(" ", "").encode()).status_code == 200
        made = served.cluster.objects["team", "s-0001-propose-a1-result"]
        owner = served.cluster.objects["team", "s-0001-propose-a1-context"]["metadata"]["ownerReferences"]
    assert made["immutable"] is True
    assert made["metadata"]["ownerReferences"] == owner
    assert made["metadata"]["annotations"] == {
        "asiarch.dev/order": "s-0001-propose-a1",
        "asiarch.dev/pod-uid": "uid-x7k2p",
    }
    assert made["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "asiarch",
        "asiarch.dev/candidate": "s-0001",
        "asiarch.dev/part": "result",
        "asiarch.dev/search": "s",
    }
