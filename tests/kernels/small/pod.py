"""Builds, checks and launches the small kernels, in a process of its own, and tells on stdout what came of it.

    python -m tests.kernels.small.pod build|verify TIER KERNEL,ARCHITECTURE…
    python -m tests.kernels.small.pod launch USER < scenes

A scene names the two tiers, an architecture and lengths, and starts as cold as a pod. Another user takes over when
everything is imported, for our Python may lie where that user may not read.
"""

import json
import os
import sys
from pathlib import Path
from typing import TypedDict

import torch
from triton.runtime import driver

from asiarch_kernels import aot, cache
from asiarch_kernels.compiles import listening
from asiarch_kernels.launching import Size
from asiarch_kernels.pretend import pretending
from tests.kernels.small.gated.kernel import launches
from tests.kernels.small.table import TABLE

PACKAGE = "tests.kernels.small"


class Scene(TypedDict):
    """Where a process looks for kernels, and what it launches: with an odd address where the length is odd."""

    tier: str
    writable: str
    architecture: str
    lengths: list[int]


def main(command: str, *rest: str) -> None:
    """Do it, and tell."""
    if command == "launch":
        become(int(rest[0]))
        sys.stdout.write(json.dumps([launch(scene) for scene in json.load(sys.stdin)]))
        return
    wanted = {tuple(pair.split(",")) for pair in rest[1:]}
    scope = aot.Scope(
        Path(rest[0]),
        tuple(row for row in TABLE if (row.kernel, row.architecture) in wanted),
        package=PACKAGE,
    )
    report = aot.verify(scope) if command == "verify" else aot.build(scope)
    wrong = aot.judge(report, verified=command == "verify")
    sys.stdout.write(json.dumps({**json.loads(report.to_json()), "wrong": wrong}))


def become(user: int) -> None:
    """Go on as this user, with no other group and no way back."""
    if user != os.geteuid():
        torch.empty_like(torch.empty(1, device="meta"))  # imports what torch imports late
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)


def launch(scene: Scene) -> dict[str, object]:
    """Play one scene."""
    os.environ |= {cache.VARIABLE: scene["tier"], "TRITON_CACHE_DIR": scene["writable"]}
    row = next(
        row for row in TABLE if row.kernel == "gated.forward" and row.architecture == scene["architecture"]
    )
    before, stubbed = cache.counts(), (driver._active, torch.cuda.get_device_properties)
    with pretending(row.architecture) as pretended, listening(PACKAGE) as compiles:
        for length in scene["lengths"]:
            for one in launches(row, Size(tokens=length, skew=length % 2)):
                one()
    return {
        "user": os.geteuid(),
        "launches": pretended.launches,
        "kernels": compiles.summary(),
        "cache": {where: count - before[where] for where, count in cache.counts().items()},
        "restored": stubbed == (driver._active, torch.cuda.get_device_properties),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
