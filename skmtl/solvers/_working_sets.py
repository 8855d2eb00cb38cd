"""Working sets of features for losses of rows, under penalties that separate over features.

Of many features few are in use.  The problem of these and of the nearest others has a matrix X of few columns, which
fits a cache and has models; one gradient with all features then tells the gap and the next working set, as in
`coordinate.py`.
"""

import copy
from dataclasses import replace

import numpy as np
from scipy import sparse
from sklearn.utils.extmath import row_norms

from skmtl._algebra import over
from skmtl._numba import read_only
from skmtl.penalties.sparse import L1, JointFeature
from skmtl.solvers._rows import RowLoss
from skmtl.solvers._separable import Separable, joining

__all__ = ["WorkingSets"]

_MANY = 1000  # features, with fewer of which all of them are one set
_MOST = 0.5  # of all features, in a set


class WorkingSets:
    """Those of the problem of a `Descent`."""

    def __init__(self, descent, penalty):
        self.descent, self._penalty = descent, penalty
        self._omega = Separable.of(penalty, descent.prox.view(descent.zeros[0]).shape[1])  # d, or K d
        self._lengths = row_norms(descent.rows.data.X.T)

    @staticmethod
    def suit(descent, penalty):
        """Whether features are many, and more than a task has rows, and no weights cost nothing."""
        rows, d = descent.rows, descent.rows.shape[1]
        if not isinstance(penalty, L1 | JointFeature) or descent.prox.unseen is not None or d < _MANY:
            return False
        n_rows = len(rows.data.y) if rows.data.shared else np.diff(rows.data.starts).max(initial=0)
        return n_rows < d

    def next(self, progress, widen):
        """The positions of the features in use, then those nearest to it; None if that is too many to be worth it."""
        rows, omega, view = self.descent.rows, self._omega, self.descent.prox.view
        Z = (view(rows.at(progress.W, progress.a).descent) - omega.ridge * view(progress.W)).T
        lengths, used = omega.lengths(Z), progress.W.any(axis=0)
        far = over(omega.room(Z, lengths).reshape(-1, rows.shape[1]).min(axis=0), self._lengths)
        wanted = (lengths > omega.lam).reshape(-1, rows.shape[1]).any(axis=0) & ~used
        n_used = int(used.sum())
        size = n_used + widen * int(joining(wanted.sum(), n_used))
        if size >= _MOST * len(far):
            return None
        far = np.where(used, -np.inf, np.where(self._lengths > 0.0, far, np.inf))
        return np.sort(np.argpartition(far, size - 1)[:size])

    def problem(self, some):
        """The loss and the penalty of some features only."""
        rows, penalty = self.descent.rows, copy.copy(self._penalty)
        if getattr(penalty, "feature_weights", None) is not None:
            penalty.feature_weights = np.reshape(penalty.feature_weights, (-1, rows.shape[1]))[:, some].ravel()
        X = rows.data.X[:, some] if sparse.issparse(rows.data.X) else read_only(rows.data.X.take(some, axis=1))
        how = {"fit_intercept": rows.fit_intercept, "a_b": rows.a_b}
        present = rows.present.reshape(rows.n_tasks, rows.K)
        return RowLoss(replace(rows.data, X=X), rows.losses, rows.c, present, **how), penalty

    def take(self, progress, some, inside):
        """Go on from the solution of some features, with the gap of all."""
        copies = np.zeros_like(self.descent.zeros)
        copies[:, :, some] = inside.copies
        self.descent.certify(progress, copies, inside.a)
        progress.n_iter += inside.n_iter
