"""What all estimators share: fit = validate -> moments -> solve -> publish; predict = one product a row.

`BaseMultiTask` knows the layouts and scikit-learn's contract, `LinearMultiTask` the linear model.  A named estimator
adds its parameters and says in `_penalty` which belief they stand for.
"""

import copy
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from skmtl._ids import canonical_ids, describe, lookup
from skmtl._params import check_parameters
from skmtl._sums import CACHE
from skmtl._threads import one_blas_thread
from skmtl.moments import TaskMoments
from skmtl.penalties import Penalty
from skmtl.solvers import solve, sums_for
from skmtl.tasks import check_data, check_labels, check_rows

__all__ = ["BaseMultiTask", "LinearMultiTask", "MultiTaskRegressorMixin", "RegularizationPath"]


class RegularizationPath(NamedTuple):
    """Models along a grid of strengths, from the strongest to the weakest.

    Attributes
    ----------
    alphas : array of shape (n_alphas,)
        Descending.
    coefs : array of shape (n_alphas, n_tasks, n_features)
    intercepts : array of shape (n_alphas, n_tasks)
    n_iters : int array of shape (n_alphas,)
    dual_gaps : array of shape (n_alphas,)
        In units of the objective; NaN for models without a dual.
    """

    alphas: np.ndarray
    coefs: np.ndarray
    intercepts: np.ndarray
    n_iters: np.ndarray
    dual_gaps: np.ndarray


class BaseMultiTask(BaseEstimator):
    """The layouts of data and scikit-learn's contract, for every estimator of this library."""

    # Task ids are requested by default, as splitters do for groups: nobody should need set_fit_request for them.
    __metadata_request__fit = {"task": True}
    __metadata_request__predict = {"task": True}
    __metadata_request__score = {"task": True}


