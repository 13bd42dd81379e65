"""Builds images with buildah from Debian's archive and the package index alone: no registry is asked.

What a build needs to know of this machine's network, its certificate authority and its package index, is passed as
secrets and stays out of the images.
"""

import hashlib
import json
import os
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.node.commands import run, succeeds
from tests.cluster.node.storage import kept

ROOT = Path(__file__).resolve().parents[3]
_BASE = "localhost/asiarch/base:dev"
_DEBIAN = "bookworm"
_PYTHON = "python3,python3-venv,ca-certificates"
_LEFT_OUT = (
    "etc/resolv.conf",
    "etc/hostname",
    "usr/share/doc",
    "usr/share/man",
    "var/cache/apt",
    "var/lib/apt/lists",
)
_SOURCES = ("operator", "trainer-image", "kernels", "pyproject.toml", "requirements.lock")
_AUTHORITIES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
_AUTHORITY = "/etc/ssl/certs/ca-certificates.crt"
_INDEXES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL")
_BUILD_SECONDS = 1_800.0


@dataclass(frozen=True)
class Image:
    """An image of ours: what the cluster calls it, the Dockerfile that makes it, and what else goes into it."""

    repository: str
    dockerfile: str
    inputs: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    """Parts of the Dockerfile that take long and end in no image: kept apart, or they would be made anew each time."""

    @property
    def name(self) -> str:
        """What pods ask for."""
        return f"{self.repository}:dev"

    @property
    def exact(self) -> str:
        """The same, named after everything that it is made from."""
        made_from = hashlib.sha256(f"{_DEBIAN} {_PYTHON}".encode())
        for name, content in _context(self):
            made_from.update(f"{name}\0{len(content)}\0".encode() + content)
        return f"{self.repository}:{made_from.hexdigest()[:16]}"


SANDBOX = Image("localhost/asiarch/sandbox", "tests/cluster/node/sandbox.Dockerfile")
OPERATOR = Image("localhost/asiarch/operator", "operator/Dockerfile", _SOURCES)
TRAINER = Image("localhost/asiarch/trainer", "trainer-image/Dockerfile", _SOURCES, ("compiled",))


def build(image: Image) -> None:
    """Build an image; steps whose inputs are those of an earlier build are taken from there."""
    if not succeeds(*_buildah("inspect", "--type", "image", _BASE)):
        _build_base()
    with _scratch() as scratch:
        context = scratch / "context"
        for name, content in _context(image):
            (context / name).parent.mkdir(parents=True, exist_ok=True)
            (context / name).write_bytes(content)
            os.utime(context / name, (0, 0))
        secrets = [word for secret in _secrets(scratch) for word in ("--secret", secret)]
        targets = [("--target", stage, "--tag", f"{image.repository}-{stage}:dev") for stage in image.stages]
        for target in (*targets, ("--tag", image.name)):
            command = _buildah(
                "build", "--isolation", "chroot", "--layers", "--pull=never", *secrets, "--build-arg", f"BASE={_BASE}",
                *target, "--file", str(context / image.dockerfile), str(context),
            )  # fmt: skip
            # Here buildah puts the installers' caches, which are as large as the images: they go with the folder.
            run("env", f"TMPDIR={scratch}", *command, seconds=_BUILD_SECONDS)
    run(*_buildah("rmi", "--prune"), seconds=_BUILD_SECONDS)


def export(image: Image, layout: Path) -> None:
    """Write an image as an OCI layout, uncompressed; blobs that are in the layout already are not written again."""
    storage = f"[overlay@{_storage()}+{_storage() / 'run'}]"
    command = ("skopeo", "copy", "--quiet", "--dest-oci-accept-uncompressed-layers")
    run(*command, f"containers-storage:{storage}{image.name}", f"oci:{layout}:dev", seconds=_BUILD_SECONDS)


def _build_base() -> None:
    """Make Debian with Python, by debootstrap from where this machine's own packages come from."""
    with _scratch() as scratch:
        root = scratch / "root"
        bootstrap = ("debootstrap", "--variant=minbase", f"--include={_PYTHON}", _DEBIAN)
        run(*bootstrap, root, _archive(), seconds=_BUILD_SECONDS)
        for path in (root / name for name in _LEFT_OUT):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        run("tar", "--create", "--file", scratch / "root.tar", "--directory", root, ".", seconds=120)
        (scratch / "Dockerfile").write_text("FROM scratch\nADD root.tar /\n")
        (scratch / ".dockerignore").write_text("root\n")
        run(*_buildah("build", "--isolation", "chroot", "--tag", _BASE, str(scratch)), seconds=_BUILD_SECONDS)


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder for one build; what a killed one left is removed first."""
    folder = kept() / "scratch"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _archive() -> str:
    """Where apt-get finds Debian's packages."""
    targets = run("apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)", "Created-By: Packages")
    return min(line.split()[0] for line in targets.splitlines() if line.endswith(f" {_DEBIAN}"))


def _secrets(scratch: Path) -> Iterator[str]:
    """What a build may know and an image may not, as buildah's --secret takes it."""
    named = [os.environ[name] for name in _AUTHORITIES if os.environ.get(name)]
    authority = next((path for path in map(Path, [*named, _AUTHORITY]) if path.is_file()), None)
    if authority:
        yield f"id=ca,src={authority}"
    index = [
        f"export {name}={shlex.quote(value)}\n" for name, value in os.environ.items() if name in _INDEXES
    ]
    (scratch / "index").write_text("".join(index))
    yield f"id=index,src={scratch / 'index'}"


def _storage() -> Path:
    return kept() / "buildah"


def _buildah(*words: str) -> list[str]:
    """A command of buildah on a storage of our own."""
    return [
        "buildah", "--root", str(_storage()), "--runroot", str(_storage() / "run"), "--storage-driver", "overlay",
        *words,
    ]  # fmt: skip


def _context(image: Image) -> Iterator[tuple[str, bytes]]:
    """What a build may see: names and contents, without what Python has made."""
    for top in (ROOT / name for name in (image.dockerfile, *image.inputs)):
        found = top.rglob("*") if top.is_dir() else [top]
        for path in sorted(p for p in found if p.is_file() and "__pycache__" not in p.parts):
            content = path.read_bytes()
            name = str(path.relative_to(ROOT))
            yield name, _requirements(content) if name == "pyproject.toml" else content


def _requirements(pyproject: bytes) -> bytes:
    """What an installation reads of pyproject.toml: who changes a tool's settings shall not wait for gigabytes."""
    project = tomllib.loads(pyproject.decode())["project"]
    extras = project["optional-dependencies"].items()
    lines = [
        "[project]",
        'version = "0"',
        *(f"{key} = {json.dumps(project[key])}" for key in ("name", "requires-python", "dependencies")),
        "[project.optional-dependencies]",
        *(f"{name} = {json.dumps(needs)}" for name, needs in extras),
    ]
    return "\n".join([*lines, ""]).encode()
