"""Triton's cache in two tiers: kernels that came with the image, read only, and whatever else a pod compiles.

For TRITON_CACHE_MANAGER=asiarch_kernels.cache:TwoTierCache. The read-only tier lies in $ASIARCH_KERNELS_CACHE, in
folders by Triton's own keys, and names its files relative to itself, so it works wherever it is mounted. Each folder
tells the digests of its files: what is missing or spoilt there is compiled anew, as if it had never been built. The
writable tier is Triton's own, in $TRITON_CACHE_DIR.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from triton.runtime.cache import CacheManager, FileCacheManager

DIGESTS = "sha256.json"
"""Beside the files of a key: their names and digests."""
VARIABLE = "ASIARCH_KERNELS_CACHE"
"""Names the folder of the read-only tier in the environment."""

KEPT = (".cubin", ".json", ".so")
"""What a read-only tier keeps of Triton's files; the stages in between weigh five times as much."""

_found: Counter[str] = Counter()


class TwoTierCache(CacheManager):
    """The files of one key; Triton makes one for each kernel that it looks for."""

    def __init__(self, key: str, override: bool = False, dump: bool = False) -> None:  # noqa: FBT001, FBT002 (Triton's)
        super().__init__(key, override, dump)
        self._key = key
        self._kinds = (override, dump)
        root = os.environ.get(VARIABLE)
        self._baked = baked(Path(root) / key) if root and not (override or dump) else {}

    def get_file(self, filename: str) -> str | None:
        """The path of a file by itself, such as the shim of the driver."""
        if filename in self._baked:
            _found["image"] += 1
            return self._baked[filename]
        written = self._written()
        path = written.get_file(filename) if written else None
        _found["written" if path else "missing"] += 1
        return path

    def get_group(self, filename: str) -> dict[str, str] | None:
        """The paths of all files that belong with this one: a kernel's binary and what is known about it."""
        if filename in self._baked:
            _found["image"] += 1
            return dict(self._baked)
        written = self._written()
        group = (written.get_group(filename) if written else None) or {}
        _found["written" if filename in group else "missing"] += 1
        return group if filename in group else None

    def put(self, data: bytes | str, filename: str, binary: bool = True) -> str:  # noqa: FBT001, FBT002 (Triton's)
        """Write a file to the writable tier."""
        return str(self._writable().put(data, filename, binary))

    def put_group(self, filename: str, group: dict[str, str]) -> str:
        """Write down in the writable tier which files belong together."""
        return str(self._writable().put_group(filename, group))

    def _written(self) -> FileCacheManager | None:
        """The writable tier, to read; None where it can't be had, since a launch that finds its kernel needs none."""
        try:
            return FileCacheManager(self._key, *self._kinds)
        except OSError:
            return None

    def _writable(self) -> FileCacheManager:
        try:
            return FileCacheManager(self._key, *self._kinds)
        except OSError as fault:
            fault.add_note(
                "A kernel that isn't in the image was compiled; TRITON_CACHE_DIR must be writable."
            )
            raise


def counts() -> Mapping[str, int]:
    """How often a kernel or the shim was found in the image, or written earlier, or was missing, since the start."""
    return {where: _found[where] for where in ("image", "written", "missing")}


def baked(folder: Path) -> dict[str, str]:
    """The files of one key in a read-only tier, by name; none where one of them isn't what its digest says."""
    try:
        digests = json.loads((folder / DIGESTS).read_bytes())
        whole = all(digest(folder / name) == wanted for name, wanted in digests.items())
        return {name: str(folder / name) for name in digests} if whole else {}
    except (OSError, ValueError, AttributeError):
        return {}


def digest(path: Path) -> str:
    """The sha256 of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def bake(written: Path, tier: Path) -> None:
    """Copy what a read-only tier keeps of a writable one: a kernel's binary and description, or a shim."""
    for folder in sorted(path for path in written.iterdir() if path.is_dir()):
        kept = [
            path for path in folder.iterdir() if path.suffix in KEPT and not path.name.startswith("__grp__")
        ]
        if kept:
            _place(kept, tier / folder.name)


def _place(files: Iterable[Path], folder: Path) -> None:
    """Put files and their digests into a folder, which appears whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix="."))
    digests = {}
    for path in sorted(files):
        shutil.copyfile(path, made / path.name)
        digests[path.name] = digest(path)
    (made / DIGESTS).write_text(json.dumps(digests, indent=1))
    # Whoever runs a pod may read it, whatever the builder's umask was.
    made.chmod(0o755)
    for path in made.iterdir():
        path.chmod(0o644)
    shutil.rmtree(folder, ignore_errors=True)
    made.rename(folder)
