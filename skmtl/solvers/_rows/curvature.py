"""The curvature of the losses at some point, as Newton's model has it, and the Hessians that it makes.

The second derivative of a loss in its margin is a number h; in the K margins of a label of several classes, with the
probabilities p there, it is the matrix ``diag(p) - p p'``.
"""

from itertools import combinations

import numpy as np

from skmtl._algebra import pseudo_inverse

__all__ = ["BOLD", "ClassCurvature", "Curvature", "curvature_at"]

BOLD = 0.01  # share of the curvature of parabolas above the loss that Newton's step uses where the loss has less


def curvature_at(rows, W, a):
    """The curvature of a `RowLoss` at weights W and intercepts `a`, counted from the means."""
    if rows.K > 1:
        return ClassCurvature(rows, rows.probabilities(W, a)[0])
    return Curvature(rows, rows.slopes(W, a, BOLD)[2])


class Curvature:
    """A number for every label.

    Parameters
    ----------
    rows : RowLoss
    of_labels : array shaped as y
        The numbers h.
    """

    def __init__(self, rows, of_labels):
        self.rows, self.of_labels = rows, of_labels

    def times(self, change):
        """What a change of the margins takes off theta; both shaped as the margins."""
        return self.rows.weighted(self.of_labels * change)

    def along(self, V):
        """What a step V of the weights takes off theta, and the step of the intercepts, which follow it.

        Those of every task follow by themselves, so that the pull on them stays what it was.
        """
        rows, change, follow = self.rows, self.rows.margins(V), np.zeros(self.rows.n_outputs)
        if rows.fit_intercept:
            pull = rows.per_output(self.times(change)).reshape(-1, rows.K)
            follow = -np.einsum("tkl,tl->tk", pseudo_inverse(self.of_intercepts()), pull).ravel()
            change += rows.spread(follow)
        return self.times(change), follow

    def of_intercepts(self):
        """The Hessian of the loss in the intercepts of every task, (n_tasks, K, K)."""
        return self.rows.per_task(self.rows.weighted(self.of_labels))[:, None, None]

    def of_weights(self, t, features=slice(None)):
        """The Hessian of the loss in the weights of task t at their best intercepts, ``X' diag(h) X``.

        Returned beside it is the matrix ``A``, (K, K n_features), by which the intercepts follow: a step w of the
        weights takes ``A w`` off them.
        """
        X, s, h = self.rows.block(t, self.of_labels, features)
        w = s * h
        return self._at_best_intercepts((w[:, None] * X).T @ X, (w @ X)[None], w.sum(keepdims=True)[None])

    def _at_best_intercepts(self, of_weights, mixed, of_intercepts):
        """What `of_weights` returns, for the blocks of the Hessian in weights and intercepts."""
        if not self.rows.fit_intercept:
            return of_weights, np.zeros_like(mixed)
        follow = pseudo_inverse(of_intercepts) @ mixed
        if len(follow) > 1:  # to shift all classes alike changes nothing: the smallest shift that does
            follow -= follow.mean(axis=0)
        return of_weights - mixed.T @ follow, follow


class ClassCurvature(Curvature):
    """A matrix ``diag(p) - p p'`` for every label: `of_labels` are the probabilities p, shaped as the margins."""

    def times(self, change):
        p = self.of_labels
        return self.rows.weighted(p * (change - (p * change).sum(axis=-1, keepdims=True)))

    def of_intercepts(self):
        p, weighted = self.of_labels, self.rows.weighted(self.of_labels)
        return self.rows.per_task(weighted)[:, :, None] * np.eye(self.rows.K) - self.rows.layout.products(weighted, p)

    def of_weights(self, t, features=slice(None)):
        X, s, p = self.rows.block(t, self.of_labels, features)
        K, d = p.shape[1], X.shape[1]
        H, mixed, bb = np.zeros((K, d, K, d)), np.zeros((K, K, d)), np.zeros((K, K))
        for k, m in combinations(range(K), 2):
            w = -s * p[:, k] * p[:, m]
            H[k, :, m] = X.T @ (w[:, None] * X)
            H[m, :, k] = H[k, :, m].T
            mixed[k, m] = mixed[m, k] = w @ X
            bb[k, m] = bb[m, k] = w.sum()
        for k in range(K):  # 1 - p as the sum of the others, which has digits that 1 - p has not where p is nearly 1
            H[k, :, k], mixed[k, k], bb[k, k] = -H[k].sum(axis=1), -mixed[k].sum(axis=0), -bb[k].sum()
        return self._at_best_intercepts(H.reshape(K * d, K * d), mixed.reshape(K, K * d), bb)

    def by_class(self):
        """A `Curvature` for each class by itself: the bounds ``2 p (1 - p)`` of `Multinomial.curvature`."""
        p = self.of_labels
        return [Curvature(self.rows, bound) for bound in np.moveaxis(2.0 * p * (1.0 - p), -1, 0)]
