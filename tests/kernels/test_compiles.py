"""What a process says of its compiling, the pretend device it does it for, and the table that says how."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from triton import knobs
from triton.runtime import driver

from asiarch_kernels import aot, pinned
from asiarch_kernels.compiles import Loaded, listening
from asiarch_kernels.launching import Size, aligned
from asiarch_kernels.pinned import ARCHITECTURES, Pinned, Row
from asiarch_kernels.pretend import MODELS, PretendError, pretending
from asiarch_kernels.report import Failure, Report, written


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels are compiled and not interpreted, whatever other tests asked for."""
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)


def test_hits_and_misses_are_told_apart_and_so_are_others_kernels(tmp_path: Path) -> None:
    (tmp_path / "k.cubin").write_bytes(b"x" * 100)
    with listening() as compiles:
        tell("asiarch_kernels.scan.kernel", "run", tmp_path, cache_hit=True)
        tell("asiarch_kernels.scan.kernel", "run", tmp_path, cache_hit=False)
        tell("torch._inductor.made", "triton_poi_fused", tmp_path, cache_hit=False)
    assert compiles.summary() == {
        "hits": 1,
        "misses": 1,
        "missed": {"asiarch_kernels.scan.kernel.run": 1},
        "others": 1,
        "seconds": 3.0,
    }
    assert [one.bytes for one in compiles.loaded] == [100, 100, 100]
    assert compiles.loaded[0].special == "x:*bf16/16 T:i32 BLOCK=64"


def test_an_earlier_listener_goes_on_hearing_and_is_there_again_afterwards(tmp_path: Path) -> None:
    with listening() as outer:
        before = knobs.compilation.listener
        with listening() as inner:
            tell("m", "k", tmp_path, cache_hit=True)
        assert knobs.compilation.listener is before
    assert len(outer.loaded) == len(inner.loaded) == 1


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_pretend_device_is_of_its_architecture(architecture: pinned.Architecture, compiled: None) -> None:
    with pretending(architecture):
        assert pinned.current_architecture() == architecture
        assert torch.cuda.get_device_capability() == MODELS[architecture].capability


def test_after_pretending_everything_is_as_it_was(compiled: None) -> None:
    before = (driver._active, torch.cuda.current_device, torch.cuda.get_device_name)
    with pytest.raises(ZeroDivisionError), pretending("sm_90"):
        raise ZeroDivisionError
    assert before == (driver._active, torch.cuda.current_device, torch.cuda.get_device_name)


def test_kernels_that_are_interpreted_cannot_be_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    with pytest.raises(PretendError, match="unset it"), pretending("sm_90"):
        pass


def test_a_launch_finds_the_row_of_its_device_and_type_alone(
    monkeypatch: pytest.MonkeyPatch, compiled: None
) -> None:
    its = Pinned(4, 2)
    monkeypatch.setattr(pinned, "TABLE", {Row("scan.run", 64, "half", "sm_80"): its})
    with pretending("sm_80"):
        assert pinned.find("scan.run", width=64, dtype=torch.bfloat16) is its
        assert pinned.find("scan.run", width=64, dtype=torch.float16) is its
        assert pinned.find("scan.run", width=64, dtype=torch.float32) is None
        assert pinned.find("scan.run", width=64, dtype=torch.float64) is None
        assert pinned.find("scan.run", width=32, dtype=torch.bfloat16) is None
    with pretending("sm_90"):
        assert pinned.find("scan.run", width=64, dtype=torch.bfloat16) is None


def test_every_row_is_pinned_on_every_architecture_that_must_not_fail() -> None:
    for row in pinned.TABLE:
        for architecture in set(ARCHITECTURES) - aot.MAY_FAIL:
            assert replace(row, architecture=architecture) in pinned.TABLE


def test_a_tensor_is_copied_only_where_its_address_or_its_order_asks_for_it() -> None:
    x_TD = torch.arange(64.0).view(4, 16)
    assert aligned(x_TD) is x_TD
    assert aligned(x_TD[1:]).data_ptr() == x_TD[1:].data_ptr()
    for odd in (x_TD.t(), x_TD.flatten()[1:]):
        copy = aligned(odd)
        assert copy.is_contiguous()
        assert copy.data_ptr() % 16 == 0
        assert torch.equal(copy, odd)


