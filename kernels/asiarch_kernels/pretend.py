"""A pretend GPU: launches compile for its architecture, are checked against its limits, and run nothing.

What compiles is what a real launch would compile, since all of Triton's own code runs; only the driver is another.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.backends.driver import DriverBase
from triton.runtime import driver
from triton.runtime.jit import JITFunction, _triton_jit_function_registry

from asiarch_kernels.pinned import Architecture


class PretendError(RuntimeError):
    """A GPU can't be pretended in this process."""


@dataclass(frozen=True, slots=True)
class Model:
    """What a launch may ask of a device: the figures of the data-centre card of an architecture."""

    capability: tuple[int, int]
    name: str
    multiprocessors: int
    shared_memory: int

    @property
    def target(self) -> GPUTarget:
        """What Triton compiles for."""
        return GPUTarget("cuda", 10 * self.capability[0] + self.capability[1], 32)


MODELS: dict[Architecture, Model] = {
    "sm_80": Model((8, 0), "NVIDIA A100-SXM4-80GB", 108, 163 * 1024),
    "sm_90": Model((9, 0), "NVIDIA H100 80GB HBM3", 132, 227 * 1024),
    "sm_100": Model((10, 0), "NVIDIA B200", 148, 227 * 1024),
}
"""Shared memory in bytes that one block may opt in to."""

# No two pretend devices have the same number, nor has a real one: JITFunction keeps what it compiled by the number.
_numbers = itertools.count(1_000)


class PretendDriver(DriverBase):
    """Stands for the driver of one card; counts launches."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self.number = next(_numbers)
        self.launches = 0
        self.utils = SimpleNamespace(get_device_properties=self._properties, load_binary=self._load)

    @classmethod
    def is_active(cls) -> bool:
        """Never by itself; `pretending` makes it so."""
        return False

    def get_current_target(self) -> GPUTarget:
        """What Triton compiles for."""
        return self.model.target

    def get_current_device(self) -> int:
        return self.number

    def set_current_device(self, _number: int) -> None:
        """There is one device only."""

    def get_current_stream(self, _number: int) -> int:
        return 0

    def get_active_torch_device(self) -> torch.device:
        return torch.device("meta")

    def get_benchmarker(self) -> Any:
        raise PretendError("a pretend GPU takes no time: nothing can be tuned on it")

    def map_python_to_cpp_type(self, ty: str) -> str:
        return ty

    def launcher_cls(self, _source: Any, _metadata: Any) -> Callable[..., None]:
        """What a compiled kernel is launched with."""
        return self._launch

    def _launch(self, *_arguments: Any) -> None:
        self.launches += 1

    def _properties(self, _number: int) -> dict[str, int]:
        return {
            "max_shared_mem": self.model.shared_memory,
            "multiprocessor_count": self.model.multiprocessors,
            "warpSize": self.model.target.warp_size,
        }

    def _load(
        self, _name: str, _binary: bytes, _shared: int, _number: int
    ) -> tuple[object, object, int, int, int]:
        """Module, function, registers, spills and the most threads that a block may have."""
        return object(), object(), 0, 0, 1024


@contextmanager
def pretending(architecture: Architecture) -> Iterator[PretendDriver]:
    """Let this process believe that it has one card of this architecture; afterwards everything is as it was."""
    if knobs.runtime.interpret:
        raise PretendError("TRITON_INTERPRET is set, so kernels are interpreted and never compiled; unset it")
    pretended = PretendDriver(MODELS[architecture])
    with ExitStack() as restore:
        # The private field, since reading the public one asks for a real driver.
        restore.enter_context(_swapped(driver, "_active", pretended))
        for name, stub in _cuda(pretended.model).items():
            restore.enter_context(_swapped(torch.cuda, name, stub))
        restore.callback(_forget, pretended.number)
        yield pretended


def _cuda(model: Model) -> dict[str, Callable[..., Any]]:
    """What is asked of torch.cuda about a device."""
    properties = SimpleNamespace(
        name=model.name,
        major=model.capability[0],
        minor=model.capability[1],
        multi_processor_count=model.multiprocessors,
        shared_memory_per_block_optin=model.shared_memory,
        warp_size=model.target.warp_size,
    )
    return {
        "current_device": lambda: 0,
        "device": lambda _device: nullcontext(),
        "device_count": lambda: 1,
        "get_device_capability": lambda _device=None: model.capability,
        "get_device_name": lambda _device=None: model.name,
        "get_device_properties": lambda _device=None: properties,
    }


@contextmanager
def _swapped(owner: object, name: str, value: object) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _forget(number: int) -> None:
    """Drop what kernels keep for a pretend device."""
    for kernel in _triton_jit_function_registry.values():
        if isinstance(kernel, JITFunction):
            kernel.device_caches.pop(number, None)
