"""Renders the chart with the real helm; tests that need it are skipped where none can be had."""

import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import binaries
from tests.helm.generate import CHART

Object = dict[str, Any]
NAMESPACE = "system"
CLUSTER_SCOPED = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
_SECONDS = 60
REGISTRY = "registry.example.com"
_REGISTRY = f'images.registry="{REGISTRY}"'


class RefusedError(RuntimeError):
    """Helm refused the values; the message is what it said."""


def text(*values: str, release: str = "asiarch", namespace: str = NAMESPACE, notes: bool = False) -> str:
    """What helm renders with these values, written as `name=value` with a value in JSON."""
    command = ["install", "--dry-run=client", "--hide-secret"] if notes else ["template"]
    settings = [word for value in (_REGISTRY, *values) for word in ("--set-json", value)]
    return helm(*command, release, str(CHART), "--namespace", namespace, *settings)


@cache
def render(*values: str, release: str = "asiarch", namespace: str = NAMESPACE) -> tuple[Object, ...]:
    """The objects that helm renders; callers may not change them."""
    found = yaml.safe_load_all(text(*values, release=release, namespace=namespace))
    return tuple(item for item in found if item)


def helm(*words: str) -> str:
    """What helm prints; raises RefusedError."""
    done = subprocess.run(
        [_helm(), *words], check=False, capture_output=True, text=True, timeout=_SECONDS, cwd=CHART
    )
    if done.returncode:
        raise RefusedError(done.stderr)
    return done.stdout


def of_kind(kind: str, objects: tuple[Object, ...]) -> dict[str, Object]:
    """The objects of a kind by name, with the namespace in front where several have one name."""
    found = [item for item in objects if item["kind"] == kind]
    names = [item["metadata"]["name"] for item in found]
    once = len(set(names)) == len(names)
    return {
        name if once else f"{item['metadata']['namespace']}/{name}": item
        for name, item in zip(names, found, strict=True)
    }


def containers(objects: tuple[Object, ...]) -> Iterator[Object]:
    """Every container of every Deployment."""
    for deployment in of_kind("Deployment", objects).values():
        yield from deployment["spec"]["template"]["spec"]["containers"]


@cache
def _helm() -> Path:
    try:
        return binaries.find("helm")
    except binaries.MissingBinaryError as missing:
        pytest.skip(str(missing))
