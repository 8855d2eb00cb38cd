"""The least squares that a Newton step solves in the place of other losses, as moments, and the dual point they prove.

`ColumnModel`: a label has one margin, and its parabola the weight h = l''; rows are weighted and summed as ever.  Of
several classes it takes each by itself, with an upper bound of the curvature.
`ClassModel`: a label has K, coupled by ``diag(p) - p p'``; the features of a task are those of all its classes, K d.
"""

import numpy as np
from scipy.linalg import qr

from skmtl._algebra import SINGULAR, over, pseudo_inverse
from skmtl.moments import Rows, TaskMoments
from skmtl.solvers._rows.curvature import ClassCurvature

__all__ = ["ClassModel", "ColumnModel", "n_model_rows"]

_FLAT = 1e-10  # share of the largest curvature of any label: the smallest that a label gets
_LEAST = 1e-10  # of a probability in curvatures: beside labels u as large as its inverse root others lose their digits
_MANY = 100  # weights of a task; with fewer, a Gram matrix costs nothing, and a row twice is exactly one of weight 2


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
        data = rows.outputs_as_tasks(self._z, weight)
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
        rows, weight = self.rows, self.rows.weighted(self._h)
        residuals = self._z - (rows.layout.margins(X) + rows.spread(self.moments.intercepts(X)))
        if rows.fit_intercept:  # far off centre the intercepts lose digits, and residuals have to add up to zero
            residuals -= rows.spread(over(rows.per_output(weight * residuals), rows.per_output(weight)))
        return rows.dual_point(weight * residuals)


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
        p, self._theta = rows.probabilities(W, a)
        self._curvature = ClassCurvature(rows, p)
        self._to_b = np.zeros((rows.n_tasks, rows.K, rows.n_weights))  # by which the intercepts of tasks follow
        self._seen = np.tile(np.ones(rows.shape[1], dtype=bool) if seen is None else seen, rows.K)
        thin = self._seen.all() & (n_model_rows(rows) < rows.n_weights) & (rows.task_weight > 0)
        self.c, self.moments = np.ones(rows.n_tasks), self._moments(np.flatnonzero(thin), np.flatnonzero(~thin))

    def _moments(self, thin, full):
        """The moments: rows for the tasks `thin`, Gram matrices for the tasks `full`."""
        groups = tuple(self._rows_of(thin))
        gram, q = self._grams_of(full)
        T, weight = self.rows.n_tasks, self.rows.task_weight
        xy, yy, n_rows = np.zeros((T, q.shape[1])), np.zeros(T), np.zeros(T, dtype=np.intp)
        xy[full], yy[full] = q, [_least_square(*system) for system in zip(gram, q, strict=True)]
        n_rows[full] = np.where(weight[full] > 0, q.shape[1], 0)
        for part in groups:
            xy[part.tasks], yy[part.tasks] = part.products(part.v), np.einsum("ti,ti->t", part.v, part.v)
            n_rows[part.tasks] = part.v.shape[1]
        return TaskMoments(
            tasks=self.rows.data.tasks,
            n_rows=n_rows,
            weight=weight,
            x_mean=np.zeros(xy.shape),
            y_mean=np.zeros(T),
            xy=xy,
            yy=yy,
            gram=gram[weight[full] > 0],
            full=full[weight[full] > 0],
            rows=groups,
            centered=False,
        )

    def _rows_of(self, tasks):
        """Yield the `Rows` of `tasks`, those with equally many together."""
        rows, W = self.rows, self._W.reshape(self.rows.n_tasks, -1)
        present = rows.present.reshape(-1, rows.K)
        p_and_theta = np.concatenate([self._curvature.of_labels, self._theta], axis=-1)
        groups: dict[int, list] = {}
        for t in tasks:
            X, s, block = rows.block(t, p_and_theta)
            p, theta = np.hsplit(block, 2)
            A, u, self._to_b[t] = _rows_of_classes(X, s, p, theta, present[t], rows.fit_intercept)
            groups.setdefault(len(A), []).append((t, A, A @ W[t] + u))
        for group in groups.values():
            at, A, v = zip(*group, strict=True)
            yield Rows(np.array(at), np.stack(A), np.stack(v))

    def _grams_of(self, tasks):
        """The Gram matrices of `tasks`, and their products with the labels."""
        down = self.rows.dual_point(self._theta).down
        W, down = (array.reshape(self.rows.n_tasks, -1)[tasks] for array in (self._W, down))
        gram = np.zeros((*W.shape, W.shape[1]))
        for k, t in enumerate(tasks):
            gram[k], self._to_b[t] = self._curvature.of_weights(t)
        return self._eliminated(gram, np.einsum("tij,tj->ti", gram, W) + down)

    def _eliminated(self, gram, xy):
        """The same for the features that are seen, where the others have the best weights for theirs."""
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
        change = rows.margins(X - self._W) + rows.spread(self.intercepts(X, None) - self._a)
        return rows.dual_point(self._theta - self._curvature.times(change))


