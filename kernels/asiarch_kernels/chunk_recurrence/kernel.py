"""Our own kernels on the host's side: what they take, how they are launched, and every launch there is.

They compute no decay or one for each head and step, with the delta rule or without, for widths of 16, 32, 64 and 128,
in bfloat16 or float32; float16 is computed in float32, whose states can't overflow. Keys and values of other or unequal
widths are filled up and cut into slices (`widths`), and a separate erase key takes twice the positions (`erasing`). The
backward pass keeps nothing of the forward pass: it walks forward once more.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from asiarch_kernels import pinned
from asiarch_kernels.chunk_recurrence.erasing import before_writing
from asiarch_kernels.chunk_recurrence.inputs import Inputs
from asiarch_kernels.chunk_recurrence.programs_backward import gradient_kernel, reverse_kernel
from asiarch_kernels.chunk_recurrence.programs_forward import forward_kernel, invert_kernel
from asiarch_kernels.chunk_recurrence.widths import WIDTHS, Fit, fit
from asiarch_kernels.launching import Launch, Size, aligned
from asiarch_kernels.pinned import Pinned, Row

# Shapes: B batch, T time (all positions of all sequences where it stands first), H heads, K key width of a head,
# V value width of a head, C positions of a chunk, N sequences, M chunks, P parts of the key width.

_MOST = 2**31
"""Values of one sequence's keys, above which a kernel's 32-bit offsets would overflow."""


class Gradients(NamedTuple):
    """Of what was given, in its shapes; None where nothing was given."""

    q: Tensor
    k: Tensor
    v: Tensor
    log_decay: Tensor | None
    beta: Tensor | None
    erase: Tensor | None
    state: Tensor


def unsupported(given: Inputs) -> str:
    """Why these kernels don't compute a call; empty where they do."""
    if given.log_decay is not None and given.log_decay.ndim == 4:
        return "no kernel of ours decays channel by channel"
    if (fits := fit(given)) is None:
        return f"no kernel for keys of width {given.q.shape[-1]}, only up to {WIDTHS[-1]}"
    if given.q.dtype == torch.float64:
        return "no kernel computes in float64"
    if given.q.shape[1] * given.q.shape[2] * fits.slices * fits.width >= _MOST:
        return f"kernels count the values of one sequence up to {_MOST}"
    if not all(_pins(given.q.dtype, fits.width)):
        return f"no configuration is pinned for {given.q.dtype} at width {fits.width} on this device"
    return ""


def forward(given: Inputs) -> tuple[Tensor, Tensor]:
    """Outputs [B, T, H, V] in the type of q, and last states [N, H, K, V] in float32."""
    if given.erase is not None:
        out, last = forward(before_writing(given))
        return out[:, 1::2].contiguous(), last
    if (fits := fit(given)) is not None and fits.needed:
        out, last = forward(fits.inputs(given))
        return fits.values_out(out).contiguous(), fits.states_out(last).contiguous()
    flat = _flatten(given)
    pin = _find("forward", given)
    layout = _layout(given, pin)
    out_THV, last_NHKV = _written(flat.v, given), torch.empty_like(flat.first)
    inverse_THC = _invert(flat, layout, pin)
    _walk(flat, layout, pin, inverse_THC, (out_THV, last_NHKV, out_THV), keeps=False)
    return out_THV.view(given.v.shape).to(given.q.dtype), last_NHKV


