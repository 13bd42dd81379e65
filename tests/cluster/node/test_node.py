"""What our pods rely on, shown on a real kubelet: separation of two containers, bound tokens, closed networks."""

import json
from typing import Any

from tests.cluster.node.node import Node
from tests.cluster.node.pods import a_container, a_pod, address, ended, message, reached, start
from tests.cluster.plane import ControlPlane

REFEREE, PLAYER = 65532, 65533
OPENS_DOOR = """
    import json, os, socket, struct
    door = socket.socket(socket.AF_UNIX)
    door.bind("/wire/closed")
    os.chmod("/wire/closed", 0o777)
    door.listen(1)
    os.rename("/wire/closed", "/wire/socket")
    caller, _ = door.accept()
    who = struct.unpack("3i", caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    said = json.loads(caller.makefile().readline())
    open("/dev/termination-log", "w").write(json.dumps({**said, "uid": who[1]}))
"""
KNOCKS = """
    import glob, json, os, socket, time
    while not os.path.exists("/wire/socket"):
        time.sleep(0.05)
    status = open("/proc/self/status").read()
    kept = dict(line.split()[:2] for line in status.splitlines() if line.startswith(("Cap", "No", "Sec")))
    said = {
        "capabilities": kept["CapEff:"], "no_new_privileges": kept["NoNewPrivs:"], "seccomp": kept["Seccomp:"],
        "processes": len(glob.glob("/proc/[0-9]*")), "token": os.path.exists("/var/run/secrets"),
        "writable": os.access("/", os.W_OK),
    }
    with socket.socket(socket.AF_UNIX) as wire:
        wire.connect("/wire/socket")
        wire.sendall(json.dumps(said).encode() + b"\\n")
"""
LISTENS = """
    import http.server
    http.server.HTTPServer(("", 8081), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def test_two_containers_with_different_uids_share_a_socket_and_nothing_else(
    plane: ControlPlane, node: Node, namespace: str
) -> None:
    referee = a_container(
        "referee",
        OPENS_DOOR,
        REFEREE,
        volumeMounts=[{"name": "wire", "mountPath": "/wire"}],
    )
    player = a_container(
        "player",
        KNOCKS,
        PLAYER,
        volumeMounts=[{"name": "wire", "mountPath": "/wire"}],
    )
    wire = {"name": "wire", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}}
    pod = ended(plane, node, start(plane, namespace, a_pod("pair", referee, player, volumes=[wire])))
    assert json.loads(message(pod, "referee")) == {
        "uid": PLAYER,
        "capabilities": "0000000000000000",
        "no_new_privileges": "1",
        "seccomp": "2",
        "processes": 1,
        "token": False,
        "writable": False,
    }


def test_a_projected_token_tells_the_gateway_which_pod_it_speaks_with(
    plane: ControlPlane, node: Node, namespace: str
) -> None:
    source = {"audience": "asiarch-gateway", "expirationSeconds": 600, "path": "token"}
    volume = {"name": "token", "projected": {"sources": [{"serviceAccountToken": source}]}}
    tells = a_container(
        "agent",
        "open('/dev/termination-log', 'w').write(open('/token/token').read())",
        volumeMounts=[{"name": "token", "mountPath": "/token", "readOnly": True}],
    )
    pod = ended(plane, node, start(plane, namespace, a_pod("agent-a1-x7k2p", tells, volumes=[volume])))
    review = _review(plane, message(pod, "agent"), "asiarch-gateway")
    assert review["authenticated"]
    assert review["user"]["extra"]["authentication.kubernetes.io/pod-uid"] == [pod["metadata"]["uid"]]
    assert not _review(plane, message(pod, "agent"), "somebody-else").get("authenticated")


def test_a_closed_network_is_closed_and_the_gateway_alone_is_open(
    plane: ControlPlane, node: Node, namespace: str
) -> None:
    labels = {"app": "gateway"}
    gateway = start(plane, namespace, a_pod("gateway", a_container("gateway", LISTENS), labels=labels))
    other = start(plane, namespace, a_pod("other", a_container("other", LISTENS)))
    doors = {
        "gateway": f"{address(plane, gateway)}:8081",
        "other": f"{address(plane, other)}:8081",
        "kubelet": f"{address(plane, gateway).rpartition('.')[0]}.1:22",
        "api": plane.url.removeprefix("https://"),
    }
    _apply(plane, namespace, "nobody", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})
    assert reached(plane, node, namespace, {"app": "closed"}, doors) == set()
    near = [{"podSelector": {"matchLabels": labels}}]
    agents = {"matchLabels": {"app": "agent"}}
    ports = [{"port": 8081}]
    egress = [{"to": near, "ports": ports}]
    ingress = [{"from": [{"podSelector": agents}], "ports": ports}]
    _apply(plane, namespace, "agents", {"podSelector": agents, "policyTypes": ["Egress"], "egress": egress})
    _apply(
        plane, namespace, "gateway",
        {"podSelector": {"matchLabels": labels}, "policyTypes": ["Ingress"], "ingress": ingress},
    )  # fmt: skip
    assert reached(plane, node, namespace, {"app": "agent"}, doors) == {"gateway"}
    assert reached(plane, node, namespace, {"app": "stranger"}, doors) == set()


def test_without_policies_pods_reach_each_other_and_the_api(
    plane: ControlPlane, node: Node, namespace: str
) -> None:
    other = start(plane, namespace, a_pod("other", a_container("other", LISTENS)))
    doors = {"other": f"{address(plane, other)}:8081", "api": "10.96.0.1:443"}
    assert reached(plane, node, namespace, {"app": "anyone"}, doors) == {"other", "api"}


def _review(plane: ControlPlane, token: str, audience: str) -> dict[str, Any]:
    spec = {"token": token, "audiences": [audience]}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
    status: dict[str, Any] = plane.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", body)[
        "status"
    ]
    return status


def _apply(plane: ControlPlane, namespace: str, name: str, spec: dict[str, object]) -> None:
    path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
    plane.request("POST", path, {"metadata": {"name": name}, "spec": spec})
