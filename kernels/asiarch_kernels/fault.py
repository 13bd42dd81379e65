"""What a block says to input that it can't take: which argument, what was found, what was wanted."""

from collections.abc import Collection, Sequence
from typing import NoReturn

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

_DEVICES = ("cpu", "cuda", "meta")


class BlockInputError(ValueError):
    """A block was given what it doesn't compute; nothing was computed."""


def refuse(block: str, argument: str, found: object, wanted: str) -> NoReturn:
    """Raise for an argument; `wanted` is a phrase such as "a tensor of shape [B, T, H, K]"."""
    message = f"{block}: {argument} is {found}; wanted {wanted}."
    raise BlockInputError(message)


def check_shape(block: str, argument: str, tensor: object, wanted: Sequence[int | str]) -> None:
    """Demand a tensor with at least one value whose sizes are these; a name stands for any size of at least one."""
    if not isinstance(tensor, Tensor):
        refuse(block, argument, f"a {type(tensor).__name__}", "a tensor")
    sizes = tuple(tensor.shape)
    fits = len(sizes) == len(wanted) and all(
        isinstance(w, str) or w == s for w, s in zip(wanted, sizes, strict=True)
    )
    if not fits:
        refuse(block, argument, f"of shape {list(sizes)}", f"the shape {_named(wanted)}")
    if 0 in sizes:
        refuse(
            block,
            argument,
            f"of shape {list(sizes)}",
            f"at least one value along each axis of {_named(wanted)}",
        )


def _named(sizes: Sequence[int | str]) -> str:
    """In words, and only when something is wrong: a compiler can't put a size that varies into words."""
    return f"[{', '.join(map(str, sizes))}]"


def check_alike(block: str, tensors: dict[str, Tensor | None], dtypes: Collection[torch.dtype]) -> None:
    """Demand one device for all, and for each one of these dtypes; the first tensor sets the device."""
    given = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    first, device = next((name, tensor.device) for name, tensor in given.items())
    for name, tensor in given.items():
        if tensor.device != device:
            refuse(block, name, f"on {tensor.device}", f"{device}, where {first} is")
        if tensor.dtype not in dtypes:
            names = ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in dtypes))
            refuse(block, name, str(tensor.dtype).removeprefix("torch."), f"one of {names}")


def check_device(block: str, argument: str, tensor: Tensor) -> None:
    """Demand a CPU, a GPU, or none at all: a tensor of shapes alone."""
    if tensor.device.type not in _DEVICES:
        refuse(block, argument, f"on {tensor.device}", f"one of the devices {', '.join(_DEVICES)}")


def readable(tensor: Tensor) -> bool:
    """Whether values may be read on the host: on a GPU that would wait, and what a compiler traces has none."""
    return (
        tensor.device.type == "cpu"
        and not torch.compiler.is_compiling()
        and not isinstance(tensor, FakeTensor)
    )


def check_count(block: str, argument: str, found: object) -> None:
    """Demand a whole number of at least one."""
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        refuse(block, argument, repr(found), "a whole number of at least 1")


def check_flag(block: str, argument: str, found: object) -> None:
    """Demand a bool."""
    if not isinstance(found, bool):
        refuse(block, argument, repr(found), "True or False")


def check_number(block: str, argument: str, found: object, *, whole: bool = False) -> None:
    """Demand a number, which may have to be whole."""
    if isinstance(found, bool) or not isinstance(found, int if whole else (int, float)):
        refuse(block, argument, repr(found), f"a {'whole ' * whole}number")
