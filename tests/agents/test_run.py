"""One agent order in one process: what it reads, what it leaves."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from asiarch.agents.run import ROLES, done
from asiarch.api.context import Context, Failure
from asiarch.api.order import Order, Result
from asiarch.api.reason import Reason
from tests.agents.contexts import a_context, a_rung, an_experiment
from tests.agents.test_engineer import a_proposal
from tests.agents.test_gateway import Answer, answering

FAST = 1.5
"""Seconds; on an idle machine an import takes a fifth of one."""


def processed(context: Context, place: Path) -> tuple[int, Result]:
    """Do an order in a process of its own; its exit code and its result."""
    (place / "context.json").write_text(context.model_dump_json(by_alias=True))
    env = {
        **os.environ,
        "ASIARCH_ORDER": context.order.model_dump_json(by_alias=True),
        "ASIARCH_CONTEXT": str(place / "context.json"),
        "ASIARCH_RESULT": str(place / "result.json"),
    }
    ended = subprocess.run([sys.executable, "-m", "asiarch.agents.run"], env=env, check=False)
    return ended.returncode, Result.model_validate_json((place / "result.json").read_bytes())


def test_a_proposal_is_written_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    code, result = processed(a_context(parent=an_experiment()), tmp_path)
    assert (code, result.reason, result.order) == (0, None, "s-0001-propose-a1")
    assert result.proposal is not None
    assert {path.name for path in tmp_path.iterdir()} == {"context.json", "result.json"}


def test_the_same_order_gives_the_same_bytes(tmp_path: Path) -> None:
    context = a_context(parent=an_experiment())
    assert processed(context, tmp_path) == processed(context, tmp_path)


def test_each_kind_of_order_has_its_own_answer(tmp_path: Path) -> None:
    me, parent = an_experiment(candidate="s-0001", rungs=(a_rung(0.7),)), an_experiment(rungs=(a_rung(0.6),))
    failure = Failure(reason=Reason.DIVERGED, message="The loss rose.")
    fields = {"me": me, "parent": parent, "proposal": a_proposal(), "failure": failure}
    for kind, answer in {
        "propose": "proposal",
        "build": "writing",
        "repair": "writing",
        "analyze": "finding",
    }.items():
        context = Context(
            order=Order(name="o", kind=kind, search="s", candidate="s-0001", seconds=9), **fields
        )
        (tmp_path / "context.json").write_text(context.model_dump_json(by_alias=True))
        result = done(context.order, (tmp_path / "context.json").read_bytes)
        assert result.reason is None, result.message
        assert getattr(result, answer) is not None


def test_what_an_agent_can_t_do_is_a_result_that_says_why(tmp_path: Path) -> None:
    code, result = processed(a_context("build"), tmp_path)
    assert (code, result.reason) == (0, Reason.AGENT_FAILED)
    assert result.message == (
        "The agent failed to build: AgentFailedError: The order to build names no proposal."
    )


def test_a_kind_of_order_that_is_no_agent_s_is_refused(tmp_path: Path) -> None:
    assert processed(a_context("train"), tmp_path)[1].reason is Reason.AGENT_FAILED


@pytest.mark.parametrize("context", ["", "{}", '{"order": 3}'])
def test_a_context_that_can_t_be_read_is_a_result_too(tmp_path: Path, context: str) -> None:
    order = a_context().order
    path = tmp_path / "context.json"
    path.write_text(context)
    result = done(order, path.read_bytes)
    assert (result.reason, len(result.message) <= 1024) == (Reason.AGENT_FAILED, True)
    path.unlink()
    assert done(order, path.read_bytes).reason is Reason.AGENT_FAILED


def test_loading_the_agents_is_fast_and_loads_no_torch() -> None:
    check = (
        "import sys, asiarch.agents.run; assert not {'torch', 'scipy', 'numpy', 'asyncio'} & set(sys.modules)"
    )
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", check], check=True)
    assert time.monotonic() - begun < FAST


def test_the_table_of_roles_is_whole() -> None:
    assert set(ROLES) == {"propose", "build", "repair", "analyze"}


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, os.EX_DATAERR), (409, os.EX_DATAERR), (413, os.EX_DATAERR), (403, os.EX_TEMPFAIL)],
)
def test_a_pods_exit_code_says_whose_fault_a_refusal_is(tmp_path: Path, status: int, code: int) -> None:
    (tmp_path / "token").write_text("one")
    context = a_context(parent=an_experiment())
    told: Answer = (200, {}, context.model_dump_json(by_alias=True).encode())
    with answering(told, (status, {}, b'{"reason": "Because", "message": "It is so."}')) as (url, _):
        env = {
            **os.environ,
            "ASIARCH_ORDER": context.order.model_dump_json(by_alias=True),
            "ASIARCH_GATEWAY": url,
            "ASIARCH_TOKEN": str(tmp_path / "token"),
        }
        command = [sys.executable, "-m", "asiarch.agents.run"]
        ended = subprocess.run(command, env=env, check=False, capture_output=True, text=True)
    assert ended.returncode == code
    assert ended.stderr.splitlines()[-1].endswith(f"{status} Because: It is so.")
