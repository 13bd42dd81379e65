"""A gate with a matrix, small enough to compile in a blink: y = silu(x) · w (+ b), and what flows back into x.

B batch, T tokens, D width.
"""

from collections.abc import Iterator
from functools import partial

import torch
import triton
import triton.language as tl
from torch import Tensor

from asiarch_kernels.launching import Launch, Size, aligned
from asiarch_kernels.pinned import Row, current_architecture
from tests.kernels.small.table import TABLE


@triton.jit(do_not_specialize=["rows"])
def forward_kernel(
    x_RD,
    w_DD,
    b_D,
    y_RD,
    rows,
    D: tl.constexpr,
    BLOCK: tl.constexpr,
    BIASED: tl.constexpr,
    BROKEN: tl.constexpr,
):
    tl.static_assert(not BROKEN, "broken on purpose")
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    column = tl.arange(0, D)
    at = row[:, None].to(tl.int64) * D + column[None, :]
    x = tl.load(x_RD + at, mask=row[:, None] < rows, other=0.0).to(tl.float32)
    w = tl.load(w_DD + column[:, None] * D + column[None, :])
    y = tl.dot((x * tl.sigmoid(x)).to(w.dtype), w)
    if BIASED:
        y += tl.load(b_D + column)[None, :]
    tl.store(y_RD + at, y.to(y_RD.dtype.element_ty), mask=row[:, None] < rows)


@triton.jit(do_not_specialize=["rows"])
def scale_kernel(x_RD, y_RD, rows, D: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    at = row[:, None].to(tl.int64) * D + tl.arange(0, D)[None, :]
    x = tl.load(x_RD + at, mask=row[:, None] < rows, other=0.0)
    tl.store(y_RD + at, 2 * x, mask=row[:, None] < rows)


def forward(
    x_BTD: Tensor, w_DD: Tensor, b_D: Tensor | None = None, *, kernel: str = "gated.forward"
) -> Tensor:
    """Launch both kernels."""
    x_BTD, w_DD, b_D = aligned(x_BTD), aligned(w_DD), None if b_D is None else aligned(b_D)
    width, architecture = x_BTD.shape[-1], current_architecture()
    assert architecture is not None
    found = TABLE[Row(kernel, width, "half", architecture)]
    constants = dict(found.constants)
    y_BTD, z_BTD = torch.empty_like(x_BTD), torch.empty_like(x_BTD)
    rows = x_BTD.numel() // width
    grid = (triton.cdiv(rows, constants["BLOCK"]),)
    options = {"D": width, "BLOCK": constants["BLOCK"], "num_warps": found.warps, "num_stages": found.stages}
    broken = constants.get("BROKEN", 0)
    forward_kernel[grid](x_BTD, w_DD, b_D, y_BTD, rows, BIASED=b_D is not None, BROKEN=broken, **options)
    scale_kernel[grid](y_BTD, z_BTD, rows, **options)
    return z_BTD


def launches(row: Row, size: Size) -> Iterator[Launch]:
    """With a bias and without, in both half types."""
    if row.kernel == "gated.forgotten":
        return
    for dtype in row.dtypes:
        x_BTD = size.tensor(size.batch, size.tokens, row.width, dtype=dtype)
        w_DD = size.tensor(row.width, row.width, dtype=dtype)
        b_D = size.tensor(row.width, dtype=dtype)
        yield partial(forward, x_BTD, w_DD, kernel=row.kernel)
        yield partial(forward, x_BTD, w_DD, b_D, kernel=row.kernel)
