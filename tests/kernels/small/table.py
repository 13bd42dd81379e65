"""A table of pinned configurations as a block of ours would have it."""

from asiarch_kernels.pinned import ARCHITECTURES, Pinned, Row

_ITS = Pinned(4, 2, (("BLOCK", 32),))
_BROKEN = Pinned(4, 2, (("BLOCK", 32), ("BROKEN", 1)))

TABLE = {Row("gated.forward", 32, "half", architecture): _ITS for architecture in ARCHITECTURES} | {
    Row("gated.broken", 32, "half", "sm_90"): _BROKEN,
    Row("gated.broken", 32, "half", "sm_100"): _BROKEN,
    Row("gated.forgotten", 32, "half", "sm_90"): _ITS,
}
