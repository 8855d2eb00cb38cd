r"""Any loss under any penalty: accelerated steps on the rows, or Newton's on weighted moments, whichever is cheaper.

    min_(W, b)  sum_t c_t sum_i s_ti l_t(y_ti, x_i w_t + b_t) + Omega(W)

A proximal Newton step replaces every loss by the parabola that touches it where W is now.  That is least squares with
weights ``s l''`` and labels ``eta - l' / l''``, a problem of moments, which the solver of the penalty solves as exactly
as the gap that is left deserves.  A line search on the true objective makes it converge from anywhere.  It does not
care how features are scaled, and a handful of steps do (Lee, Sun, Saunders 2014, *SIAM Journal on Optimization*
24:1420-1443).

Where features are alike in length, steps on the rows (`accelerated`) are cheaper: they go first, for about the time
that Newton's would take, and what they have not solved by then Newton's steps solve from there.  Where moments would
not fit in memory or X is sparse and wide, the rows are all there is; and quadratic penalties, where Newton's steps are
linear equations, begin with those.

A task whose labels leave no best intercept, all of one class or counts that are all zero, says nothing of W: its loss
vanishes as the intercept goes to infinity.  It takes no part, has the shared weights, and an intercept that is drawn
to the others' by ``1e-3 / 2 (b_t - b_0)^2``, so that probabilities are near 0 and 1 and finite.  Likewise the classes
that a task has no label of.
"""

from dataclasses import replace

import numpy as np
from scipy import sparse
from scipy.optimize import brentq
from scipy.special import logsumexp

from skmtl._ids import lookup
from skmtl._threads import one_blas_thread
from skmtl.losses import Logistic, Multinomial
from skmtl.penalties.quadratic import TaskQuadratic
from skmtl.penalties.shared import Alike
from skmtl.solvers._models import ClassModel, ColumnModel
from skmtl.solvers._rows import RowLoss
from skmtl.solvers.accelerated import Descent
from skmtl.solvers.solution import Certificate, Solution, harmonic, solve

__all__ = ["RowProblem", "has_moments"]

_LARGEST = 3e7  # numbers in the moments of all tasks; with more, rows are better
_NARROW = 300  # features of sparse rows that dense moments may have
_STEPS = 50  # of Newton, at most; with more something is wrong
_NOTHING = 1e-12  # of the loss at zero: quadratic penalties are solved to this, as they are with the squared loss
_INEXACT = 0.03  # of the gap that is left: how exactly a model is solved
_BOLD = 0.01  # of a parabola's curvature: what a Newton step may use where the loss itself has none
_PULL = 1e-3  # on the deviation of an intercept that would else be infinite


def has_moments(data, *, one_gram):
    """Whether sums over the rows of `data` are small enough for the steps that need them.

    With `one_gram` tasks that share all rows have a single Gram matrix.
    """
    n, d = data.X.shape
    if sparse.issparse(data.X) and d > _NARROW:
        return False
    sizes = np.diff(data.starts) if not data.shared else np.full(1 if one_gram and data.complete else data.n_tasks, n)
    return d * float(np.minimum(sizes, d).sum()) <= _LARGEST