def n_model_rows(rows):
    """How many rows stand for the labels of every task of a `RowLoss` in the model of its classes, (n_tasks,).

    They are one for each label and class but one, where that is less than a row of a Gram matrix for each weight.
    """
    n_weights, n_classes = float(rows.n_weights), rows.present.reshape(-1, rows.K).sum(axis=1)
    n_rows = rows.n_labels * np.maximum(n_classes - 1, 0)
    return np.where((n_rows < n_weights) & (n_weights > _MANY), n_rows, n_weights)


def _rows_of_classes(X, s, p, theta, present, fit_intercept):
    r"""What `ClassCurvature.of_weights` returns, with rows A for the Hessian ``A'A``; and u, ``A'u`` the descent.

    X (n, d), weights s (n,), probabilities p and weighted residuals theta (n, K) of a task, which has the classes in
    the mask `present` (K,).  With :math:`q = \sqrt p`, of length 1, the curvature of a label is

    .. math:: \operatorname{diag}(p) - p p' = \operatorname{diag}(q) N N' \operatorname{diag}(q), \qquad N'N = I,
              \quad N'q = 0.

    N is what Householder's reflection, which takes q to its most likely class, has besides that column: there, no
    digits are lost where p is nearly 1.  Intercepts are columns beside A; what is orthogonal to them is left.
    """
    some = s > 0
    X, p, theta, root = X[some], p[some], theta[some], np.sqrt(s[some])
    labels, classes = np.arange(len(p))[:, None], np.arange(p.shape[1])
    q, likely = np.sqrt(np.maximum(p, _LEAST)) * present, p.argmax(axis=1)[:, None]
    mirror = q + (classes == likely)
    mirror /= np.linalg.norm(mirror, axis=1, keepdims=True)
    others = np.nonzero(present & (classes != likely))[1].reshape(len(p), -1)
    N = (others[:, :, None] == classes) - 2.0 * mirror[labels, others][:, :, None] * mirror[:, None]
    B = root[:, None, None] * N * q[:, None]
    u = np.einsum("irk,ik->ir", N, over(theta, root[:, None] * q)).ravel()
    E = B.reshape(len(u), -1)
    A = (B[..., None] * X[:, None, None]).reshape(len(u), -1)
    if not fit_intercept:
        return A, u, np.zeros((len(classes), A.shape[1]))
    follow = pseudo_inverse(E.T @ E) @ (E.T @ A)
    E = E[:, present] / np.linalg.norm(E[:, present], axis=0)
    rank = E.shape[1] - 1  # to shift all classes alike changes nothing
    rest = qr(E, pivoting=True)[0][:, rank:].T
    return rest @ A, rest @ u, follow - follow.mean(axis=0)


def _least_square(G, q):
    """``-min_w (w'G w - 2 q'w)``: the smallest y'y that labels with these moments can have."""
    if not G.any():
        return 0.0
    l, Q = np.linalg.eigh(G)  # noqa: E741
    solid = l > SINGULAR * l[-1]
    return float(np.sum((q @ Q[:, solid]) ** 2 / l[solid]))
