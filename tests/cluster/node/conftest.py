"""Every test here needs a real node, and is skipped where none can be had."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.binaries import MissingBinaryError, find_all
from tests.cluster.node.building import OPERATOR, TRAINER
from tests.cluster.node.node import PROGRAMS, Node, a_plane
from tests.cluster.node.packages import obstacle
from tests.cluster.plane import ControlPlane


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is collected here."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.node)


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """One control plane that pods can reach, with our custom resources, for all tests here."""
    if reason := obstacle():
        pytest.skip(reason)
    try:
        find_all(PROGRAMS)
    except MissingBinaryError as missing:
        pytest.skip(str(missing))
    with a_plane() as up:
        up.install()
        yield up


@pytest.fixture(scope="session")
def node(plane: ControlPlane) -> Iterator[Node]:
    """One node with our images for all tests here."""
    with Node(plane, OPERATOR, TRAINER) as up:
        yield up