class MultiTaskRegressorMixin(RegressorMixin):
    """Score and tags of a regressor for one or many tasks."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def score(self, X, y, sample_weight=None, *, task=None):
        r"""Coefficient of determination :math:`R^2` of the predictions.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            With one column per task the mean over tasks, each on its labelled rows; tasks with fewer than two are left
            out.
        sample_weight : array-like of shape (n_samples,) or, with a 2-D y, (n_samples, n_tasks), default=None
        task : array-like of shape (n_samples,), default=None
            Task ids, if `fit` got them.

        Returns
        -------
        float
        """
        from sklearn.metrics import r2_score

        predicted = self.predict(X) if task is None else self.predict(X, task=task)
        y = check_labels(y)
        if y.ndim == 1:
            return r2_score(y, predicted, sample_weight=sample_weight)
        weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        weight = np.broadcast_to(weight if weight.ndim == 2 else weight[:, None], y.shape)
        scores = []
        for labels, values, w in zip(y.T, np.reshape(predicted, y.shape).T, weight.T, strict=True):
            rows = ~np.isnan(labels)
            if rows.sum() >= 2:
                scores.append(r2_score(labels[rows], values[rows], sample_weight=w[rows]))
        return float(np.mean(scores)) if scores else np.nan


class LinearMultiTask(BaseMultiTask):
    """Fit, predict and path of a linear model with a penalty.

    A subclass stores its parameters in ``__init__`` and gives `_penalty`.
    """

    def _penalty(self):
        """The belief the parameters stand for, a `Penalty`."""
        raise NotImplementedError

    def fit(self, X, y, sample_weight=None, *, task=None):
        """Fit the model.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            With the parameter `task`, one of the columns holds the task ids.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            1-D with task ids, or for a single task. 2-D: one column per task, NaN where a row has no label.
        sample_weight : array-like of shape (n_samples,) or, with a 2-D y, (n_samples, n_tasks), default=None
            Weights >= 0; a row of weight 0 is the row left out.
        task : array-like of shape (n_samples,), default=None
            Task ids, if they are not a column of X.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Bad data or parameters; the message names the argument, what came and what was expected.

        Warns
        -----
        ConvergenceWarning
            A solver that iterates did not converge in `max_iter` iterations.
        """
        start = time.perf_counter()
        fitted = copy.copy(self)  # so that an error or an interrupt leaves self as it was
        data, penalty = fitted._prepare(X, y, sample_weight, task)
        problem = _Problem.of(data, penalty, fitted)
        (solution,) = problem.solve([penalty], fitted.tol, fitted.max_iter, fitted._start(data))
        fitted._warn_unless_converged(solution)
        fitted._publish(data, penalty, solution)
        if self.verbose:
            n_rows, n_features = data.X.shape
            print(
                f"{type(self).__name__}: {data.n_tasks} tasks, {n_rows} rows, {n_features} features; objective "
                f"{solution.objective:.6g}, {_exactness(solution)}, {solution.n_iter} iteration(s), "
                f"{time.perf_counter() - start:.3f} s"
            )
        self.__dict__ = fitted.__dict__
        return self

    def predict(self, X, *, task=None):
        """Predict the targets of the rows.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            With the task column, if `fit` had one.
        task : array-like of shape (n_samples,), default=None
            Task ids, if `fit` got them.

        Returns
        -------
        array of shape (n_samples,), or (n_samples, n_tasks) if y had one column per task
            In units of y.
        """
        check_is_fitted(self)
        check_parameters(self)  # unknown_task may be changed after the fit
        X, codes = check_rows(X, task, self)
        if codes is None:
            predicted = X @ self.coef_.T + self.intercept_
            return predicted if self._source == "outputs" else predicted[:, 0]
        W = np.vstack([self.coef_, self.shared_coef_])  # code -1 is the last row, the shared model
        b = np.append(self.intercept_, self.intercept_.dtype.type(self.shared_intercept_))
        return _row_products(X, W, codes) + b[codes]

    def path(self, X, y, sample_weight=None, *, task=None, alphas=None, n_alphas=100, eps=1e-3):
        """Fit the model for a grid of strengths `alpha`; what does not depend on `alpha` is computed once.

        Parameters
        ----------
        X, y, sample_weight, task
            As in `fit`.
        alphas : array-like, default=None
            Strengths. None: `n_alphas` values, equally spaced on a logarithmic scale from `alpha_max` to
            ``eps * alpha_max``; from s / eps to s * eps where the penalty has no `alpha_max`, with the mean curvature
            s = sum_t c_t tr(G_t) / (T n_features) of the loss.
        n_alphas : int, default=100
            Length of the default grid.
        eps : float, default=1e-3
            Width of the default grid, 0 < eps < 1.

        Returns
        -------
        RegularizationPath
            alphas (n_alphas,) descending, coefs (n_alphas, n_tasks, n_features), intercepts (n_alphas, n_tasks),
            n_iters and dual_gaps (n_alphas,). The estimator itself stays as it was.
        """
        fitted = copy.copy(self)
        data, penalty = fitted._prepare(X, y, sample_weight, task)
        problem = _Problem.of(data, penalty, fitted)
        alphas = problem.grid(penalty, n_alphas, eps) if alphas is None else _check_alphas(alphas)
        solutions = problem.solve([penalty.with_alpha(alpha) for alpha in alphas], fitted.tol, fitted.max_iter)
        for solution in solutions:
            fitted._warn_unless_converged(solution)
        return RegularizationPath(
            alphas,
            np.array([s.W for s in solutions], dtype=data.dtype),
            np.array([s.b for s in solutions], dtype=data.dtype),
            np.array([s.n_iter for s in solutions]),
            np.array([np.nan if s.dual_gap is None else s.dual_gap for s in solutions]),
        )

    def alpha_max(self, X, y, sample_weight=None, *, task=None):
        """The smallest `alpha` at which all weights are zero: the dual norm of the loss's gradient there.

        Parameters
        ----------
        X, y, sample_weight, task
            As in `fit`.

        Returns
        -------
        float
            In units of `alpha`; the intercepts are at their best.

        Raises
        ------
        ValueError
            If no `alpha` makes them zero: the penalty is not a norm.
        """
        fitted = copy.copy(self)
        data, penalty = fitted._prepare(X, y, sample_weight, task)
        return _Problem.of(data, penalty, fitted).alpha_max(penalty)

    @property
    def specific_coef_(self):
        """``coef_ - shared_coef_``, shape (n_tasks, n_features)."""
        check_is_fitted(self)
        return self.coef_ - self.shared_coef_

    @property
    def feature_importances_(self):
        """Length of every feature's weights over tasks; the task column, if there is one, has their sum + 1.

        In the order of the columns of X, so that ``SelectFromModel(..., importance_getter="feature_importances_")``
        keeps the task column.
        """
        check_is_fitted(self)
        lengths = np.linalg.norm(self.coef_, axis=0)
        return lengths if self._task_position is None else np.insert(lengths, self._task_position, lengths.sum() + 1.0)

    def coef_frame(self):
        """Weights and intercepts with their names: a pandas data frame, a row per task and a last one "shared".

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        import pandas as pd

        check_is_fitted(self)
        names = getattr(
            self, "feature_names_in_", np.array([f"x{j}" for j in range(self.n_features_in_)], dtype=object)
        )
        names = names if self._task_position is None else np.delete(names, self._task_position)
        rows = pd.Index([*self.tasks_.tolist(), "shared"], name="task", dtype=object)
        weights, intercepts = np.vstack([self.coef_, self.shared_coef_]), [*self.intercept_, self.shared_intercept_]
        return pd.DataFrame(np.column_stack([weights, intercepts]), index=rows, columns=[*names, "intercept"])

    def _prepare(self, X, y, sample_weight, task):
        """The validated data and penalty of a fit."""
        penalty = self._penalty()
        if not isinstance(penalty, Penalty):
            raise TypeError(f"penalty must be a Penalty such as TaskGraph(), or None. Got {penalty!r}.")
        check_parameters(self)
        check_parameters(penalty)
        data = check_data(X, y, sample_weight, task=task, task_column=self.task, estimator=self)
        if not data.shared:  # nodes of a graph that have no rows are tasks, too
            data = data.reindex(penalty.all_tasks(data.tasks))
        return data, penalty

    def _start(self, data):
        """Where a solver that iterates starts: at the last solution for the same tasks if `warm_start`."""
        if not self.warm_start or not hasattr(self, "coef_") or not np.array_equal(self.tasks_, data.tasks):
            return None
        if self.coef_.shape[1] != data.X.shape[1]:
            return None
        if hasattr(self, "structured_coef_"):
            return self.structured_coef_.astype(np.float64), self.deviation_coef_.astype(np.float64)
        return self.coef_.astype(np.float64)

    def _publish(self, data, penalty, solution):
        """Turn a solution into fitted attributes."""
        self._source, self._task_position = data.source, data.task_position
        self.tasks_, self.penalty_ = data.tasks, copy.copy(penalty)  # not the user's object, which may be changed
        self.coef_, self.intercept_ = solution.W.astype(data.dtype), solution.b.astype(data.dtype)
        self.shared_coef_, self.shared_intercept_ = solution.w0.astype(data.dtype), float(solution.b0)
        self.objective_, self.n_iter_ = solution.objective, solution.n_iter
        known = {"dual_gap_": solution.dual_gap, "residual_": solution.residual}
        known |= penalty.fitted_attributes(solution.W, solution.parts, data.tasks)
        for name, value in known.items():
            if value is not None:
                setattr(self, name, value)

    def _warn_unless_converged(self, solution):
        if not solution.converged:
            warnings.warn(
                f"{type(self).__name__} did not converge: {_exactness(solution)} after {solution.n_iter} iterations "
                f"(max_iter={self.max_iter}, tol={self.tol:g} of the objective at zero weights). Increase max_iter, "
                "tol or the penalty, or scale the features.",
                ConvergenceWarning,
                stacklevel=3,
            )


