"""What came of an agent's order that left no result: whose fault it is, and what the agent said last."""

import json

import pytest

from asiarch.api.order import Result
from asiarch.api.reason import Reason
from asiarch.core import lifecycle
from asiarch.kube import outcome
from tests.kube.orders import a_ref, an_order
from tests.kube.statuses import COMPLETE, a_pod, ended, only, results, the_job

AGENT = an_order("build")


class TestAnAgent:
    def test_that_runs_is_waited_for(self) -> None:
        assert results(AGENT, the_job(AGENT), a_pod(AGENT)) is None

    def test_is_waited_for_until_its_job_has_ended(self) -> None:
        pod = a_pod(AGENT, ended("agent"), phase="Succeeded")
        assert results(AGENT, the_job(AGENT), pod) is None

    def test_that_ends_well_without_a_result_has_failed(self) -> None:
        pod = a_pod(AGENT, ended("agent"), phase="Succeeded")
        found = only(AGENT, pod, job=the_job(AGENT, COMPLETE))
        assert found.reason == Reason.AGENT_FAILED
        assert "no valid result" in found.message

    @pytest.mark.parametrize(
        ("code", "why", "reason"),
        [
            (1, "Error", Reason.INFRASTRUCTURE_FAILED),
            (137, "OOMKilled", Reason.INFRASTRUCTURE_FAILED),
            (139, "Error", Reason.INFRASTRUCTURE_FAILED),
            (65, "Error", Reason.AGENT_FAILED),
            (75, "Error", Reason.GATEWAY_UNREACHABLE),
            (128, "StartError", Reason.INFRASTRUCTURE_FAILED),
        ],
    )
    def test_that_ends_badly_is_told_by_its_exit_code(self, code: int, why: str, reason: Reason) -> None:
        found = only(AGENT, a_pod(AGENT, ended("agent", code, why), phase="Failed"))
        assert found.reason == reason
        assert f"exit code {code}" in found.message

    def test_says_what_the_gateway_answered(self) -> None:
        said = "s-0001-build-a1: GET /v1/context: refused 5 times; 403 AccountRefused: wanted asiarch-agent."
        found = only(AGENT, a_pod(AGENT, ended("agent", 75, message=f"{said}\n"), phase="Failed"))
        assert found.message.endswith(f"the gateway did not serve it; it said last: {said}")

    def test_that_crashed_says_the_end_of_its_log(self) -> None:
        log = "Traceback (most recent call last):\n" + "  frame\n" * 300 + "MemoryError: no\x1b more\n"
        found = only(AGENT, a_pod(AGENT, ended("agent", 1, message=log), phase="Failed"))
        assert found.message.endswith("frame MemoryError: no? more")
        assert len(found.message) < 1024

    def test_that_crashed_is_tried_again_no_more_often_than_other_lost_attempts(self) -> None:
        found = only(AGENT, a_pod(AGENT, ended("agent", 1), phase="Failed"))
        assert found.reason in lifecycle.LOST - lifecycle.EXCUSED


def kept(**said: object) -> dict[str, object]:
    """An agent's result as the gateway keeps it."""
    return {"data": {"result.json": json.dumps({"order": AGENT.name, "attempt": 1, **said})}}


def test_an_agents_own_failure_is_believed() -> None:
    found = outcome.brought(a_ref(AGENT), kept(reason="AgentFailed"))
    assert isinstance(found, Result)
    assert found.reason == Reason.AGENT_FAILED


@pytest.mark.parametrize("reason", sorted(lifecycle.LOST))
def test_an_agent_that_says_it_was_lost_is_not_believed(reason: Reason) -> None:
    said = outcome.brought(a_ref(AGENT), kept(reason=reason))
    assert isinstance(said, str)
    assert said.startswith(f"reason: found {reason}, wanted none or AgentFailed")
