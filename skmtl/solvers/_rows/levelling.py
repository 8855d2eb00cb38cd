"""Weights that no penalty sees: Newton's steps to where the loss has no slope along them, and what that proves.

They are the weights of features without a penalty, or what tasks have in common where only differences cost.  As with
intercepts, the best of them are found first, whatever the other weights are.  They may be at infinity, where rows of
different labels are told apart.

A dual point proves something only if it has no slope along them at all, and steps always leave some.  So its residuals
theta are those one step of Newton's model ahead of the weights, where the model has no slope.  That costs the dual
value about as much as the loss would still have gained.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import nnls
from sklearn.utils.extmath import row_norms

from skmtl._algebra import SINGULAR, TINY, smallest_solution
from skmtl.solvers._rows.curvature import curvature_at
from skmtl.solvers.solution import ROUNDING

__all__ = ["Level", "Levelling"]

_SHIFTS = 50  # Newton steps, at most
_LEVEL = 0.003  # share of the gap: what the slope that is left may still gain
_STALLED = 1e-10  # share of the loss at zero: if steps gain less and gains do not shrink, they are rounding, or endless
_NOISE = 1e-11  # share of theta's length times a feature's: a slope along its weights that is smaller is rounding
_FAR = 100.0  # times the largest margin: a step that moves margins as far had no curvature to go by
_TOGETHER = 600  # unseen weights of all classes of a task, up to which their common Hessian is worth its time
_MOST = 4e8  # numbers in a Hessian, 3.2 GB: with more, an error says so before memory ends


class Level(NamedTuple):
    """Weights with hardly a slope along what no penalty sees, and the dual point that has none.

    W : array of shape (n_outputs, n_features)
    a : array of shape (n_outputs,)
        The best intercepts, counted from the means.
    at : At
        The loss there.
    dual : At
        The dual point.
    left : float
        What its slope may still gain, to be taken off the bound that it proves; infinite where it proves nothing.
    """

    W: Any
    a: Any
    at: Any
    dual: Any
    left: float


class Levelling:
    """Newton's steps along the `Unseen` weights of a penalty.

    Parameters
    ----------
    rows : RowLoss
    unseen : Unseen
    f0 : float
        The loss at zero weights.
    """

    def __init__(self, rows, unseen, f0):
        self.rows, self.unseen, self.f0 = rows, unseen, f0
        self._lengths = row_norms(rows.data.X.T)[unseen.features]
        self._together = rows.K == 1 or rows.K * len(self._lengths) <= _TOGETHER  # steps take all classes of a task

    def level(self, W, a, at, known, gap):
        """The `Level` of a point W, at which the loss is `at`.

        known : array of shape (n_outputs, n_features)
            The weights of the best point so far.
        gap : float
            That of `known`: the smaller it is, the more exact is the level.
        """
        enough = max(_LEVEL * gap, ROUNDING * self.f0)
        W, a, at = self._nearer(W, a, at, known)
        gain = np.inf
        for _ in range(_SHIFTS):
            slope, here, last = self._coordinates(at.down), self._coordinates(W), gain
            curvature = curvature_at(self.rows, W, a)
            step = self._step(curvature, slope, here)
            gain, shift = float(np.vdot(slope, step)), self._weights(step)
            off_theta, follow = curvature.along(shift)
            dual, left = self._ahead(at, off_theta, here, step)
            proven = gain <= enough and left <= enough and np.isfinite(self.rows.dual_value(dual, 1.0, 0.0))
            stalled = gain > 0.9 * last and gain <= _STALLED * self.f0
            new = None if proven or stalled else self._lower(W, shift, a, follow, at.loss)
            if new is None:
                break
            W, a, at = new
        return Level(W, a, at, dual, left)

    def _nearer(self, W, a, at, known):
        """W, or W with the unseen weights of `known` if the loss is no larger there; its intercepts and the loss."""
        if not known.any():
            return W, a, at
        near = W + self._weights(self._coordinates(known - W))
        a_near, at_near = self.rows.at_best(near, a)
        return (near, a_near, at_near) if at_near.loss <= at.loss else (W, a, at)

    def rounding(self, at, W):
        """What the slope of a dual point `at` near W may gain, where it is known to be nothing but rounding."""
        return float(np.vdot(np.abs(self._coordinates(at.down)), np.abs(self._coordinates(W))))

    def without_common(self, W):
        """W (n_outputs, n_features) less what all classes have in common of the unseen weights.

        That changes neither the loss nor the penalty, so what steps leave of it is chance.
        """
        if self.rows.K == 1 or self.unseen.positive:
            return W
        shared = self._coordinates(W).mean(axis=1, keepdims=True)
        return W - self._weights(np.repeat(shared, self.rows.K, axis=1))

    def _coordinates(self, W):
        """The unseen part of W (n_outputs, n_features), in terms of its basis: (n_null, n_columns, n_unseen)."""
        W = W.reshape(self.rows.n_tasks, self.rows.K, -1)[:, :, self.unseen.features]
        return (self.unseen.basis.T @ W.reshape(len(W), -1)).reshape(-1, *W.shape[1:])

    def _weights(self, coordinates):
        """The weights W, zero but for their unseen part, that have these coordinates."""
        W = np.zeros((self.rows.n_tasks, self.rows.K, self.rows.shape[1]))
        part = self.unseen.basis @ coordinates.reshape(len(coordinates), -1)
        W[:, :, self.unseen.features] = part.reshape(len(W), *coordinates.shape[1:])
        return W.reshape(self.rows.shape)

    def _step(self, curvature, slope, here):
        """Newton's step; where classes have too many weights to be taken together, each by itself, and shorter.

        slope, here : arrays (n_null, n_columns, n_unseen)
            The coordinates of the negative gradient and of the weights; so is the step.
        """
        n_unseen = slope.shape[-1]
        if n_unseen**2 > _MOST:
            raise MemoryError(
                f"What all tasks have in common costs nothing in {n_unseen} features, and a step in these takes a "
                f"matrix of {8e-9 * n_unseen**2:.1f} GB. Set alpha_ridge > 0, or alpha_shared > 0 of mean-regularised "
                "models, or keep fewer features."
            )
        by_class = [curvature] if self._together else curvature.by_class()
        step = np.zeros((len(slope), len(by_class), slope[0].size // len(by_class)))
        for v, column in enumerate(self.unseen.basis.T.tocsr()):
            members = list(zip(column.indices, column.data, strict=True))
            slopes, weights = (part[v].reshape(step[v].shape) for part in (slope, here))
            for k, (one, g, w) in enumerate(zip(by_class, slopes, weights, strict=True)):
                H = sum(x**2 * one.of_weights(t, self.unseen.features)[0] for t, x in members)
                step[v, k] = _to_minimum(H, g, w) if self.unseen.positive else smallest_solution(H, g[:, None])[:, 0]
        return step.reshape(slope.shape)

    def _ahead(self, at, off_theta, here, step):
        """The dual point one step ahead, by Newton's model, and what its slope may still gain.

        It has no slope but for rounding where the step took all classes of a task together; if it has, curvature is so
        small that a step says nothing.  Else the dual point is that of the weights themselves: its slope may gain what
        is between them and the minimum, and as much again.
        """
        dual = self.rows.dual_point(at.theta - off_theta) if self._together else at
        slope = self._coordinates(dual.down)
        if self.unseen.positive:  # which negative slopes do not gain by
            slope = np.maximum(slope, 0.0)
        if self._together and (np.abs(slope) > _NOISE * np.linalg.norm(dual.theta) * self._lengths).any():
            return dual, np.inf
        return dual, float(np.vdot(np.abs(slope), np.abs(here) + 2.0 * np.abs(step)))

    def _lower(self, W, shift, a, follow, loss):
        """W at the end of a step, halved until the loss does not rise, its intercepts and the loss there.

        None where the step leads nowhere.  Intercepts are looked for from where Newton's model has them: from where
        they were it can be far.
        """
        eta, change = self.rows.margins(W), self.rows.margins(shift)
        if np.abs(change).max() > _FAR * max(np.abs(eta).max(), np.abs(self.rows.data.y).max(), 1.0):
            return None
        for halvings in range(30):
            share = 0.5**halvings
            ahead = W + share * shift
            ahead = np.maximum(ahead, 0.0) if self.unseen.positive else ahead
            a_ahead, at = self.rows.at_best(ahead, a + share * follow)
            if at.loss <= loss + ROUNDING * self.f0:
                return ahead, a_ahead, at
        return None


def _to_minimum(H, g, w):
    """The step u to the minimum of ``u'Hu / 2 - g'u`` among those with ``w + u >= 0``."""
    D = np.sqrt(np.maximum(np.diag(H), 0.0))
    D[D <= TINY] = 1.0
    l, Q = np.linalg.eigh(H / D / D[:, None])  # noqa: E741
    solid = l > SINGULAR * l[-1]
    root, Q = np.sqrt(l[solid]), Q[:, solid]
    R = root[:, None] * Q.T
    return nnls(R, Q.T @ (g / D) / root + R @ (w * D), maxiter=100 * len(w))[0] / D - w