@dataclass(frozen=True)
class _Problem:
    """Moments and loss factors of one fit, and the way back from the coordinates they are in.

    With more features than rows the weights lie in the span of the rows, if the penalty prefers no direction, and the
    problem is solved there: ``X = offset + Z basis'``, ``w = basis z``.
    """

    moments: TaskMoments
    c: np.ndarray
    basis: np.ndarray | None = None

    @classmethod
    def of(cls, data, penalty, estimator):
        """The problem that an estimator's parameters pose on `data`."""
        basis = None
        n_samples, n_features = data.X.shape
        if n_features > n_samples and penalty.rotation_invariant and (data.shared or not penalty.separable):
            centered = estimator.fit_intercept and not penalty.penalizes_intercepts
            offset = data.X.mean(axis=0) if centered else np.zeros(n_features)
            basis = _row_space(data, centered, penalty.own_intercepts)
            data = replace(data, X=np.ascontiguousarray((data.X - offset) @ basis))
        factor = _task_factors(estimator.task_weight, data.tasks)
        if not factor.all():  # a task with factor 0 has no rows
            data = data.reindex(data.tasks[factor > 0]).reindex(data.tasks)
        moments = sums_for(penalty, data, fit_intercept=estimator.fit_intercept, n_jobs=estimator.n_jobs)
        if basis is not None:  # so that x_mean z is what x_mean w would be, and intercepts are those of X
            moments = replace(moments, x_mean=moments.x_mean + offset @ basis)
        return cls(moments, _loss_factors(moments, estimator.task_weight, factor), basis)

    def alpha_max(self, penalty):
        """The `alpha` from which on all weights are zero."""
        return penalty.alpha_max(self.c[:, None] * self.moments.xy)

    def grid(self, penalty, n_alphas, eps):
        """Strengths below `alpha_max`, or around the mean curvature of the loss where there is none; descending."""
        if not 0 < eps < 1 or n_alphas < 1:
            raise ValueError(f"eps must be in (0, 1) and n_alphas at least 1. Got eps={eps!r}, n_alphas={n_alphas!r}.")
        try:
            return _below(self.alpha_max(penalty), n_alphas, eps)
        except ValueError:  # not a norm
            pass
        n_features = self.moments.n_features if self.basis is None else len(self.basis)
        scale = self.c @ self.moments.squares().sum(axis=1) / (self.moments.active.sum() * n_features)
        return np.geomspace(1 / eps, eps, n_alphas) * (scale if scale > 0 else 1.0)

    def solve(self, path, tol, max_iter, init=None):
        """The solutions for the penalties of a path, in the user's coordinates."""
        if init is not None and self.basis is not None:
            init = tuple(part @ self.basis for part in init) if isinstance(init, tuple) else init @ self.basis
        with one_blas_thread:
            solutions = list(solve(path[0], path, self.moments, self.c, tol=tol, max_iter=max_iter, init=init))
        return solutions if self.basis is None else [self._back(solution, path[0]) for solution in solutions]

    def _back(self, solution, penalty):
        parts = tuple(part @ self.basis.T for part in solution.parts) if penalty.decomposition else solution.parts
        return replace(solution, W=solution.W @ self.basis.T, w0=self.basis @ solution.w0, parts=parts)


