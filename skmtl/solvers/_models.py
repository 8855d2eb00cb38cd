"""The least squares that a Newton step solves in the place of other losses, as moments, and the dual point they prove.

`ColumnModel`: a label has one margin, and its parabola the weight h = l''; rows are weighted and summed as ever.  Of
several classes it takes each by itself, with an upper bound of the curvature.
`ClassModel`: a label has K, coupled by ``diag(p) - p p'``; the features of a task are those of all its classes, K d.
"""

from dataclasses import replace

import numpy as np

from skmtl.moments import TaskMoments

__all__ = ["ClassModel", "ColumnModel"]

_SINGULAR = 1e-12  # of the largest eigenvalue: curvature that is none


class ColumnModel:
    """``sum_t c_t sum_i s_i h_i / 2 (z_i - eta_i)^2`` with ``z = eta + theta / h``, for the losses at one point.

    Parameters
    ----------
    rows : RowLoss
    W, a : arrays of shape (n_outputs, n_features), (n_outputs,)
        The point; intercepts counted from the means.
    boldness : float
        Curvatures are at least this share of those of parabolas above the loss: at 1, a step never goes too far.
    n_jobs : int or None
    """

    def __init__(self, rows, W, a, boldness, n_jobs=None):
        self.rows, self.c = rows, np.repeat(rows.c, rows.K)
        eta, theta, h = rows.slopes(W, a, boldness)
        self._h, self._z = h, eta + theta / h
        weight = rows.data.label_weight()
        weight = (weight[..., None] if rows.K > 1 else weight) * h
        data = replace(rows.data_of_outputs, y=rows.of_outputs(self._z), weight=rows.of_outputs(weight))
        self.moments = TaskMoments.from_data(data, fit_intercept=rows.fit_intercept, n_jobs=n_jobs)

    def outputs(self, W):
        """Weights as the moments have them, for every output."""
        return W

    def intercepts(self, W, b):
        """Intercepts counted from the means, for a solution's weights and intercepts."""
        return self.rows.from_means(W, b)

    def dual(self, X):
        """The residuals at weights X and their best intercepts: an `At` without a loss."""
        b = self.moments.intercepts(X)
        eta = self.rows.labelled(self.rows.rows.margins(X) + self.rows.spread(b))
        return self.rows.dual_point(self.rows.weight * self._h * (self._z - eta))


class ClassModel:
    """The same for `Multinomial` losses, intercepts eliminated.

    Parameters
    ----------
    rows : RowLoss
        With free intercepts or none.
    W, a : arrays of shape (n_outputs, n_features), (n_outputs,)
        The point, at its best intercepts.
    """

    def __init__(self, rows, W, a):
        self.rows, self._W, self._a = rows, W, a
        self._p, self._theta = rows.probabilities(W, a)
        T, K, d = rows.n_tasks, rows.K, rows.shape[1]
        self.c = np.ones(T)
        gram, self._to_b = np.zeros((T, K * d, K * d)), np.zeros((T, K, K * d))
        for t in range(T):
            gram[t], self._to_b[t] = rows.hessian(t, self._p)
        xy = np.einsum("tij,tj->ti", gram, W.reshape(T, -1)) + rows.dual_point(self._theta).descent.reshape(T, -1)
        weight = rows.task_weight
        self.moments = TaskMoments(
            tasks=rows.data.tasks,
            n_rows=np.where(weight > 0, K * d, 0),
            weight=weight,
            x_mean=np.zeros((T, K * d)),
            y_mean=np.zeros(T),
            xy=xy,
            yy=np.array([_least_square(*system) for system in zip(gram, xy, strict=True)]),
            gram=gram[weight > 0],
            full=np.flatnonzero(weight > 0),
            centered=rows.fit_intercept,
        )

    def outputs(self, W):
        """Weights of every output, for those of the moments (n_tasks, K n_features)."""
        return W.reshape(self.rows.shape)

    def intercepts(self, W, b):
        """The best intercepts for weights of the outputs."""
        change = (self.outputs(W) - self._W).reshape(self.rows.n_tasks, -1)
        return self._a - np.einsum("tkj,tj->tk", self._to_b, change).ravel()

    def dual(self, X):
        """The residuals at weights X of the moments and their best intercepts: an `At` without a loss."""
        rows, X = self.rows, self.outputs(X)
        change = rows.labelled(rows.margins(X - self._W) + rows.spread(self.intercepts(X, None) - self._a))
        change -= (self._p * change).sum(axis=-1, keepdims=True)
        return rows.dual_point(self._theta - rows.weight[..., None] * self._p * change)


def _least_square(G, q):
    """``min over w of w'G w - 2 q'w``, its negative: what labels are at least worth."""
    if not G.any():
        return 0.0
    l, Q = np.linalg.eigh(G)  # noqa: E741
    solid = l > _SINGULAR * l[-1]
    return float(np.sum((q @ Q[:, solid]) ** 2 / l[solid]))
