"""Independent answers for every loss: each in NumPy's words and in cvxpy's, under the beliefs of `tests.convex`.

Nothing here uses the library.  A `Words` is a loss; a `Lossy` is a belief and a loss for every task on a data set: its
objective row by row, and the minimiser that a general solver finds.  Labels of classes are their codes 0, 1, ...

With K > 1 numbers a label, the weights are (n_tasks, K, n_features).  A belief about tasks sees them as (n_tasks, K *
n_features), a belief about features as (n_tasks * K, n_features).
"""

import warnings

import cvxpy as cp
import numpy as np
from scipy import optimize
from scipy.special import expit, log_softmax, softmax, xlogy

from tests import convex
from tests.convex import Point, Units
from tests.oracles import one_thread


class Words:
    """A loss: its name as a parameter, its value in NumPy's words and in cvxpy's, its slope and its best constant.

    value(y, eta)    (n_samples,)
    slope(y, eta)    d value / d eta
    express(y, eta)  cvxpy
    best(y, s)       argmin over eta of sum_i s_i value(y_i, eta)
    """

    n_columns = 1

    def best(self, y, s):
        """The mean, if the loss has no better."""
        return np.average(y, weights=s)


class Squared(Words):
    name = "squared"

    def value(self, y, eta):
        return (y - eta) ** 2 / 2

    def slope(self, y, eta):
        return eta - y

    def express(self, y, eta):
        return cp.square(eta - y) / 2


class Logistic(Words):
    name = "logistic"

    def value(self, y, eta):
        return np.logaddexp(0, eta) - y * eta

    def slope(self, y, eta):
        return expit(eta) - y

    def express(self, y, eta):
        return cp.logistic(eta) - cp.multiply(y, eta)

    def best(self, y, s):
        p = np.average(y, weights=s)
        return np.log(p / (1 - p))


class Multinomial(Words):
    name = "multinomial"

    def __init__(self, n_classes):
        self.n_columns = n_classes

    def chosen(self, y):
        return np.eye(self.n_columns)[y.astype(int)]

    def value(self, y, eta):
        return -np.sum(log_softmax(eta, axis=1) * self.chosen(y), axis=1)

    def slope(self, y, eta):
        return softmax(eta, axis=1) - self.chosen(y)

    def express(self, y, eta):
        return cp.log_sum_exp(eta, axis=1) - cp.sum(cp.multiply(self.chosen(y), eta), axis=1)

    def best(self, y, s):
        return np.log(s @ self.chosen(y) / s.sum())


class Poisson(Words):
    name = "poisson"

    def value(self, y, eta):
        return np.exp(eta) - y * eta + xlogy(y, y) - y

    def slope(self, y, eta):
        return np.exp(eta) - y

    def express(self, y, eta):
        return cp.exp(eta) - cp.multiply(y, eta) + (xlogy(y, y) - y)

    def best(self, y, s):
        return np.log(np.average(y, weights=s))


class Huber(Words):
    name = "huber"

    def __init__(self, delta=1.35):
        self.delta = delta

    def value(self, y, eta):
        r = np.abs(y - eta)
        return np.where(r <= self.delta, r**2 / 2, self.delta * r - self.delta**2 / 2)

    def slope(self, y, eta):
        return np.clip(eta - y, -self.delta, self.delta)

    def express(self, y, eta):
        return cp.huber(eta - y, self.delta) / 2

    def best(self, y, s):
        def slope(b):
            return s @ self.slope(y, b)

        low, high = y.min() - 1, y.max() + 1
        return optimize.brentq(slope, low, high, xtol=1e-14)


class LossUnits(Units):
    """What a strength is measured in, as `Units`, for the gradient of the losses."""

    def __init__(self, gradient, curvature, ids, active, fraction):
        self.folded, self.ids, self.d, self.fraction = gradient, ids, gradient.shape[2], fraction
        self.active, self.curvature = active, fraction * curvature

    @property
    def gradient(self):
        """As a belief about features sees it."""
        return self.folded.reshape(-1, self.d)

    @property
    def task(self):
        """A task's block."""
        return self.fraction * np.linalg.norm(self.folded, axis=(1, 2)).max()


