"""The recurrence in plain PyTorch: any floating type, differentiable, linear in time, and quick on a CPU.

Time is cut into chunks. Inside a chunk all positions are computed at once: what a delta rule writes solves a
triangular system, since each write corrects for those before it. Only the state goes from chunk to chunk. Decays are
summed as logarithms, and nothing but differences of at most zero is ever exponentiated.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from asiarch_kernels.chunk_recurrence.erasing import after_erasing, before_writing
from asiarch_kernels.chunk_recurrence.inputs import Inputs

# Shapes: B batch, T time, H heads, K key width of a head, V value width of a head, G batch times heads, N chunks,
# L length of a chunk, M blocks in a chunk, S sequences; D is K, V or 1.

CHUNK = 64
MILD = 60.0
"""Up to so much decay in a chunk, as a logarithm, is exponentiated in one piece: e^30 is no danger in float32."""
PAIRED = 4
"""Blocks of at most so many positions meet pair by pair where each channel decays by itself."""


@dataclass(frozen=True, slots=True)
class _Chunks:
    """What goes into the recurrence, cut into chunks; without an erasing strength nothing is erased."""

    q_GNLK: Tensor
    k_GNLK: Tensor
    written_GNLV: Tensor
    erasing_GNLK: Tensor | None
    sums_GNLD: Tensor | None


def chunk_recurrence(given: Inputs, *, chunk: int = CHUNK) -> tuple[Tensor, Tensor]:
    """Outputs [B, T, H, V] in the type of q and last states [B, H, K, V] in the type that is computed in.

    That type is float64 for float64 and float32 for all else. `given.starts` is read, which waits for a GPU.
    """
    if torch.is_autocast_enabled(given.q.device.type):
        with torch.autocast(given.q.device.type, enabled=False):
            return chunk_recurrence(given, chunk=chunk)
    if given.erase is not None:
        out, last = chunk_recurrence(before_writing(given), chunk=chunk)
        return after_erasing(out), last
    if given.starts is not None:
        return _over_sequences(given, chunk)
    batch, length, heads, _ = given.q.shape
    dtype = torch.float64 if given.q.dtype == torch.float64 else torch.float32
    count = -(-length // chunk)
    chunks = _cut(given, count, -(-length // count), dtype)
    state_GKV = None if given.state is None else given.state.to(dtype).flatten(0, 1)
    out_GTV, last_GKV = _walk(chunks, state_GKV, last=given.return_state)
    out_BTHV = _split(out_GTV, 0, (batch, heads))[:, :, :length].transpose(1, 2)
    return out_BTHV.to(given.q.dtype), _split(last_GKV, 0, (batch, heads))


def _cut(given: Inputs, count: int, size: int, dtype: torch.dtype) -> _Chunks:
    def chunks(x_BTHD: Tensor) -> Tensor:
        x_BHTD = x_BTHD.to(dtype).transpose(1, 2)
        missing = count * size - x_BHTD.shape[2]
        x_BHTD = functional.pad(x_BHTD, (0, 0, 0, missing)) if missing else x_BHTD.contiguous()
        return x_BHTD.view(-1, count, size, x_BHTD.shape[3])

    k_GNLK, v_GNLV = chunks(given.k), chunks(given.v)
    writing = None if given.beta is None else chunks(given.beta[..., None])
    erasing = writing if given.erasing is None else chunks(given.erasing[..., None])
    erasing_GNLK = None
    if given.delta:
        erasing_GNLK = k_GNLK if erasing is None else k_GNLK * erasing
    sums_GNLD = None
    if given.log_decay is not None:
        steps = given.log_decay if given.log_decay.ndim == 4 else given.log_decay[..., None]
        sums_GNLD = chunks(steps).cumsum(dim=2)
    written_GNLV = v_GNLV if writing is None else v_GNLV * writing
    return _Chunks(chunks(given.q), k_GNLK, written_GNLV, erasing_GNLK, sums_GNLD)


def _walk(given: _Chunks, state_GKV: Tensor | None, *, last: bool) -> tuple[Tensor, Tensor]:
    """Go from chunk to chunk; without a first state the first chunk reads none, and the last writes one if asked to."""
    inside, corrects = _within(given)
    count = given.q_GNLK.shape[1]
    carried = _carried(given) if count > 1 or last or state_GKV is not None else None
    outputs = []
    for n, (written_GLV, inside_GLL) in enumerate(zip(given.written_GNLV.unbind(1), inside, strict=True)):
        wanted_GLV = written_GLV
        if carried and state_GKV is not None and carried.erasing:
            wanted_GLV = torch.baddbmm(written_GLV, carried.erasing[n], state_GKV, alpha=-1)
        if corrects:
            wanted_GLV = _corrected(wanted_GLV, corrects[n])
        if carried is None or state_GKV is None:
            outputs.append(inside_GLL @ wanted_GLV)
        else:
            outputs.append(torch.baddbmm(carried.q[n] @ state_GKV, inside_GLL, wanted_GLV))
        if carried and (last or n + 1 < count):
            state_GKV = _written(state_GKV, carried, n, wanted_GLV)
    out_GTV = outputs[0] if count == 1 else torch.cat(outputs, dim=1)
    return out_GTV, out_GTV.new_empty(out_GTV.shape[0], 0) if state_GKV is None or not last else state_GKV


@dataclass(frozen=True, slots=True)
class _Carried:
    """For each chunk: what reads and erases the state before it, what writes the state behind it, and what is kept."""

    q: tuple[Tensor, ...]
    erasing: tuple[Tensor, ...]
    k: tuple[Tensor, ...]
    kept: tuple[Tensor, ...]


def _carried(given: _Chunks) -> _Carried:
    q_GNLK, k_GNLK, erasing_GNLK, sums_GNLD = given.q_GNLK, given.k_GNLK, given.erasing_GNLK, given.sums_GNLD
    kept: tuple[Tensor, ...] = ()
    if sums_GNLD is not None:
        since_GNLD, whole_GN1D = sums_GNLD.exp(), sums_GNLD[:, :, -1:]
        q_GNLK = q_GNLK * since_GNLD
        k_GNLK = k_GNLK * (whole_GN1D - sums_GNLD).exp()
        erasing_GNLK = None if erasing_GNLK is None else erasing_GNLK * since_GNLD
        kept = whole_GN1D.mT.exp().unbind(1)
    erasing = () if erasing_GNLK is None else erasing_GNLK.unbind(1)
    return _Carried(q_GNLK.unbind(1), erasing, k_GNLK.unbind(1), kept)


def _written(state_GKV: Tensor | None, carried: _Carried, n: int, written_GLV: Tensor) -> Tensor:
    if state_GKV is None:
        return carried.k[n].mT @ written_GLV
    kept_GKV = state_GKV * carried.kept[n] if carried.kept else state_GKV
    return torch.baddbmm(kept_GKV, carried.k[n].mT, written_GLV)


def _within(given: _Chunks) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """How a chunk's reads meet its writes, and how its erasing does; of that only what is below the diagonal counts."""
    rows = [given.q_GNLK] if given.erasing_GNLK is None else [given.q_GNLK, given.erasing_GNLK]
    sums_GNLD = given.sums_GNLD
    if sums_GNLD is None:
        met = [rows[0].matmul(given.k_GNLK.mT).tril(), *(x_GNLK @ given.k_GNLK.mT for x_GNLK in rows[1:])]
    elif sums_GNLD.shape[-1] == 1:
        kept_GNLL = _kept(sums_GNLD - sums_GNLD.mT)
        met = [x_GNLK @ given.k_GNLK.mT * kept_GNLL for x_GNLK in rows]
    elif _mild(sums_GNLD):
        met = _around_the_middle(rows, given.k_GNLK, sums_GNLD)
    else:
        met = _across_borders(rows, given.k_GNLK, sums_GNLD)
    inside, *corrects = (x_GNLL.unbind(1) for x_GNLL in met)
    return inside, corrects[0] if corrects else ()


