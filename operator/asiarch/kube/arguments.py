"""The operator's command line, which Helm's values fill, as settings."""

import argparse
import ipaddress
from collections.abc import Callable, Sequence

from asiarch.kube.deployment import START_SECONDS, Deployment, Images
from asiarch.kube.operate import Settings


def settings(words: Sequence[str]) -> Settings:
    """Read the words after `asiarch operate`; wrong ones end the process with exit code 2, as usual."""
    given = _parser().parse_args(words)
    deployment = Deployment(
        images=Images(given.agent_image, given.trainer_image),
        gateway_url=given.gateway_url,
        gateway_address=given.gateway_address,
        agent_service_account=given.agent_service_account,
        pull_policy=given.pull_policy,
        runtime_class=given.runtime_class,
        start_seconds=round(START_SECONDS * given.patience),
        patience=given.patience,
    )
    return Settings(
        deployment,
        namespaces=tuple(given.namespace),
        kubeconfig=given.kubeconfig,
        port=given.port,
        lease=given.lease,
        writes=given.writes,
        resync=given.resync,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="asiarch operate", description="Serve searches in a cluster.")
    add = parser.add_argument
    add("--gateway-url", required=True, help="where agents reach the gateway")
    add(
        "--gateway-address",
        type=_address,
        default="",
        help="its host's IP address, so that agents need no name service",
    )
    add("--agent-image", required=True, help="the image of agents' pods")
    add("--trainer-image", required=True, help="the image of training pods")
    add(
        "--agent-service-account", default="asiarch-agent", help="the account of agents' pods, without rights"
    )
    add("--namespace", action="append", default=[], help="a namespace to serve, repeatable; without one, all")
    add("--pull-policy", choices=("Always", "IfNotPresent", "Never"), default="IfNotPresent")
    add("--runtime-class", default=None, help="the runtime class of training pods, such as gvisor")
    add(
        "--patience",
        type=_number(0.01, 1000),
        default=1.0,
        help="times the usual wait for a place or an image (default 1)",
    )
    add("--port", type=_port, default=8080, help="where /livez, /readyz and /metrics are served")
    add("--lease", metavar="NAMESPACE", default=None, help="stand by through a Lease in this namespace")
    add(
        "--resync",
        type=_number(1, 86_400),
        default=300.0,
        help="seconds between two full lists (default 300)",
    )
    add(
        "--writes",
        type=_number(0.1, 10_000),
        default=100.0,
        help="writes to the API server per second (default 100)",
    )
    add("--kubeconfig", default=None, help="a kubeconfig, instead of the pod's own account")
    return parser


def _address(text: str) -> str:
    """An IP address or nothing; a variable that nobody filled in is told apart from a typing error."""
    if text.startswith("$("):
        raise argparse.ArgumentTypeError(
            f"{text} was not filled in: the gateway's Service wasn't there when this container started. "
            "Once it is there, the next start finds its address."
        )
    try:
        return str(ipaddress.ip_address(text)) if text else ""
    except ValueError:
        wanted = "an IP address, such as 192.0.2.7, or nothing"
        raise argparse.ArgumentTypeError(f"found {text!r}, wanted {wanted}") from None


def _port(text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= 65_535:
        return int(text)
    raise argparse.ArgumentTypeError(f"found {text!r}, wanted a port of 1 to 65535")


def _number(least: float, most: float) -> Callable[[str], float]:
    """Reads a number within bounds, ends included."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if least <= number <= most:
            return number
        raise argparse.ArgumentTypeError(f"found {text!r}, wanted a number of {least:g} to {most:g}")

    return read
