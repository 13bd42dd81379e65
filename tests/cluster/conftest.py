"""Every test here needs a real control plane, and is skipped where none can be had."""

from pathlib import Path

import pytest

from tests.cluster.fixtures import kubelet, namespace, plane
from tests.cluster.stage import shared_stage

__all__ = ["kubelet", "namespace", "plane", "shared_stage"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is collected here; what takes longest goes first, so that nobody waits for it at the end."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.cluster)
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
