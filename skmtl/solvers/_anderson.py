"""Anderson acceleration: the best combination of the last few steps of a fixed-point iteration."""

import numpy as np

__all__ = ["Anderson"]

_SINGULAR = 1e-10  # share of the trace that is added to the diagonal, as steps may depend on each other
_MOST = 2e9  # bytes of the steps that are remembered
_LEAST = 3  # steps that are remembered even if they take more
_PIECE = 4096  # numbers of each step that are multiplied at a time: with those of all steps they stay in the cache


class Anderson:
    """Extrapolate ``z -> z + r(z)`` from its last `memory` steps (Anderson 1965, *Journal of the ACM* 12:547-560).

    The proposal is the combination ``sum_i g_i (z_i + r_i)``, sum_i g_i = 1, with the smallest ``|sum_i g_i r_i|``: for
    a linear iteration, what GMRES would do.  It does not always decrease r: who calls `propose` checks that, and calls
    `reset` where it has not.  Where `memory` steps would take gigabytes, fewer are remembered.
    """

    def __init__(self, memory=20):
        self.memory = memory
        self.reset()

    def reset(self):
        """Forget all steps."""
        self._last, self._n, self._at = None, 0, 0

    def propose(self, z, r):
        """The point to go to from z (m,), whose step is r (m,): extrapolated, or ``z + r`` itself after a reset."""
        last, self._last = self._last, (z, r)
        if last is None:
            return z + r
        n, along_r = self._store(z - last[0], r - last[1], r)
        products = self._products[:n, :n]
        scale = np.trace(products)
        if not scale > np.finfo(float).tiny * n / _SINGULAR:  # nothing moves any more
            return z + r
        g = np.linalg.solve(products / scale + _SINGULAR * np.eye(n), along_r / scale)
        return z + r - g @ self._dy[:n]

    def _store(self, dz, dr, r):
        """Put the differences between the last two points and steps in the place of the oldest.

        How many there are now, and the inner products of those of steps with r.
        """
        if self._n == 0:
            self.memory = min(self.memory, max(_LEAST, int(_MOST // (2 * dz.nbytes))))
            self._dr, self._dy = np.empty((2, self.memory, len(dz)))  # of r, and of z + r
            self._products = np.zeros((self.memory, self.memory))
        k, self._n, self._at = self._at, min(self._n + 1, self.memory), (self._at + 1) % self.memory
        self._dr[k] = dr
        np.add(dz, dr, out=self._dy[k])
        along_dr, along_r = np.zeros((2, self._n))
        for first in range(0, len(r), _PIECE):
            piece = slice(first, first + _PIECE)
            along_dr += self._dr[: self._n, piece] @ dr[piece]
            along_r += self._dr[: self._n, piece] @ r[piece]
        self._products[k, : self._n] = self._products[: self._n, k] = along_dr
        return self._n, along_r
