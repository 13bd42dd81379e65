"""Stands in for a network plugin's policy engine: turns NetworkPolicies into one nft table, and keeps it so.

Closed by default: an address of a pod that it hasn't seen yet may send nothing, so a pod's first connection may fail
and clients must try again. Of the machine itself, pods reach the API server alone, and that by their policies too.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from tests.cluster.node.commands import run
from tests.cluster.plane import ApiError, ControlPlane

TABLE = "asiarch_policies"
_EVERY_SECONDS = 0.3
_LIVE = {"Pending", "Running"}
_OTHER_END = {"Egress": ("to", "daddr"), "Ingress": ("from", "saddr")}

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Seen:
    """What the rules are made from."""

    pods: Sequence[Object]
    policies: Sequence[Object]
    namespaces: Mapping[str, Mapping[str, str]]
    """Their labels by name."""

    @classmethod
    def by(cls, plane: ControlPlane) -> Self:
        """What the API server knows now; its cache is fresh enough."""
        pods, policies, namespaces = (
            plane.get(f"{path}?resourceVersion=0")["items"]
            for path in ("/api/v1/pods", "/apis/networking.k8s.io/v1/networkpolicies", "/api/v1/namespaces")
        )
        addressed = [pod for pod in pods if pod["status"].get("podIP") and pod["status"]["phase"] in _LIVE]
        labels = {n["metadata"]["name"]: n["metadata"].get("labels", {}) for n in namespaces}
        return cls(addressed, policies, labels)


class Enforcer:
    """Keeps the rules as the policies say, while it is entered."""

    def __init__(self, plane: ControlPlane, cidr: str, host: tuple[str, int]) -> None:
        """`cidr` is where the pods live, `host` what they may reach on the machine itself."""
        self._plane, self._cidr, self._host = plane, cidr, host
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="policies", daemon=True)

    def __enter__(self) -> Self:
        run("nft", "-f", "-", given=_CLOSED_V6)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _keep(self) -> None:
        """Write the rules whenever they change; while nobody can be asked, what is closed stays closed."""
        written = ""
        while not self._over.wait(_EVERY_SECONDS):
            try:
                wanted = rules(Seen.by(self._plane), self._cidr, self._host)
            except (httpx.TransportError, ApiError):
                continue
            if wanted != written:
                run("nft", "-f", "-", given=wanted)
                written = wanted


def rules(seen: Seen, cidr: str, host: tuple[str, int]) -> str:
    """The whole table as nft reads it; it replaces the one before at one stroke."""
    chains = [chain for pod in seen.pods for chain in _chains(pod, seen)]
    addresses = [_address(pod) for pod in seen.pods]
    known = f"ip saddr != {{ {', '.join(addresses)} }}" if addresses else ""
    sending = [
        f"ip saddr {cidr} {known} drop",
        *([f"ip saddr vmap {{ {_jumps('Egress', addresses)} }}"] if addresses else []),
    ]
    receiving = [f"ip daddr vmap {{ {_jumps('Ingress', addresses)} }}"] if addresses else []
    address, port = host
    hooks = [
        _hook("forward", "ct state established,related accept", *sending, *receiving),
        _hook(
            "input",
            "ct state established,related accept",
            f"ip saddr {cidr} ip daddr != {address} drop",
            f"ip saddr {cidr} tcp dport != {port} drop",
            f"ip saddr {cidr} ip protocol != tcp drop",
            *sending,
        ),
    ]
    return _replaced("ip", [*chains, *hooks])


def _chains(pod: Object, seen: Seen) -> Iterator[str]:
    """A pod's two chains: what it may send, and what it may receive."""
    namespace = pod["metadata"]["namespace"]
    mine = [
        policy
        for policy in seen.policies
        if policy["metadata"]["namespace"] == namespace
        and matches(policy["spec"].get("podSelector", {}), pod["metadata"].get("labels", {}))
    ]
    for direction in _OTHER_END:
        selecting = [policy for policy in mine if direction in policy["spec"]["policyTypes"]]
        allowed = [line for policy in selecting for line in _allowed(policy, direction, seen)]
        # What a policy lets out must still be let in at the other end: so `return`, never `accept`.
        body = [f"{line} return" for line in allowed] + (["drop"] if selecting else ["return"])
        yield _chain(_name(direction, _address(pod)), *(line.strip() for line in body))


def _allowed(policy: Object, direction: str, seen: Seen) -> Iterator[str]:
    """What one policy allows in one direction, as matches."""
    key, side = _OTHER_END[direction]
    for rule in policy["spec"].get(direction.lower(), []):
        for peer in _peers(rule.get(key), side, policy["metadata"]["namespace"], seen):
            for port in rule.get("ports") or [{}]:
                yield f"{peer} {_port(port)}"


def _peers(listed: Iterable[Object] | None, side: str, namespace: str, seen: Seen) -> Iterator[str]:
    """Matches of the other end's address; none listed means anybody."""
    if not listed:
        yield ""
    for peer in listed or ():
        if block := peer.get("ipBlock"):
            but = block.get("except")
            yield f"ip {side} {block['cidr']}" + (f" ip {side} != {{ {', '.join(but)} }}" if but else "")
        else:
            yield from (
                f"ip {side} {_address(pod)}" for pod in seen.pods if _meant(pod, peer, namespace, seen)
            )


def _meant(pod: Object, peer: Object, namespace: str, seen: Seen) -> bool:
    """Whether a peer's selectors select a pod."""
    home = pod["metadata"]["namespace"]
    near = (
        matches(peer["namespaceSelector"], seen.namespaces[home])
        if "namespaceSelector" in peer
        else home == namespace
    )
    return near and matches(peer.get("podSelector", {}), pod["metadata"].get("labels", {}))


def matches(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects these labels; an empty one selects everything."""
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        _holds(expression, labels) for expression in selector.get("matchExpressions", [])
    )


def _holds(expression: Object, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values", [])
    return {
        "In": labels.get(key) in values,
        "NotIn": labels.get(key) not in values,
        "Exists": key in labels,
        "DoesNotExist": key not in labels,
    }[str(expression["operator"])]


def _port(port: Object) -> str:
    """A match of protocol and port; a port's name isn't resolved here."""
    if not port:
        return ""
    protocol, first = port.get("protocol", "TCP").lower(), port.get("port")
    if first is None:
        return f"meta l4proto {protocol}"
    return f"{protocol} dport {int(first)}" + (f"-{port['endPort']}" if "endPort" in port else "")


def _address(pod: Object) -> str:
    return str(pod["status"]["podIP"])


def _name(direction: str, address: str) -> str:
    return f"{direction.lower()}_{address.replace('.', '_')}"


def _jumps(direction: str, addresses: Iterable[str]) -> str:
    return ", ".join(f"{address} : jump {_name(direction, address)}" for address in addresses)


def _hook(hook: str, *lines: str) -> str:
    return _chain(hook, f"type filter hook {hook} priority 0; policy accept;", *lines)


def _chain(name: str, *lines: str) -> str:
    return "\n".join([f"chain {name} {{", *lines, "}"])


def _replaced(family: str, chains: Iterable[str]) -> str:
    """A table that takes the place of the one of its name, if there is one."""
    named = f"table {family} {TABLE}"
    return "\n".join([named, f"delete {named}", f"{named} {{", *chains, "}", ""])


# Pods have no IPv6 addresses of their own, but would reach the machine's listeners by their link's.
_CLOSED_V6 = _replaced("ip6", (_hook(hook, 'iifname "veth*" drop') for hook in ("input", "forward")))
