"""Working sets of features for losses of rows, under penalties that make all weights of a feature zero.

The problem of a few features has a matrix X of few columns, which fits a cache and has models; one gradient with all
features then tells the gap and the next working set.
"""

import copy
from dataclasses import replace

import numpy as np
from scipy import sparse
from sklearn.utils.extmath import row_norms

from skmtl._numba import read_only
from skmtl.solvers._rows.row_loss import RowLoss
from skmtl.solvers._screen import MANY, Screen, nearest
from skmtl.solvers.accelerated import RowDescent

__all__ = ["WorkingSets"]


class WorkingSets:
    """The working sets for the problem of a `RowDescent`."""

    def __init__(self, descent, screen):
        self.descent, self._screen = descent, screen
        self._lengths = row_norms(descent.rows.data.X.T)

    @classmethod
    def of(cls, descent):
        """None where features are few, or a task has as many rows, or some weights cost nothing."""
        data, d = descent.rows.data, descent.rows.shape[1]
        n_rows = len(data.y) if data.shared else np.diff(data.starts).max(initial=0)
        if d < MANY or n_rows >= d or descent.prox.unseen is not None:
            return None
        screen = Screen.of(descent.penalty, data.tasks, descent.prox.view(descent.zeros[0]).shape[1])
        return screen and cls(descent, screen)

    def next(self, progress, widen):
        """The positions of the features in use, then those nearest to it; None if that is too many to be worth it."""
        rows, prox = self.descent.rows, self.descent.prox
        Z = prox.view(rows.at(progress.W, progress.a).down) - prox.ridge * prox.view(progress.W)
        room = self._screen.room(Z).reshape(-1, rows.shape[1]).min(axis=0)  # of all classes
        return nearest(room, self._lengths, progress.W.any(axis=0), widen)

    def problem(self, some):
        """That of some features only, a `RowDescent`."""
        rows, penalty = self.descent.rows, copy.copy(self.descent.penalty)
        if getattr(penalty, "feature_weights", None) is not None:
            penalty.feature_weights = np.reshape(penalty.feature_weights, (-1, rows.shape[1]))[:, some].ravel()
        X = rows.data.X[:, some] if sparse.issparse(rows.data.X) else read_only(rows.data.X.take(some, axis=1))
        how = {"fit_intercept": rows.fit_intercept, "a_b": rows.a_b}
        present = rows.present.reshape(rows.n_tasks, rows.K)
        return RowDescent(RowLoss(replace(rows.data, X=X), rows.losses, rows.c, present, **how), penalty)

    def take(self, progress, some, inside):
        """Go on from the solution of some features, with the gap of all."""
        copies = np.zeros_like(self.descent.zeros)
        copies[:, :, some] = inside.copies
        self.descent.certify(progress, copies, inside.a)
        progress.n_iter += inside.n_iter
