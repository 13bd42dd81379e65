"""Finds or builds the programs of a cluster: `python -m tests.cluster.binaries` prints what was found.

The first of these places that has a program gives it: the folder `$KUBEBUILDER_ASSETS`; our cache (`asiarch/bin` in
the user's cache folder); an xz archive in the folder `$ASIARCH_CLUSTER_ARCHIVES`, unpacked into the cache; a build from
Go modules into the cache, pinned by the `go.mod` and `go.sum` beside this file, which takes minutes once.
"""

import fcntl
import lzma
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
_CHUNK_BYTES = 1 << 20
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_FOUND: dict[str, Path] = {}


class MissingBinaryError(RuntimeError):
    """A program that can neither be found nor built here."""


@dataclass(frozen=True)
class Bundle:
    """One file that holds one or more programs: the name it is called by picks one."""

    name: str
    version: str
    programs: tuple[str, ...]
    module: str
    """A folder beside this file, or else a package that `go install` takes at this version."""
    flags: str = "-s -w"

    @property
    def file(self) -> str:
        """What the file is called in the cache and, with .xz, among archives."""
        machine = platform.machine()
        return f"{self.name}-{self.version}-{sys.platform}-{_MACHINES.get(machine, machine)}"


def _kubernetes(version: str) -> Bundle:
    """Clients ask a server for its version; a plain build would call itself v0.0.0."""
    major, minor, _ = version.split(".")
    stamp = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
    flags = " ".join(f"-X k8s.io/component-base/version.{key}={value}" for key, value in stamp.items())
    programs = (
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubectl",
        "kubelet",
        "kube-proxy",
    )
    return Bundle("controlplane", version, programs, "controlplane", f"-s -w {flags}")


BUNDLES = (
    _kubernetes("1.36.3"),
    Bundle("etcd", "3.6.8", ("etcd",), "etcd"),
    Bundle("helm", "4.3.1", ("helm",), "helm.sh/helm/v4/cmd/helm"),
    Bundle("kubeconform", "0.8.0", ("kubeconform",), "github.com/yannh/kubeconform/cmd/kubeconform"),
    Bundle("kwok", "0.8.0", ("kwok",), "sigs.k8s.io/kwok/cmd/kwok"),
)


def find(program: str) -> Path:
    """The path of a program, which is unpacked or built first if it must be; raises MissingBinaryError."""
    if program not in _FOUND:
        _FOUND[program] = _given(program) or _cached(program)
    return _FOUND[program]


def find_all(programs: tuple[str, ...] = CONTROL_PLANE) -> Mapping[str, Path]:
    """The paths of several programs."""
    return {program: find(program) for program in programs}


def cache() -> Path:
    """The folder that keeps what was unpacked or built."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "asiarch" / "bin"


def _given(program: str) -> Path | None:
    folder = os.environ.get("KUBEBUILDER_ASSETS")
    path = Path(folder, program) if folder else None
    return path if path and os.access(path, os.X_OK) else None


def _cached(program: str) -> Path:
    """The link by which the cache calls a program; what it points to is made first."""
    bundle = next((b for b in BUNDLES if program in b.programs), None)
    if bundle is None:
        raise MissingBinaryError(f"No bundle has a program {program!r}.")
    file = cache() / bundle.file
    if not file.exists():
        with _alone():
            if not file.exists() and not _unpack(bundle, file):
                _build(bundle, file)
    # A folder for each version: another checkout's pins may differ, and links must not flip under its feet.
    link = cache() / f"{bundle.name}-{bundle.version}" / program
    if not link.exists():
        link.parent.mkdir(exist_ok=True)
        fresh = link.with_name(f".{program}-{os.getpid()}")
        fresh.symlink_to(Path("..", bundle.file))
        fresh.replace(link)
    return link


@contextmanager
def _alone() -> Iterator[None]:
    """Let one process at a time fill the cache."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _unpack(bundle: Bundle, file: Path) -> bool:
    folder = os.environ.get("ASIARCH_CLUSTER_ARCHIVES")
    archive = Path(folder, f"{bundle.file}.xz") if folder else None
    if archive is None or not archive.is_file():
        return False
    _say(f"unpacking {archive}")
    part = file.with_suffix(".part")
    with lzma.open(archive) as packed, part.open("wb") as whole:
        shutil.copyfileobj(packed, whole, _CHUNK_BYTES)
    part.chmod(0o755)
    part.replace(file)
    return True


def _build(bundle: Bundle, file: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise MissingBinaryError(
            f"{', '.join(bundle.programs)}: not in $KUBEBUILDER_ASSETS, not in {cache()}, no {bundle.file}.xz in "
            "$ASIARCH_CLUSTER_ARCHIVES, and Go isn't here to build it. "
            "Install Go 1.26 or later, or set one of the two variables."
        )
    _say(f"building {bundle.file} from Go modules: this happens once and may take ten minutes")
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(dir=cache(), prefix=".build-") as folder:
        try:
            _go(go, bundle, folder)
        except subprocess.CalledProcessError as error:
            raise MissingBinaryError(
                f"Go could not build {bundle.file} (exit code {error.returncode}); its words stand above. "
                "It needs Go 1.26 or later and a module proxy ($GOPROXY)."
            ) from error
        next(Path(folder).iterdir()).replace(file)
    _say(f"built {bundle.file} in {time.monotonic() - begin:.0f} s")


def _go(go: str, bundle: Bundle, folder: str) -> None:
    """Build one program into an empty folder."""
    environment = {**os.environ, "CGO_ENABLED": "0", "GOBIN": folder}
    flags = ["-trimpath", "-buildvcs=false", "-ldflags", bundle.flags]
    source = HERE / bundle.module
    if source.is_dir():
        command = [go, "build", "-mod=readonly", *flags, "-o", f"{folder}/{bundle.name}", "."]
        subprocess.run(command, check=True, cwd=source, env=environment)
    else:
        command = [go, "install", *flags, f"{bundle.module}@v{bundle.version}"]
        subprocess.run(command, check=True, cwd=folder, env=environment)


def _say(what: str) -> None:
    sys.stderr.write(f"cluster binaries: {what}\n")
    sys.stderr.flush()


def main(programs: list[str]) -> int:
    """Print where each program is; 1 when one can't be had."""
    try:
        for program in programs or CONTROL_PLANE:
            print(f"{program:<24} {find(program).resolve()}")
    except MissingBinaryError as error:
        _say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
