"""Problems with more features than rows, posed in the span of the rows.

With a penalty that prefers no direction the weights of a solution lie in this span.  With an orthonormal basis of it,
``X = offset + Z basis'``, a problem of Z has the solution z and that of X ``w = basis z``.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

__all__ = ["InRowSpace", "RowSpace"]

_TRUSTED = 1e-8  # eigenvalues of XX' above this share of the largest give directions to eight digits


@dataclass(frozen=True)
class RowSpace:
    """The span of the rows: an orthonormal basis (n_features, rank), and the point it starts from."""

    basis: np.ndarray
    offset: np.ndarray

    @staticmethod
    def suits(data, penalty):
        """Whether it has fewer dimensions than X has features, and the solution lies in it."""
        n_samples, n_features = data.X.shape
        wide = n_features > n_samples and not sparse.issparse(data.X)
        return wide and penalty.rotation_invariant and (data.shared or not penalty.separable)

    @classmethod
    def of(cls, data, penalty, fit_intercept):
        """The span of the rows of `data`, less their mean where free intercepts make up for that."""
        free = penalty.alpha_intercept in (0.0, np.inf)  # one for each task, or one for all
        if not (fit_intercept and free):
            return cls(_basis(*_weighted_rows(data)), np.zeros(data.X.shape[1]))
        one_mean = data.shared or penalty.penalizes_intercepts
        mean_of = np.zeros(len(data.X), dtype=np.intp) if one_mean else data.task_of_row
        return cls(_basis(*_weighted_rows(data, mean_of)), data.X.mean(axis=0))

    @property
    def origin(self):
        """The coordinates of the offset."""
        return self.offset @ self.basis

    def onto(self, X):
        """The rows in its coordinates."""
        return np.ascontiguousarray((X - self.offset) @ self.basis)

    def back(self, solution, penalty):
        """A solution in coordinates of the space as one in the user's."""
        parts = tuple(map(self._up, solution.parts)) if penalty.decomposition else solution.parts
        return replace(solution, W=self._up(solution.W), w0=solution.w0 @ self.basis.T, parts=parts)

    def _up(self, W):
        """Weights (n_tasks, ..., rank) in the user's coordinates; equal tasks stay equal.

        In a product of all tasks the rounding errors of each depend on its place among them.
        """
        distinct, place = np.unique(W, axis=0, return_inverse=True)
        return (distinct @ self.basis.T)[place.ravel()]


@dataclass(frozen=True)
class InRowSpace:
    """A problem in the coordinates of a row space, its solutions in the user's."""

    problem: Any
    space: RowSpace

    def alpha_max(self, penalty):
        """The `alpha` from which on all weights are zero."""
        return self.problem.alpha_max(penalty)

    def curvature(self):
        """Averaged over the user's features."""
        d, rank = self.space.basis.shape
        return self.problem.curvature() * rank / d

    def solve(self, path, tol, max_iter, init=None):
        """The solutions for the penalties of a path."""
        basis = self.space.basis
        if init is not None:
            init = tuple(part @ basis for part in init) if isinstance(init, tuple) else init @ basis
        solutions = self.problem.solve(path, tol, max_iter, init)
        return [self.space.back(solution, path[0]) for solution in solutions]


def _weighted_rows(data, mean_of=None):
    """The rows times the roots of their weights, so that a weight of 2 is the row twice; and the most they can span.

    mean_of : int array (n_samples,), or None
        Groups of rows whose means are subtracted first: how these differ is left to the intercepts.
    """
    X, s = data.X, data.label_weight().reshape(len(data.X), -1).sum(axis=1)
    dimensions = len(X)
    if mean_of is not None:
        N = np.bincount(mean_of, s)
        sums = sparse.csr_array((s, (mean_of, np.arange(len(s))))) @ X
        X = X - (sums / np.where(N > 0, N, 1.0)[:, None])[mean_of]
        dimensions -= int(np.count_nonzero(N))
    return X * np.sqrt(s)[:, None], dimensions


def _basis(X, dimensions):
    """An orthonormal basis (n_features, rank) of the span of the rows of X, of so many dimensions at most."""
    l, U = np.linalg.eigh(X @ X.T)  # noqa: E741
    if not l[-1] > 0:  # nothing but zeros: any direction will do
        return np.eye(X.shape[1], 1)
    solid = l > _TRUSTED * l[-1]
    if solid.sum() < dimensions:  # squares cannot tell what is small from nothing
        _, lengths, V = np.linalg.svd(X, full_matrices=False)
        return V[: max(1, np.sum(lengths > lengths[0] * X.shape[1] * np.finfo(float).eps))].T
    V = (X.T @ U[:, solid]) / np.sqrt(l[solid])
    return V @ (1.5 * np.eye(V.shape[1]) - 0.5 * V.T @ V)  # orthonormal to 1e-8 before, to 1e-16 after
