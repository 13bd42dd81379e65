"""Our own containerd: its images are kept between runs, all else is a run's."""

import io
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

from tests.cluster.node import building
from tests.cluster.node.building import SANDBOX, Image
from tests.cluster.node.commands import CommandError, run, succeeds, wait_until
from tests.cluster.node.packages import PLUGINS
from tests.cluster.node.storage import kept
from tests.cluster.processes import Process

SETTINGS = Path(__file__).with_name("settings")
_NAME = "io.containerd.image.name"
_IMPORT_SECONDS = 900.0


class Runtime:
    """containerd with its state in `folder`; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "containerd.sock"
        self._root = kept() / "containerd"
        text = Template((SETTINGS / "containerd.toml").read_text())
        config = folder / "containerd.toml"
        config.write_text(
            text.substitute(folder=folder, kept=self._root, sandbox=SANDBOX.name, plugins=PLUGINS)
        )
        self._process = Process("containerd", ["containerd", "--config", config], folder / "containerd.log")

    def start(self) -> None:
        """Start it; what a run before has left of its containers is removed."""
        self._process.start()
        self._process.await_ready(lambda: succeeds(*self._ctr("version")), 30)
        self.clear()

    def stop(self) -> None:
        """Kill every container, and containerd."""
        try:
            if self._process.running:
                self.clear()
                self._process.terminate()
        finally:
            self._process.kill()

    def clear(self) -> None:
        """Kill and forget every container; one that dies meanwhile spoils a command, so look again."""

        def empty() -> bool:
            for kind, removal in (("tasks", ("rm", "--force")), ("containers", ("rm",))):
                if found := run(*self._ctr(kind, "list", "--quiet")).split():
                    succeeds(*self._ctr(kind, *removal, *found))
            return not run(*self._ctr("containers", "list", "--quiet")).strip()

        wait_until(empty, "containerd holds no containers")

    def provide(self, image: Image) -> bool:
        """Have an image, as its inputs are now; whether it had to be built and imported."""
        exact = image.exact
        if exact in self._images():
            return False
        building.build(image)
        with tempfile.TemporaryDirectory(dir=kept(), prefix="layout-") as layout:
            self._link_blobs(Path(layout))
            building.export(image, Path(layout))
            self._load(Path(layout), (image.name, exact))
        self._forget_all_but(image, exact)
        return True

    def _forget_all_but(self, image: Image, exact: str) -> None:
        """Drop what an image was before, by all its names: the kubelet's interface gives it one of its own."""
        images = self._images()
        old = {name for name in images if name.startswith(f"{image.repository}:")} - {image.name, exact}
        named = {images[name] for name in images if name not in old and not name.startswith("sha256:")}
        old |= {name for name in images if images[name] not in named}
        if old:
            run(*self._ctr("images", "rm", "--sync", *sorted(old)), seconds=_IMPORT_SECONDS)

    def _images(self) -> dict[str, str]:
        """The digests of all images by name."""
        _, *rows = run(*self._ctr("images", "list")).splitlines()
        return {name: found for name, _, found, *_ in (row.split() for row in rows)}

    def _link_blobs(self, layout: Path) -> None:
        """Show a layout the blobs that are here already: neither are they written again nor imported."""
        blobs = layout / "blobs" / "sha256"
        blobs.mkdir(parents=True)
        for blob in self._here().values():
            os.link(blob, blobs / blob.name)

    def _here(self) -> dict[str, Path]:
        """What blobs containerd has, by digest."""
        store = self._root / "io.containerd.content.v1.content" / "blobs" / "sha256"
        digests = run(*self._ctr("content", "list", "--quiet")).split()
        return {digest: store / digest.removeprefix("sha256:") for digest in digests}

    def _load(self, layout: Path, names: tuple[str, ...]) -> None:
        """Import a layout under these names; only what is missing goes through the pipe."""
        here = self._here()
        command = self._ctr("images", "import", "-")
        with (self._root.parent / "import.log").open("w+") as log:
            importer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
            assert importer.stdin
            with importer.stdin as pipe, tarfile.open(fileobj=pipe, mode="w|") as archive:
                for name, content in _index(layout, names):
                    entry = tarfile.TarInfo(name)
                    entry.size = len(content)
                    archive.addfile(entry, io.BytesIO(content))
                for blob in sorted((layout / "blobs" / "sha256").iterdir()):
                    if f"sha256:{blob.name}" not in here:
                        archive.add(blob, f"blobs/sha256/{blob.name}")
            if importer.wait(_IMPORT_SECONDS):
                log.seek(0)
                raise CommandError(f"{names[0]} can't be imported: {log.read()[-2000:]}")

    def _ctr(self, *words: str) -> list[str]:
        return ["ctr", "--address", str(self.socket), "--namespace", "k8s.io", *words]


def _index(layout: Path, names: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """The files by which a layout is known as one, with our names for its image."""
    index: dict[str, Any] = json.loads((layout / "index.json").read_text())
    (manifest,) = index["manifests"]
    index["manifests"] = [{**manifest, "annotations": {_NAME: name}} for name in names]
    yield "oci-layout", (layout / "oci-layout").read_bytes()
    yield "index.json", json.dumps(index).encode()
