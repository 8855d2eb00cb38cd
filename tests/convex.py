"""Independent answers for the convex models: every penalty twice, and minimisers from elsewhere.

Nothing here uses the library.  A `Belief` bears the name and the parameters of a penalty and says it in NumPy's words
and in cvxpy's.  A `Convex` is a belief on a data set: its objective row by row, and the minimiser that a general solver
finds.  `PLANTS` make data around a minimiser, of sizes and scales that general solvers do not manage.
"""

import warnings
from itertools import pairwise
from typing import Any, NamedTuple

import cvxpy as cp
import numpy as np
from scipy import stats

from tests.oracles import LONG, Instance, objective, one_thread, task_factors


class Point(NamedTuple):
    """Weights (n_tasks, n_features), intercepts, and (P, Q) of a decomposition ``W = P + Q``."""

    W: np.ndarray
    b: np.ndarray
    parts: Any = None


# ------------------------------------------------------------------------------------------------------------ beliefs


class Belief:
    """A penalty: its name and parameters are those of `skmtl.penalties`, unnamed ones have the same default.

    value(W)     in NumPy's words; W (n_tasks, n_features), or P and Q of a decomposition
    express(W)   in cvxpy's: an expression and a list of constraints
    """

    alpha_ridge = 0.0
    alpha_intercept = 0.0
    decomposition = False
    feature_side = False  # every class of a task is a row of W for it; else a task is one row
    ids = None

    def __init__(self, **parameters):
        self.parameters = parameters
        vars(self).update(parameters)

    @property
    def ties(self):
        """The pairs of ids that a graph joins: a task without rows takes part if such pairs lead to one with rows."""
        return [*(getattr(self, "graph", None) or ())]

    def bind(self, ids):
        """The same belief about the tasks `ids`, in the order of the rows of W."""
        other = type(self)(**self.parameters)
        other.ids = np.asarray(ids).tolist()
        return other

    def __add__(self, other):
        return Sum(a=self, b=other)

    def among(self, namespace):
        """The object of this name and these parameters in a module."""
        return getattr(namespace, type(self).__name__)(**self.parameters)

    def total(self, *parts):
        """`value` and the ridge term."""
        return self.value(*parts) + self.alpha_ridge / 2 * np.sum(sum(parts) ** 2)

    def express_total(self, *parts):
        """`express` and the ridge term."""
        expression, constraints = self.express(*parts)
        return expression + self.alpha_ridge / 2 * cp.sum_squares(sum(parts)), constraints


class Ridge(Belief):
    def value(self, W):
        return self.alpha / 2 * np.sum(W**2)

    def express(self, W):
        return self.alpha / 2 * cp.sum_squares(W), []


class L1(Belief):
    def value(self, W):
        return self.alpha * np.abs(W).sum()

    def express(self, W):
        return self.alpha * cp.sum(cp.abs(W)), []


class JointFeature(Belief):
    feature_side = True
    l1_ratio, alpha_l1, feature_weights, norm, positive = 1.0, 0.0, None, 2, False

    def weights(self, W):
        return np.ones(W.shape[1]) if self.feature_weights is None else np.asarray(self.feature_weights)

    def value(self, W):
        if self.positive and (W < 0).any():
            return np.inf
        rows = self.weights(W) @ np.linalg.norm(W, float(self.norm), axis=0)
        smooth = (1 - self.l1_ratio) / 2 * np.sum(W**2)
        return self.alpha * (self.l1_ratio * rows + smooth) + self.alpha_l1 * np.abs(W).sum()

    def express(self, W):
        v = self.weights(W)
        rows = cp.sum(cp.multiply(v, cp.norm(W, "inf" if float(self.norm) == np.inf else 2, axis=0)))
        smooth = (1 - self.l1_ratio) / 2 * cp.sum_squares(W)
        penalty = self.alpha * (self.l1_ratio * rows + smooth) + self.alpha_l1 * cp.sum(cp.abs(W))
        return penalty, [W >= 0] if self.positive else []


class GroupSlope(Belief):
    feature_side = True
    q = 0.1

    def steps(self, W):
        """The weights of the lengths, longest first."""
        T, d = W.shape
        quantiles = stats.chi(T).ppf(1 - self.q * np.arange(1, d + 1) / d)
        return quantiles / quantiles[0]

    def value(self, W):
        return self.alpha * self.steps(W) @ -np.sort(-np.linalg.norm(W, axis=0))

    def express(self, W):
        lengths, steps = cp.norm(W, 2, axis=0), np.append(self.steps(W), 0.0)
        sums = [(steps[k] - steps[k + 1]) * cp.sum_largest(lengths, k + 1) for k in range(W.shape[1])]
        return self.alpha * sum(sums), []


class TraceNorm(Belief):
    feature_side = True

    def value(self, W):
        return self.alpha * np.linalg.norm(W, "nuc")

    def express(self, W):
        return self.alpha * cp.normNuc(W), []


class TaskRelationship(Belief):
    def value(self, W):
        return self.alpha / 2 * np.linalg.norm(W, "nuc") ** 2

    def express(self, W):
        """``tr(W S^-1 W')`` with S >= 0 of trace 1 to be found, not the square that it becomes."""
        S = cp.Variable((W.shape[0], W.shape[0]), PSD=True)
        return self.alpha / 2 * cp.matrix_frac(W, S), [cp.trace(S) == 1]


