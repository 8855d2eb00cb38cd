"""Matrix products by a few rows at a time, where OpenBLAS multiplies small matrices faster than large ones."""

from functools import cache

import numpy as np
from threadpoolctl import threadpool_info

__all__ = ["small_product", "thin_product"]


@cache
def small_product():
    """The most multiplications of a matrix product for which this OpenBLAS takes a faster path; 0 if it has none.

    With AVX512 these are 10^6, and ``python -m benchmarks.network_speed products`` tells what the path is worth.
    """
    fast = {"SkylakeX", "Cooperlake", "SapphireRapids"}
    return 1_000_000 * any(library.get("architecture") in fast for library in threadpool_info())


def thin_product(A, V):
    """``A @ V`` for V of few columns, in blocks of rows of A that make small products.

    Blocks hold a multiple of four rows, because OpenBLAS takes rows by fours.
    """
    n_rows = small_product() // max(V.size, 1) // 4 * 4
    if n_rows == 0 or n_rows >= len(A):
        return A @ V
    out = np.empty((len(A), V.shape[1]), dtype=np.result_type(A, V))
    for i in range(0, len(A), n_rows):
        np.matmul(A[i : i + n_rows], V, out=out[i : i + n_rows])
    return out
