"""`python -m tests.cluster.kubelet`: plays one node until it is killed."""

import argparse
import asyncio
import contextlib
import signal
import sys
from pathlib import Path

from tests.cluster.kubelet.api import Api
from tests.cluster.kubelet.children import Children
from tests.cluster.kubelet.faults import Faults
from tests.cluster.kubelet.kubelet import Kubelet
from tests.cluster.kubelet.life import Settings, Stage
from tests.cluster.ledger import Ledger


def main(words: list[str]) -> int:
    """Play until SIGTERM."""
    told = _parser().parse_args(words)
    settings = Settings(
        node=told.node,
        training=told.training or told.play,
        agents=told.agents or told.play,
        lasts=told.lasts,
        agents_last=told.agents_last,
        spread=told.spread,
        resources=tuple(tuple(each.split("=", 1)) for each in told.resource),
    )
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_play(settings, told))
    return 0


async def _play(settings: Settings, told: argparse.Namespace) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    told.folder.mkdir(parents=True, exist_ok=True)
    told.folder.chmod(0o711)
    async with Api(told.kubeconfig) as api, Children(training=settings.training == "real") as children:
        ledger = Ledger(told.ledger)
        await Kubelet(Stage(settings, api, ledger, Faults(told.faults), children, told.folder)).run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tests.cluster.kubelet", description="The playing kubelet.")
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--node", default="node-1", help="the node's name")
    parser.add_argument("--ledger", type=Path, required=True, help="append what ran to this file")
    parser.add_argument(
        "--folder",
        type=Path,
        required=True,
        help="keep the pods' volumes here; a short path, for sockets lie in it",
    )
    parser.add_argument(
        "--faults", type=Path, help="read rules from this file (tests.cluster.kubelet.faults)"
    )
    parser.add_argument(
        "--play", choices=("instant", "real"), default="instant", help="of agents and training"
    )
    parser.add_argument("--training", choices=("instant", "real"), help="instead of --play, for training")
    parser.add_argument(
        "--agents", choices=("instant", "real", "direct"),
        help="instead of --play, for agents; direct: write results past the gateway (benchmarks only)",
    )  # fmt: skip
    parser.add_argument("--lasts", type=float, default=0.0, help="seconds that an instant order takes")
    parser.add_argument("--agents-last", type=float, help="the same, of agents' orders")
    parser.add_argument(
        "--spread", type=float, default=0.0, help="share of them, less or more for each order"
    )
    parser.add_argument(
        "--resource", action="append", default=[], metavar="NAME=COUNT", help="a resource of the node"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