class SharedPlusSpecific(Belief):
    alpha_shared, alpha_l1 = 1.0, 0.0

    def value(self, W):
        w0 = self.alpha * W.sum(axis=0) / max(self.alpha_shared + len(W) * self.alpha, 1e-300)
        shared = self.alpha_shared / 2 * w0 @ w0 + self.alpha / 2 * np.sum((W - w0) ** 2)
        return shared + self.alpha_l1 * np.abs(W).sum()

    def express(self, W):
        w0 = cp.Variable((1, W.shape[1]))
        apart = W - np.ones((W.shape[0], 1)) @ w0
        shared = self.alpha_shared / 2 * cp.sum_squares(w0) + self.alpha / 2 * cp.sum_squares(apart)
        return shared + self.alpha_l1 * cp.sum(cp.abs(W)), []


class _OnEdges(Belief):
    graph = None

    def edges(self, W):
        """Triples (s, t, weight)."""
        if self.graph is None:
            return [(s, t, 1.0) for t in range(W.shape[0]) for s in range(t)]
        return [(self.ids.index(a), self.ids.index(b), k) for (a, b), k in self.graph.items()]


class TaskGraph(_OnEdges):
    alpha_ridge, alpha_l1, normalized = 0.01, 0.0, False

    def roots(self, W):
        degree = np.zeros(W.shape[0])
        for s, t, k in self.edges(W):
            degree[[s, t]] += k
        return np.sqrt(np.where(degree > 0, degree, 1.0)) if self.normalized else np.ones(W.shape[0])

    def value(self, W):
        U = W / self.roots(W)[:, None]
        edges = sum(k * np.sum((U[s] - U[t]) ** 2) for s, t, k in self.edges(W))
        return self.alpha / 2 * edges + self.alpha_l1 * np.abs(W).sum()

    def express(self, W):
        U = np.diag(1 / self.roots(W)) @ W
        edges = sum(k * cp.sum_squares(U[s] - U[t]) for s, t, k in self.edges(W))
        return self.alpha / 2 * edges + self.alpha_l1 * cp.sum(cp.abs(W)), []


class FusedTasks(_OnEdges):
    norm = 2

    def value(self, W):
        return self.alpha * sum(k * np.linalg.norm(W[s] - W[t], self.norm) for s, t, k in self.edges(W))

    def express(self, W):
        return self.alpha * sum(k * cp.norm(W[s] - W[t], self.norm) for s, t, k in self.edges(W)), []


class Clustered(Belief):
    """The value by filling up: ``m_i = clip(s_i x - eta, 0, 1)`` for the one x at which they sum to k."""

    eta, n_clusters = 1.0, 2

    @property
    def k(self):
        return self.n_clusters

    def value(self, W):
        s = np.linalg.svd(W, compute_uv=False)
        s = s[s > 1e-15 * s.max(initial=0.0)]
        if self.k < len(s):
            at = np.sort(np.concatenate([self.eta / s, (1 + self.eta) / s]))
            sums = np.clip(at[:, None] * s - self.eta, 0, 1).sum(axis=1)
            m = np.clip(np.interp(self.k, sums, at) * s - self.eta, 0, 1)
        else:
            m = np.ones(len(s))
        return self.alpha * self.eta * (1 + self.eta) * np.sum(s**2 / (self.eta + m))

    def express(self, W):
        return self.express_on(W)

    def express_on(self, A):
        size = A.shape[0]
        M, one = cp.Variable((size, size), PSD=True), np.eye(size)
        penalty = self.alpha * self.eta * (1 + self.eta) * cp.matrix_frac(A, self.eta * one + M)
        return penalty, [one - M >> 0, cp.trace(M) == self.k]


class SharedSubspace(Clustered):
    feature_side = True
    n_components = 2

    @property
    def k(self):
        return self.n_components

    def express(self, W):
        return self.express_on(W.T)


class Temporal(Belief):
    alpha_l1, alpha_group, smooth, order = 0.0, 0.0, False, None

    def steps(self):
        order = self.ids if self.order is None else [name for name in self.order if name in self.ids]
        return pairwise(self.ids.index(name) for name in order)

    def value(self, W):
        steps = [W[t] - W[s] for s, t in self.steps()]
        change = sum(np.sum(v**2) / 2 if self.smooth else np.abs(v).sum() for v in steps)
        rows = np.linalg.norm(W, axis=0).sum()
        return self.alpha * change + self.alpha_l1 * np.abs(W).sum() + self.alpha_group * rows

    def express(self, W):
        steps = [W[t] - W[s] for s, t in self.steps()]
        change = sum(cp.sum_squares(v) / 2 if self.smooth else cp.sum(cp.abs(v)) for v in steps)
        rows = cp.sum(cp.norm(W, 2, axis=0))
        return self.alpha * change + self.alpha_l1 * cp.sum(cp.abs(W)) + self.alpha_group * rows, []


class Dirty(Belief):
    feature_side = True
    decomposition, norm = True, 2

    def value(self, P, Q):
        rows = np.linalg.norm(P, float(self.norm), axis=0).sum()
        return self.alpha * rows + self.alpha_sparse * np.abs(Q).sum()

    def express(self, P, Q):
        rows = cp.sum(cp.norm(P, "inf" if float(self.norm) == np.inf else 2, axis=0))
        return self.alpha * rows + self.alpha_sparse * cp.sum(cp.abs(Q)), []