class Lossy:
    """A belief and losses on a data set; every task has a finite best intercept.

    Parameters
    ----------
    case : callable
        One of `tests.convex.CASES`.
    data : Instance
    losses : list of Words, one a task, or one for all
    fraction : float
        Strength, in the units of the data.
    """

    def __init__(self, case, data, losses, fraction=0.1, *, task_weight="samples", fit_intercept=True):
        self.data, self.task_weight, self.fit_intercept = data, task_weight, fit_intercept
        self.tasks, self.d = data.tasks, data.X.shape[1]
        self.losses = losses if isinstance(losses, list) else [losses] * len(self.tasks)
        self.K = self.losses[0].n_columns
        self.null = self._intercepts_alone()
        slopes = [self._gradient(t) for t in range(len(self.tasks))]
        self.c = self._factors(slopes)
        gradient = self.c[:, None, None] * np.array(slopes)
        curvature = (
            np.mean([c * np.sum(task.s @ task.X**2) for c, task in zip(self.c, self.tasks, strict=True)]) / self.d
        )
        active = np.ones(len(self.tasks), dtype=bool)
        self.units = LossUnits(gradient, curvature, data.ids.tolist(), active, fraction)
        self.belief = case(self.units).bind(data.ids)

    @property
    def settings(self):
        """What an estimator is told besides its penalty."""
        return {"task_weight": self.task_weight, "fit_intercept": self.fit_intercept}

    @property
    def unit(self):
        """F(0): no weights, and the best intercepts."""
        return self.loss(np.zeros((len(self.tasks), self.K, self.d)), self.null)

    def loss(self, W, b):
        """``sum_t c_t sum_i s_ti l(y_ti, x_i w_t + b_t)`` for W (n_tasks, K, n_features) and b (n_tasks, K)."""
        return sum(
            c * task.s @ loss.value(task.y, self._columns(task.X @ w.T + intercept))
            for c, task, loss, w, intercept in zip(self.c, self.tasks, self.losses, W, b, strict=True)
        )

    def value(self, point):
        """The objective, row by row; W (n_tasks, n_features) or (n_tasks, K, n_features)."""
        T = len(self.tasks)
        W, b = np.reshape(point.W, (T, self.K, self.d)), np.reshape(point.b, (T, self.K))
        parts = (W,) if point.parts is None else tuple(np.reshape(part, W.shape) for part in point.parts)
        total = self.loss(W, b) + self._omega(self.belief, parts)
        if self.belief.alpha_intercept and self.fit_intercept:
            total += self.belief.alpha_intercept / 2 * np.sum((b - b.mean(axis=0)) ** 2)
        return float(total)

    def optimum(self):
        """The minimiser that a general solver finds, as a `Point`."""
        T, K = len(self.tasks), self.K
        parts = [cp.Variable((T, K * self.d)) for _ in range(1 + self.belief.decomposition)]
        W = sum(parts)
        b = cp.Variable((T, K)) if self.fit_intercept else np.zeros((T, K))
        total, constraints = self._express(self.belief, parts)
        for t, (c, task, loss) in enumerate(zip(self.c, self.tasks, self.losses, strict=True)):
            eta = task.X @ cp.reshape(W[t], (K, self.d), order="C").T + np.ones((len(task.y), 1)) @ cp.reshape(
                b[t], (1, K), order="C"
            )
            total += c * (task.s @ loss.express(task.y, eta if K > 1 else eta[:, 0]))
        if self.belief.alpha_intercept and self.fit_intercept:
            apart = b - np.ones((T, 1)) @ (cp.sum(b, axis=0, keepdims=True) / T)
            total += self.belief.alpha_intercept / 2 * cp.sum_squares(apart)
        problem = cp.Problem(cp.Minimize(total / self.unit), constraints)
        with warnings.catch_warnings(), one_thread():
            warnings.simplefilter("ignore")  # "may be inaccurate": the tests say how accurate it has to be
            problem.solve(cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
        found = [np.reshape(part.value, (T, K, self.d)) for part in parts]
        if getattr(self.belief, "positive", False):
            found = [np.maximum(part, 0.0) for part in found]
        b = b.value if self.fit_intercept else b
        return Point(sum(found), b, tuple(found) if len(found) == 2 else None)

    def _columns(self, eta):
        return eta if self.K > 1 else eta[:, 0]

    def _unfold(self, belief, W, reshape):
        T = len(self.tasks)
        return reshape(W, (T * self.K, self.d) if belief.feature_side else (T, self.K * self.d))

    def _omega(self, belief, parts):
        if isinstance(belief, convex.Sum):
            return belief.alpha * (self._omega(belief.a, parts) + self._omega(belief.b, parts))
        return belief.total(*(self._unfold(belief, part, np.reshape) for part in parts))

    def _express(self, belief, parts):
        if isinstance(belief, convex.Sum):
            (one, first), (other, second) = self._express(belief.a, parts), self._express(belief.b, parts)
            return belief.alpha * (one + other), first + second
        return belief.express_total(
            *(self._unfold(belief, part, lambda W, shape: cp.reshape(W, shape, order="C")) for part in parts)
        )

    def _intercepts_alone(self):
        b = np.zeros((len(self.tasks), self.K))
        if self.fit_intercept:
            for t, (task, loss) in enumerate(zip(self.tasks, self.losses, strict=True)):
                b[t] = loss.best(task.y, task.s)
        return b

    def _gradient(self, t):
        """That of the unit-weight loss of task t at W = 0, (K, n_features)."""
        X, y, s = self.tasks[t]
        eta = self._columns(np.tile(self.null[t], (len(y), 1)))
        slope = self.losses[t].slope(y, eta).reshape(len(y), self.K)
        return (slope * s[:, None]).T @ X

    def _factors(self, slopes):
        """The c_t of the objective."""
        N = np.array([task.s.sum() for task in self.tasks])
        if self.task_weight == "tasks":
            return 1 / N
        if self.task_weight == "auto":
            inverse = 1 / np.array([np.linalg.norm(slope) for slope in slopes])
            return inverse * len(N) / (inverse @ N)
        c = np.full(len(N), len(N) / N.sum())
        if isinstance(self.task_weight, dict):
            c *= [self.task_weight.get(name, 1.0) for name in self.data.ids]
        return c