class RowProblem:
    """The loss of rows of data, to be minimised with the penalties of a path.

    Parameters
    ----------
    data : TaskData
    losses : list of Loss
        One a task: all with one column, or all `Multinomial` with the same classes.
    c : array of shape (n_tasks,)
    penalty : Penalty
        One of those of the path.
    fit_intercept : bool
    n_jobs : int or None
    origin : array of shape (n_features,) or 0
        What the rows of the data lack: intercepts are those of ``X + origin``.
    """

    def __init__(self, data, losses, c, penalty, *, fit_intercept=True, n_jobs=None, origin=0.0):
        self.origin = np.broadcast_to(np.asarray(origin, dtype=float), data.X.shape[1:])
        self.tasks, self.fit_intercept, self.n_jobs, self.K = data.tasks, fit_intercept, n_jobs, losses[0].n_columns
        nodes = penalty.all_tasks(data.tasks)
        at = lookup(nodes, data.tasks)  # where each node is among the tasks, -1 for one without rows
        self.place = lookup(data.tasks, nodes)
        self.data = data.reindex(nodes)
        self.losses = [losses[t] for t in np.maximum(at, 0)]
        self.c = np.where(at >= 0, c[np.maximum(at, 0)], 1.0)
        self.a_b = float(penalty.alpha_intercept) if fit_intercept and penalty.penalizes_intercepts else 0.0
        self.labelled, self.settled = self._classes()
        heard = (self.data_weight() > 0) & ~self.settled.all(axis=1)
        self.kept = np.ones(len(heard), dtype=bool) if penalty.has_nodes else heard
        self.heard = heard
        self.rows = self._row_loss() if self.kept.any() else None

    def data_weight(self):
        """The weight of every task."""
        weight = self.data.label_weight()
        if self.data.shared:
            return weight.sum(axis=0)
        return np.bincount(self.data.task_of_row, weight, minlength=self.data.n_tasks)

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
        """The loss of the tasks that have a say."""
        data, quiet = self.data, ~self.heard
        if quiet.any() and data.shared:
            data = replace(data, weight=np.where(quiet, 0.0, data.label_weight()))
        elif quiet.any():
            data = data.take(~quiet[data.task_of_row])
        data = data.reindex(data.tasks[self.kept])
        losses = [loss for loss, kept in zip(self.losses, self.kept, strict=True) if kept]
        present = ~(self.settled & self.heard[:, None])[self.kept]
        return RowLoss(data, losses, self.c[self.kept], present, fit_intercept=self.fit_intercept, a_b=self.a_b)

    # ------------------------------------------------------------------------------------------------------ answers

    def descent_at_zero(self, penalty):
        """The loss's negative gradient at W = 0 with the best intercepts, as `penalty` sees it."""
        if not self.kept.any():
            return np.zeros((1, self.data.X.shape[1]))
        descent = Descent(self.rows, penalty)
        return descent.prox.view(descent.at_null.descent)

    def gradient_lengths(self):
        """The lengths of the loss's gradients of all tasks at W = 0 with the best intercepts; 0 without a say."""
        lengths = np.zeros(len(self.kept))
        if self.kept.any():
            G = self.rows.at_zero()[1].descent
            lengths[self.kept] = np.linalg.norm(G.reshape(self.kept.sum(), -1), axis=1)
        return lengths[self.place]

    def curvature(self):
        """The mean square of the features, with the weights of the loss: the size of its curvature."""
        return self.rows.mean_square() if self.kept.any() else 1.0

    def solve(self, path, tol, max_iter, init=None):
        """The solutions of a path, each from the one before; `init` is W (n_tasks, ...), or (P, Q)."""
        progress = None
        with one_blas_thread:
            for penalty in path:
                if not self.kept.any():
                    yield self._nothing_heard(penalty)
                    continue
                penalty = penalty.of_classes(self.K)
                descent = Descent(self.rows, penalty)
                start = self._start(init, descent) if progress is None else (progress.copies, progress.a)
                progress, converged = self._minimise(descent, penalty, start, tol, max_iter)
                yield self._solution(penalty, descent, progress, converged)

    def _start(self, init, descent):
        if init is None:
            return None, None
        parts = init if isinstance(init, tuple) else (init,)
        copies = np.zeros_like(descent.zeros)
        for copy, part in zip(copies, parts, strict=False):
            whole = np.zeros((len(self.kept), *part.shape[1:]))
            whole[self.place] = part
            copy[:] = whole[self.kept].reshape(copy.shape)
        return copies, None

    def _minimise(self, descent, penalty, start, tol, max_iter):
        """The solution of one penalty: a `Progress`, and whether its gap is small enough."""
        goal = tol * descent.null
        if descent.zero_is_optimal():
            zero = descent.at_zero()
            return zero, zero.gap <= max(goal, _NOTHING * descent.null)
        progress, prox = descent.start(*start), descent.prox
        if self._has_model(penalty):
            if all(isinstance(term, (TaskQuadratic, Alike)) for term in prox.terms):
                goal = min(goal, _NOTHING * descent.null)
            elif prox.closed and prox.null is None:
                descent.run(progress, goal, min(max_iter, self._budget()))
            self._newton(descent, penalty, progress, goal, max_iter)
        goal = max(tol * descent.null, goal)
        if progress.gap > goal:
            descent.run(progress, goal, max_iter)
        return progress, progress.gap <= max(goal, _NOTHING * descent.null)

    # -------------------------------------------------------------------------------------------------- by moments

    def _budget(self):
        """Steps on the rows that take about as long as Newton's; no function of n: a weight is many rows."""
        return int(np.clip(30 + 2 * self.rows.shape[1], 40, 500))

    def _newton(self, descent, penalty, progress, goal, max_iter):
        """Newton's steps until the gap is at most `goal`, or nothing gets better."""
        idle, boldness = 0, _BOLD
        for _ in range(min(_STEPS, max_iter)):
            if progress.gap <= goal or idle == 2:
                break
            before, left = progress.objective, progress.gap
            copies, a = self._model_minimum(descent, penalty, progress, boldness)
            progress.n_iter += 1
            share, copies, a = self._along(descent, progress, copies, a)
            boldness = _BOLD if share > 0.5 else 1.0
            descent.certify(
                progress, copies, a, prove=descent.prox.closed and (descent.prox.null is None or self.a_b > 0.0)
            )
            stalled = progress.objective >= before - 1e-15 * abs(before) and progress.gap > 0.5 * left
            idle = idle + 1 if stalled else 0

    def _model_minimum(self, descent, penalty, progress, boldness):
        """Where the parabolas that touch the losses now have their minimum: copies and intercepts.

        The dual point that proves it a minimum is near one of the losses themselves, and is tried as such.
        """
        here = self.rows, progress.W, progress.a
        model = ColumnModel(*here, boldness, self.n_jobs) if self.K == 1 else ClassModel(*here)
        null = 0.5 * float(model.c @ model.moments.yy)
        inner = float(np.clip(_INEXACT * progress.gap / null, 1e-14, 1e-4)) if null > 0 else 1e-6
        init = tuple(descent.prox.view(copy) for copy in progress.copies)
        init = init if len(init) > 1 else init[0]
        (solution,) = solve(penalty, [penalty], model.moments, model.c, tol=inner, max_iter=1000, init=init)
        parts = solution.parts if len(progress.copies) > 1 else (solution.W,)
        copies = np.stack([model.outputs(part) for part in parts])
        if self.a_b == 0.0:
            X, duals = solution.dual or (solution.W, None)
            at, there = model.dual(X), np.zeros_like(copies)
            there[0] = model.outputs(X)
            descent.prove(progress, at, descent.prox.ways(there, at.descent, 1.0, duals))
        if not self.fit_intercept:
            return copies, np.zeros(self.rows.n_outputs)
        return copies, model.intercepts(copies.sum(axis=0), solution.b)

    def _has_model(self, penalty):
        """Whether Newton's steps are possible: for several classes, if the penalty sees tasks as one row."""
        if self.K == 1:
            return has_moments(self.rows.data, one_gram=False)
        sparse_rows = sparse.issparse(self.rows.data.X)
        size = self.rows.n_tasks * float(self.K * self.rows.shape[1]) ** 2
        return penalty.unfolds and self.a_b == 0.0 and not sparse_rows and size <= _LARGEST

    def _along(self, descent, progress, copies, a):
        """How far to go to the model's minimum, all the way as a rule, and the point there."""
        rows, here = self.rows, progress
        at = rows.at(here.W, here.a)
        change = descent.prox.value(copies) - descent.prox.value(here.copies)
        slope = change - np.vdot(at.descent, copies.sum(axis=0) - here.W) - np.vdot(at.pull, a - here.a)
        share = 1.0
        for _ in range(30):
            new = here.copies + share * (copies - here.copies), here.a + share * (a - here.a)
            value = rows.at(new[0].sum(axis=0), new[1]).loss + descent.prox.value(new[0])
            if value <= here.objective + 1e-4 * share * min(float(slope), 0.0) + 1e-15 * abs(here.objective):
                return share, *new
            share *= 0.5
        return 0.0, here.copies, here.a

    # ------------------------------------------------------------------------------------------------ back to tasks

    def _solution(self, penalty, descent, progress, converged):
        rows, K, d = self.rows, self.K, self.data.X.shape[1]
        shape = (len(self.kept), K, d)
        heard = self.heard[self.kept]
        parts = []
        for copy in progress.copies if len(progress.copies) > 1 else [progress.W]:
            part = np.zeros(shape)
            part[self.kept] = copy.reshape(-1, K, d)
            parts.append(part)
        W = np.sum(parts, axis=0)
        b = np.zeros((len(self.kept), K))
        b[self.kept] = (rows.from_origin(progress.W, progress.a) - progress.W @ self.origin).reshape(-1, K)
        w0 = self._shared_weights(penalty, W[self.kept][heard], ~self.settled[self.kept][heard])
        quiet = ~self.kept
        W[quiet] = w0
        for part in parts:
            part[quiet] = part[self.kept][heard].mean(axis=0) if len(parts) > 1 else w0
        b0 = self._shared_intercepts(b, W)
        b = self._finish_intercepts(penalty, W, b, b0)
        certificate = Certificate(progress.objective, float(progress.gap), None)
        W, b, parts = W[self.place], b[self.place], [part[self.place] for part in parts]
        return self._squeezed(W, b, w0, b0, parts, certificate, progress.n_iter, converged)

    def _squeezed(self, W, b, w0, b0, parts, certificate, n_iter, converged):
        parts = tuple(parts) if len(parts) > 1 else None
        if self.K == 1:
            W, b, w0, b0 = W[:, 0], b[:, 0], w0[0], float(b0[0])
            parts = parts and tuple(part[:, 0] for part in parts)
        return Solution(W, b, w0, b0, lambda: certificate, max(n_iter, 1), converged, parts)

    def _shared_weights(self, penalty, W, present):
        """The model of a task never seen, (K, d), from the tasks that have a say."""
        if penalty.unfolds:
            return penalty.shared(W.reshape(len(W), -1)).reshape(W.shape[1:])
        if self.K == 1:
            return penalty.shared(W[:, 0])[None]
        n = np.maximum(present.sum(axis=0), 1)[:, None]
        return (W * present[:, :, None]).sum(axis=0) / n

    def _shared_intercepts(self, b, W):
        """Their means over the tasks that have a say in them, (K,)."""
        if 0.0 < self.a_b < np.inf:
            return b[self.kept].mean(axis=0)
        sound = ~self.settled & self.heard[:, None]
        return np.where(sound, b, 0.0).sum(axis=0) / np.maximum(sound.sum(axis=0), 1)

    def _finish_intercepts(self, penalty, W, b, b0):
        """Intercepts of tasks without labels, and of those whose best one is infinite."""
        if not self.fit_intercept:
            return np.zeros_like(b)
        weight = self.data_weight()
        known = (weight > 0)[:, None] & ~self.settled
        b = np.where(known, b, b0)
        for t in np.flatnonzero((weight > 0) & self.settled.any(axis=1)):
            for k in np.flatnonzero(self.settled[t]):
                b[t, k] = self._finite_intercept(t, k, W[t], b[t], b0[k])
        if penalty.has_nodes and not (weight > 0).all():
            adjacency = penalty.adjacency(self.data.tasks)
            b = np.column_stack([harmonic(adjacency, column, weight > 0) for column in b.T])
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

    def _nothing_heard(self, penalty):
        """Where no task has a say: weights of zero, and the intercepts of labels that are all alike."""
        K, d, T = self.K, self.data.X.shape[1], len(self.kept)
        W, b0 = np.zeros((T, K, d)), np.zeros(K)
        b = self._finish_intercepts(penalty, W, np.zeros((T, K)), b0)
        if self.fit_intercept:
            b0 = b[self.data_weight() > 0].mean(axis=0)
        W, b = W[self.place], b[self.place]
        parts = [W, W] if penalty.decomposition else [W]
        return self._squeezed(W, b, W[0], b0, parts, Certificate(0.0, 0.0, None), 1, True)
