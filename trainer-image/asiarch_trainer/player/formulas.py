"""What operators cost that torch's own counter of floating-point operations doesn't know.

Shapes: B batch, H heads, T time, K width of a head.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

Formula = Callable[[Sequence[Any], Any], float]

_TOUCHING = """
    _fused_rms_norm _local_scalar_dense _log_softmax _native_batch_norm_legit _reshape_copy _softmax _to_copy
    _unsafe_index _unsafe_index_put _unsafe_view all amax amin aminmax any arange argmax argmin avg_pool1d
    avg_pool2d bernoulli bernoulli_ cat clone constant_pad_nd copy copy_ count_nonzero cummax cummin cumprod cumsum
    diagonal_copy dropout embedding empty empty_like empty_strided eye fill fill_ flip full full_like gather
    index index_add index_copy index_put index_put_ index_select isfinite lift_fresh_copy linalg_vector_norm
    linspace logcumsumexp logsumexp masked_fill masked_scatter max max_pool1d_with_indices
    max_pool2d_with_indices mean min native_batch_norm native_dropout native_group_norm native_layer_norm new_empty
    new_empty_strided new_full new_ones new_zeros nonzero norm normal normal_ ones ones_like prod rand rand_like
    randn randn_like reflection_pad1d repeat replication_pad1d resize_ rms_norm roll scalar_tensor scatter
    scatter_add scatter_reduce select_scatter set_ slice_scatter split_copy stack std sum tril tril_indices triu
    triu_indices unfold_copy uniform_ var var_mean where zero_ zeros zeros_like
"""
TOUCHING = frozenset(_TOUCHING.split())
"""Operators, beside the pointwise ones, whose work is in proportion to the elements that they read or write."""


def elements(tree: Any) -> int:
    """Count the elements of all tensors in a tree of arguments."""
    return sum(leaf.numel() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))


def _attention(args: Sequence[Any], _result: Any) -> float:
    q_BHTK, k_BHTK, v_BHTK = args[:3]
    pairs = math.prod(q_BHTK.shape[:-1]) * k_BHTK.shape[-2]
    widths: int = q_BHTK.shape[-1] + v_BHTK.shape[-1]
    return float(2 * pairs * widths)


def _triangular_solve(args: Sequence[Any], result: Any) -> float:
    size: int = args[0].shape[-1]
    return float(size * elements(result))


def _cubic(args: Sequence[Any], _result: Any) -> float:
    size: int = args[0].shape[-1]
    return float(size * elements(args[0]))


def _log_linear(args: Sequence[Any], result: Any) -> float:
    touched = max(elements(args), elements(result))
    return float(touched * math.log2(max(touched, 2)))


FORMULAS: Mapping[str, Formula] = {
    "_fft_c2c": _log_linear,
    "_fft_c2r": _log_linear,
    "_fft_r2c": _log_linear,
    "_linalg_solve_ex": _cubic,
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "linalg_cholesky_ex": _cubic,
    "linalg_inv_ex": _cubic,
    "linalg_lu_factor_ex": _cubic,
    "linalg_solve_triangular": _triangular_solve,
    "sort": _log_linear,
    "topk": _log_linear,
}
