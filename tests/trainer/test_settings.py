"""What a pod tells the trainer's programs: which seed, and how much."""

import json
import subprocess
import sys

import pytest

from asiarch.api.order import Order
from asiarch_trainer.settings import settings
from tests.trainer.bout import ENVIRONMENT, RECALL, ROOT, an_order

ORDER: Order = an_order("a file", RECALL)
TOLD = {
    "ASIARCH_ORDER": ORDER.model_dump_json(by_alias=True),
    "ASIARCH_CODE": "/code/candidate.py",
    "ASIARCH_SOCKET": "/wire/socket",
}

MODULE = str(ROOT / "trainer-image/asiarch_trainer/player/limits.py")


def limited(then: str, **limits: int) -> str:
    """What a program prints that bounds itself as a player in a pod does."""
    program = (
        f"from asiarch_trainer.player import limits; import os, resource\nlimits.apply({limits!r})\n{then}"
    )
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, text=True).stdout.strip()


def test_an_indexed_job_says_which_seed_is_measured() -> None:
    assert settings({**TOLD, "JOB_COMPLETION_INDEX": "2"}).order == ORDER.model_copy(update={"index": 2})


def test_without_an_indexed_job_the_order_says_it() -> None:
    assert settings(TOLD).order == ORDER


def test_limits_are_told_to_the_player_of_a_pod_alone() -> None:
    assert settings(TOLD).limits is None
    assert settings({**TOLD, "ASIARCH_LIMITS": json.dumps({"processes": 5})}).limits == {"processes": 5}


@pytest.mark.parametrize(("name", "value"), [("NPROC", 99), ("FSIZE", 1024), ("CORE", 0)])
def test_a_player_is_bounded_for_good(name: str, value: int) -> None:
    told = limited(f"print(resource.getrlimit(resource.RLIMIT_{name}))", processes=99, file=1024)
    assert told == f"({value}, {value})"


def test_running_out_of_memory_is_an_error_and_not_a_kill() -> None:
    taking = "try:\n    bytearray(1 << 31)\nexcept MemoryError:\n    print('refused')"
    assert limited(taking, processes=99, file=1024, memory=1 << 30) == "refused"


def test_what_a_container_has_left_can_be_taken() -> None:
    assert limited("print(len(bytearray(1 << 28)))", processes=99, file=1024, memory=1 << 30) == str(1 << 28)


def test_without_a_bound_on_memory_there_is_none() -> None:
    told = limited("print(resource.getrlimit(resource.RLIMIT_AS)[0])", processes=99, file=1024)
    assert told == str(-1)