def backward(given: Inputs, d_out: Tensor, d_last: Tensor | None) -> Gradients:
    """Gradients of everything given; `d_last` [N, H, K, V] is that of the last states."""
    if given.erase is not None:
        return _apart(given, d_out, d_last)
    if (fits := fit(given)) is not None and fits.needed:
        return _refitted(fits, given, d_out, d_last)
    flat = _flatten(given)
    pin = _find("reverse", given)
    layout = _layout(given, pin)
    inverse_THC = _invert(flat, layout, pin)
    written_THV, d_wanted_THV = torch.empty_like(flat.v), torch.empty_like(flat.v)
    states_MHKV = flat.v.new_empty(layout.chunks, *flat.first.shape[1:])
    d_states_MHKV, d_first_NHKV = torch.empty_like(states_MHKV), torch.empty_like(flat.first)
    d_out_THV = aligned(d_out.to(flat.v.dtype)).view_as(flat.v)
    d_last_NHKV = torch.zeros_like(flat.first) if d_last is None else aligned(d_last.float())
    _walk(
        flat, layout, _find("keep", given), inverse_THC, (written_THV, d_first_NHKV, states_MHKV), keeps=True
    )
    reverse_kernel[(layout.sequences * flat.heads, flat.values // pin.constants["BV"])](
        flat.q, flat.k, flat.g, flat.erasing, inverse_THC, d_out_THV, d_last_NHKV,
        d_wanted_THV, d_states_MHKV, d_first_NHKV, *layout.arguments, flat.heads,
        K=flat.keys, V=flat.values, **flat.rule, **pin.options,
    )  # fmt: skip
    saved = (written_THV, states_MHKV, d_out_THV, d_wanted_THV, d_states_MHKV)
    return _gradients(given, flat, layout, saved, d_first_NHKV)


@dataclass(frozen=True, slots=True)
class _Flat:
    """What kernels take: time and batch in one, gates in float32, and an address that is a multiple of 16."""

    q: Tensor
    k: Tensor
    v: Tensor
    g: Tensor
    writing: Tensor
    erasing: Tensor
    first: Tensor
    rule: dict[str, bool]

    @property
    def heads(self) -> int:
        return self.q.shape[1]

    @property
    def keys(self) -> int:
        return self.q.shape[2]

    @property
    def values(self) -> int:
        return self.v.shape[2]


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where sequences lie; `length` is 0 where `table` lists them."""

    table: Tensor
    sequences: int
    length: int
    chunks: int

    @property
    def arguments(self) -> tuple[Tensor, int, int]:
        return self.table, self.sequences, self.length


@dataclass(frozen=True, slots=True)
class _Pin:
    """A pinned configuration, as keyword arguments of a launch."""

    constants: dict[str, int]
    options: dict[str, Any]


def _flatten(given: Inputs) -> _Flat:
    dtype = torch.float32 if given.q.dtype == torch.float16 else given.q.dtype
    q, k, v = (aligned(x.to(dtype)).flatten(0, 1) for x in (given.q, given.k, given.v))
    gates = q.shape[:2]
    ones = (
        q.new_ones(gates, dtype=torch.float32)
        if given.beta is None
        else aligned(given.beta.float()).view(gates)
    )
    erasing = ones if given.erasing is None else aligned(given.erasing.float()).view(gates)
    g = ones if given.log_decay is None else aligned(given.log_decay.float()).view(gates)
    sequences = given.q.shape[0] if given.starts is None else given.starts.shape[0] - 1
    if given.state is None:
        first = q.new_zeros(sequences, q.shape[1], q.shape[2], v.shape[2], dtype=torch.float32)
    else:
        first = aligned(given.state.float())
    return _Flat(
        q, k, v, g, ones, erasing, first, {"DECAYS": given.log_decay is not None, "ERASES": given.delta}
    )


def _layout(given: Inputs, pin: _Pin) -> _Layout:
    """Starts that don't fit are bent to fit, so that no kernel reads or writes where it must not."""
    chunk, (batch, length) = pin.constants["C"], given.q.shape[:2]
    if given.starts is None:
        nothing = given.q.new_empty(1, dtype=torch.int32)
        return _Layout(nothing, batch, length, batch * triton.cdiv(length, chunk))
    starts_N = given.starts.clamp(0, length).cummax(0).values
    sequences = len(starts_N) - 1
    chunks_N = ((starts_N.diff() + chunk - 1) // chunk).cumsum(0)
    first_N = torch.cat((starts_N.new_zeros(1), chunks_N))
    most = length // chunk + sequences
    numbers_M = torch.arange(most, device=starts_N.device, dtype=first_N.dtype)
    owner_M = torch.searchsorted(first_N, numbers_M, right=True) - 1
    return _Layout(torch.cat((starts_N, first_N, owner_M)).int(), sequences, 0, most)


def _pins(dtype: torch.dtype, width: int) -> tuple[Pinned | None, ...]:
    dtype = torch.float32 if dtype == torch.float16 else dtype
    names = ("forward", "keep", "reverse", "gradient")
    return tuple(pinned.find(f"chunk_recurrence.{name}", width=width, dtype=dtype) for name in names)


def _find(name: str, given: Inputs) -> _Pin:
    pins = _pins(given.q.dtype, given.q.shape[-1])
    found = dict(zip(("forward", "keep", "reverse", "gradient"), pins, strict=True))[name]
    if found is None:
        message = f"chunk_recurrence.{name}: {unsupported(given)}"
        raise LookupError(message)
    constants = dict(found.constants)
    for constant, width in (("BV", given.v.shape[-1]), ("BK", given.q.shape[-1])):
        if constant in constants:
            constants[constant] = min(constants[constant], width)
    return _Pin(constants, {**constants, "num_warps": found.warps, "num_stages": found.stages})


def _written(v_THV: Tensor, given: Inputs) -> Tensor:
    """Where positions may belong to no sequence they come out as NaN, not as what memory held before."""
    return torch.empty_like(v_THV) if given.starts is None else torch.full_like(v_THV, torch.nan)


def _invert(flat: _Flat, layout: _Layout, pin: _Pin) -> Tensor:
    """The inverses of all chunks; without the delta rule there are none."""
    if not flat.rule["ERASES"]:
        return flat.k
    chunk = pin.constants["C"]
    inverse_THC = flat.k.new_empty(*flat.k.shape[:2], chunk)
    invert_kernel[(layout.chunks * flat.heads,)](
        flat.k, flat.g, flat.erasing, inverse_THC, *layout.arguments, flat.heads,
        K=flat.keys, C=chunk, DECAYS=flat.rule["DECAYS"], num_warps=1, num_stages=1,
    )  # fmt: skip
    return inverse_THC


def _walk(
    flat: _Flat,
    layout: _Layout,
    pin: _Pin,
    inverse_THC: Tensor,
    into: tuple[Tensor, Tensor, Tensor],
    *,
    keeps: bool,
) -> None:
    """Walk forward, into outputs and last states or into what is written and the states of chunks."""
    forward_kernel[(layout.sequences * flat.heads, flat.values // pin.constants["BV"])](
        flat.q, flat.k, flat.v, flat.g, flat.writing, flat.erasing, inverse_THC, flat.first, *into,
        *layout.arguments, flat.heads, K=flat.keys, V=flat.values, KEEPS=keeps, **flat.rule, **pin.options,
    )  # fmt: skip


def _gradients(
    given: Inputs, flat: _Flat, layout: _Layout, saved: tuple[Tensor, ...], d_first_NHKV: Tensor
) -> Gradients:
    written_THV, states_MHKV, d_out_THV, d_wanted_THV, d_states_MHKV = saved
    pin = _find("gradient", given)
    # It transposes products, which Hopper's wgmma, used from four warps on, was miscompiled for.
    assert pin.options["num_warps"] < 4
    parts, total = flat.keys // pin.constants["BK"], flat.q.shape[0]
    dq, dk, dv = (_written(x, given) for x in (flat.q, flat.k, flat.v))
    d_writing = _written(flat.writing, given)
    dg, d_erasing = (_written(flat.writing.expand(parts, -1, -1), given) for _ in range(2))
    gradient_kernel[(layout.chunks * flat.heads, parts)](
        flat.q, flat.k, flat.v, flat.g, flat.writing, flat.erasing, written_THV, states_MHKV,
        d_out_THV, d_wanted_THV, d_states_MHKV, dq, dk, dv, dg, d_writing, d_erasing,
        *layout.arguments, flat.heads, total, flat.values // pin.constants["BV"],
        K=flat.keys, V=flat.values, **flat.rule, **pin.options,
    )  # fmt: skip

    def like(gradient: Tensor, tensor: Tensor) -> Tensor:
        return gradient.view(tensor.shape).to(tensor.dtype)

    d_beta, d_erase = d_writing, None
    if given.erasing is not None:
        d_erase = d_erasing.sum(0)
    elif given.delta:
        d_beta = d_writing + d_erasing.sum(0)
    return Gradients(
        like(dq, given.q),
        like(dk, given.k),
        like(dv, given.v),
        None if given.log_decay is None else like(dg.sum(0), given.log_decay),
        None if given.beta is None else like(d_beta, given.beta),
        None if d_erase is None or given.erasing is None else like(d_erase, given.erasing),
        d_first_NHKV,
    )


def _apart(given: Inputs, d_out: Tensor, d_last: Tensor | None) -> Gradients:
    """The gradients of a separate erase key, from those at twice the positions."""
    d_both = torch.stack((torch.zeros_like(d_out), d_out), dim=2).flatten(1, 2)
    both = backward(before_writing(given), d_both, d_last)
    assert both.beta is not None
    assert both.erase is not None
    beta = None if given.beta is None else (both.beta[:, 1::2] + both.erase[:, ::2]).contiguous()
    decay = None if both.log_decay is None else both.log_decay[:, ::2].contiguous()
    q, k, v = (x[:, 1::2].contiguous() for x in (both.q, both.k, both.v))
    return Gradients(q, k, v, decay, beta, both.k[:, ::2].contiguous(), both.state)


def _refitted(fits: Fit, given: Inputs, d_out: Tensor, d_last: Tensor | None) -> Gradients:
    """The gradients of keys and values of other or unequal widths, from those of widths alike."""
    d_states = None if d_last is None else fits.states_in(d_last)
    found = backward(fits.inputs(given), fits.values_in(d_out), d_states)

    def gate(gradient: Tensor | None) -> Tensor | None:
        return None if gradient is None else fits.gates_out(gradient)

    return Gradients(
        fits.keys_out(found.q),
        fits.keys_out(found.k),
        fits.values_out(found.v),
        gate(found.log_decay),
        gate(found.beta),
        gate(found.erase),
        fits.states_out(found.state),
    )


def launches(row: Row, size: Size) -> Iterator[Launch]:
    """Every launch of a row's width and type: with and without decay and delta rule, forward or backward."""
    dtype = next(dtype for dtype in row.dtypes if dtype != torch.float16)
    x_BTHD = size.tensor(size.batch, size.tokens, size.heads, row.width, dtype=dtype)
    gate_BTH = size.tensor(size.batch, size.tokens, size.heads, dtype=torch.float32)
    plain = Inputs(x_BTHD, x_BTHD, x_BTHD)
    for delta in (False, True):
        for given in (
            replace(plain, delta=delta),
            replace(plain, delta=delta, log_decay=gate_BTH, beta=gate_BTH),
        ):
            if row.kernel == "chunk_recurrence.forward":
                yield partial(forward, given)
            else:
                yield partial(backward, given, x_BTHD, None)