def test_a_pretended_tensor_lies_where_its_size_says() -> None:
    even, odd = (Size(skew=skew).tensor(2, 3, dtype=torch.bfloat16) for skew in (0, 1))
    assert even.data_ptr() % 16 == 0
    assert odd.data_ptr() % 16 == 2
    assert even.shape == odd.shape == (2, 3)


def test_what_was_compiled_and_then_found_counts_once_as_compiled() -> None:
    row = Row("scan.run", architecture="sm_90")
    report = Report(
        (row,), (loaded(compiled=True), loaded(compiled=False), loaded(key="other", compiled=False))
    )
    assert report.totals("sm_90") == {
        "configurations": 1, "failed": 0, "binaries": 2, "compiled": 1, "bytes": 2_000, "seconds": 1.5,
    }  # fmt: skip
    (line,) = json.loads(report.to_json())["kernels"]
    assert (line["binaries"], line["compiled"], line["seconds"], line["shared"]) == (2, 1, 1.5, 2_048)


def test_the_table_tells_of_each_kernel_each_architecture_and_each_failure() -> None:
    rows = (Row("scan.run", architecture="sm_90"), Row("scan.run", architecture="sm_100"))
    told = written(Report(rows, (loaded(compiled=True),), (Failure(rows[1], "ptxas gave up\nat length"),)))
    assert "asiarch_kernels.scan.kernel.run" in told
    assert "ptxas gave up" in told
    assert "at length" not in told
    assert [line.split()[1] for line in told.splitlines() if line.startswith("all ")] == ["sm_100", "sm_90"]


def test_a_check_that_had_to_compile_is_wrong_and_a_build_that_did_is_not() -> None:
    report = Report((Row("scan.run"),), (loaded(compiled=True),), shim_compiled=True)
    assert aot.judge(report, verified=False) == []
    kernel, shim = aot.judge(report, verified=True)
    assert "T:i32" in kernel
    assert "shim" in shim


def test_a_choice_of_nothing_is_refused() -> None:
    table = {Row("scan.run", architecture="sm_90"): Pinned(1, 1)}
    assert aot.chosen(table, ["sm_90"], ["scan"]) == tuple(table)
    with pytest.raises(aot.AotError, match="sm_80"):
        aot.chosen(table, ["sm_80"])
    with pytest.raises(aot.AotError, match="conv"):
        aot.chosen(table, ["sm_90"], ["conv"])


def test_a_build_under_variables_that_change_the_keys_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITON_DISABLE_LINE_INFO", "1")
    with pytest.raises(aot.AotError, match="TRITON_DISABLE_LINE_INFO"):
        aot.build(aot.Scope(tmp_path / "tier", (Row("scan.run"),)))
    assert not (tmp_path / "tier").exists()


def loaded(*, key: str = "key", compiled: bool) -> Loaded:
    """A kernel of 1,000 bytes, which took 1.5 s."""
    return Loaded("asiarch_kernels.scan.kernel.run", "sm_90", key, compiled, 1.5, 1_000, 2_048, "T:i32")


def tell(module: str, name: str, folder: Path, *, cache_hit: bool) -> None:
    """Tell the listener what Triton would."""
    listener = knobs.compilation.listener
    assert listener is not None
    function = SimpleNamespace(__module__=module, __name__=name, arg_names=("x", "T", "BLOCK"))
    specialised = {
        "signature": {"x": "*bf16", "T": "i32", "BLOCK": "constexpr"},
        "constants": {(2,): 64},
        "attrs": {(0,): [["tt.divisibility", 16]]},
    }
    listener(
        src=SimpleNamespace(fn=function, **specialised),
        metadata={"target": MODELS["sm_90"].target, "hash": name, "shared": 0},
        metadata_group={"k.cubin": str(folder / "k.cubin")} if any(folder.iterdir()) else {},
        times=SimpleNamespace(total=1_500_000),
        cache_hit=cache_hit,
    )