class RobustLowRank(Belief):
    decomposition = True

    def value(self, P, Q):
        return self.alpha * np.linalg.norm(P, "nuc") + self.alpha_outlier * np.linalg.norm(Q, axis=1).sum()

    def express(self, P, Q):
        return self.alpha * cp.normNuc(P) + self.alpha_outlier * cp.sum(cp.norm(Q, 2, axis=1)), []


class RobustFeature(Belief):
    decomposition = True

    def value(self, P, Q):
        rows = np.linalg.norm(P, axis=0).sum()
        return self.alpha * rows + self.alpha_outlier * np.linalg.norm(Q, axis=1).sum()

    def express(self, P, Q):
        return self.alpha * cp.sum(cp.norm(P, 2, axis=0)) + self.alpha_outlier * cp.sum(cp.norm(Q, 2, axis=1)), []


class SparseLowRank(Belief):
    decomposition = True

    def value(self, P, Q):
        return self.alpha * np.abs(P).sum() + self.alpha_low_rank * np.linalg.norm(Q, "nuc")

    def express(self, P, Q):
        return self.alpha * cp.sum(cp.abs(P)) + self.alpha_low_rank * cp.normNuc(Q), []


class Sum(Belief):
    alpha = 1.0

    def bind(self, ids):
        other = super().bind(ids)
        other.a, other.b = self.a.bind(ids), self.b.bind(ids)
        return other

    @property
    def ties(self):
        return self.a.ties + self.b.ties

    def among(self, namespace):
        return namespace.Sum(self.a.among(namespace), self.b.among(namespace), alpha=self.alpha)

    def value(self, W):
        return self.alpha * (self.a.total(W) + self.b.total(W))

    def express(self, W):
        (one, first), (other, second) = self.a.express_total(W), self.b.express_total(W)
        return self.alpha * (one + other), first + second


# ---------------------------------------------------------------------------------------------- a belief on a data set


class Units:
    """What a strength is measured in on a data set: the gradient at W = 0 and the mean curvature, times `fraction`."""

    def __init__(self, data, c, fit_intercept=True, fraction=1.0):
        self.ids, self.d, self.fraction = data.ids.tolist(), data.X.shape[1], fraction
        self.gradient, traces = np.zeros((len(self.ids), self.d)), np.zeros(len(self.ids))
        for t, (X, y, s) in enumerate(data.tasks):
            if s.sum() > 0:
                mean, best = (np.average(X, axis=0, weights=s), s @ y / s.sum()) if fit_intercept else (0.0, 0.0)
                self.gradient[t] = c[t] * (X - mean).T @ (s * (y - best))
                traces[t] = c[t] * np.sum(s[:, None] * (X - mean) ** 2)
        self.active = np.array([len(task.y) > 0 for task in data.tasks])
        self.curvature = fraction * traces.sum() / (self.active.sum() * self.d)

    @property
    def entry(self):
        """L1 has its alpha_max here at fraction 1."""
        return self.fraction * np.abs(self.gradient).max()

    @property
    def row(self):
        """JointFeature likewise."""
        return self.fraction * np.linalg.norm(self.gradient, axis=0).max()

    @property
    def tall_row(self):
        """JointFeature with the infinity norm."""
        return self.fraction * np.abs(self.gradient).sum(axis=0).max()

    @property
    def task(self):
        """A task's block, as of outliers."""
        return self.fraction * np.linalg.norm(self.gradient, axis=1).max()

    @property
    def spectral(self):
        """TraceNorm."""
        return self.fraction * np.linalg.norm(self.gradient, 2)

    def chain(self):
        """Neighbouring ids are linked, more strongly towards the end, and the first with the third."""
        edges = {(a, b): 1.0 + 0.5 * k for k, (a, b) in enumerate(pairwise(self.ids))}
        return edges | ({(self.ids[0], self.ids[2]): 0.5} if len(self.ids) > 2 else {})

    def pairs(self):
        """The first and the second id, the third and the fourth, ...: one component each."""
        return dict.fromkeys(zip(self.ids[::2], self.ids[1::2], strict=False), 1.0)


def _shuffled(ids):
    return ids[1::2] + ids[::2][::-1]


