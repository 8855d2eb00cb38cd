"""Anderson acceleration: the best combination of the last few steps of a fixed-point iteration."""

import numpy as np

__all__ = ["Anderson"]

_SINGULAR = 1e-10  # of the trace, added to products of steps that may depend on each other


class Anderson:
    """Extrapolate ``z -> z + r(z)`` from its last `memory` steps (Anderson 1965, *Journal of the ACM* 12:547-560).

    The combination ``sum_i g_i (z_i + r_i)``, sum_i g_i = 1, with the smallest ``|sum_i g_i r_i|``: for a linear
    iteration, what GMRES would do.  It does not always decrease r: who calls `propose` checks, and calls `reset` where
    it has not.
    """

    def __init__(self, memory=20):
        self.memory = memory
        self.reset()

    def reset(self):
        """Forget all steps."""
        self._last, self._steps, self._products = None, [], np.empty((0, 0))

    def propose(self, z, r):
        """The extrapolated point for the point z (m,) with residual r (m,); ``z + r`` after a reset."""
        last, self._last = self._last, (z, r)
        if last is None:
            return z + r
        self._steps.append((z - last[0], r - last[1]))
        if len(self._steps) > self.memory:
            self._steps.pop(0)
            self._products = self._products[1:, 1:]
        products = np.array([step @ self._steps[-1][1] for _, step in self._steps])
        self._products = np.block([[self._products, products[:-1, None]], [products[None]]])
        scale = np.trace(self._products)
        if not scale > np.finfo(float).tiny * len(products) / _SINGULAR:  # nothing moves any more
            return z + r
        A = self._products / scale + _SINGULAR * np.eye(len(products))
        g = np.linalg.solve(A, np.array([step @ r for _, step in self._steps]) / scale)
        z = z + r
        for weight, (dz, dr) in zip(g, self._steps, strict=True):
            z -= weight * (dz + dr)
        return z