def _kept(since_XLL: Tensor, dim: int = -1) -> Tensor:
    """What is left of each earlier position's write when a later one reads it; nothing of a later one's."""
    length = since_XLL.shape[dim]
    future_LL = torch.ones(length, length, dtype=torch.bool, device=since_XLL.device).triu(1)
    return since_XLL.masked_fill_(future_LL[(..., *(None,) * (-1 - dim))], -torch.inf).exp_()


def _mild(sums_GNLK: Tensor) -> bool:
    """Whether no channel decays by more than MILD within a chunk; what a GPU computes isn't waited for."""
    if type(sums_GNLK) is not Tensor or sums_GNLK.device.type != "cpu":
        return False
    return bool(sums_GNLK.detach()[:, :, -1].min() >= -MILD)


def _around_the_middle(rows: list[Tensor], k_GNLK: Tensor, sums_GNLK: Tensor) -> list[Tensor]:
    """Products of rows and keys that decay channel by channel, if mildly: no exponent is above half of MILD."""
    since_GNLK = sums_GNLK - sums_GNLK[:, :, -1:].detach() / 2
    late_GNLK, early_GNKL = since_GNLK.exp(), (k_GNLK * (-since_GNLK).exp()).mT
    return [((x_GNLK * late_GNLK) @ early_GNKL).tril() for x_GNLK in rows]


