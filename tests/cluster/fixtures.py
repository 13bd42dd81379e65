"""Fixtures of a real control plane; a conftest that wants them imports them."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.binaries import MissingBinaryError, find_all
from tests.cluster.plane import ControlPlane
from tests.cluster.playing import Playing, apart

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
SERVICE_ACCOUNTS = ("asiarch-operator", "asiarch-gateway", "asiarch-agent")
_COUNT = itertools.count(1)


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """One control plane with our custom resources for all tests of this process."""
    try:
        find_all()
    except MissingBinaryError as missing:
        pytest.skip(str(missing))
    with ControlPlane() as up:
        up.install()
        yield up


@pytest.fixture
def namespace(plane: ControlPlane) -> Iterator[str]:
    """A fresh namespace under pod security *restricted*, with our service accounts (which may do nothing yet)."""
    name = plane.namespace(f"test-{os.getpid()}-{next(_COUNT)}", SERVICE_ACCOUNTS, RESTRICTED)
    yield name
    plane.request("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
def kubelet(plane: ControlPlane, tmp_path: Path) -> Iterator[Callable[..., Playing]]:
    """Starts playing kubelets, each with a node of its own; they and their nodes go with the test."""
    started: list[Playing] = []

    def start(**options: Any) -> Playing:
        made = Playing(plane, tmp_path, f"node-{os.getpid()}-{next(_COUNT)}", **options).start_ready()
        started.append(made)
        return made

    with apart(plane):
        yield start
        for made in started:
            made.remove()
