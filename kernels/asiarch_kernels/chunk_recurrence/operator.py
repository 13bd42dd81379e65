"""`asiarch::chunk_recurrence` and its backward for PyTorch: opaque nodes with shapes, gradients and FLOP counts."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from asiarch_kernels.chunk_recurrence import cost, fla, reference
from asiarch_kernels.chunk_recurrence.inputs import Inputs, check_starts
from asiarch_kernels.paths import Choice, take

FLOWING = ("q", "k", "v", "log_decay", "beta", "erase", "state")
"""The tensors of a call that gradients flow to, in the order of all arguments."""


@torch.library.custom_op("asiarch::chunk_recurrence", mutates_args=())
def chunk_recurrence(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor | None,
    beta: Tensor | None,
    erase: Tensor | None,
    state: Tensor | None,
    starts: Tensor | None,
    delta: bool,
    return_state: bool,
) -> tuple[Tensor, Tensor]:
    """The block for checked input; without `return_state` the second result is empty."""
    given = Inputs(q, k, v, log_decay, beta, erase, state, starts, delta, return_state)
    with torch.cuda.device_of(q):
        path = take("chunk_recurrence", choice(given))
        if path == "kernel":
            from asiarch_kernels.chunk_recurrence import kernel

            out, last = kernel.forward(given)
        else:
            out, last = _plain(path, given)
    return out.contiguous(), last.contiguous() if return_state else _nothing(last)


@torch.library.custom_op("asiarch::chunk_recurrence_backward", mutates_args=())
def chunk_recurrence_backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor | None,
    beta: Tensor | None,
    erase: Tensor | None,
    state: Tensor | None,
    starts: Tensor | None,
    delta: bool,
    return_state: bool,
    d_out: Tensor,
    d_last: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of the seven tensors that they flow to, in that order; empty for what wasn't given."""
    given = Inputs(q, k, v, log_decay, beta, erase, state, starts, delta, return_state)
    with torch.cuda.device_of(q):
        path = take("chunk_recurrence", choice(given))
        if path == "kernel":
            from asiarch_kernels.chunk_recurrence import kernel

            found: Sequence[Tensor | None] = kernel.backward(given, d_out, d_last if return_state else None)
        else:
            found = _differentiated(_PLAIN[path], given, d_out, d_last)
    asked = (q, k, v, log_decay, beta, erase, state)
    dq, dk, dv, *rest = (
        _nothing(q) if x is None or dx is None else dx.to(x.dtype).contiguous()
        for x, dx in zip(asked, found, strict=True)
    )
    return dq, dk, dv, rest[0], rest[1], rest[2], rest[3]


_PLAIN: dict[str, Callable[[Inputs], tuple[Tensor, Tensor]]] = {
    "fla": fla.chunk_recurrence,
    "reference": reference.chunk_recurrence,
}


def _plain(path: str, given: Inputs) -> tuple[Tensor, Tensor]:
    """A way that reads `starts` anyway, and may as well look whether they fit."""
    if given.starts is not None:
        check_starts(given.starts, given.q.shape[1])
    return _PLAIN[path](given)


def choice(given: Inputs) -> Choice:
    """Our kernel where it computes the call, else flash-linear-attention's, else the reference, as on a CPU."""
    if given.q.device.type != "cuda":
        return Choice("reference")
    # Triton's import takes a while and asks for a GPU, so that a process on a CPU goes without.
    from asiarch_kernels.chunk_recurrence import kernel

    if not (why := kernel.unsupported(given)):
        return Choice("kernel")
    if not (why_not := fla.unsupported(given)):
        return Choice("fla", why)
    return Choice("reference", f"{why}, and {why_not}")


def _differentiated(
    run: Callable[[Inputs], tuple[Tensor, Tensor]], given: Inputs, d_out: Tensor, d_last: Tensor
) -> list[Tensor | None]:
    """Gradients by computing once more what autograd then differentiates."""
    with _autograd():
        leaves = [
            x if x is None else x.detach().requires_grad_()
            for x in (getattr(given, name) for name in FLOWING)
        ]
        named: dict[str, Any] = dict(zip(FLOWING, leaves, strict=True))
        out, last = run(replace(given, **named))
        results, gradients = [out], [d_out.to(out.dtype)]
        if given.return_state:
            results, gradients = [out, last], [*gradients, d_last.to(last.dtype)]
        wanted = [x for x in leaves if x is not None]
        found = iter(torch.autograd.grad(results, wanted, gradients, materialize_grads=True))
    return [None if x is None else next(found) for x in leaves]


@contextmanager
def _autograd() -> Iterator[None]:
    """Record gradients inside of an operator, where PyTorch leaves autograd out; there is no public way to."""
    excluded = torch._C._dispatch_tls_local_exclude_set()  # noqa: SLF001
    for key in ("AutogradFunctionality", "AutogradOther", "AutogradNestedTensor", "ADInplaceOrView"):
        excluded = excluded.remove(getattr(torch._C.DispatchKey, key))  # noqa: SLF001
    included = torch._C._dispatch_tls_local_include_set()  # noqa: SLF001
    with torch._C._ForceDispatchKeyGuard(included, excluded), torch.enable_grad():  # noqa: SLF001
        yield


def _nothing(like: Tensor) -> Tensor:
    return like.new_empty(0)


@chunk_recurrence.register_fake
def _(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor | None,
    beta: Tensor | None,
    erase: Tensor | None,
    state: Tensor | None,
    starts: Tensor | None,
    delta: bool,
    return_state: bool,
) -> tuple[Tensor, Tensor]:
    dtype = torch.float64 if q.dtype == torch.float64 else torch.float32
    sequences = q.shape[0] if starts is None else starts.shape[0] - 1
    last = (sequences, q.shape[2], q.shape[3], v.shape[3]) if return_state else (0,)
    return q.new_empty(v.shape), q.new_empty(last, dtype=dtype)


@chunk_recurrence_backward.register_fake
def _(*given: Any) -> tuple[Tensor, ...]:
    return tuple(_nothing(given[0]) if x is None else x.new_empty(x.shape) for x in given[:7])


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.delta, ctx.return_state = inputs
    ctx.save_for_backward(*tensors)


def _differentiate(ctx: Any, d_out: Tensor, d_last: Tensor) -> tuple[Tensor | None, ...]:
    tensors = ctx.saved_tensors
    found = chunk_recurrence_backward(*tensors, ctx.delta, ctx.return_state, d_out, d_last)
    gradients = (None if x is None else dx for x, dx in zip(tensors[:7], found, strict=True))
    return (*gradients, None, None, None)


chunk_recurrence.register_autograd(_differentiate, setup_context=_keep)


@register_flop_formula(torch.ops.asiarch.chunk_recurrence)
def flops(q: torch.Size, k: torch.Size, v: torch.Size, *rest: Any, **_: object) -> int:
    """The work of matrix products, as `cost` counts it."""
    return cost.forward(_sizes(q, v, rest))


@register_flop_formula(torch.ops.asiarch.chunk_recurrence_backward)
def backward_flops(q: torch.Size, k: torch.Size, v: torch.Size, *rest: Any, **_: object) -> int:
    """The same of the backward pass, without what it computes once more."""
    return cost.backward(_sizes(q, v, rest))


def _sizes(q: torch.Size, v: torch.Size, rest: Sequence[Any]) -> cost.Sizes:
    _, _, erase, state, _, delta, return_state = rest[:7]
    positions = 2 * q[1] if erase is not None else q[1]
    return cost.Sizes(q[0], positions, q[2], q[3], v[3], delta, state is not None, return_state)
