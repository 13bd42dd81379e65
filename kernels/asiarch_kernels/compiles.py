"""Tells what Triton had to compile in this process, and what it found compiled: a pod should compile nothing of ours.

A kernel counts once for each of its specialisations, when it is launched for the first time.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from triton import knobs


@dataclass(frozen=True, slots=True)
class Loaded:
    """One kernel, as Triton came to have it."""

    kernel: str
    """Its module and name."""
    architecture: str
    key: str
    """Triton's hash of everything that the binary depends on."""
    compiled: bool
    seconds: float
    bytes: int
    """Of its binary."""
    shared: int
    """Bytes of shared memory that it asks for."""
    special: str
    """What it was specialised for: the types of its arguments, those that are multiples of 16, and its constants."""


@dataclass(slots=True)
class Compiles:
    """What was loaded since the listening began, and whose kernels are ours: Inductor's and a user's are not."""

    package: str
    loaded: list[Loaded] = field(default_factory=list)

    @property
    def ours(self) -> list[Loaded]:
        """Those of the package."""
        return [one for one in self.loaded if one.kernel.startswith(f"{self.package}.")]

    @property
    def hits(self) -> int:
        """How many of ours were found compiled."""
        return sum(not one.compiled for one in self.ours)

    @property
    def misses(self) -> int:
        """How many of ours had to be compiled."""
        return sum(one.compiled for one in self.ours)

    @property
    def others(self) -> int:
        """How many were compiled that aren't ours: a compiler's, a user's, or flash-linear-attention's."""
        return sum(one.compiled for one in self.loaded) - self.misses

    def summary(self) -> Mapping[str, int | float | Mapping[str, int]]:
        """For a result: hits and misses among our kernels, which of them missed, and what others had compiled."""
        return {
            "hits": self.hits,
            "misses": self.misses,
            "missed": dict(Counter(one.kernel for one in self.ours if one.compiled)),
            "others": self.others,
            "seconds": round(sum(one.seconds for one in self.loaded if one.compiled), 3),
        }


@contextmanager
def listening(package: str = __package__) -> Iterator[Compiles]:
    """Take note of every kernel that Triton compiles or finds compiled; an earlier listener goes on hearing."""
    compiles, before = Compiles(package), knobs.compilation.listener

    def listener(**news: Any) -> None:
        if before:
            before(**news)
        compiles.loaded.append(_loaded(**news))

    knobs.compilation.listener = listener
    try:
        yield compiles
    finally:
        knobs.compilation.listener = before


def _loaded(
    *, src: Any, metadata: Mapping[str, Any], metadata_group: Mapping[str, str], times: Any, cache_hit: bool
) -> Loaded:
    """What Triton tells, in our words."""
    function = getattr(src, "fn", None)
    target = metadata["target"]
    return Loaded(
        kernel=f"{function.__module__}.{function.__name__}" if function else str(src.name),
        architecture=f"sm_{target.arch}",
        key=metadata["hash"],
        compiled=not cache_hit,
        seconds=times.total / 1e6,
        bytes=_size(metadata_group),
        shared=metadata["shared"],
        special=_special(src),
    )


def _special(source: Any) -> str:
    """As words, in the order of the kernel's parameters; empty for what didn't come from Python."""
    function = getattr(source, "fn", None)
    if function is None:
        return ""
    words = []
    for at, name in enumerate(function.arg_names):
        if (at,) in source.constants:
            words.append(f"{name}={source.constants[at,]}")
        else:
            attributes = source.attrs.get((at,), [])
            words.append(f"{name}:{source.signature[name]}{'/16' if attributes else ''}")
    return " ".join(words)


def _size(files: Mapping[str, str]) -> int:
    """Bytes of the binary among a kernel's files."""
    return sum(Path(path).stat().st_size for name, path in files.items() if name.endswith(".cubin"))