CASES = {  # name -> the belief, its strengths in the units of the data
    "L1": lambda u: L1(alpha=u.entry),
    "L1, ridge": lambda u: L1(alpha=u.entry, alpha_ridge=u.curvature),
    "joint feature": lambda u: JointFeature(alpha=u.row),
    "joint feature, ridge": lambda u: JointFeature(alpha=u.row, alpha_ridge=0.1 * u.curvature),
    "joint feature, elastic net": lambda u: JointFeature(alpha=u.row, l1_ratio=0.5),
    "joint feature, sparse group": lambda u: JointFeature(alpha=0.5 * u.row, alpha_l1=0.3 * u.entry),
    "joint feature, weights": lambda u: JointFeature(alpha=u.row, feature_weights=np.linspace(0.3, 2.0, u.d)),
    "joint feature, a free feature": lambda u: JointFeature(
        alpha=u.row, feature_weights=np.minimum(np.arange(u.d), 1.0)
    ),
    "joint feature, positive": lambda u: JointFeature(alpha=u.row, positive=True),
    "joint feature, infinity": lambda u: JointFeature(alpha=u.tall_row, norm=np.inf),
    "joint feature, infinity, ridge": lambda u: JointFeature(alpha=u.tall_row, norm="inf", alpha_ridge=u.curvature),
    "joint feature, everything": lambda u: JointFeature(
        alpha=u.row,
        l1_ratio=0.8,
        alpha_l1=0.2 * u.entry,
        feature_weights=np.linspace(2.0, 0.3, u.d),
        positive=True,
        alpha_ridge=0.1 * u.curvature,
    ),
    "joint feature, everything, infinity": lambda u: JointFeature(
        alpha=u.tall_row,
        l1_ratio=0.8,
        alpha_l1=0.2 * u.entry,
        feature_weights=np.linspace(2.0, 0.3, u.d),
        norm=np.inf,
        positive=True,
        alpha_ridge=0.1 * u.curvature,
    ),
    "group slope": lambda u: GroupSlope(alpha=u.row, q=0.2),
    "trace": lambda u: TraceNorm(alpha=u.spectral),
    "trace, ridge": lambda u: TraceNorm(alpha=u.spectral, alpha_ridge=u.curvature),
    "relationship": lambda u: TaskRelationship(alpha=u.curvature),
    "relationship, ridge": lambda u: TaskRelationship(alpha=u.curvature, alpha_ridge=u.curvature),
    "fused": lambda u: FusedTasks(alpha=u.task, graph=u.chain()),
    "fused, ridge": lambda u: FusedTasks(alpha=u.task, graph=u.chain(), alpha_ridge=0.1 * u.curvature),
    "fused, entries": lambda u: FusedTasks(alpha=u.entry, graph=u.chain(), norm=1),
    "fused, pairs": lambda u: FusedTasks(alpha=u.task, graph=u.pairs(), alpha_ridge=0.01 * u.curvature),
    "fused, entries, pairs": lambda u: FusedTasks(alpha=u.entry, graph=u.pairs(), norm=1),
    "fused, complete": lambda u: FusedTasks(alpha=u.task / len(u.ids)),
    "clustered": lambda u: Clustered(alpha=u.curvature, n_clusters=min(2, u.active.sum())),
    "clustered, ridge": lambda u: Clustered(
        alpha=u.curvature, n_clusters=min(3, u.active.sum()), eta=0.1, alpha_ridge=0.1 * u.curvature
    ),
    "subspace": lambda u: SharedSubspace(alpha=u.curvature, n_components=min(2, u.d), eta=0.5),
    "dirty": lambda u: Dirty(alpha=u.row, alpha_sparse=0.7 * u.entry),
    "dirty, infinity": lambda u: Dirty(alpha=u.tall_row, alpha_sparse=0.7 * u.entry, norm=np.inf),
    "dirty, ridge": lambda u: Dirty(alpha=u.row, alpha_sparse=0.7 * u.entry, alpha_ridge=u.curvature),
    "robust low rank": lambda u: RobustLowRank(alpha=u.spectral, alpha_outlier=0.8 * u.task),
    "robust low rank, ridge": lambda u: RobustLowRank(
        alpha=u.spectral, alpha_outlier=0.8 * u.task, alpha_ridge=0.1 * u.curvature
    ),
    "robust feature": lambda u: RobustFeature(alpha=u.row, alpha_outlier=0.7 * u.task),
    "sparse and low rank": lambda u: SparseLowRank(alpha=0.7 * u.entry, alpha_low_rank=u.spectral),
    "temporal": lambda u: Temporal(alpha=u.entry),
    "temporal, sparse": lambda u: Temporal(alpha=0.5 * u.entry, alpha_l1=0.3 * u.entry),
    "temporal, group, order": lambda u: Temporal(
        alpha=0.5 * u.entry, alpha_group=0.3 * u.row, order=_shuffled(u.ids), alpha_ridge=0.1 * u.curvature
    ),
    "temporal, everything": lambda u: Temporal(alpha=0.4 * u.entry, alpha_l1=0.2 * u.entry, alpha_group=0.2 * u.row),
    "temporal, smooth": lambda u: Temporal(alpha=u.curvature, smooth=True),
    "temporal, smooth, everything": lambda u: Temporal(
        alpha=u.curvature, smooth=True, alpha_l1=0.2 * u.entry, alpha_group=0.3 * u.row, order=_shuffled(u.ids)
    ),
    "graph, sparse": lambda u: TaskGraph(
        alpha=u.curvature, graph=u.chain(), alpha_ridge=0.1 * u.curvature, alpha_l1=0.3 * u.entry
    ),
    "graph, sparse, no ridge": lambda u: TaskGraph(
        alpha=u.curvature, graph=u.chain(), alpha_ridge=0.0, alpha_l1=0.3 * u.entry, normalized=True
    ),
    "complete graph, sparse": lambda u: TaskGraph(alpha=u.curvature, alpha_ridge=0.0, alpha_l1=0.3 * u.entry),
    "mean, sparse": lambda u: SharedPlusSpecific(
        alpha=u.curvature, alpha_shared=0.1 * u.curvature, alpha_l1=0.5 * u.entry
    ),
    "mean, sparse, partial pooling": lambda u: SharedPlusSpecific(
        alpha=u.curvature, alpha_shared=0.1 * u.curvature, alpha_intercept=1.0, alpha_l1=0.5 * u.entry
    ),
    "trace + L1": lambda u: TraceNorm(alpha=0.5 * u.spectral) + L1(alpha=0.3 * u.entry),
    "trace + joint feature": lambda u: (
        TraceNorm(alpha=0.4 * u.spectral, alpha_ridge=0.1 * u.curvature) + JointFeature(alpha=0.4 * u.row)
    ),
    "fused + L1": lambda u: FusedTasks(alpha=0.5 * u.task, graph=u.chain()) + L1(alpha=0.3 * u.entry),
    "relationship + L1": lambda u: TaskRelationship(alpha=u.curvature) + L1(alpha=0.3 * u.entry),
    "graph + trace": lambda u: (
        TaskGraph(alpha=u.curvature, graph=u.chain(), alpha_ridge=0.0) + TraceNorm(alpha=0.5 * u.spectral)
    ),
    "trace + joint feature + L1": lambda u: (
        TraceNorm(alpha=0.3 * u.spectral) + JointFeature(alpha=0.3 * u.row) + L1(alpha=0.2 * u.entry)
    ),
}


