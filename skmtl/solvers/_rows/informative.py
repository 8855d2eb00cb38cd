"""Which tasks are informative, those whose labels say something of W, and what the others get.

A task whose labels leave no best intercept, all of one class or counts that are all zero, is not: its loss vanishes as
the intercept goes to infinity.  It takes no part, has the shared weights, and an intercept that is drawn to the others'
by ``1e-3 / 2 (b_t - b_0)^2``, so that probabilities are near 0 and 1 and finite.  Likewise the classes that a task has
no label of.  Tasks without rows have the shared model.  Where edges tie either to informative tasks, they are nodes of
the model, and have their neighbours' weights.
"""

from dataclasses import replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import logsumexp

from skmtl._ids import lookup
from skmtl.losses import Logistic, Multinomial
from skmtl.solvers._rows.row_loss import RowLoss
from skmtl.solvers.solution import Certificate, Solution, harmonic, linked

__all__ = ["Informative"]

_PULL = 1e-3  # on the deviation of an intercept that would else be infinite


class Informative:
    """The rows of the informative tasks, and the way back to all tasks.

    Parameters
    ----------
    data, losses, c, penalty, fit_intercept, origin
        As of `RowProblem`.

    Attributes
    ----------
    kept : bool array of shape (n_nodes,)
        Which tasks, and nodes of a graph besides, the problem is about: see `linked`.
    informative : bool array of shape (n_nodes,)
        Which nodes have labels that say something of W.
    settled : bool array of shape (n_nodes, n_columns)
        The outputs that have no best intercept.
    rows : RowLoss or None
        The rows of the kept ones; None if no node is informative.
    place : int array of shape (n_tasks,)
        Where the tasks of the data are among the nodes.
    a_b : float
        Strength of the pull between intercepts; infinite where there is only one.
    """

    def __init__(self, data, losses, c, penalty, fit_intercept, origin):
        self.origin = np.broadcast_to(np.asarray(origin, dtype=float), data.X.shape[1:])
        self.fit_intercept, self.K = fit_intercept, losses[0].n_columns
        nodes = penalty.all_tasks(data.tasks)
        at = lookup(nodes, data.tasks)  # where each node is among the tasks, -1 for one without rows
        self.place = lookup(data.tasks, nodes)
        self.data = data.reindex(nodes)
        self.losses = [losses[t] for t in np.maximum(at, 0)]
        self.c = np.where(at >= 0, c[np.maximum(at, 0)], 1.0)
        self.a_b = float(penalty.alpha_intercept) if fit_intercept and penalty.penalizes_intercepts else 0.0
        self.labelled, self.settled = self._classes()
        self.weight = self.data.task_weight()
        self.informative = (self.weight > 0) & ~self.settled.all(axis=1)
        self.kept = linked(penalty, nodes, self.informative)
        self.rows = self._row_loss() if self.informative.any() else None

    def _classes(self):
        """Which outputs have labels, and which have no best intercept; both (n_tasks, K), bool."""
        labelled = np.zeros((self.data.n_tasks, self.K), dtype=bool)
        settled = np.zeros_like(labelled)
        free = self.fit_intercept and self.a_b == 0.0
        for t, loss in enumerate(self.losses):
            _, y, s = self.data.block(t)
            y = y if s is None else y[s > 0]
            if not len(y):
                continue
            if isinstance(loss, Multinomial):
                labelled[t, np.unique(y).astype(int)] = True
                settled[t] = free & (~labelled[t] | loss.settled(y))
            else:
                labelled[t] = True
                settled[t] = free and loss.settled(y)
        return labelled, settled

    def _row_loss(self):
        """The loss of the informative tasks."""
        data, others = self.data, ~self.informative
        if others.any() and data.shared:
            data = replace(data, weight=np.where(others, 0.0, data.label_weight()))
        elif others.any():
            data = data.take(~others[data.task_of_row])
        data = data.reindex(data.tasks[self.kept])
        losses = [loss for loss, kept in zip(self.losses, self.kept, strict=True) if kept]
        present = ~(self.settled & self.informative[:, None])[self.kept]
        return RowLoss(data, losses, self.c[self.kept], present, fit_intercept=self.fit_intercept, a_b=self.a_b)

    def placed(self, penalty):
        """The same belief of the kept nodes."""
        return penalty.placed(self.data.tasks, self.kept)

    def on_kept(self, of_tasks):
        """An array of the tasks of the data as one of the kept nodes, zero where a node is no task."""
        whole = np.zeros((len(self.kept), *of_tasks.shape[1:]))
        whole[self.place] = of_tasks
        return whole[self.kept]

    def solution(self, penalty, progress, certificate, converged):
        """The Solution of all tasks of the data."""
        informative = self.informative[self.kept]
        parts = [self._on_nodes(copy) for copy in progress.copies]
        W = np.sum(parts, axis=0)
        b = self._on_nodes(self.rows.from_origin(progress.W, progress.a) - progress.W @ self.origin)
        w0 = self._shared_weights(penalty, W[self.kept][informative], ~self.settled[self.kept][informative])
        others = ~self.kept
        W[others] = w0
        known = [part[self.kept][informative] for part in parts]
        for part, shared in zip(parts, penalty.shared_parts(*known) if len(parts) > 1 else [w0], strict=True):
            part[others] = shared
        b0 = self._shared_intercepts(b)
        b = self._finish_intercepts(penalty, W, b, b0)
        W, b, parts = W[self.place], b[self.place], [part[self.place] for part in parts]
        return self._squeezed(W, b, w0, b0, parts, certificate, progress.n_iter, converged)

    def _on_nodes(self, of_outputs):
        """An array of the kept outputs, (n_outputs, ...), as one of all nodes: (n_nodes, K, ...), zero elsewhere."""
        whole = np.zeros((len(self.kept), self.K, *of_outputs.shape[1:]))
        whole[self.kept] = of_outputs.reshape(-1, *whole.shape[1:])
        return whole

    def loadings(self, S, k):
        """The loadings (n_tasks, k), or (n_tasks, n_classes, k), for S (n_outputs, k) of the kept outputs.

        Tasks that are not kept have the mean loadings; with no output kept, all are zero.
        """
        whole = np.zeros((len(self.kept), self.K, k))
        if len(S):
            whole[self.kept] = S.reshape(-1, self.K, k)
            whole[~self.kept] = whole[self.kept].mean(axis=0)
        return whole[self.place] if self.K > 1 else whole[self.place, 0]

    def _squeezed(self, W, b, w0, b0, parts, certificate, n_iter, converged):
        """The Solution, without the axis of columns where there is only one."""
        parts = tuple(parts) if len(parts) > 1 else None
        if self.K == 1:
            W, b, w0, b0 = W[:, 0], b[:, 0], w0[0], float(b0[0])
            parts = parts and tuple(part[:, 0] for part in parts)
        return Solution(W, b, w0, b0, certificate, max(n_iter, 1), converged, parts, seen=self.kept[self.place])

    def _shared_weights(self, penalty, W, present):
        """The model of a task never seen, (K, d), from the informative tasks."""
        if penalty.unfolds:
            return penalty.shared(W.reshape(len(W), -1)).reshape(W.shape[1:])
        if self.K == 1:
            return penalty.shared(W[:, 0])[None]
        n = np.maximum(present.sum(axis=0), 1)[:, None]
        return (W * present[:, :, None]).sum(axis=0) / n

    def _shared_intercepts(self, b):
        """Their means over the tasks that determine them, (K,)."""
        if 0.0 < self.a_b < np.inf:
            return b[self.kept].mean(axis=0)
        sound = ~self.settled & self.informative[:, None]
        return np.where(sound, b, 0.0).sum(axis=0) / np.maximum(sound.sum(axis=0), 1)

    def _finish_intercepts(self, penalty, W, b, b0):
        """Intercepts of tasks without labels, and of those whose best one is infinite."""
        if not self.fit_intercept:
            return np.zeros_like(b)
        weight = self.weight
        known = (weight > 0)[:, None] & ~self.settled
        b = np.where(known, b, b0)
        for t in np.flatnonzero((weight > 0) & self.settled.any(axis=1)):
            for k in np.flatnonzero(self.settled[t]):
                b[t, k] = self._finite_intercept(t, k, W[t], b[t], b0[k])
        kept = self.kept
        if penalty.has_nodes and self.a_b == 0.0 and not (weight > 0)[kept].all():
            adjacency = penalty.adjacency(self.data.tasks[kept])
            b[kept] = np.column_stack([harmonic(adjacency, column, weight[kept] > 0) for column in b[kept].T])
        return b

    def _finite_intercept(self, t, k, W, b, b0):
        """``argmin c_t sum_i s_i l(y_i, x_i w + b) + 1e-3/2 (b - b_0)^2``, the other classes as they are."""
        X, y, s = self.data.block(t)
        s, loss = (np.ones(len(y)) if s is None else s) * self.c[t], self.losses[t]
        shift = W @ self.origin
        margins = X @ W[k] + shift[k]
        if self.K > 1:
            others = np.flatnonzero(self.labelled[t] & (np.arange(self.K) != k))
            if not len(others):  # the only class there is
                return b0
            margins = margins - logsumexp(X @ W[others].T + (shift + b)[others], axis=1)
            loss, y = Logistic(), np.zeros(len(y))

        def slope(b):
            with np.errstate(over="ignore"):
                return float(np.clip(s @ loss.descent(y, margins + b), -1e300, 1e300)) - _PULL * (b - b0)

        reach = 1.0
        while slope(b0 - reach) < 0 or slope(b0 + reach) > 0:
            reach *= 2.0
        return brentq(slope, b0 - reach, b0 + reach, xtol=1e-12)

    def trivial_solution(self, penalty):
        """Where no task is informative: weights of zero, and the intercepts of labels that are all alike."""
        K, d, T = self.K, self.data.X.shape[1], len(self.kept)
        W, b0 = np.zeros((T, K, d)), np.zeros(K)
        b = self._finish_intercepts(penalty, W, np.zeros((T, K)), b0)
        if self.fit_intercept:
            b0 = b[self.weight > 0].mean(axis=0)
            b[self.weight == 0] = b0
        W, b = W[self.place], b[self.place]
        parts = [W, W] if penalty.decomposition else [W]
        return self._squeezed(W, b, W[0], b0, parts, Certificate(0.0, 0.0, None), 1, True)
