"""What an agent's process leaves is read with care: it is not to be tried again because it says so."""

import asyncio
from pathlib import Path

import pytest

from asiarch.api.order import Order, Result
from asiarch.api.reason import AGENT_REASONS, Reason
from asiarch.local.runner import Modules, Runner, read_agents_result

LIAR = """
import os
from pathlib import Path

def main():
    said = '{"order": "s-0001-propose-a1", "attempt": 1, "reason": "Preempted", "message": "Once more."}'
    Path(os.environ["ASIARCH_RESULT"]).write_text(said)
    return 0
"""
WRONG = "reason: found Preempted, wanted none or AgentFailed; all else is not the agent's to say."


def left(place: Path, reason: Reason | None) -> Result | None:
    """What is read of a result with this reason."""
    path = place / "result.json"
    path.write_text(Result(order="o", attempt=1, reason=reason, message="Mine.").model_dump_json())
    return read_agents_result(path)


@pytest.mark.parametrize("reason", [None, *sorted(AGENT_REASONS)])
def test_an_agent_may_say_that_it_did_its_order_or_failed(tmp_path: Path, reason: Reason | None) -> None:
    read = left(tmp_path, reason)
    assert read is not None
    assert (read.reason, read.message) == (reason, "Mine.")


def test_an_agent_that_left_nothing_has_no_result(tmp_path: Path) -> None:
    assert read_agents_result(tmp_path / "result.json") is None


@pytest.mark.parametrize("reason", sorted(set(Reason) - AGENT_REASONS))
def test_every_other_reason_is_a_failure_of_the_agent(tmp_path: Path, reason: Reason) -> None:
    read = left(tmp_path, reason)
    assert read is not None
    assert read.reason == Reason.AGENT_FAILED
    assert read.message.startswith(f"reason: found {reason}, wanted")


def test_a_process_that_says_it_was_preempted_has_failed(tmp_path: Path) -> None:
    (tmp_path / "liar.py").write_text(LIAR)
    order = Order(name="s-0001-propose-a1", kind="propose", search="s", candidate="s-0001", seconds=20)

    async def result() -> Result:
        runner = Runner(Modules("liar", "liar", None, (tmp_path,)), tmp_path)
        await runner.start()
        try:
            return await runner.agent(order, tmp_path)
        finally:
            await runner.close()

    found = asyncio.run(result())
    assert (found.reason, found.message) == (Reason.AGENT_FAILED, WRONG)
