"""Matrix products by a few rows at a time, where OpenBLAS multiplies small matrices faster than large ones."""

from functools import cache

import numpy as np
from threadpoolctl import threadpool_info

__all__ = ["small_product", "thin_product"]


@cache
def small_product():
    """How many multiplications a matrix product may take to be a small one, for which this OpenBLAS has a faster path.

    Up to 10^6 with AVX512, where ``python -m benchmarks.network_speed products`` tells what it is worth; elsewhere
    there is none, and 0 is no limit.
    """
    fast = {"SkylakeX", "Cooperlake", "SapphireRapids"}
    return 1_000_000 * any(library.get("architecture") in fast for library in threadpool_info())


def thin_product(A, V):
    """``A @ V`` for V of few columns, by as many rows of A as make a small product, a multiple of four."""
    n_rows = small_product() // max(V.size, 1) // 4 * 4
    if n_rows == 0 or n_rows >= len(A):
        return A @ V
    out = np.empty((len(A), V.shape[1]), dtype=np.result_type(A, V))
    for i in range(0, len(A), n_rows):
        np.matmul(A[i : i + n_rows], V, out=out[i : i + n_rows])
    return out
