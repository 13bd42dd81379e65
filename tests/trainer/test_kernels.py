"""What a player counts of compiled kernels: nothing without a GPU, and from its start with one."""

from types import SimpleNamespace

import pytest
import torch
from triton import knobs

from asiarch_trainer.player.play import _kernels_heard


def test_without_a_gpu_nothing_is_said() -> None:
    with _kernels_heard() as kernels:
        assert kernels() == (-1, -1, -1)


def test_with_a_gpu_hits_and_misses_of_our_kernels_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with _kernels_heard() as kernels:
        for module, hit in (("asiarch_kernels.scan", True), ("asiarch_kernels.scan", False), ("mine", False)):
            function = SimpleNamespace(__module__=module, __name__="kernel", arg_names=())
            knobs.compilation.listener(
                src=SimpleNamespace(fn=function),
                metadata={"target": SimpleNamespace(arch=90), "hash": "", "shared": 0},
                metadata_group={},
                times=SimpleNamespace(total=0),
                cache_hit=hit,
            )
        assert kernels() == (1, 1, 1)
    assert knobs.compilation.listener is None
