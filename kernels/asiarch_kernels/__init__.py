"""Building blocks for token mixers: fast by construction, of known cost, compiled before a pod starts.

What belongs here: operators that machine-written code composes instead of writing loops, each a folder with a plain
PyTorch reference, and our Triton kernels where they pay; and what pins, compiles and counts them. Nothing here knows of
searches, and nothing is tuned by timing.
"""

from asiarch_kernels.causal_conv import causal_conv
from asiarch_kernels.chunk_map import chunk_map
from asiarch_kernels.chunk_recurrence import chunk_recurrence
from asiarch_kernels.fault import BlockInputError
from asiarch_kernels.fused_linear_cross_entropy import fused_linear_cross_entropy
from asiarch_kernels.local_attention import local_attention
from asiarch_kernels.scan import scan

__all__ = [
    "BlockInputError",
    "causal_conv",
    "chunk_map",
    "chunk_recurrence",
    "fused_linear_cross_entropy",
    "local_attention",
    "scan",
]
