"""A real Kubernetes control plane for tests: etcd, API server, controller manager and scheduler on free ports.

Users: `admin` is the tests'; controller manager, scheduler and playing kubelet have users of their own, so that the
audit log tells who did what. Everyone else speaks with a real service account's token (`ControlPlane.token`).
Everything lives in one folder and is thrown away with it; several planes side by side don't know of each other.
"""

import base64
import contextlib
import fcntl
import secrets
import shutil
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import httpx
import yaml

from tests.cluster import binaries
from tests.cluster.ports import Ports
from tests.cluster.processes import Process

ROOT = Path(__file__).resolve().parents[2]
CRDS = ROOT / "crds"
ADMIN, KUBELET = "admin", "playing-kubelet"
_CONTROLLERS, _SCHEDULER = "system:kube-controller-manager", "system:kube-scheduler"
_USERS = (ADMIN, KUBELET, _CONTROLLERS, _SCHEDULER)
_PREFIX, _LOCK = "asiarch-plane-", ".lock"
_POLL_SECONDS = 0.05
_ROOMY = {"GOGC": "400"}
"""Four programs in Go on a test's two cores: they collect garbage less often, and take more memory."""
_CALL_SECONDS = 30.0
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*", "/openapi*", "/version"]},
        {"level": "None", "users": ["system:apiserver"]},
        {"level": "Metadata"},
    ],
}


