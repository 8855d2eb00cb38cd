"""Independent answers: the normal equations of each model assembled densely, and its objective in cvxpy's words.

Nothing here uses the library.  A data set is a list of `Task`, a model one of the functions in `MODELS`: it takes the
tasks, their factors c_t and the parameters of the estimator of that name, and writes the problem

    min_x  1/2 x'A x - b'x,     x = all weights and intercepts of the model, none eliminated,

into `Equations`.  They are kept in extended precision where the platform has it, and so is the residual by which the
dense solution is refined: it is exact to double precision as long as the condition number is below 1e15.
"""

import itertools
import warnings
from dataclasses import dataclass, field
from typing import NamedTuple

import cvxpy as cp
import numpy as np
from threadpoolctl import ThreadpoolController

LONG = np.longdouble
_controller = ThreadpoolController()


def one_thread():
    """A context with one BLAS thread: small matrices wait for each other otherwise."""
    return _controller.limit(limits=1, user_api="blas")


class Task(NamedTuple):
    """The labelled rows of one task that have weight."""

    X: np.ndarray
    y: np.ndarray
    s: np.ndarray


class Model(NamedTuple):
    """What a fit must give: weights, intercepts and the model of a task never seen."""

    W: np.ndarray
    b: np.ndarray
    w0: np.ndarray
    b0: float


@dataclass
class Instance:
    """A data set in the layout a user has it in, and what it asks of the models."""

    X: np.ndarray
    y: np.ndarray
    task: np.ndarray | None = None
    sample_weight: np.ndarray | None = None

    @property
    def arguments(self):
        """What `fit` takes."""
        return {"X": self.X, "y": self.y, "sample_weight": self.sample_weight, "task": self.task}

    @property
    def ids(self):
        """The task ids, as `tasks_`."""
        if self.task is not None:
            return np.unique(self.task)
        return np.arange(1 if self.y.ndim == 1 else self.y.shape[1])

    @property
    def tasks(self):
        """One `Task` for each of `ids`."""
        n, ids = len(self.X), self.ids
        weight = np.ones(n) if self.sample_weight is None else self.sample_weight
        tasks = []
        for t, name in enumerate(ids):
            y = self.y if self.y.ndim == 1 else self.y[:, t]
            s = weight if weight.ndim == 1 else weight[:, t]
            rows = ~np.isnan(y) & (s > 0)
            if self.task is not None:
                rows &= self.task == name
            tasks.append(Task(self.X[rows], y[rows], s[rows]))
        return tasks


def task_factors(tasks, task_weight="samples", *, ids=None, fit_intercept=True):
    """The c_t of the objective; 0 for a task without weight."""
    N = np.array([task.s.sum() for task in tasks])
    active = N > 0
    if task_weight == "tasks":
        return np.divide(1.0, N, where=active, out=np.zeros_like(N))
    if task_weight == "auto":
        length = np.zeros_like(N)
        for t in np.flatnonzero(active):
            X, y, s = tasks[t]
            best = s @ y / s.sum() if fit_intercept else 0.0
            length[t] = np.linalg.norm(X.T @ (s * (y - best)))
        noise = 1e-12 * length.max()
        c = np.divide(1.0, length, where=length > noise, out=np.zeros_like(N))
        c[active & (length <= noise)] = np.median(c[length > noise]) if noise else 1.0
        return c * active.sum() / (c @ N)
    c = active * (active.sum() / N.sum())
    if isinstance(task_weight, dict):
        c *= [task_weight.get(name, 1.0) for name in ids]
    return c


def objective(tasks, c, W, b, omega=0.0):
    """``sum_t c_t / 2 sum_i s_ti (y_ti - x_ti w_t - b_t)^2 + omega``, row by row."""
    loss = LONG(0.0)
    for task, factor, w, intercept in zip(tasks, c, W, b, strict=True):
        residual = task.y.astype(LONG) - task.X.astype(LONG) @ w.astype(LONG) - LONG(intercept)
        loss += LONG(factor) / 2 * (task.s.astype(LONG) @ residual**2)
    return float(loss + LONG(omega))


