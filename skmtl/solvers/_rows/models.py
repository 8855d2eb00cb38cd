"""The least squares that a Newton step solves in the place of other losses, as moments, and the dual point they prove.

`ColumnModel`: a label has one margin, and its parabola the weight h = l''; rows are weighted and summed as ever.  Of
several classes it takes each by itself, with an upper bound of the curvature.
`ClassModel`: a label has K, coupled by ``diag(p) - p p'``; the features of a task are those of all its classes, K d.
"""

from dataclasses import replace

import numpy as np

from skmtl._algebra import SINGULAR, pseudo_inverse
from skmtl.moments import TaskMoments

__all__ = ["ClassModel", "ColumnModel"]

_FLAT = 1e-10  # share of the largest curvature of any label: the smallest that a label gets


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
        h = np.maximum(h, max(_FLAT * h.max(initial=0.0), 1e-100))
        self._h, self._z = h, eta + theta / h
        weight = rows.beside_margins(rows.data.label_weight()) * h
        data = replace(rows.data_of_outputs, y=rows.of_outputs(self._z), weight=rows.of_outputs(weight))
        self.moments = TaskMoments.from_data(data, fit_intercept=rows.fit_intercept, n_jobs=n_jobs)

    def inputs(self, W):
        """Weights as the moments have them, for those of every output."""
        return W

    def outputs(self, W):
        """Weights of every output, for those of the moments."""
        return W

    def intercepts(self, W, b):
        """Intercepts counted from the means, for a solution's weights and intercepts."""
        return self.rows.from_means(W, b)

    def dual(self, X):
        """The residuals at weights X and their best intercepts: an `At` without a loss."""
        b = self.moments.intercepts(X)
        eta = self.rows.labelled(self.rows.products.margins(X) + self.rows.spread(b))
        return self.rows.dual_point(self.rows.weight * self._h * (self._z - eta))


class ClassModel:
    """The same for `Multinomial` losses, intercepts eliminated, and the weights of features that cost nothing.

    Parameters
    ----------
    rows : RowLoss
        With free intercepts or none.
    W, a : arrays of shape (n_outputs, n_features), (n_outputs,)
        The point, at its best intercepts.
    seen : bool array of shape (n_features,), or None
        The features whose weights cost something; None stands for all.
    """

    def __init__(self, rows, W, a, seen=None):
        self.rows, self._W, self._a = rows, W, a
        self._p, self._theta = rows.probabilities(W, a)
        T, K, d = rows.n_tasks, rows.K, rows.shape[1]
        self.c = np.ones(T)
        gram, self._to_b = np.zeros((T, K * d, K * d)), np.zeros((T, K, K * d))
        for t in range(T):
            gram[t], self._to_b[t] = rows.hessian(t, self._p)
        xy = np.einsum("tij,tj->ti", gram, W.reshape(T, -1)) + rows.dual_point(self._theta).down.reshape(T, -1)
        self._seen = np.tile(np.ones(d, dtype=bool) if seen is None else seen, K)
        gram, xy = self._eliminated(gram, xy)
        weight = rows.task_weight
        self.moments = TaskMoments(
            tasks=rows.data.tasks,
            n_rows=np.where(weight > 0, xy.shape[1], 0),
            weight=weight,
            x_mean=np.zeros(xy.shape),
            y_mean=np.zeros(T),
            xy=xy,
            yy=np.array([_least_square(*system) for system in zip(gram, xy, strict=True)]),
            gram=gram[weight > 0],
            full=np.flatnonzero(weight > 0),
            centered=rows.fit_intercept,
        )

    def _eliminated(self, gram, xy):
        """What is left for the features that are seen, if the others have their best weights."""
        if self._seen.all():
            return gram, xy
        seen, free = self._seen, ~self._seen
        inverse = pseudo_inverse(gram[:, free][:, :, free])
        side = gram[:, free][:, :, seen]
        self._to_free, self._free = np.matmul(inverse, side), np.einsum("tij,tj->ti", inverse, xy[:, free])
        left = gram[:, seen][:, :, seen] - np.matmul(side.swapaxes(1, 2), self._to_free)
        return 0.5 * (left + left.swapaxes(1, 2)), xy[:, seen] - np.einsum("tij,ti->tj", side, self._free)

    def inputs(self, W):
        """Weights as the moments have them (n_tasks, n_weights), for those of every output."""
        return W.reshape(self.rows.n_tasks, -1)[:, self._seen]

    def outputs(self, W):
        """Weights of every output, for those of the moments."""
        if self._seen.all():
            return W.reshape(self.rows.shape)
        all_features = np.empty((len(W), len(self._seen)))
        all_features[:, self._seen] = W
        all_features[:, ~self._seen] = self._free - np.einsum("tij,tj->ti", self._to_free, W)
        return all_features.reshape(self.rows.shape)

    def intercepts(self, W, b):
        """The best intercepts for weights of the outputs; `b` is of no use, as these moments have no means."""
        change = (W.reshape(self.rows.shape) - self._W).reshape(self.rows.n_tasks, -1)
        return self._a - np.einsum("tkj,tj->tk", self._to_b, change).ravel()

    def dual(self, X):
        """The residuals at weights X of the moments and their best intercepts: an `At` without a loss."""
        rows, X = self.rows, self.outputs(X)
        change = rows.labelled(rows.margins(X - self._W) + rows.spread(self.intercepts(X, None) - self._a))
        return rows.dual_point(self._theta - rows.times_curvature(self._p, change))


def _least_square(G, q):
    """``-min_w (w'G w - 2 q'w)``: the smallest y'y that labels with these moments can have."""
    if not G.any():
        return 0.0
    l, Q = np.linalg.eigh(G)  # noqa: E741
    solid = l > SINGULAR * l[-1]
    return float(np.sum((q @ Q[:, solid]) ** 2 / l[solid]))