class Convex:
    """A belief on a data set.

    Parameters
    ----------
    case : callable
        One of `CASES`.
    data : Instance
    fraction : float
        Strength, in the units of the data.
    """

    def __init__(self, case, data, fraction=0.1, *, task_weight="samples", fit_intercept=True):
        if isinstance(task_weight, float):
            task_weight = {data.ids[0]: task_weight}
        self.data, self.task_weight, self.fit_intercept = data, task_weight, fit_intercept
        self.tasks, self.d = data.tasks, data.X.shape[1]
        self.c = task_factors(self.tasks, task_weight, ids=data.ids, fit_intercept=fit_intercept)
        self.units = Units(data, self.c, fit_intercept, fraction)
        belief = case(self.units)
        reached = set(data.ids[self.units.active])
        for _ in belief.ties:
            reached |= {end for pair in belief.ties if reached & {*pair} for end in pair}
        self.nodes = np.isin(data.ids, [*reached])
        self.belief = belief.bind(data.ids[self.nodes])
        self.unit = self.null_objective()

    @property
    def settings(self):
        """What an estimator is told besides its penalty."""
        return {"task_weight": self.task_weight, "fit_intercept": self.fit_intercept}

    def null_objective(self):
        """F(0): no weights, and the best intercepts that are not penalised."""
        b = np.zeros(len(self.tasks))
        if self.fit_intercept:
            total = [factor * task.s.sum() for factor, task in zip(self.c, self.tasks, strict=True)]
            sums = [factor * task.s @ task.y for factor, task in zip(self.c, self.tasks, strict=True)]
            if self.belief.alpha_intercept:
                b[:] = sum(sums) / sum(total)
            else:
                b[self.units.active] = np.array(sums)[self.units.active] / np.array(total)[self.units.active]
        return objective(self.tasks, self.c, np.zeros((len(self.tasks), self.d)), b)

    def value(self, point):
        """The objective row by row."""
        parts = (point.W,) if point.parts is None else point.parts
        omega = self.belief.total(*(part[self.nodes] for part in parts))
        if self.belief.alpha_intercept and self.fit_intercept:
            b = point.b[self.units.active]
            omega += self.belief.alpha_intercept / 2 * np.sum((b - b.mean()) ** 2)
        return objective(self.tasks, self.c, point.W, point.b, omega)

    def noise(self, point):
        """How far sums over rows may be off in double precision where large products cancel."""
        parts = zip(self.c, self.tasks, point.W, strict=True)
        return np.finfo(float).eps * sum(c * task.s @ (task.X**2 @ w**2 + task.y**2) for c, task, w in parts)

    def optimum(self):
        """The minimiser that a general solver finds, as a `Point`.

        For its sake features have mean 0 and length 1, and a task's rows are rotated into a triangle.
        """
        if not self.unit:
            parts = [np.zeros((int(self.nodes.sum()), self.d))] * (1 + self.belief.decomposition)
            return self._point(parts)
        mean, scale = self._standards()
        z = [cp.Variable((int(self.nodes.sum()), self.d)) for _ in range(1 + self.belief.decomposition)]
        parts = [part @ np.diag(1 / scale) for part in z]
        own, active = sum(z), np.flatnonzero(self.units.active[self.nodes])
        b = cp.Variable(len(active)) if self.fit_intercept else np.zeros(len(active))
        penalty, constraints = self.belief.express_total(*parts)
        if self.belief.alpha_intercept and self.fit_intercept:
            raw = b - sum(parts)[active] @ mean
            penalty += self.belief.alpha_intercept / 2 * cp.sum_squares(raw - cp.sum(raw) / len(active))
        loss = 0.0
        for k, t in enumerate(np.flatnonzero(self.units.active)):
            R = self._triangle(t, mean, scale)
            loss += cp.sum_squares(R[:, : self.d] @ own[active[k]] + R[:, self.d] * b[k] - R[:, -1]) / 2
        problem = cp.Problem(cp.Minimize((loss + penalty) / self.unit), constraints)
        with warnings.catch_warnings(), one_thread():
            warnings.simplefilter("ignore")  # "may be inaccurate": the tests say how accurate it has to be
            problem.solve(cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
        return self._point([part.value for part in parts])

    def _standards(self):
        """The mean and the length of every feature over all rows, each with its factor in the loss."""
        X = np.concatenate([task.X for task in self.tasks])
        root = np.sqrt(np.concatenate([c * task.s for c, task in zip(self.c, self.tasks, strict=True)]))
        mean = root**2 @ X / (root @ root) if self.fit_intercept else np.zeros(self.d)
        scale = np.linalg.norm(root[:, None] * (X - mean), axis=0)
        scale[scale < 1e-10 * np.abs(X).max()] = 1.0
        return mean, scale

    def _triangle(self, t, mean, scale):
        X, y, s = self.tasks[t]
        Z = np.column_stack([(X - mean) / scale, np.ones(len(y)), y])
        return np.linalg.qr(np.sqrt(self.c[t] * s)[:, None] * Z, mode="r")

    def _point(self, parts):
        """Weights of all tasks, those that take no part at the mean, with the best intercepts."""
        full = [np.zeros((len(self.tasks), self.d)) for _ in parts]
        for whole, part in zip(full, parts, strict=True):
            whole[self.nodes] = np.maximum(part, 0.0) if getattr(self.belief, "positive", False) else part
        W = sum(full)
        return Point(W, self.intercepts(W), tuple(full) if len(full) == 2 else None)

    def intercepts(self, W):
        """The best ones for W."""
        b = np.zeros(len(self.tasks))
        if not self.fit_intercept:
            return b
        active = np.flatnonzero(self.units.active)
        mass = np.array([self.c[t] * self.tasks[t].s.sum() for t in active])
        best = np.array([np.average(self.tasks[t].y - self.tasks[t].X @ W[t], weights=self.tasks[t].s) for t in active])
        pull = self.belief.alpha_intercept  # mass (b - best) + pull (b - b_0) = 0, b_0 the mean of b
        b0 = np.sum(mass * best / (mass + pull)) / np.sum(mass / (mass + pull))
        b[active] = (mass * best + pull * b0) / (mass + pull)
        return b


# ------------------------------------------------------------------------------------- data made around a minimiser


class Planted(NamedTuple):
    """A data set, a belief and a minimiser of the two."""

    data: Instance
    belief: Belief
    point: Point


def _tall(rng, belief, subgradient, parts, *, rows, scale=None, spread=0.0):
    """Rows around W = sum(parts), at which `subgradient` (n_tasks, n_features) is one of the belief.

    ``c X_t' r_t = subgradient_t`` and ``sum r_t = 0`` have the residual ``r = Z (Z'Z)^-1 [subgradient_t / c; 0]``,
    Z = [X_t, 1], and any other that differs by what is orthogonal to Z.  c = T / N for every task.
    """
    W = sum(parts)
    T, d = W.shape
    sizes = rng.integers(d + 2, d + 2 + rows, size=T)
    scale = np.ones(d) if scale is None else scale
    names = np.array([f"t{t:03d}" for t in range(T)], dtype=object)
    c, X, y, b = LONG(T) / int(sizes.sum()), [], [], rng.normal(size=T)
    for t, n in enumerate(sizes):
        Z = np.column_stack([rng.normal(size=(n, d)) * scale, np.ones(n)])
        target = np.append(subgradient[t] / float(c), 0.0).astype(LONG)
        Q, R = np.linalg.qr(Z)
        noise = spread * rng.normal(size=n)
        residual = (noise - Q @ (Q.T @ noise)).astype(LONG)
        for _ in range(4):  # refined: exact to double precision whatever the scales are
            short = (target - Z.T.astype(LONG) @ residual).astype(float)
            residual += Q @ np.linalg.solve(R.T, short)
        X.append(Z[:, :d])
        y.append((Z[:, :d].astype(LONG) @ W[t].astype(LONG) + LONG(b[t]) + residual).astype(float))
    data = Instance(np.concatenate(X), np.concatenate(y), np.repeat(names, sizes))
    return Planted(data, belief, Point(W, b, tuple(parts) if len(parts) == 2 else None))


def _signs(rng, W):
    """A subgradient of |W|_1."""
    return np.where(W != 0, np.sign(W), rng.uniform(-0.9, 0.9, size=W.shape))


def _directions(rng, W):
    """A subgradient of sum_j |W_j|_2."""
    length = np.linalg.norm(W, axis=0)
    free = rng.normal(size=W.shape)
    free *= rng.uniform(0.1, 0.9, size=W.shape[1]) / np.linalg.norm(free, axis=0)
    return np.where(length > 0, W / np.where(length > 0, length, 1.0), free)


def _low_rank(rng, T, d, rank):
    """W of this rank and a subgradient of its trace norm."""
    U, V = np.linalg.qr(rng.normal(size=(T, T)))[0], np.linalg.qr(rng.normal(size=(d, d)))[0]
    k = min(T, d)
    s, g = np.zeros(k), rng.uniform(0.0, 0.9, size=k)
    s[:rank], g[:rank] = rng.uniform(0.5, 3.0, size=rank), 1.0
    return (U[:, :k] * s) @ V[:k], (U[:, :k] * g) @ V[:k]


def _sparse(rng, T, d, support):
    W = rng.normal(size=(T, d))
    W[rng.random((T, d)) > support] = 0.0
    return W


def _rows(rng, T, d, support):
    W = rng.normal(size=(T, d))
    W[:, rng.permutation(d)[int(support * d) :]] = 0.0
    return W


def plant_l1(rng, T=60, d=40, alpha=0.02, units=1.0, **how):
    W = _sparse(rng, T, d, 0.2) * units
    return _tall(rng, L1(alpha=alpha), alpha * _signs(rng, W), [W], **how)


def plant_l1_ridge(rng, T=60, d=40, alpha=0.02, alpha_ridge=0.05, **how):
    W = _sparse(rng, T, d, 0.2)
    belief = L1(alpha=alpha, alpha_ridge=alpha_ridge)
    return _tall(rng, belief, alpha * _signs(rng, W) + alpha_ridge * W, [W], **how)


def plant_joint(rng, T=60, d=40, alpha=0.1, units=1.0, **how):
    W = _rows(rng, T, d, 0.2) * units
    return _tall(rng, JointFeature(alpha=alpha), alpha * _directions(rng, W), [W], **how)


def plant_sparse_group(rng, T=60, d=40, alpha=0.1, alpha_l1=0.02, **how):
    W = _rows(rng, T, d, 0.3) * (rng.random((T, d)) < 0.5)
    belief = JointFeature(alpha=alpha, l1_ratio=0.9, alpha_l1=alpha_l1)
    gradient = alpha * (0.9 * _directions(rng, W) + 0.1 * W) + alpha_l1 * _signs(rng, W)
    return _tall(rng, belief, gradient, [W], **how)


def plant_trace(rng, T=60, d=40, alpha=0.1, **how):
    W, gradient = _low_rank(rng, T, d, 4)
    return _tall(rng, TraceNorm(alpha=alpha), alpha * gradient, [W], **how)


def plant_relationship(rng, T=60, d=40, alpha=0.003, alpha_ridge=0.01, **how):
    W, gradient = _low_rank(rng, T, d, 4)
    belief = TaskRelationship(alpha=alpha, alpha_ridge=alpha_ridge)
    return _tall(rng, belief, alpha * np.linalg.norm(W, "nuc") * gradient + alpha_ridge * W, [W], **how)


def plant_temporal(rng, T=60, d=40, alpha=0.05, alpha_l1=0.01, units=1.0, **how):
    W = np.cumsum(rng.normal(size=(T, d)) * (rng.random((T, d)) < 0.1), axis=0)
    W[:, ::3] = 0.0
    W *= units
    z = alpha * _signs(rng, np.diff(W, axis=0))
    gradient = alpha_l1 * _signs(rng, W)
    gradient[1:] += z
    gradient[:-1] -= z
    return _tall(rng, Temporal(alpha=alpha, alpha_l1=alpha_l1), gradient, [W], **how)


def plant_fused(rng, T=60, d=40, alpha=0.05, units=1.0, **how):
    """Five groups of equal tasks, linked as a ring within and, weakly, from one to the next."""
    group = np.arange(T) * 5 // T
    W = units * rng.normal(size=(5, d))[group]
    edges = [(t, (t + 1) % T) for t in range(T)] + [(t, (t + 7) % T) for t in range(T)]
    gradient, graph = np.zeros((T, d)), {}
    for s, t in edges:
        k, apart = rng.uniform(0.5, 2.0), W[s] - W[t]
        z = rng.normal(size=d)
        z = apart / np.linalg.norm(apart) if apart.any() else rng.uniform(0.1, 0.9) * z / np.linalg.norm(z)
        gradient[s] += alpha * k * z
        gradient[t] -= alpha * k * z
        graph[f"t{s:03d}", f"t{t:03d}"] = k
    return _tall(rng, FusedTasks(alpha=alpha, graph=graph), gradient, [W], **how)


def plant_clustered(rng, T=60, d=40, alpha=0.01, **how):
    """Smooth where the singular values differ: the gradient is 2 alpha eta (1 + eta) U diag(s / (eta + m)) V'."""
    belief = Clustered(alpha=alpha, n_clusters=4, eta=0.5)
    U, s, V = np.linalg.svd(rng.normal(size=(T, d)) * 0.1 + _low_rank(rng, T, d, 6)[0], full_matrices=False)
    at = np.sort(np.concatenate([0.5 / s, 1.5 / s]))
    m = np.clip(np.interp(4, np.clip(at[:, None] * s - 0.5, 0, 1).sum(axis=1), at) * s - 0.5, 0, 1)
    gradient = 2 * alpha * 0.5 * 1.5 * (U * (s / (0.5 + m))) @ V
    return _tall(rng, belief, gradient, [(U * s) @ V], **how)


def plant_dirty(rng, T=60, d=40, alpha=0.1, **how):
    """Rows of the gradient of length alpha carry P, entries of size alpha_sparse carry Q."""
    alpha_sparse = 1.5 * alpha / np.sqrt(T)
    gradient = rng.normal(size=(T, d))
    gradient *= rng.uniform(0.3, 0.9, size=d) * alpha / np.linalg.norm(gradient, axis=0)
    gradient = np.clip(gradient, -0.9 * alpha_sparse, 0.9 * alpha_sparse)
    some = rng.random((T, d)) < 0.03
    gradient[some] = np.sign(gradient[some]) * alpha_sparse
    length = np.linalg.norm(gradient, axis=0)
    for j in np.flatnonzero(length > 0.99 * alpha):  # too many entries in it
        gradient[:, j] *= 0.9 * alpha / length[j]
        some[:, j] = False
    P = np.zeros((T, d))
    for j in rng.permutation(d)[: d // 5]:
        inner = ~some[:, j]
        left = alpha**2 - np.sum(gradient[~inner, j] ** 2)
        gradient[inner, j] = rng.choice([-1.0, 1.0], size=inner.sum()) * np.sqrt(left / inner.sum())
        P[:, j] = rng.uniform(0.5, 3.0) * gradient[:, j] / alpha
    Q = some * np.sign(gradient) * rng.uniform(0.1, 1.0, size=(T, d))
    return _tall(rng, Dirty(alpha=alpha, alpha_sparse=alpha_sparse), gradient, [P, Q], **how)


def plant_robust_low_rank(rng, T=60, d=40, alpha=0.1, **how):
    """Q has the rows of the gradient that are longest: alpha_outlier is their length."""
    P, gradient = _low_rank(rng, T, d, 4)
    gradient *= alpha
    length = np.linalg.norm(gradient, axis=1)
    alpha_outlier, Q = length.max(), np.zeros((T, d))
    t = length.argmax()
    Q[t] = 2.0 * gradient[t] / alpha_outlier
    return _tall(rng, RobustLowRank(alpha=alpha, alpha_outlier=alpha_outlier), gradient, [P, Q], **how)


def plant_trace_and_l1(rng, T=60, d=40, alpha=0.1, alpha_l1=0.02, **how):
    U, V = np.zeros((T, 2)), np.zeros((2, d))
    U[: T // 2, 0], U[T // 2 :, 1] = rng.normal(size=T // 2), rng.normal(size=T - T // 2)
    V[0, : d // 2], V[1, d // 2 :] = rng.normal(size=d // 2), rng.normal(size=d - d // 2)
    U, V = U / np.linalg.norm(U, axis=0), V / np.linalg.norm(V, axis=1)[:, None]
    W = (U * np.array([5.0, 3.0])) @ V
    gradient = alpha * U @ V + alpha_l1 * _signs(rng, W)
    return _tall(rng, TraceNorm(alpha=alpha) + L1(alpha=alpha_l1), gradient, [W], **how)


PLANTS = {
    "L1": plant_l1,
    "L1, ridge": plant_l1_ridge,
    "joint feature": plant_joint,
    "sparse group": plant_sparse_group,
    "trace": plant_trace,
    "relationship": plant_relationship,
    "temporal": plant_temporal,
    "jumps": lambda rng, **how: plant_temporal(rng, alpha_l1=0.0, **how),
    "fused": plant_fused,
    "clustered": plant_clustered,
    "dirty": plant_dirty,
    "robust low rank": plant_robust_low_rank,
    "trace + L1": plant_trace_and_l1,
}


def plant_wide(kind, rng, T=8, n=12, d=60, *, shared=False, alpha=0.3, scale=None):
    """More features than rows: the columns are changed until the gradient at W is what W asks for.

    The residual r is drawn first; replacing X by X A replaces the gradient g = c X'r by g A.
    """
    T = min(T, n - 1) if shared and kind == "trace" else T  # so that g has full rank
    X = rng.normal(size=(1 if shared else T, n, d))
    X -= X.mean(axis=1, keepdims=True)
    X = np.repeat(X, T, axis=0) if shared else X
    r, c = rng.normal(size=(T, n)), 1.0 / n
    r -= r.mean(axis=1, keepdims=True)
    g = c * np.einsum("tij,ti->tj", X, r)
    W = np.zeros((T, d))
    if kind == "trace":
        U, s, V = np.linalg.svd(g, full_matrices=False)
        few = np.arange(len(s)) < 3
        target = np.where(few, alpha, rng.uniform(0.1, 0.9, size=len(s)) * alpha)
        X = X @ (V.T * (target / s)) @ V + 0.5 * X @ (np.eye(d) - V.T @ V)
        W, belief = (U * few * rng.uniform(1.0, 5.0, size=len(s))) @ V, TraceNorm(alpha=alpha)
    elif kind == "joint feature":
        chosen = rng.permutation(d)[:5]
        target = rng.uniform(0.1, 0.9, size=d) * alpha
        target[chosen] = alpha
        X = X * (target / np.linalg.norm(g, axis=0))
        W[:, chosen] = (g / np.linalg.norm(g, axis=0))[:, chosen] * rng.uniform(1.0, 5.0, size=5)
        belief = JointFeature(alpha=alpha)
    else:
        chosen = rng.random((T, d)) < 0.1
        target = np.where(chosen, alpha, rng.uniform(0.1, 0.9, size=(T, d)) * alpha)
        X = X * (target / np.abs(g))[:, None, :]
        W, belief = chosen * np.sign(g) * rng.uniform(1.0, 5.0, size=(T, d)), L1(alpha=alpha)
    b = rng.normal(size=T)
    y = np.einsum("tij,tj->ti", X, W) + b[:, None] + r
    if shared:
        return Planted(Instance(X[0], np.ascontiguousarray(y.T)), belief, Point(W, b))
    names = np.array([f"t{t:03d}" for t in range(T)], dtype=object)
    return Planted(Instance(X.reshape(-1, d), y.ravel(), np.repeat(names, n)), belief, Point(W, b))