def null_objective(tasks, c, fit_intercept=True):
    """The objective at zero weights with the best common intercept, a unit for tolerances."""
    N = [factor * task.s.sum() for task, factor in zip(tasks, c, strict=True)]
    best = (
        sum(factor * task.s @ task.y for task, factor in zip(tasks, c, strict=True)) / sum(N) if fit_intercept else 0.0
    )
    return objective(tasks, c, [np.zeros(task.X.shape[1]) for task in tasks], [best] * len(tasks))


# ------------------------------------------------------------------------------------------------- normal equations


@dataclass
class Equations:
    """``A x = b`` for ``size`` unknowns."""

    size: int
    A: np.ndarray = field(init=False)
    b: np.ndarray = field(init=False)
    size_b: float = 0.0
    _spectrum: tuple | None = field(default=None, init=False)

    def __post_init__(self):
        self.A, self.b = np.zeros((self.size, self.size), LONG), np.zeros(self.size, LONG)

    def add_loss(self, task, c, weights, intercepts):
        """Add ``c / 2 sum_i s_i (y_i - x_i w - b)^2``.

        w is the sum of the unknowns at each index array in `weights`, and b of those at `intercepts`.
        """
        Z = np.column_stack([task.X, np.ones(len(task.X))]).astype(LONG)
        ZS = Z.T * (LONG(c) * task.s.astype(LONG))
        M, v = ZS @ Z, ZS @ task.y.astype(LONG)
        d = task.X.shape[1]
        parts = [(np.asarray(at), np.arange(d)) for at in weights] + [(np.array([at]), [d]) for at in intercepts]
        for at, columns in parts:
            self.b[at] += v[columns]
            self.size_b += np.linalg.norm(v[columns].astype(float))
            for other, other_columns in parts:
                self.A[np.ix_(at, other)] += M[np.ix_(columns, other_columns)]

    def add_quadratic(self, Q, groups):
        """``1/2 sum_kl Q_kl <x_k, x_l>``, x_k the unknowns at ``groups[k]``."""
        for (k, at), (m, other) in itertools.product(enumerate(groups), repeat=2):
            self.A[at, other] += LONG(Q[k, m])

    def solve(self):
        """The solution, a smallest one (in scaled unknowns) where there are many."""
        scale = self.scale()
        A, b = self.A * scale * scale[:, None], self.b * scale
        values, Q = self.spectrum()
        inverse = np.divide(1.0, values, where=values > 1e-15 * values[-1], out=np.zeros_like(values))
        x = np.zeros(self.size, LONG)
        with one_thread():
            for _ in range(6):
                x += Q @ (inverse * ((b - A @ x).astype(float) @ Q))
        return (x * scale).astype(float)

    def scale(self):
        """One over the roots of the diagonal of A."""
        diagonal = np.diag(self.A)
        return 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1))

    def spectrum(self, scale=None):
        """Eigenvalues, ascending, and eigenvectors of A in scaled unknowns."""
        with one_thread():
            if scale is not None:
                return np.linalg.eigh((self.A * scale * scale[:, None]).astype(float))
            if self._spectrum is None:
                self._spectrum = self.spectrum(self.scale())
            return self._spectrum

    def condition(self, *, scaled=True):
        """The condition number of A, after scaling its diagonal to 1: no unit of a feature changes that."""
        values, _ = self.spectrum() if scaled else self.spectrum(np.ones(self.size))
        return values[-1] / values[0] if values[0] > 0 else np.inf

    def residual(self, x):
        """``|A x - b| / (|A| |x| + |b|)`` in 2-norms; where tasks cancel in b, 1e-5 of what they cancel of counts."""
        with one_thread():
            size_A = np.abs(np.linalg.eigvalsh(self.A.astype(float))).max()
        right = max(size_A * np.linalg.norm(x) + np.linalg.norm(self.b.astype(float)), 1e-5 * self.size_b)
        return np.linalg.norm((self.A @ x - self.b).astype(float)) / right if right > 0 else 0.0


