r"""The loss ``f(W, b) = sum_t c_t sum_i s_ti l_t(y_ti, x_i w_t + b_t)`` of rows, for solvers without moments.

Outputs.  A task has one linear function of x, or K of them where its loss is `Multinomial`; W is (n_outputs, d) and b
(n_outputs,), the K outputs of a task one after the other.  `layouts.py` says which shapes other arrays have.

Intercepts are counted from the means m_t of the features, ``a_t = b_t + m_t w_t``.  The margins are then
``(x_i - m_t) w_t + a_t``, as if rows were centred, which no row is, and f hardly couples intercepts with weights.  What
couples intercepts with each other is one of three:

    a_b = 0          nothing; m_t is the mean of the rows of task t
    0 < a_b < inf    a pull to their mean b_0 at the price a_b / 2 sum_t (b_t - b_0)^2; m_t = 0, as the origin matters
    a_b = inf        they are all the same; m_t is the mean of all rows
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils.extmath import row_norms

from skmtl._numba import read_only
from skmtl.losses import Logistic
from skmtl.solvers._rows.intercepts import best_intercepts
from skmtl.solvers._rows.layouts import layout_of
from skmtl.solvers._rows.log_loss import log_losses

__all__ = ["At", "RowLoss"]

_CONSTANT = 1e-13  # share of its mean: if deviations are no larger, a feature is constant


@dataclass
class At:
    """The loss at one point; where it is infinite, nothing but that.

    Attributes
    ----------
    loss : float
        With the price of pulled intercepts.
    down : array of shape (n_outputs, n_features)
        Its negative gradient in W, for intercepts counted from the means.
    pull : array of shape (n_outputs,)
        Its negative gradient in these intercepts.
    pull_of_labels : array of shape (n_outputs,)
        The same without the price: the sums of theta.
    theta : array shaped as the margins, or None
        -dl/deta of every label times its weight, where `RowLoss.at_margins` has formed it.
    """

    loss: float
    down: Any = None
    pull: Any = None
    pull_of_labels: Any = None
    theta: Any = None


class RowLoss:
    """The loss of rows `data`, all of whose tasks have rows unless `data` is long.

    Parameters
    ----------
    data : TaskData
    losses : list of Loss
        One a task: all `Multinomial` with the same K, or all with one column.
    c : array of shape (n_tasks,)
        The factor of each task's loss.
    present : bool array of shape (n_tasks, K)
        The classes of each task; others have intercept -inf, and rows say nothing of their weights.
    fit_intercept : bool
    a_b : float
        Strength of the pull between intercepts; 0 is none, infinity makes them one.

    Attributes
    ----------
    K : int
        How many outputs a task has, n_outputs in all.
    shape : (n_outputs, n_features)
        Of W.
    n_weights : int
        Those of all outputs of a task, K n_features.
    weight : array shaped as y
        Of every label, its task's factor included.
    task_weight : array of shape (n_tasks,)
        Their sums.
    means : array of shape (n_tasks, n_features), or (1, n_features) if all tasks have the same
        The m_t.
    """

    def __init__(self, data, losses, c, present, *, fit_intercept=True, a_b=0.0):
        self.data, self.losses, self.c = data, losses, c
        self.fit_intercept, self.a_b = fit_intercept, float(a_b)
        self.K = losses[0].n_columns
        self.n_tasks = data.n_tasks
        self.n_outputs = self.n_tasks * self.K
        self.shape = (self.n_outputs, data.X.shape[1])
        self.n_weights = self.K * data.X.shape[1]
        self.present = present.ravel()
        self._columns = (self.K,) if self.K > 1 else ()  # the last axis of margins
        self._pulled = fit_intercept and 0.0 < a_b < np.inf
        self.layout: Any = layout_of(data)
        self.weight = data.label_weight() * self.layout.spread(c)
        self._labelled = None if data.weight is None or self.weight.all() else self.weight > 0  # None is all
        self.task_weight = self.per_task(self.weight)
        self._parts = self._losses_apart()
        own_rows = not data.shared and not sparse.issparse(data.X)
        self._in_one_reading = own_rows and [type(loss) for loss, _ in self._parts] == [Logistic] and self.present.all()
        self.means = self._means()

    # ------------------------------------------------------------------------------------------------- the geometry

    def _losses_apart(self):
        """(loss, index): which labels have which loss; the index applies to arrays shaped as y."""
        names = {loss: repr(loss) for loss in set(self.losses)}  # of objects, most of them shared: a text takes long
        distinct: dict[str, list[int]] = {}
        for t, loss in enumerate(self.losses):
            distinct.setdefault(names[loss], []).append(t)
        if len(distinct) == 1:
            return [(self.losses[0], ...)]
        return [(self.losses[tasks[0]], self.layout.labels_of(tasks)) for tasks in distinct.values()]

    def _means(self):
        """The points from which intercepts are counted, (n_tasks, d) or (1, d)."""
        if not self.fit_intercept or self._pulled:
            return np.zeros((1, self.shape[1]))
        total = self.layout.pulls(self.weight)
        N = self.task_weight[:, None]
        if self.a_b == np.inf:
            return total.sum(axis=0, keepdims=True) / N.sum()
        return total / np.where(N > 0, N, 1.0)

    def per_task(self, of_labels):
        """Sums of an array shaped as y or as the margins, over the labels of every task: (n_tasks, ...)."""
        return self.layout.reduced(np.add, of_labels)

    def per_output(self, of_margins):
        """Sums of an array shaped as the margins, over the labels of every output: (n_outputs,)."""
        return self.per_task(of_margins).ravel()

    @cached_property
    def n_labels(self):
        """The number of labels of every task, those of weight 0 aside."""
        return self.per_task((self.weight > 0).astype(float))

    def largest(self, of_labels):
        """The largest number of an array shaped as y, >= 0, over the labels of every task."""
        return self.layout.reduced(np.maximum, of_labels)

    @cached_property
    def label_sizes(self):
        """How large the margins of every task may be, by its labels (n_tasks,)."""
        return self.largest(self.each(lambda loss, y, _: loss.size(y), self.data.y))

    def _at_means(self, W):
        """``m_t w_t`` of every output."""
        if len(self.means) == 1:
            return W @ self.means[0] if self.means.any() else np.zeros(len(W))
        return np.einsum("tkj,tj->tk", W.reshape(self.n_tasks, self.K, -1), self.means).ravel()

    def margins(self, W):
        """``(x_i - m_t) w`` of every label: shaped as y, with one more axis for several outputs of a task."""
        eta = self.layout.margins(W)
        eta += self.spread(-self._at_means(W))
        return eta

    def spread(self, b):
        """Numbers b (n_outputs,), one for every label: shaped as the margins, or to be broadcast to them."""
        return self.layout.spread(b.reshape(self.n_tasks, *self._columns))

    def beside_margins(self, of_labels):
        """An array shaped as y, to be broadcast to the margins."""
        return of_labels[..., None] if self.K > 1 else of_labels

    def from_means(self, W, b):
        """The intercepts ``a = b + m w``, counted from the means, for intercepts b counted from the origin."""
        return b + self._at_means(W)

    def from_origin(self, W, a):
        """The intercepts ``b = a - m w``, counted from the origin, for intercepts a counted from the means."""
        return a - self._at_means(W)

    @cached_property
    def constant(self):
        """Whether features say nothing that intercepts do not: alike in all rows with the same intercept."""
        X = self.data.X
        if sparse.issparse(X) or not self.fit_intercept or self._pulled:
            return False
        first = np.zeros(len(X), dtype=int) if self.a_b == np.inf else self.layout.first_rows()
        return all(np.array_equal(X[rows], X[first[rows]]) for rows in (slice(50), slice(None)))  # most differ at once

    def mean_square(self):
        """The largest curvature of any task, averaged over features: ``sum_i s_i |x_i - m|^2 / d``, c included."""
        X = self.data.X
        total = self.layout.weighted_sums(self.weight, row_norms(X, squared=True))
        about = total - self.task_weight * np.einsum("tj,tj->t", self.means, self.means)
        return float(np.max(about, initial=0.0)) / X.shape[1]

    # ----------------------------------------------------------------------------------------------------- the loss

    def each(self, call, eta):
        """``call(loss, y, eta)`` for the labels of each loss, put together; missing labels get margin 0."""
        y, eta = self.data.y, self._zero_where_missing(eta)
        if len(self._parts) == 1:
            return call(self.losses[0], y, eta)
        results: list[Any] = []
        for loss, index in self._parts:
            part = call(loss, y[index], eta[index])
            part = part if isinstance(part, tuple) else (part,)
            results = results or [np.zeros_like(y) for _ in part]
            for whole, piece in zip(results, part, strict=True):
                whole[index] = piece
        return tuple(results) if len(results) > 1 else results[0]

    def _zero_where_missing(self, eta):
        return eta if self._labelled is None else np.where(self.beside_margins(self._labelled), eta, 0.0)

    @cached_property
    def at_zero(self):
        """The best intercepts at W = 0, and the loss there."""
        return self._at_best(np.zeros((*self.data.y.shape, *self._columns)), np.zeros(self.n_outputs))

    def descent_at_zero(self):
        """The negative gradient there (n_outputs, n_features); exactly zero where only rounding says otherwise."""
        return np.zeros(self.shape) if self.constant else self.at_zero[1].down

    def at_best(self, W, a):
        """The best intercepts for W, looked for from `a` on, and the loss there."""
        return self._at_best(self.margins(W), a)

    def _at_best(self, margins, a):
        a = best_intercepts(self, margins, a)
        return a, self.at_margins(margins, a)

    def at(self, W, a):
        """The loss at weights W and intercepts `a`, counted from the means: an `At`, perhaps without theta."""
        if not self._in_one_reading:
            return self.at_margins(self.margins(W), a)
        pull, down = np.empty(self.n_tasks), np.empty(self.shape)
        inputs = (self.data.X, self.data.y, self.weight, self.layout.starts, W, self.from_origin(W, a))
        loss = log_losses(*(read_only(np.ascontiguousarray(array)) for array in inputs), down, pull)
        return self._at(loss, down, pull, a) if np.isfinite(loss) else At(np.inf)

    def at_margins(self, margins, a):
        """The same, with theta, where the margins of W are known."""
        eta = margins + self.spread(self.open(a))
        with np.errstate(over="ignore", invalid="ignore"):
            value, theta = self.each(lambda loss, y, eta: loss.value_and_descent(y, eta), eta)
            loss = float(np.vdot(self.weight, value))
            theta = self.weighted(theta)
        if not np.isfinite(loss):
            return At(np.inf)
        return self._at(loss, self.layout.pulls(theta), self.per_output(theta), a, theta)

    def _at(self, loss, down, pull, a, theta=None):
        """The `At` for the sum of the losses, and its slopes for intercepts counted from the origin."""
        down -= self._outer_means(pull)
        return At(loss + self.price(a), down, pull - self.price_slope(a), pull, theta)

    def weighted(self, theta):
        """An array shaped as the margins, times the weights of the labels."""
        return theta * self.beside_margins(self.weight)

    def _outer_means(self, pull):
        """``pull_t m_t`` of every output."""
        if len(self.means) == 1:
            return np.multiply.outer(pull, self.means[0]) if self.means.any() else 0.0
        out = pull.reshape(self.n_tasks, self.K)[:, :, None] * self.means[:, None, :]
        return out.reshape(self.shape)

    def open(self, a):
        """The intercepts, -inf for absent classes."""
        return np.where(self.present, a, -np.inf) if not self.present.all() else a

    def price(self, a):
        """What the pull between intercepts costs."""
        if not self._pulled:
            return 0.0
        off = self._off(a)
        return 0.5 * self.a_b * float(np.vdot(off, off))

    def price_slope(self, a):
        """The derivative of that price."""
        return self.a_b * self._off(a).ravel() if self._pulled else 0.0

    def _off(self, a):
        """``b_t - b_0`` of every output."""
        a = a.reshape(self.n_tasks, self.K)
        return a - a.mean(axis=0)

    # -------------------------------------------------------------------------------------------------- the dual

    def dual_value(self, at, gauge, price):
        """The best bound that multiples of the dual point `at` give, where a penalty has this gauge and price for it.

        The multiple s is the largest at most 1 in the dual ball and in the domain of the losses.
        """
        weight = self.beside_margins(self.weight)
        theta = np.divide(at.theta, weight, out=np.zeros_like(at.theta), where=weight > 0)
        s = min([1.0 / max(gauge, 1.0), *(loss.reach(theta[index]) for loss, index in self._parts)])
        dual = self.each(lambda loss, y, theta: loss.dual(y, theta), s * theta)
        if self._labelled is not None:
            dual = np.where(self._labelled, dual, 0.0)
        if self._pulled:  # what the pull of the labels says of intercepts
            price += 0.5 * float(np.vdot(at.pull_of_labels, at.pull_of_labels)) / self.a_b
        return float(np.vdot(self.weight, dual)) - s * s * price

    # ------------------------------------------------------------------------------------------------ Newton's model

    def outputs_as_tasks(self, y, weight):
        """The data as if every output were a task of its own, with labels y and weights shaped as the margins."""
        if self.K == 1:
            return replace(self.data, y=y, weight=weight)
        return self.layout.outputs_as_tasks(self.data, y, weight)

    def slopes(self, W, a, boldness):
        """Margins, residuals and curvatures of all labels, shaped as the margins.

        Curvatures are at least `boldness` times those of parabolas above the loss; of several classes, the bound that
        takes each by itself.
        """
        eta = self.margins(W) + self.spread(self.open(a))

        def call(loss, y, eta):
            theta, second = loss.slopes(y, eta)
            return theta, np.maximum(second, boldness * loss.curvature(y, eta))

        theta, h = self.each(call, eta)
        eta = self._zero_where_missing(eta)
        return np.where(np.isfinite(eta), eta, 0.0), theta, h  # without the classes that a task has not

    def probabilities(self, W, a):
        """Those of all classes, and the weighted residuals, shaped as the margins."""
        eta = self.margins(W) + self.spread(self.open(a))
        p, theta = self.each(lambda loss, y, eta: (loss.mean(eta), loss.descent(y, eta)), eta)
        return p, self.weighted(theta)

    def block(self, t, of_labels, features=slice(None)):
        """The rows of task t less its means, dense, their weights with c_t, and what is said of its labels."""
        rows, labels = self.layout.block(t, self.weight)
        X, s, of_labels = self.data.X[rows], self.weight[labels], of_labels[labels]
        X = X[:, features]
        X = X.toarray() if sparse.issparse(X) else X
        mean = self.means[t % len(self.means)][features]
        X = X - mean
        X[:, np.abs(X).max(axis=0, initial=0.0) <= _CONSTANT * np.abs(mean)] = 0.0
        return X, s, of_labels

    def dual_point(self, theta):
        """An `At` without a loss, for weighted residuals theta, shaped as the margins."""
        pull = self.per_output(theta)
        return At(np.nan, self.layout.pulls(theta) - self._outer_means(pull), pull, pull, theta)
