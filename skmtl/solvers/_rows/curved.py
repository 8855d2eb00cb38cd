"""The nearest dual point: residuals moved so that the loss's gradient becomes what it shall be.

Weighted with the curvature of the loss, the squared length of what is moved is what it costs the dual value.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.linalg.lapack import dpocon

from skmtl.moments import TaskMoments

__all__ = ["Curved"]

_LARGEST = 1e7  # numbers in the Gram matrices of all tasks that are worth their memory
_SINGULAR = 1e8  # condition number of a Gram matrix, from which on it counts as singular


@dataclass
class Curved:
    """Rows weighted with the curvature of the loss at some point, and their Gram matrices.

    Attributes
    ----------
    rows : RowLoss
    weight : array shaped as y
        With the factors c_t.
    scale : array of shape (n_tasks, n_features)
        The roots of the diagonals of their Gram matrices.
    factors : list
        Cholesky factors of these, with ones on the diagonal.
    """

    rows: Any
    weight: Any
    scale: Any
    factors: Any

    @classmethod
    def of(cls, rows, W, a):
        """Those at a point of a `RowLoss`; None if a task's curvature is singular or all are too large."""
        data, d = rows.data, rows.shape[1]
        if sparse.issparse(data.X) or rows.n_tasks * d * d > _LARGEST:
            return None
        h = rows.each(lambda loss, y, eta: loss.curvature(y, eta), rows.margins(W) + rows.spread(a))
        moments = TaskMoments.from_data(replace(data, weight=data.label_weight() * h), fit_intercept=rows.fit_intercept)
        if len(moments.gram) < rows.n_tasks or not (moments.weight > 0).all():
            return None
        grams = rows.c[:, None, None] * moments.gram
        scale = np.sqrt(np.maximum(np.diagonal(grams, axis1=1, axis2=2).copy(), 0.0))
        if not (scale > 0).all():
            return None
        factors = [_cholesky(gram) for gram in grams / scale[:, :, None] / scale[:, None, :]]
        return None if None in factors else cls(rows, rows.weight * h, scale, factors)

    def shift(self, down):
        """The theta (shaped as the margins) whose sum over rows is `down`, and zero over what intercepts do."""
        moved = np.array([cho_solve(factor, d) for factor, d in zip(self.factors, down / self.scale, strict=True)])
        shift = self.weight * self.rows.margins(moved / self.scale)
        if self.rows.fit_intercept:
            mean = self.rows.per_task(shift) / self.rows.per_task(self.weight)
            shift -= self.weight * self.rows.spread(mean)
        return shift


def _cholesky(gram):
    """The Cholesky factor of a Gram matrix, for `cho_solve`; None if it is all but singular."""
    try:
        factor = cho_factor(gram)
    except LinAlgError:
        return None
    rcond, _ = dpocon(factor[0], np.abs(gram).sum(axis=0).max())
    return factor if rcond * _SINGULAR > 1.0 else None
