"""Calls that no block lists by itself, as models make them; tells on stdout what had to be compiled for them.

    python -m tests.kernels.calls ARCHITECTURE…

Reads ASIARCH_KERNELS_CACHE and the rest from the environment, as a pod does. B batch, T time, H heads, K key width, V
value width, D channels.
"""

import itertools
import json
import sys
from collections.abc import Iterator
from functools import partial
from typing import cast

import torch

from asiarch_kernels.causal_conv import kernel as causal_conv
from asiarch_kernels.chunk_recurrence import kernel as chunk_recurrence
from asiarch_kernels.chunk_recurrence.inputs import Inputs
from asiarch_kernels.compiles import listening
from asiarch_kernels.launching import Launch, Size
from asiarch_kernels.pinned import Architecture
from asiarch_kernels.pretend import pretending
from asiarch_kernels.scan import kernel as scan

MODELS = ((Size(batch=32, tokens=2048, heads=8), 32), (Size(batch=8, tokens=2048, heads=8), 128))
"""Of 20M and of 340M parameters, with the width of a head."""
ODD = ((Size(batch=3, tokens=2047, heads=5, skew=1), 64), (Size(batch=1, tokens=1, heads=1, skew=3), 16))
DTYPES = (torch.bfloat16, torch.float16, torch.float32)


def recurrences() -> Iterator[Launch]:
    """With every option, and keys and values of unequal widths."""
    for (size, width), dtype in itertools.product((*MODELS, *ODD), DTYPES):
        x_BTHK = size.tensor(size.batch, size.tokens, size.heads, width, dtype=dtype)
        g_BTH = size.tensor(size.batch, size.tokens, size.heads, dtype=dtype)
        state_BHKV = size.tensor(size.batch, size.heads, width, width, dtype=torch.float32)
        for delta, decays in itertools.product((False, True), (False, True)):
            given = Inputs(
                x_BTHK, x_BTHK, x_BTHK, g_BTH if decays else None, g_BTH, state=state_BHKV, delta=delta
            )
            yield partial(chunk_recurrence.forward, given)
            yield partial(chunk_recurrence.backward, given, x_BTHK, state_BHKV)
        erased = Inputs(x_BTHK, x_BTHK, x_BTHK, g_BTH, g_BTH, erase=x_BTHK, delta=True)
        yield partial(chunk_recurrence.forward, erased)
        yield partial(chunk_recurrence.backward, erased, x_BTHK, None)
    for narrow, wide in ((32, 64), (128, 64)):
        k_BTHK, v_BTHV = (ODD[0][0].tensor(1, 65, 3, width, dtype=torch.bfloat16) for width in (narrow, wide))
        given = Inputs(k_BTHK, k_BTHK, v_BTHV, delta=True)
        yield partial(chunk_recurrence.forward, given)
        yield partial(chunk_recurrence.backward, given, v_BTHV, None)


def others() -> Iterator[Launch]:
    """Convolutions and scans, of widths that are multiples of 16 and that are not."""
    for (size, _), dtype, width in itertools.product((*MODELS, *ODD), DTYPES, (256, 1_000, 33)):
        x_BTD = size.tensor(size.batch, size.tokens, width, dtype=dtype)
        state_BD = size.tensor(size.batch, width, dtype=torch.float32)
        since_T = size.tensor(size.tokens, dtype=torch.int32)
        for taps, silu in itertools.product((1, 4, 63, 64), (False, True)):
            w_DJ = size.tensor(width, taps, dtype=torch.float32)
            for since in (None, since_T):
                yield partial(causal_conv.forward, x_BTD, w_DJ, silu=silu, since_T=since)
                yield partial(causal_conv.backward, x_BTD, x_BTD, w_DJ, silu=silu, since_T=since)
        for state in (None, state_BD):
            yield partial(scan.forward, x_BTD, x_BTD, state)
            yield partial(scan.backward, x_BTD, x_BTD, x_BTD, state)


def main(architectures: list[str]) -> None:
    """Make all calls."""
    told = {}
    for architecture in architectures:
        with pretending(cast("Architecture", architecture)) as driver, listening() as compiles:
            for call in itertools.chain(recurrences(), others()):
                call()
        missed = [f"{one.kernel}: {one.special}" for one in compiles.loaded if one.compiled]
        told[architecture] = {"launches": driver.launches, **compiles.summary(), "missed": missed}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1:])