def _exactness(solution):
    """What the certificate says, in words."""
    said = {"dual gap": solution.dual_gap, "residual": solution.residual}
    return ", ".join(f"{name} {value:.1e}" for name, value in said.items() if value is not None)


def _row_space(data, centered, own_intercepts):
    """An orthonormal basis (n_features, rank) of the span of the rows of X, which are fewer than its features.

    Rows count by the roots of their weights, so that a weight of 2 is the row twice; if `centered`, less their mean or
    with `own_intercepts` that of their task: what only tells tasks apart is left to the intercepts.
    """
    s = data.label_weight().reshape(len(data.X), -1).sum(axis=1)
    task = data.task_of_row if own_intercepts and not data.shared else np.zeros(len(s), dtype=np.intp)
    X, n_means = data.X, np.intp(0)
    if centered:
        members = sparse.csr_array((s, (task, np.arange(len(s)))))
        N = np.bincount(task, s)
        X, n_means = X - (members @ X / np.where(N > 0, N, 1.0)[:, None])[task], np.count_nonzero(N)
    X = X * np.sqrt(s)[:, None]
    l, U = np.linalg.eigh(X @ X.T)  # noqa: E741
    if not l[-1] > 0:  # nothing but zeros: any direction will do
        return np.eye(X.shape[1], 1)
    solid = l > 1e-8 * l[-1]
    if solid.sum() < len(X) - n_means:  # more than centring takes: squares cannot tell what is small from nothing
        _, s, V = np.linalg.svd(X, full_matrices=False)
        return V[: max(1, np.sum(s > s[0] * X.shape[1] * np.finfo(float).eps))].T
    V = (X.T @ U[:, solid]) / np.sqrt(l[solid])
    return V @ (1.5 * np.eye(V.shape[1]) - 0.5 * V.T @ V)  # orthonormal to 1e-8 before, to 1e-16 after