def _across_borders(rows: list[Tensor], k_GNLK: Tensor, sums_GNLK: Tensor) -> list[Tensor]:
    """The same for decays of any strength: pairs in small blocks, then the halves of blocks that double.

    The later half of a block sees the earlier one across the border between them: both exponents are at most zero.
    """
    shown, doublings = k_GNLK.shape[2], 0
    while shown > PAIRED * 2**doublings:
        doublings += 1
    size = -(-shown // 2**doublings)
    length = size * 2**doublings
    k_GNLK, sums_GNLK, *rows = (_filled(x_GNLK, length) for x_GNLK in (k_GNLK, sums_GNLK, *rows))
    keys, sums = _split(k_GNLK, 2, (-1, size)), _split(sums_GNLK, 2, (-1, size))
    keys = keys[..., None, :, :] * _kept(sums[..., :, None, :] - sums[..., None, :, :], dim=-2)
    met = [(keys @ _split(x_GNLK, 2, (-1, size, 1)).mT).squeeze(-1) for x_GNLK in rows]
    while size < length:
        k, sums = _split(k_GNLK, 2, (-1, 2, size)), _split(sums_GNLK, 2, (-1, 2, size))
        border = sums[:, :, :, 0, -1:]
        late = (sums[:, :, :, 1] - border).exp()
        early = (k[:, :, :, 0] * (border - sums[:, :, :, 0]).exp()).mT
        across = [(_split(x_GNLK, 2, (-1, 2, size))[:, :, :, 1] * late) @ early for x_GNLK in rows]
        met = [_joined(blocks, corner) for blocks, corner in zip(met, across, strict=True)]
        size *= 2
    return [blocks.squeeze(2)[:, :, :shown, :shown] for blocks in met]


def _filled(x_GNLK: Tensor, length: int) -> Tensor:
    """Longer by copies of what is last, which keeps the sums of decays falling; nobody sees them."""
    missing = length - x_GNLK.shape[2]
    return torch.cat((x_GNLK, x_GNLK[:, :, -1:].expand(-1, -1, missing, -1)), dim=2) if missing else x_GNLK


def _split(x: Tensor, axis: int, sizes: tuple[int, ...]) -> Tensor:
    """One axis as several; Tensor.unflatten has no types."""
    return x.reshape(*x.shape[:axis], *sizes, *x.shape[axis + 1 :])


def _joined(blocks: Tensor, corner: Tensor) -> Tensor:
    """Pairs of lower triangular blocks, and what lies below the first and before the second."""
    first, second = _split(blocks, 2, (-1, 2)).unbind(3)
    upper = functional.pad(first, (0, first.shape[-1]))
    return torch.cat((upper, torch.cat((corner, second), dim=-1)), dim=-2)


def _corrected(wanted_GLV: Tensor, corrects_GLL: Tensor) -> Tensor:
    written_GLV: Tensor = torch.linalg.solve_triangular(
        corrects_GLL, wanted_GLV, upper=False, unitriangular=True
    )
    return written_GLV


def _over_sequences(given: Inputs, chunk: int) -> tuple[Tensor, Tensor]:
    """Put sequences side by side, the shorter filled up with positions that write and forget nothing."""
    assert given.starts is not None
    starts = given.starts.tolist()
    lengths = [end - start for start, end in pairwise(starts)]
    longest = max(lengths)
    place_T = torch.cat([torch.arange(n) + i * longest for i, n in enumerate(lengths)]).to(given.q.device)

    def apart(x_1TD: Tensor | None) -> Tensor | None:
        if x_1TD is None:
            return None
        flat = x_1TD.new_zeros(len(lengths) * longest, *x_1TD.shape[2:]).index_copy(0, place_T, x_1TD[0])
        return _split(flat, 0, (len(lengths), longest))

    out_STHV, last_SHKV = chunk_recurrence(given.mapped(apart, starts=None), chunk=chunk)
    return out_STHV.flatten(0, 1)[place_T][None], last_SHKV