def _weights(first, tasks):
    """Index arrays of one weight vector per task, from position `first` on."""
    d = tasks[0].X.shape[1]
    return [np.arange(first + t * d, first + (t + 1) * d) for t in range(len(tasks))]


def _only(tasks, active):
    return [task for task, alive in zip(tasks, active, strict=True) if alive]


class Problem:
    """A model on a data set: its equations, how x becomes a `Model` and back, and what its penalty is worth.

    Parameters are those of the estimators.  A subclass numbers the unknowns in `unknowns`, adds its penalty in
    `penalize` and says it to cvxpy in `cvxpy_penalty`.
    """

    def __init__(self, tasks, c, *, fit_intercept=True, **parameters):
        self.all_tasks, self.fit_intercept = tasks, fit_intercept
        self.active = np.array([len(task.y) > 0 for task in tasks])
        self.tasks, self.c = _only(tasks, self.active), np.asarray(c)[self.active]
        self.all_c = np.where(self.active, c, 0.0)
        self.T, self.d = len(self.tasks), tasks[0].X.shape[1]
        vars(self).update(parameters)
        self.unit = null_objective(self.all_tasks, self.all_c, fit_intercept)

    def equations(self):
        """The full normal equations."""
        weights, intercepts, size = self.unknowns()
        equations = Equations(size)
        for t, task in enumerate(self.tasks):
            equations.add_loss(task, self.c[t], weights[t], intercepts[t])
        self.penalize(equations)
        return equations

    def rounding(self, model):
        """How far sums over rows may be off in double precision where large products cancel."""
        parts = zip(self.all_c, self.all_tasks, model.W, strict=True)
        return np.finfo(float).eps * sum(c * task.s @ (task.X**2 @ w**2 + task.y**2) for c, task, w in parts)

    def solution(self):
        """The dense solution as a `Model` of all tasks."""
        return self.model(self.equations().solve())

    def value(self, model):
        """The objective of a `Model`, row by row."""
        return objective(self.all_tasks, self.all_c, model.W, model.b, self.omega(model))

    def cvxpy_solution(self):
        """The minimiser that a general solver finds, as a `Model`.

        For its sake features have mean 0 and length 1: ``x = change @ z``, intercepts being those of centred features.
        """
        X = np.concatenate([task.X for task in self.tasks])
        mean = X.mean(axis=0) if self.fit_intercept else np.zeros(self.d)
        scale = np.linalg.norm(X - mean, axis=0)
        scale[scale < 1e-12 * np.abs(X).max()] = 1.0
        weights, intercepts, size = self.unknowns()
        change = np.diag(self.spread(1 / scale))
        for t, at in itertools.chain(enumerate(weights), [(0, self.shared_weights())]):
            for i in intercepts[t] if at is weights[t] else self.shared_intercept():
                for w in at:
                    change[i, w] = -mean / scale
        x = change @ (z := cp.Variable(size))
        loss = 0.0
        for t, task in enumerate(self.tasks):
            own = sum(z[at] for at in weights[t])
            b = sum(z[at] for at in intercepts[t]) if intercepts[t] else 0.0
            residual = task.y - (task.X - mean) / scale @ own - b
            loss += self.c[t] / 2 * cp.sum_squares(cp.multiply(np.sqrt(task.s), residual))
        unit = max(self.unit, 1e-300)
        problem = cp.Problem(cp.Minimize((loss + self.cvxpy_penalty(x)) / unit))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "may be inaccurate": the tests say how accurate it has to be
            problem.solve(cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
        return self.model(change @ z.value)

    def shared_weights(self):
        """Index arrays of the weights that a shared intercept belongs to."""
        return []

    def shared_intercept(self):
        """Positions of an intercept that no task has."""
        return []

    def spread(self, scale):
        """A scale of every unknown from the scales of the features; 1 for intercepts."""
        weights, _, size = self.unknowns()
        out = np.ones(size)
        for at in itertools.chain(*weights):
            out[at] = scale
        return out

    def fill(self, W, b, w0, b0):
        """Weights of all tasks, those without weight at the shared model."""
        full_W, full_b = np.tile(w0, (len(self.active), 1)), np.full(len(self.active), float(b0))
        full_W[self.active], full_b[self.active] = W, b
        return Model(full_W, full_b, w0, float(b0))


class Independent(Problem):
    """``alpha / 2 |W|^2``."""

    def unknowns(self):
        W = _weights(0, self.tasks)
        end = self.T * self.d
        intercepts = [[end + t] if self.fit_intercept else [] for t in range(self.T)]
        return [[w] for w in W], intercepts, end + self.T * self.fit_intercept

    def penalize(self, equations):
        equations.add_quadratic(self.alpha * np.eye(self.T), _weights(0, self.tasks))

    def model(self, x):
        W = x[: self.T * self.d].reshape(self.T, self.d)
        b = x[self.T * self.d :] if self.fit_intercept else np.zeros(self.T)
        return self.fill(W, b, W.mean(axis=0), b.mean())

    def flatten(self, model):
        b = model.b[self.active] if self.fit_intercept else []
        return np.concatenate([model.W[self.active].ravel(), b])

    def omega(self, model):
        return self.alpha / 2 * np.sum(model.W[self.active] ** 2)

    def cvxpy_penalty(self, x):
        return self.alpha / 2 * cp.sum_squares(x[: self.T * self.d])


class Pooled(Problem):
    """``alpha / 2 |w|^2`` for the one w of all tasks, with one intercept or one per task."""

    task_intercepts = False

    def unknowns(self):
        own = self.fit_intercept and self.task_intercepts
        intercepts = [[self.d + t * own] if self.fit_intercept else [] for t in range(self.T)]
        return [[np.arange(self.d)]] * self.T, intercepts, self.d + self.fit_intercept * (self.T if own else 1)

    def penalize(self, equations):
        equations.add_quadratic(np.array([[self.alpha]]), [np.arange(self.d)])

    def model(self, x):
        w, b = x[: self.d], x[self.d :] if self.fit_intercept else np.zeros(1)
        return self.fill(np.tile(w, (self.T, 1)), np.broadcast_to(b, self.T), w, b.mean())

    def flatten(self, model):
        b = model.b[self.active] if self.fit_intercept else np.zeros(0)
        return np.concatenate([model.W[self.active][0], b if self.task_intercepts else b[:1]])

    def omega(self, model):
        return self.alpha / 2 * np.sum(model.W[self.active][0] ** 2)

    def cvxpy_penalty(self, x):
        return self.alpha / 2 * cp.sum_squares(x[: self.d])


class MeanRegularized(Problem):
    """``alpha_shared / 2 |w_0|^2 + alpha / 2 sum |v_t|^2 + alpha_intercept / 2 sum (b_t - b_0)^2``, b_0 free."""

    alpha_shared = 1.0
    alpha_intercept = 0.0

    @property
    def pulled(self):
        return self.fit_intercept and self.alpha_intercept > 0

    def unknowns(self):
        end = (self.T + 1) * self.d
        intercepts = [[end + t] if self.fit_intercept else [] for t in range(self.T)]
        size = end + self.T * self.fit_intercept + self.pulled
        return [[np.arange(self.d), v] for v in _weights(self.d, self.tasks)], intercepts, size

    def shared_weights(self):
        return [np.arange(self.d)]

    def shared_intercept(self):
        return [(self.T + 1) * self.d + self.T] if self.pulled else []

    def penalize(self, equations):
        equations.add_quadratic(np.array([[self.alpha_shared]]), [np.arange(self.d)])
        equations.add_quadratic(self.alpha * np.eye(self.T), _weights(self.d, self.tasks))
        if self.pulled:
            Q = np.eye(self.T + 1)
            Q[-1], Q[:, -1], Q[-1, -1] = -1.0, -1.0, self.T
            first = (self.T + 1) * self.d
            equations.add_quadratic(self.alpha_intercept * Q, [np.array([first + t]) for t in range(self.T + 1)])

    def model(self, x):
        end = (self.T + 1) * self.d
        w0, V = x[: self.d], x[self.d : end].reshape(self.T, self.d)
        b = x[end : end + self.T] if self.fit_intercept else np.zeros(self.T)
        return self.fill(w0 + V, b, w0, x[-1] if self.pulled else b.mean())

    def flatten(self, model):
        b = model.b[self.active] if self.fit_intercept else []
        b0 = [model.b0] if self.pulled else []
        return np.concatenate([model.w0, (model.W[self.active] - model.w0).ravel(), b, b0])

    def omega(self, model):
        W, b = model.W[self.active], model.b[self.active]
        omega = self.alpha_shared / 2 * model.w0 @ model.w0 + self.alpha / 2 * np.sum((W - model.w0) ** 2)
        return omega + (self.alpha_intercept / 2 * np.sum((b - model.b0) ** 2) if self.pulled else 0.0)

    def cvxpy_penalty(self, x):
        end = (self.T + 1) * self.d
        penalty = self.alpha_shared / 2 * cp.sum_squares(x[: self.d])
        penalty += self.alpha / 2 * cp.sum_squares(x[self.d : end])
        if self.pulled:
            penalty += self.alpha_intercept / 2 * cp.sum_squares(x[end : end + self.T] - x[-1])
        return penalty


class TaskGraph(Problem):
    """``alpha / 2 tr(W L W') + alpha_ridge / 2 |W|^2`` over all nodes, those without weight included.

    `adjacency` (n_tasks, n_tasks) follows the tasks.  The intercept of a node without weight is the weighted mean of
    its neighbours', and that of a node without a path to any data the mean of all.  `adjacency` None links the tasks
    that have weight, all with weight 1; the others get the shared model.
    """

    adjacency = None
    alpha_ridge = 0.01
    normalized = False

    @property
    def nodes(self):
        """The tasks of the system."""
        return self.tasks if self.adjacency is None else self.all_tasks

    @property
    def alive(self):
        """Which nodes have weight."""
        return np.ones(self.T, dtype=bool) if self.adjacency is None else self.active

    @property
    def K(self):
        """The weights between the nodes."""
        return 1.0 - np.eye(self.T) if self.adjacency is None else self.adjacency

    def unknowns(self):
        W = [w for w, alive in zip(_weights(0, self.nodes), self.alive, strict=True) if alive]
        end = len(self.nodes) * self.d
        intercepts = [[end + t] if self.fit_intercept else [] for t in range(self.T)]
        return [[w] for w in W], intercepts, end + self.T * self.fit_intercept

    def spread(self, scale):
        return np.concatenate([np.tile(scale, len(self.nodes)), np.ones(self.T * self.fit_intercept)])

    def penalize(self, equations):
        Q = self.alpha * laplacian(self.K, self.normalized) + self.alpha_ridge * np.eye(len(self.nodes))
        equations.add_quadratic(Q, _weights(0, self.nodes))

    def model(self, x):
        end = len(self.nodes) * self.d
        W, b = x[:end].reshape(-1, self.d), np.zeros(len(self.nodes))
        if self.fit_intercept:
            b[self.alive] = x[end:]
            b[~self.alive] = self.spread_intercepts(x[end:])
        w0, b0 = W[self.alive].mean(axis=0), b[self.alive].mean()
        return self.fill(W, b, w0, b0) if self.adjacency is None else Model(W, b, w0, b0)

    def spread_intercepts(self, b):
        """The intercepts of the nodes without weight from those with."""
        L = laplacian(self.K)
        inner, border = L[np.ix_(~self.alive, ~self.alive)], L[np.ix_(~self.alive, self.alive)]
        return b.mean() - np.linalg.lstsq(inner, border @ (b - b.mean()), rcond=None)[0]

    def flatten(self, model):
        W = model.W[self.active] if self.adjacency is None else model.W
        return np.concatenate([W.ravel(), model.b[self.active] if self.fit_intercept else []])

    def omega(self, model):
        W = (model.W[self.active] if self.adjacency is None else model.W).astype(LONG)
        root = self.roots()
        edges = sum(k * np.sum((W[s] / root[s] - W[t] / root[t]) ** 2) for s, t, k in self.edges())
        return LONG(self.alpha) / 2 * edges + LONG(self.alpha_ridge) / 2 * np.sum(W**2)

    def edges(self):
        """Triples (s, t, weight) with s < t."""
        return [(s, t, k) for (s, t), k in np.ndenumerate(self.K) if s < t and k]

    def roots(self):
        """By what the weights of a node are divided: the root of its degree, or 1."""
        return np.sqrt(self.K.sum(axis=0)) if self.normalized else np.ones(len(self.nodes))

    def cvxpy_penalty(self, x):
        W = cp.reshape(x[: len(self.nodes) * self.d], (len(self.nodes), self.d), order="C")
        penalty = self.alpha_ridge / 2 * cp.sum_squares(W)
        root = self.roots()
        for s, t, k in self.edges():
            penalty += self.alpha * k / 2 * cp.sum_squares(W[s] / root[s] - W[t] / root[t])
        return penalty


def laplacian(adjacency, normalized=False):
    """``D - K``, or ``I - D^(-1/2) K D^(-1/2)`` with zero rows for nodes without edges."""
    K = np.array(adjacency, dtype=float)
    np.fill_diagonal(K, 0.0)
    degree = K.sum(axis=1)
    if not normalized:
        return np.diag(degree) - K
    L = np.zeros_like(K)
    for s, t in itertools.product(range(len(K)), repeat=2):
        if K[s, t]:
            L[s, t] = -K[s, t] / np.sqrt(degree[s] * degree[t])
        elif s == t and degree[s]:
            L[s, t] = 1.0
    return L


def adjacency(ids, edges):
    """Symmetric weights (n_tasks, n_tasks) from ``{(a, b): weight}``."""
    at = {name: t for t, name in enumerate(np.asarray(ids).tolist())}
    K = np.zeros((len(at), len(at)))
    for (a, b), weight in edges.items():
        K[at[a], at[b]] = K[at[b], at[a]] = weight
    return K


MODELS = {
    "IndependentRegressor": Independent,
    "PooledRegressor": Pooled,
    "MeanRegularizedRegressor": MeanRegularized,
    "TaskGraphRegressor": TaskGraph,
}


# -------------------------------------------------------------------------------------------------------- instances


def long_table(rng, sizes, d, *, scale=1.0, offset=0.0, noise=0.3):
    """A long table of related tasks with text ids, rows in random order."""
    names = np.array([f"t{t:02d}" for t in range(len(sizes))], dtype=object)
    task = rng.permutation(np.repeat(names, sizes))
    X = rng.normal(size=(len(task), d)) * scale + offset
    w = rng.normal(size=d) + 0.5 * rng.normal(size=(len(sizes), d))
    code = np.searchsorted(names, task)
    y = np.sum((X - offset) / scale * w[code], axis=1) + 3.0 * code + noise * rng.normal(size=len(task))
    return Instance(X, y, task)


def outputs(rng, n, d, n_tasks, *, missing=0.0):
    """A shared X and one column of labels a task; every task and every row keeps a label."""
    X = rng.normal(size=(n, d)) + rng.normal(size=d)
    Y = X @ (rng.normal(size=(d, 1)) + 0.5 * rng.normal(size=(d, n_tasks))) + 0.3 * rng.normal(size=(n, n_tasks))
    gone = rng.random(Y.shape) < missing
    gone[np.arange(n), rng.integers(n_tasks, size=n)] = False
    gone[rng.integers(n, size=n_tasks), np.arange(n_tasks)] = False
    Y[gone] = np.nan
    return Instance(X, Y)


def _weighted(instance, rng, *, zeros=0.2, shape=None):
    """With weights over six powers of ten, some of them zero."""
    weight = 10.0 ** rng.uniform(-3, 3, size=shape or len(instance.X))
    weight[rng.random(weight.shape) < zeros] = 0.0
    instance.sample_weight = weight
    return instance


def _with_columns(instance, change):
    change(instance.X)
    return instance


def _duplicate_and_freeze(X):
    X[:, 1] = X[:, 0]
    X[:, 3] = 2.5
    X[:, 4] = 0.0


def _without_weight(instance, *tasks):
    weight = np.ones(instance.y.shape)
    for t in tasks:
        if instance.task is None:
            weight[:, t] = 0.0
        else:
            weight[instance.task == instance.ids[t]] = 0.0
    instance.sample_weight = weight
    return instance


def _constant_labels(instance):
    instance.y[instance.task == "t01"] = 7.0
    instance.y[instance.task == "t02"] = 0.0
    return instance


INSTANCES = {
    "uneven tasks": lambda rng: long_table(rng, [1, 200, 2, 3, 40, 8, 100], 5),
    "one row a task": lambda rng: long_table(rng, [1] * 12, 3),
    "fewer rows than features in most tasks": lambda rng: long_table(rng, [3, 5, 5, 14, 30, 11], 12),
    "more features than rows": lambda rng: long_table(rng, [6, 1, 9, 5], 30),
    "duplicated and constant columns": lambda rng: _with_columns(
        long_table(rng, [3, 20, 9, 40], 6), _duplicate_and_freeze
    ),
    "columns from 1e-4 to 1e4": lambda rng: long_table(rng, [4, 25, 60, 10], 5, scale=10.0 ** np.arange(-4, 5, 2)),
    "large means": lambda rng: long_table(rng, [9, 2, 30, 12], 4, offset=np.array([1e3, -1e4, 0.0, 1e2])),
    "weights": lambda rng: _weighted(long_table(rng, [3, 20, 45, 8, 30], 5), rng),
    "constant labels": lambda rng: _constant_labels(long_table(rng, [4, 12, 7, 20], 3)),
    "one task": lambda rng: long_table(rng, [40], 4),
    "one task, more features than rows": lambda rng: long_table(rng, [7], 12),
    "one feature": lambda rng: long_table(rng, [1, 2, 10, 50], 1),
    "tasks without weight": lambda rng: _without_weight(long_table(rng, [5, 9, 20, 2], 4), 1, 3),
    "shared": lambda rng: outputs(rng, 50, 6, 5),
    "shared, weights": lambda rng: _weighted(outputs(rng, 50, 4, 5), rng),
    "shared, a weight for each label": lambda rng: _weighted(outputs(rng, 40, 4, 5), rng, shape=(40, 5)),
    "shared, missing labels": lambda rng: outputs(rng, 40, 5, 6, missing=0.4),
    "shared, missing labels and weights": lambda rng: _weighted(outputs(rng, 60, 3, 4, missing=0.3), rng, zeros=0.1),
    "shared, few labels": lambda rng: outputs(rng, 16, 6, 5, missing=0.7),
    "shared, tasks without weight": lambda rng: _without_weight(outputs(rng, 20, 3, 5), 0, 4),
    "shared, duplicated and constant columns": lambda rng: _with_columns(outputs(rng, 30, 6, 4), _duplicate_and_freeze),
    "shared, more features than rows": lambda rng: outputs(rng, 10, 25, 4),
    "shared, more features than rows, missing labels": lambda rng: outputs(rng, 12, 20, 4, missing=0.4),
    "shared, one column": lambda rng: outputs(rng, 20, 4, 1),
}
