"""The recurrence as one operator of PyTorch: for compilers, for autograd, and for counts of work."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.backends.common import aot_autograd
from torch._functorch._aot_autograd.utils import make_boxed_func
from torch.utils.flop_counter import FlopCounterMode

from asiarch_kernels import paths
from asiarch_kernels.chunk_recurrence import chunk_recurrence, fla, operator, reference
from asiarch_kernels.chunk_recurrence.inputs import Inputs
from asiarch_kernels.fault import BlockInputError
from tests.kernels.recurrences import Call, given, leaves, pulls, too_far, tracked, wanted

CALLS = (
    Call(20),
    Call(70, decay="head", delta=True, state=True),
    Call(20, decay="channel", delta=True, erase=True),
    Call(20, 1, decay="head", state=True, starts=(0, 0, 1, 20)),
)


def arguments(inputs: Inputs) -> tuple[Any, ...]:
    """Those of the operator."""
    tensors = (inputs.log_decay, inputs.beta, inputs.erase, inputs.state, inputs.starts)
    return inputs.q, inputs.k, inputs.v, *tensors, inputs.delta, inputs.return_state


@pytest.mark.parametrize("call", CALLS, ids=str)
@pytest.mark.parametrize("return_state", [False, True])
def test_pytorch_finds_no_fault_with_it(call: Call, *, return_state: bool) -> None:
    inputs = replace(tracked(given(call)), return_state=return_state)
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(operator.chunk_recurrence, arguments(inputs), test_utils=tests)
    out, last = operator.chunk_recurrence(*arguments(inputs))
    given_back = (torch.ones_like(out), torch.ones_like(last))
    plain = tuple(x.detach() if isinstance(x, Tensor) else x for x in arguments(inputs))
    torch.library.opcheck(operator.chunk_recurrence_backward, (*plain, *given_back), test_utils=tests)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_its_gradients_are_those_of_the_recurrence(call: Call) -> None:
    inputs = tracked(given(call))
    out, last = operator.chunk_recurrence(*arguments(inputs))
    named = leaves(inputs)
    gradients = torch.autograd.grad((out, last), tuple(named.values()), pulls(inputs))
    results = {"out": out, "last": last, **dict(zip(named, gradients, strict=True))}
    assert not list(too_far(results, wanted(inputs), 1e-5))


@pytest.mark.parametrize("wrong", [(0, 30), (10, 40), (0, 30, 20, 40)])
def test_starts_that_do_not_fit_are_refused_where_a_compiler_could_not_read_them(
    wrong: tuple[int, ...],
) -> None:
    inputs = replace(given(Call(40, 1, starts=wrong)), return_state=False)
    with pytest.raises(BlockInputError, match=r"starts is .* wanted positions from 0 to 40 that never fall"):
        operator.chunk_recurrence(*arguments(inputs))


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_a_compiler_sees_one_node_forward_and_one_backward(call: Call) -> None:
    inputs = replace(tracked(given(call)), return_state=False)
    seen: list[list[str]] = []

    def loss(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        named = {
            name: getattr(inputs, name) for name in ("log_decay", "beta", "delta", "erase", "state", "starts")
        }
        out: Tensor = chunk_recurrence(q, k, v, **named)
        return out.square().sum()

    compiled = torch.compile(loss, backend=listing(seen), fullgraph=True)
    tensors = (inputs.q, inputs.k, inputs.v)
    found = torch.autograd.grad(compiled(*tensors), tensors)
    right = torch.autograd.grad(loss(*tensors), tensors)
    assert [[name for name in graph if "asiarch" in name] for graph in seen] == [
        ["asiarch.chunk_recurrence.default"],
        ["asiarch.chunk_recurrence_backward.default"],
    ]
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(found, right, strict=True))


def listing(seen: list[list[str]]) -> Any:
    """A backend that runs graphs as they are and lists what they call."""

    def compiler(graph: torch.fx.GraphModule, _: Any) -> Any:
        seen.append([str(node.target) for node in graph.graph.nodes if node.op == "call_function"])
        return make_boxed_func(graph.forward)

    return aot_autograd(fw_compiler=compiler, bw_compiler=compiler)


@pytest.mark.parametrize("erase", [False, True])
@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize(
    ("decay", "delta"), [("", False), ("head", False), ("head", True), ("channel", True)]
)
@pytest.mark.parametrize("length", [20, 150])
def test_its_work_is_what_the_reference_does(
    length: int, decay: str, *, delta: bool, state: bool, erase: bool
) -> None:
    inputs = tracked(
        given(Call(length, 2, 2, 8, 4, decay, delta, erase=erase and delta, state=state, strength=0.05))
    )
    counted = counter()
    with counted:
        out, last = reference.chunk_recurrence(inputs)
        torch.autograd.grad((out, last), tuple(leaves(inputs).values()), pulls(inputs))
    stated = counter()
    with stated:
        out, last = operator.chunk_recurrence(*arguments(inputs))
        torch.autograd.grad((out, last), tuple(leaves(inputs).values()), pulls(inputs))
    assert stated.get_total_flops() == counted.get_total_flops()


def test_work_grows_with_the_length() -> None:
    short, long = (Call(length, 1, keys=32, values=32, decay="head", delta=True) for length in (512, 2048))
    work = []
    for call in (short, long):
        with counter() as counting:
            operator.chunk_recurrence(*arguments(given(call)))
        work.append(counting.get_total_flops())
    assert work[1] / work[0] == pytest.approx(4, rel=0.02)


def test_shapes_are_known_without_values() -> None:
    inputs = given(Call(20, 1, 2, 8, 4, state=True, starts=(0, 5, 20)))
    meta = {name: x.to("meta") for name, x in leaves(inputs).items()}
    assert inputs.starts is not None
    out, last = chunk_recurrence(
        meta["q"], meta["k"], meta["v"], beta=meta["beta"], state=meta["state"],
        starts=inputs.starts.to("meta"), return_state=True,
    )  # fmt: skip
    assert (out.shape, last.shape) == ((1, 20, 2, 4), (2, 2, 8, 4))


def test_the_path_is_counted() -> None:
    inputs = given(CALLS[0])
    before = paths.counts().get("chunk_recurrence/reference", 0)
    chunk_recurrence(inputs.q, inputs.k, inputs.v)
    operator.chunk_recurrence(*arguments(inputs))
    assert paths.counts()["chunk_recurrence/reference"] == before + 2


def test_another_library_is_asked_for_channels_alone() -> None:
    assert "channels alone" in fla.unsupported(given(Call(decay="head")))
    assert (
        "no erase key" in fla.unsupported(given(Call(decay="channel", delta=True, erase=True)))
        or not installed()
    )


def installed() -> bool:
    return "installed" not in fla.unsupported(given(Call(decay="channel")))


def test_foreign_gradients_flow_through_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other libraries' functions, such as flash-linear-attention's, bring gradients of their own."""
    monkeypatch.setitem(operator._PLAIN, "reference", lambda i: (doubled(i.v), i.v.new_zeros(0)))
    inputs = tracked(replace(given(Call(8, beta=False)), return_state=False))
    out, _ = operator.chunk_recurrence(*arguments(inputs))
    (dv,) = torch.autograd.grad(out.sum(), inputs.v)
    assert torch.equal(dv, torch.full_like(dv, 2.0))


def doubled(x: Tensor) -> Tensor:
    y: Tensor = Doubled.apply(x)  # type: ignore[no-untyped-call]
    return y


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(_ctx: Any, *d: Tensor) -> Tensor:
        return 2 * d[0]


def counter() -> FlopCounterMode:
    """Counts triangular solutions and what is added to products, besides what PyTorch counts."""

    def solution(a: Any, b: Any, *_: Any, **__: Any) -> int:
        return int(torch.Size(b).numel() * a[-1])

    solve = torch.ops.aten.linalg_solve_triangular
    return FlopCounterMode(display=False, custom_mapping={solve: solution})


@pytest.fixture(autouse=True)
def _fresh_compiler() -> None:
    torch._dynamo.reset()
