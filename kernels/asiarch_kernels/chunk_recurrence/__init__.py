"""A matrix of associations for each head that decays, is erased and is written: most linear attentions."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, overload

import torch
from torch import Tensor

from asiarch_kernels.chunk_recurrence import operator, reference
from asiarch_kernels.chunk_recurrence.inputs import Inputs, check_starts
from asiarch_kernels.fault import check_alike, check_device, check_flag, check_shape, readable, refuse
from asiarch_kernels.paths import Choice, take

_BLOCK = "chunk_recurrence"
FAINTEST = -40.0
"""The strongest decay that is computed, as a logarithm: e⁻⁴⁰ of what was held is nothing beside what is written.

Sums of logarithms over a chunk would lose, beside a far larger one, all others.
"""
_DTYPES = (torch.bfloat16, torch.float16, torch.float32, torch.float64)


@overload
def chunk_recurrence(
    q_BTHK: Tensor,
    k_BTHK: Tensor,
    v_BTHV: Tensor,
    *,
    log_decay: Tensor | None = None,
    beta: Tensor | None = None,
    delta: bool = False,
    erase: Tensor | None = None,
    state: Tensor | None = None,
    starts: Tensor | None = None,
    return_state: Literal[False] = False,
) -> Tensor: ...


@overload
def chunk_recurrence(
    q_BTHK: Tensor,
    k_BTHK: Tensor,
    v_BTHV: Tensor,
    *,
    log_decay: Tensor | None = None,
    beta: Tensor | None = None,
    delta: bool = False,
    erase: Tensor | None = None,
    state: Tensor | None = None,
    starts: Tensor | None = None,
    return_state: Literal[True],
) -> tuple[Tensor, Tensor]: ...


def chunk_recurrence(
    q_BTHK: Tensor,
    k_BTHK: Tensor,
    v_BTHV: Tensor,
    *,
    log_decay: Tensor | None = None,
    beta: Tensor | None = None,
    delta: bool = False,
    erase: Tensor | None = None,
    state: Tensor | None = None,
    starts: Tensor | None = None,
    return_state: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Read o_t = q_t S_t from a state S of K keys by V values that decays, is erased and is written at each position.

        S_t = a_t S_{t-1}  −  β_t e_t (e_tᵀ a_t S_{t-1})  +  β_t k_t v_tᵀ,        a_t = exp(log_decay_t)
                              with `delta` alone

    Without `delta` this is linear attention (no decay), RetNet, Mamba-2 (a decay for each head) or GLA (for each
    channel); with it DeltaNet, Gated DeltaNet or Kimi Delta Attention, and with an erase key of its own Comba or RWKV-7
    with one rate for a head. q is neither scaled nor normalised here; the delta rule wants keys of unit length and
    0 ≤ β ≤ 1 (up to 2 it still can't grow). B batch, T time, H heads, K key width, V value width, N sequences.

    Args:
        q_BTHK: queries, of bfloat16, float16, float32 or float64; every B, T, H, K and V of at least one will do.
        k_BTHK: keys, of the type of q.
        v_BTHV: values, of the type of q.
        log_decay: [B, T, H] or, channel by channel, [B, T, H, K]; finite and at most 0. None doesn't decay; what is
            below −40 forgets all but e⁻⁴⁰.
        beta: [B, T, H], how strongly a position writes, and with `delta` erases. None is 1.
        delta: whether a position erases, along its key, before it writes.
        erase: [B, T, H, K], a key to erase along instead of k; with `delta` alone, in the type of q.
        state: [B, H, K, V] (N for B with `starts`), the state before the first position, in float32 (float64 with q).
        starts: where sequences begin that lie one behind the other in a batch of one: int32 [N + 1], from 0 to T, never
            falling, as flash-linear-attention's `cu_seqlens`. A sequence of no positions keeps its state.
        return_state: whether the states behind the last positions are returned too.

    Returns:
        o_BTHV in the type of q; with `return_state` also the last states [B or N, H, K, V] in float32 (float64 with q).
        Under autocast q, k, v and the erase key are cast to its type; gates, their sums and the state stay in float32.

    Raises:
        BlockInputError: naming the argument, what was found and what was wanted. Decays' values and `starts` are
            checked on a CPU alone, since a GPU would have to be waited for. NaN is not refused but comes out again: on
            a CPU over its chunk of at most 64 positions and all that follow in its sequence and head. To our kernels
            wrong `starts` give NaN where they leave positions out, and lead nowhere outside of the tensors; the other
            paths read them, and refuse them.

    Paths: own kernels on a GPU for no decay or one for each head, K up to 128 (filled up to 16, 32, 64 or 128), any V
    (in slices as wide), bfloat16, float16 (in float32) and float32; an erase key takes twice the positions. Decays of
    channels go through flash-linear-attention in half types. All else, and a CPU, takes the reference; a fallback is
    counted and logged (`paths`). Two runs are bitwise equal on each path of ours. The kernels hold the state in float32
    and multiply in the type of q. Relative to float64 the RMS error of bfloat16 stays below 0.005 for outputs, 0.008
    for gradients of q, k and v, and 0.02 for those of gates.

    Costs, with C = 64 positions to a chunk, for each position and head: forward 2·C·(K + V) + 4·K·V FLOP, with `delta`
    C·(4·K + 3·V) + 6·K·V; backward twice that and C·V more for `delta`; `cost` has the exact count. Bytes in bfloat16,
    forward: 4·(K + V) + 8, with `delta` 4·C + 2·K more for the inverses. A decoder keeps K·V float32 values a head.
    Gradients: once differentiable where a compiler or a GPU is involved, any number of times on a CPU.

    Sources: linear attention (arXiv 2006.16236), RetNet (2307.08621), Mamba-2 (2405.21060), GLA (2312.06635), the
    chunked delta rule (2406.06484), Gated DeltaNet (2412.06464), KDA (2510.26692), Comba (2506.02475), RWKV-7
    (2503.14456).
    """
    q_BTHK, k_BTHK, v_BTHV, erase = _autocast(q_BTHK, k_BTHK, v_BTHV, erase)
    given = Inputs(q_BTHK, k_BTHK, v_BTHV, log_decay, beta, erase, state, starts, delta, return_state)
    _check(given)
    if log_decay is not None:
        log_decay = log_decay.clamp(min=FAINTEST)
        given = replace(given, log_decay=log_decay)
    if readable(q_BTHK):
        take(_BLOCK, Choice("reference"))
        out, last = reference.chunk_recurrence(given)
    else:
        out, last = operator.chunk_recurrence(
            q_BTHK, k_BTHK, v_BTHV, log_decay, beta, erase, state, starts, delta, return_state
        )
    return (out, last) if return_state else out