def _task_factors(task_weight, tasks):
    """The factors of a dict `task_weight` (n_tasks,), 1 where it names none; ones for the other settings."""
    factors = np.ones(len(tasks))
    if isinstance(task_weight, Mapping) and task_weight:
        ids, _ = canonical_ids(list(task_weight), "task_weight")
        at = lookup(ids, tasks)
        if (at < 0).any():
            raise ValueError(
                f"task_weight names unknown tasks: {describe(ids[at < 0])}. The tasks are {describe(tasks)}."
            )
        factors[at] = list(task_weight.values())
        if not factors.any():
            raise ValueError("task_weight is zero for every task.")
    return factors


def _loss_factors(moments, task_weight, factor):
    """The c_t of the objective; 1 for tasks without weight, where it multiplies nothing.

    "samples": T / N.  "tasks": 1 / N_t.  "auto": in proportion to 1 / |q_t|, the gradient at w_t = 0 with the best
    intercept (a zero gradient counts as the median), with sum_t c_t N_t = T.  A dict multiplies "samples".
    """
    active, N = moments.active, moments.weight
    c, n_active = np.ones(len(N)), active.sum()
    if task_weight == "tasks":
        c[active] = 1.0 / N[active]
    elif task_weight == "auto":
        length = np.linalg.norm(moments.xy, axis=1)[active]
        inverse = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
        inverse[length == 0] = np.median(inverse[length > 0]) if length.any() else 1.0
        c[active] = inverse * (n_active / (inverse @ N[active]))
    else:
        c[active] = n_active / N.sum() * factor[active]
    return c


def _below(alpha_max, n_alphas, eps):
    """`n_alphas` strengths from `alpha_max` down to `eps` times that."""
    return np.geomspace(1.0, eps, n_alphas) * (alpha_max if alpha_max > 0 else 1.0)


def _check_alphas(alphas):
    alphas = np.sort(np.asarray(alphas, dtype=float).ravel())[::-1]
    if not len(alphas) or not np.isfinite(alphas).all() or alphas[-1] < 0:
        raise ValueError(f"alphas must be finite numbers >= 0, at least one. Got {alphas!r}.")
    return alphas


def _row_products(X, W, codes):
    """``X[i] @ W[codes[i]]`` for every row, without a copy of W as large as X."""
    out = np.empty(len(X), dtype=np.result_type(X, W))
    step = max(1, CACHE // X.shape[1])
    for start in range(0, len(X), step):
        part = slice(start, start + step)
        np.einsum("ij,ij->i", X[part], W[codes[part]], out=out[part])
    return out