class ApiError(RuntimeError):
    """The API server refused a test's own request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class KubectlError(RuntimeError):
    """kubectl ended with an error; the message is what it said."""


@dataclass(frozen=True)
class Flags:
    """Further flags of each program; a flag given twice counts the second time."""

    etcd: Sequence[str] = ()
    apiserver: Sequence[str] = ()
    controllers: Sequence[str] = ()
    scheduler: Sequence[str] = ()


@dataclass(frozen=True)
class _Ports:
    etcd: int
    peers: int
    apiserver: int
    controllers: int
    scheduler: int


@dataclass
class ControlPlane:
    """One control plane; a context manager that is up inside its block."""

    flags: Flags = field(default_factory=Flags)
    address: str = "127.0.0.1"
    """Where the API server listens and everybody reaches it; pods can't reach 127.0.0.1, which is their own."""

    def __post_init__(self) -> None:
        self.folder = _own_folder()
        self._lock = _locked(self.folder)
        self._free = Ports()
        self._ports = _Ports(*(self._free.take() for _ in range(5)))
        self._tokens = {user: secrets.token_hex(16) for user in _USERS}
        self._http: httpx.Client | None = None
        self.etcd, self.apiserver, self.controllers, self.scheduler = self._programs()

    @property
    def url(self) -> str:
        """The API server's address."""
        return f"https://{self.address}:{self._ports.apiserver}"

    @property
    def etcd_url(self) -> str:
        """Where etcd's own API is served."""
        return f"http://127.0.0.1:{self._ports.etcd}"

    @property
    def authority(self) -> Path:
        """The certificate by which clients know the API server."""
        return self.folder / "certs" / "apiserver.crt"

    @property
    def audit_log(self) -> Path:
        """Every request as a line of JSON (audit.k8s.io/v1 Event, level Metadata)."""
        return self.folder / "audit.jsonl"

    @property
    def admin(self) -> Path:
        """The tests' kubeconfig."""
        return self.folder / f"{ADMIN}.kubeconfig"

    @property
    def kubelet(self) -> Path:
        """The playing kubelet's kubeconfig."""
        return self.folder / f"{KUBELET}.kubeconfig"

    def start(self) -> Self:
        """Start everything and wait until a pod could be created in the default namespace."""
        self._write_files()
        self.etcd.start()
        self.apiserver.start()
        self.wait_ready()
        for user in _USERS:
            self.kubeconfig(self.folder / f"{user.rpartition(':')[2]}.kubeconfig", self._tokens[user])
        self.controllers.start()
        self.scheduler.start()
        self.wait_for(
            lambda: self.exists("/api/v1/namespaces/default/serviceaccounts/default"), "controllers"
        )
        return self

    def stop(self) -> None:
        """Kill everything; nothing is kept."""
        for process in (self.scheduler, self.controllers, self.apiserver, self.etcd):
            process.kill()
        if self._http is not None:
            self._http.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()
        self._free.close()

    def wait_ready(self, seconds: float = 60.0) -> None:
        """Wait for the API server to be ready, after a start or a fault."""
        self.apiserver.await_ready(self._ready, seconds)

    def wait_for(self, true: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
        """Wait until something is so."""
        until = time.monotonic() + seconds
        while not true():
            if time.monotonic() > until:
                raise TimeoutError(f"Still waiting for {what} after {seconds:.0f} s.")
            time.sleep(_POLL_SECONDS)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        kind: str = "application/json",
    ) -> Any:
        """One call of the API, as admin unless a token is given; raises ApiError. `kind` is the body's content type."""
        headers = {"Authorization": f"Bearer {token or self._tokens[ADMIN]}", "Content-Type": kind}
        answer = self._client().request(method, path, json=body, headers=headers)
        found = (
            answer.json() if answer.headers["content-type"].startswith("application/json") else answer.text
        )
        if answer.is_error:
            raise ApiError(answer.status_code, found["message"] if isinstance(found, dict) else found)
        return found

    def get(self, path: str) -> Any:
        """An object or a list."""
        return self.request("GET", path)

    def exists(self, path: str) -> bool:
        """Whether there is an object."""
        try:
            self.get(path)
        except ApiError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return False
            raise
        return True

    def kubectl(
        self, *words: str, stdin: str | None = None, kubeconfig: Path | None = None, seconds: float = 60.0
    ) -> str:
        """What kubectl prints, as admin unless a kubeconfig is given; raises KubectlError."""
        command: list[str | Path] = [
            binaries.find("kubectl"),
            "--kubeconfig",
            kubeconfig or self.admin,
            *words,
        ]
        done = subprocess.run(
            [*command, "--cache-dir", self.folder / "kubectl"],
            check=False, capture_output=True, text=True, input=stdin, timeout=seconds,
        )  # fmt: skip
        if done.returncode:
            raise KubectlError(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    @property
    def admin_token(self) -> str:
        """The admin's own token."""
        return self._tokens[ADMIN]

    def token(
        self, namespace: str, service_account: str, audience: str | None = None, seconds: int = 86_400
    ) -> str:
        """A real token of a service account, for the API itself unless an audience is given."""
        spec: dict[str, Any] = {"expirationSeconds": seconds}
        if audience is not None:
            spec["audiences"] = [audience]
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        return str(self.request("POST", path, body)["status"]["token"])

    def kubeconfig(self, path: Path, token: str, server: str | None = None) -> Path:
        """Write a kubeconfig for whoever has this token; `server` may name a proxy before the API server."""
        cluster: dict[str, Any] = {"server": server or self.url}
        if server is None:
            cluster["certificate-authority-data"] = base64.b64encode(self.authority.read_bytes()).decode()
        elif server.startswith("https:"):
            cluster["insecure-skip-tls-verify"] = True
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "plane", "cluster": cluster}],
            "users": [{"name": "user", "user": {"token": token}}],
            "contexts": [{"name": "plane", "context": {"cluster": "plane", "user": "user"}}],
            "current-context": "plane",
        }
        path.write_text(yaml.safe_dump(config))
        path.chmod(0o600)
        return path

    def install(self, crds: Path = CRDS) -> None:
        """Apply the custom resources and wait until they are served."""
        self.kubectl("apply", "--server-side", "-f", str(crds))
        self.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(crds))
        kinds = [yaml.safe_load(path.read_text())["spec"] for path in sorted(crds.glob("*.yaml"))]
        for kind in kinds:
            for version in kind["versions"]:
                path = f"/apis/{kind['group']}/{version['name']}/{kind['names']['plural']}"
                self.wait_for(lambda path=path: self._serves(path), path)  # type: ignore[misc]

    def namespace(
        self, name: str, service_accounts: Sequence[str] = (), labels: Mapping[str, str] | None = None
    ) -> str:
        """Make a namespace in which pods can be created at once."""
        metadata = {"name": name, "labels": dict(labels or {})}
        self.request("POST", "/api/v1/namespaces", {"metadata": metadata})
        accounts = f"/api/v1/namespaces/{name}/serviceaccounts"
        for account in service_accounts:
            self.request("POST", accounts, {"metadata": {"name": account}})
        self.wait_for(lambda: self.exists(f"{accounts}/default"), f"the namespace {name}")
        return name

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _client(self) -> httpx.Client:
        if self._http is None:
            trust = ssl.create_default_context(cafile=str(self.authority))
            self._http = httpx.Client(base_url=self.url, verify=trust, timeout=_CALL_SECONDS, trust_env=False)
        return self._http

    def _ready(self) -> bool:
        """Whether /readyz says ok; the certificate is the first thing that the server makes."""
        if not self.authority.exists():
            return False
        try:
            return bool(self.get("/readyz") == "ok")
        except (httpx.TransportError, ApiError, ssl.SSLError):
            return False

    def _serves(self, path: str) -> bool:
        """Whether a kind can be listed; for a moment after Established it still answers 404 or 429."""
        try:
            self.get(path)
        except ApiError as error:
            if error.status in {httpx.codes.NOT_FOUND, httpx.codes.TOO_MANY_REQUESTS}:
                return False
            raise
        return True

    def _write_files(self) -> None:
        openssl = shutil.which("openssl")
        if openssl is None:
            raise binaries.MissingBinaryError("openssl isn't here; it makes the key that signs tokens.")
        key = [
            openssl,
            "ecparam",
            "-name",
            "prime256v1",
            "-genkey",
            "-noout",
            "-out",
            str(self.folder / "sa.key"),
        ]
        subprocess.run(key, check=True, capture_output=True)
        rows = (f'{token},{user},{user},"system:masters"\n' for user, token in self._tokens.items())
        tokens = self.folder / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text("".join(rows))
        (self.folder / "audit.yaml").write_text(yaml.safe_dump(_AUDIT_POLICY))

    def _programs(self) -> tuple[Process, Process, Process, Process]:
        client, peers = (f"http://127.0.0.1:{port}" for port in (self._ports.etcd, self._ports.peers))
        return (
            self._process(
                "etcd", self.flags.etcd, "--data-dir", self.folder / "etcd", "--unsafe-no-fsync",
                "--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peers,
            ),
            self._process(
                "kube-apiserver", self.flags.apiserver, "--etcd-servers", client, "--bind-address", self.address,
                "--secure-port", self._ports.apiserver, "--cert-dir", self.folder / "certs",
                "--service-account-key-file", self.folder / "sa.key",
                "--service-account-signing-key-file", self.folder / "sa.key",
                "--service-account-issuer", "https://kubernetes.default.svc",
                "--token-auth-file", self.folder / "tokens.csv", "--authorization-mode", "RBAC",
                "--service-cluster-ip-range", "10.96.0.0/24", "--allow-privileged",
                "--enable-admission-plugins", "OwnerReferencesPermissionEnforcement",
                "--audit-policy-file", self.folder / "audit.yaml", "--audit-log-path", self.audit_log,
                "--audit-log-maxsize", 10_000,
            ),
            self._process(
                "kube-controller-manager", self.flags.controllers, *self._client_of(_CONTROLLERS),
                "--secure-port", self._ports.controllers, "--root-ca-file", self.authority,
                "--service-account-private-key-file", self.folder / "sa.key",
                "--use-service-account-credentials=false", "--node-monitor-period=1s",
                "--node-monitor-grace-period=15s", "--concurrent-job-syncs=20", "--concurrent-gc-syncs=50",
                "--concurrent-ttl-after-finished-syncs=10", "--concurrent-namespace-syncs=20",
            ),
            self._process(
                "kube-scheduler", self.flags.scheduler, *self._client_of(_SCHEDULER),
                "--secure-port", self._ports.scheduler,
            ),
        )  # fmt: skip

    def _client_of(self, user: str) -> tuple[str | Path, ...]:
        """How controllers and scheduler reach the API server: unthrottled, for a test's cluster is small."""
        kubeconfig = self.folder / f"{user.rpartition(':')[2]}.kubeconfig"
        return (
            "--kubeconfig", kubeconfig, "--leader-elect=false", "--bind-address", "127.0.0.1",
            "--kube-api-qps=500", "--kube-api-burst=1000",
        )  # fmt: skip

    def _process(self, name: str, further: Sequence[str], *words: str | Path | int) -> Process:
        command: list[str | Path] = [binaries.find(name), *map(str, words), *further]
        return Process(name, command, self.folder / f"{name}.log", _ROOMY)


def _own_folder() -> Path:
    """A new folder, through which others may pass: candidates' code, run as nobody, lies below. Old ones go."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        # Someone else's, or gone by now.
        with contextlib.suppress(OSError), left.open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left.parent, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    folder.chmod(0o711)
    return folder


def _locked(folder: Path) -> IO[str]:
    """Hold a folder for as long as this process lives; the lock is there only once it is held."""
    lock = (folder / f"{_LOCK}.part").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    Path(lock.name).rename(folder / _LOCK)
    return lock