def _autocast(
    q: Tensor, k: Tensor, v: Tensor, erase: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """What autocast does to the inputs of a matrix product; float64 it leaves alone."""
    device = getattr(q, "device", torch.device("meta")).type
    casts = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    if not casts or q.dtype == torch.float64:
        return q, k, v, erase
    dtype = torch.get_autocast_dtype(device)
    return q.to(dtype), k.to(dtype), v.to(dtype), None if erase is None else erase.to(dtype)


def _check(given: Inputs) -> None:
    check_shape(_BLOCK, "q_BTHK", given.q, ("B", "T", "H", "K"))
    batch, length, heads, width = given.q.shape
    check_shape(_BLOCK, "k_BTHK", given.k, (batch, length, heads, width))
    check_shape(_BLOCK, "v_BTHV", given.v, (batch, length, heads, "V"))
    if given.erase is not None:
        check_shape(_BLOCK, "erase", given.erase, (batch, length, heads, width))
        if not given.delta:
            refuse(_BLOCK, "erase", "given without delta", "delta=True, since nothing else erases")
    check_device(_BLOCK, "q_BTHK", given.q)
    check_alike(
        _BLOCK, {"q_BTHK": given.q, "k_BTHK": given.k, "v_BTHV": given.v, "erase": given.erase}, _DTYPES
    )
    for name, tensor in (("k_BTHK", given.k), ("v_BTHV", given.v), ("erase", given.erase)):
        if tensor is not None and tensor.dtype != given.q.dtype:
            refuse(_BLOCK, name, _name(tensor.dtype), f"{_name(given.q.dtype)}, as q_BTHK is")
    check_flag(_BLOCK, "delta", given.delta)
    check_flag(_BLOCK, "return_state", given.return_state)
    _check_gates(given, (batch, length, heads))
    if given.starts is not None:
        _check_starts(given, given.starts)
    _check_state(given)


def _check_gates(given: Inputs, sizes: Sequence[int]) -> None:
    if given.beta is not None:
        check_shape(_BLOCK, "beta", given.beta, sizes)
        check_alike(_BLOCK, {"q_BTHK": given.q, "beta": given.beta}, _DTYPES)
    if given.log_decay is None:
        return
    channels = [given.q.shape[-1]] if given.log_decay.ndim == 4 else []
    check_shape(_BLOCK, "log_decay", given.log_decay, [*sizes, *channels])
    check_alike(_BLOCK, {"q_BTHK": given.q, "log_decay": given.log_decay}, _DTYPES)
    if readable(given.log_decay):
        _check_decays(given.log_decay.detach())


def _check_decays(decays: Tensor) -> None:
    """Refuse what grows or forgets all; NaN goes on into the outputs, as on a GPU."""
    low, high = float(decays.min()), float(decays.max())
    if -torch.inf < low and high <= 0:
        return
    if bool(((decays > 0) | (decays == -torch.inf)).any()):
        known = decays[~decays.isnan()]
        found = f"from {float(known.min()):g} to {float(known.max()):g}"
        refuse(_BLOCK, "log_decay", found, "finite values of at most 0")


def _check_starts(given: Inputs, starts: Tensor) -> None:
    check_shape(_BLOCK, "starts", starts, ("N + 1",))
    if starts.dtype != torch.int32:
        refuse(_BLOCK, "starts", _name(starts.dtype), "int32")
    if starts.device != given.q.device:
        refuse(_BLOCK, "starts", f"on {starts.device}", f"{given.q.device}, where q_BTHK is")
    if given.q.shape[0] != 1:
        refuse(_BLOCK, "q_BTHK", f"a batch of {given.q.shape[0]}", "a batch of 1, since starts is given")
    if len(starts) < 2:
        refuse(
            _BLOCK,
            "starts",
            "one position",
            "at least two: where the first sequence begins and where it ends",
        )
    if readable(starts):
        check_starts(starts, given.q.shape[1])


def _check_state(given: Inputs) -> None:
    if given.state is None:
        return
    sequences = given.q.shape[0] if given.starts is None else len(given.starts) - 1
    check_shape(
        _BLOCK, "state", given.state, (sequences, given.q.shape[2], given.q.shape[3], given.v.shape[3])
    )
    dtype = torch.float64 if given.q.dtype == torch.float64 else torch.float32
    check_alike(_BLOCK, {"q_BTHK": given.q, "state": given.state}, _DTYPES)
    if given.state.dtype != dtype:
        refuse(
            _BLOCK,
            "state",
            _name(given.state.dtype),
            f"{_name(dtype)}, since q_BTHK is {_name(given.q.dtype)}",
        )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
