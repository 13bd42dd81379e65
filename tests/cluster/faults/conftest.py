"""A proxy in front of a tiny real server; clean for each test."""

from collections.abc import Iterator

import pytest

from tests.cluster.faults.client import FaultProxy, fault_proxy
from tests.cluster.faults.scene import SPARE
from tests.cluster.faults.settings import Faults
from tests.cluster.faults.upstream import Upstream
from tests.cluster.ports import Ports


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[int, int, int]]:
    taken = Ports()
    yield taken.take(), taken.take(), taken.take()
    taken.close()


@pytest.fixture
def upstream(ports: tuple[int, int, int]) -> Iterator[Upstream]:
    with Upstream(ports[2]) as up:
        yield up


@pytest.fixture(scope="module")
def running(ports: tuple[int, int, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultProxy]:
    folder = tmp_path_factory.mktemp("proxy")
    with fault_proxy(f"http://127.0.0.1:{ports[2]}", ports[:2], folder, token=SPARE) as proxy:
        yield proxy


@pytest.fixture
def proxy(running: FaultProxy, upstream: Upstream) -> FaultProxy:
    """A clean proxy that counts from the beginning, in front of an empty server."""
    running.faults(Faults())
    running.restart()
    running.journal.write_text("")
    return running
