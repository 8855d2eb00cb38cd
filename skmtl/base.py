"""What all estimators share: fit = validate -> moments -> solve -> publish; predict = one product a row.

`BaseMultiTask` asks scikit-learn for task ids, `LinearMultiTask` is the linear model.  A named estimator
adds its parameters and says in `_penalty` which belief they stand for.
"""

import copy
import time
from numbers import Integral
from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from skmtl._ids import lookup
from skmtl._params import check_parameters, number, with_plain_numbers
from skmtl._problem import problem_of
from skmtl._products import row_products
from skmtl._warnings import warn
from skmtl.losses import Squared
from skmtl.penalties import AdaptiveJointFeature, Penalty
from skmtl.tasks import check_data, check_labels, check_rows, refuse_other_order

__all__ = ["BaseMultiTask", "LinearMultiTask", "MultiTaskRegressorMixin", "RegularizationPath"]


class RegularizationPath(NamedTuple):
    """Models along a grid of strengths, from the strongest to the weakest.

    Attributes
    ----------
    alphas : array of shape (n_alphas,)
        Descending.
    coefs : array of shape (n_alphas, n_tasks, n_features)
        For more than two classes (n_alphas, n_tasks, n_classes, n_features).
    intercepts : array of shape (n_alphas, n_tasks)
        Likewise (n_alphas, n_tasks, n_classes).
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
    """What scikit-learn's metadata routing passes on to every estimator of this library: task ids."""

    # Requested by default, as splitters request groups: nobody should need set_fit_request for them.
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
            Weights >= 0; a label of weight 0 is not there.
        task : array-like of shape (n_samples,), default=None
            Task ids, if `fit` got them.

        Returns
        -------
        float
        """
        from sklearn.metrics import r2_score

        from skmtl._scores import Scored

        predicted = self.predict(X, task=task)
        refuse_other_order(y, self.tasks_)
        y = check_labels(y)
        scored = Scored.of(y, predicted, None, sample_weight)
        return scored.overall(r2_score) if y.ndim == 1 else scored.mean(r2_score)


class LinearMultiTask(BaseMultiTask):
    """Fit, predict and path of a linear model with a penalty.

    A subclass stores its parameters in ``__init__`` and gives `_penalty`.
    """

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = getattr(self._penalty(), "takes_sparse", True)
        return tags

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
        data, penalty, losses = fitted._prepare(X, y, sample_weight, task)
        problem = problem_of(data, penalty, fitted, losses)
        (solution,) = problem.solve([penalty], float(fitted.tol), fitted.max_iter, fitted._start(data, penalty))
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
        eta, _ = self._decision_and_tasks(X, task)
        return eta

    def _decision(self, X, task):
        """``x w_t + b_t``: (n_samples,), (n_samples, n_tasks), with one more axis where a task has several columns."""
        return self._decision_and_tasks(X, task)[0]

    def _decision_and_tasks(self, X, task):
        """`_decision`, and the position of every row's task, None where rows have no task of their own."""
        check_is_fitted(self)
        check_parameters(self)  # unknown_task may be changed after the fit
        X, codes = check_rows(X, task, self)
        n_features = self.coef_.shape[-1]
        if codes is None:
            eta = X @ self.coef_.reshape(-1, n_features).T + self.intercept_.ravel()
            eta = eta.reshape(len(eta), *self.intercept_.shape)
            return eta if self._source == "outputs" else eta[:, 0], None
        W = np.concatenate([self.coef_, self.shared_coef_[None]])  # code -1 is the last one, the shared model
        b = np.concatenate([self.intercept_, np.array(self.shared_intercept_, dtype=self.intercept_.dtype)[None]])
        W, b = W.reshape(len(W), -1, n_features), b.reshape(len(b), -1)
        eta = np.stack([row_products(X, W[:, k], codes) for k in range(W.shape[1])], axis=1) + b[codes]
        return eta if self.intercept_.ndim > 1 else eta[:, 0], codes

    def path(self, X, y, sample_weight=None, *, task=None, alphas=None, n_alphas=100, eps=1e-3):
        """Fit the model for a grid of strengths `alpha`; what does not depend on `alpha` is computed once.

        Parameters
        ----------
        X, y, sample_weight, task
            As in `fit`.
        alphas : array-like, default=None
            Strengths. None: `n_alphas` values, equally spaced on a logarithmic scale from `alpha_max` to
            ``eps * alpha_max``. Where the penalty has no `alpha_max`, from ``s / eps`` to ``s * eps``, with s the
            second derivative of the loss in a weight, averaged over tasks and features.
        n_alphas : int, default=100
            Length of the default grid.
        eps : float, default=1e-3
            Width of the default grid, 0 < eps < 1.

        Returns
        -------
        RegularizationPath
            alphas (n_alphas,) descending, coefs (n_alphas, n_tasks, n_features), intercepts (n_alphas, n_tasks), both
            with an axis of the classes behind that of the tasks if there are more than two; n_iters and dual_gaps
            (n_alphas,), NaN for models without a gap. The estimator itself stays as it was.

        Raises
        ------
        ValueError
            If a parameter, an alpha or the data are not what they should be.

        Warns
        -----
        ConvergenceWarning
            For each alpha whose gap is larger than `tol` asks for after `max_iter` iterations.

        Examples
        --------
        >>> import numpy as np
        >>> from skmtl import L1Regressor
        >>> X, y = np.array([[1.0], [-1.0], [2.0], [-2.0]]), np.array([2.0, -2.0, 2.0, -2.0])
        >>> path = L1Regressor().path(X, y, task=["a", "a", "b", "b"], alphas=[2.0, 1.0, 0.5])
        >>> path.coefs[:, :, 0].round(6)
        array([[0.   , 0.5  ],
               [1.   , 0.75 ],
               [1.5  , 0.875]])
        """
        fitted = copy.copy(self)
        data, penalty, losses = fitted._prepare(X, y, sample_weight, task)
        problem = problem_of(data, penalty, fitted, losses)
        alphas = _grid(problem, penalty, n_alphas, eps) if alphas is None else _check_alphas(alphas)
        path, limits = [penalty.with_alpha(alpha) for alpha in alphas], (float(fitted.tol), fitted.max_iter)
        if len({one.alpha_intercept for one in (penalty, *path)}) == 1:
            solutions = problem.solve(path, *limits)
        else:  # the factor of a sum is one of the pull on intercepts, too, which is part of a problem
            solutions = [s for one in path for s in problem_of(data, one, fitted, losses).solve([one], *limits)]
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
            If the penalty is not a norm, or no formula is known, as for a sum of norms.

        Examples
        --------
        >>> import numpy as np
        >>> from skmtl import L1Regressor
        >>> X, y = np.array([[1.0], [-1.0], [2.0], [-2.0]]), np.array([2.0, -2.0, 2.0, -2.0])
        >>> round(L1Regressor().alpha_max(X, y, task=["a", "a", "b", "b"]), 6)
        4.0
        """
        fitted = copy.copy(self)
        data, penalty, losses = fitted._prepare(X, y, sample_weight, task)
        return problem_of(data, penalty, fitted, losses).alpha_max(penalty)

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
        lengths = np.linalg.norm(self.coef_.reshape(-1, self.coef_.shape[-1]), axis=0)
        return lengths if self._task_position is None else np.insert(lengths, self._task_position, lengths.sum() + 1.0)

    def coef_frame(self):
        """Weights and intercepts with their names.

        Returns
        -------
        pandas.DataFrame
            A column per feature and one for the intercept; a row per task and a last one, "shared", for tasks never
            seen. With more than two classes, a row per task and class.

        Raises
        ------
        ImportError
            If pandas is not installed.

        Examples
        --------
        >>> import numpy as np
        >>> from skmtl import L1Regressor
        >>> X, y = np.array([[1.0], [-1.0], [2.0], [-2.0]]), np.array([2.0, -2.0, 2.0, -2.0])
        >>> L1Regressor(alpha=0.5).fit(X, y, task=["a", "a", "b", "b"]).coef_frame().round(3)
                   x0  intercept
        task
        a       1.500        0.0
        b       0.875        0.0
        shared  1.188        0.0
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("coef_frame needs the package pandas: pip install skmtl[examples]") from error
        check_is_fitted(self)
        names = getattr(
            self, "feature_names_in_", np.array([f"x{j}" for j in range(self.n_features_in_)], dtype=object)
        )
        names = names if self._task_position is None else np.delete(names, self._task_position)
        rows = pd.Index([*self.tasks_.tolist(), "shared"], name="task", dtype=object)
        weights = np.concatenate([self.coef_, self.shared_coef_[None]])
        intercepts = np.concatenate([self.intercept_, np.asarray(self.shared_intercept_)[None]])
        if weights.ndim == 3:
            rows = pd.MultiIndex.from_product([rows, self._labels.union], names=["task", "class"])
        table = np.column_stack([weights.reshape(-1, weights.shape[-1]), intercepts.ravel()])
        return pd.DataFrame(table, index=rows, columns=[*names, "intercept"])

    def _prepare(self, X, y, sample_weight, task):
        """The validated data, the penalty and the losses of a fit."""
        penalty = self._penalty()
        if not isinstance(penalty, Penalty):
            kind = f"{type(penalty).__module__}.{type(penalty).__qualname__}"  # scikit-learn has a Ridge, too
            raise TypeError(f"penalty must be a Penalty such as TaskGraph(), or None. Got {penalty!r} of type {kind}.")
        check_parameters(self)
        check_parameters(penalty)
        penalty = with_plain_numbers(penalty)
        y = self._encode_labels(y)
        data = check_data(X, y, sample_weight, task=task, task_column=self.task, estimator=self)
        data = self._weigh(data)
        if not data.shared:  # nodes of a graph that have no rows are tasks, too
            data = data.reindex(penalty.all_tasks(data.tasks))
        return data, penalty, self._losses(data)

    def _encode_labels(self, y):
        """The labels as numbers: what a classifier does to its classes."""
        return y

    def _weigh(self, data):
        """The data with the weights of their classes, for a classifier that has any."""
        return data

    def _losses(self, data):
        """The loss of every task, a list of `Loss`."""
        return [Squared()] * data.n_tasks

    def _start(self, data, penalty):
        """Where a solver that iterates starts if `warm_start`: at the last solution, new tasks at the shared one."""
        if not self.warm_start or not hasattr(self, "coef_") or self.coef_.shape[-1] != data.X.shape[1]:
            return None
        at = lookup(data.tasks, self.tasks_)
        if not (at >= 0).any():
            return None

        def placed(last, shared):
            return np.where((at >= 0).reshape(-1, *[1] * shared.ndim), last[at], shared).astype(np.float64)

        if penalty.decomposition and hasattr(self, "structured_coef_"):
            parts = self.structured_coef_, self.deviation_coef_
            return tuple(map(placed, parts, penalty.shared_parts(*parts)))
        return placed(self.coef_, self.shared_coef_)

    def _publish(self, data, penalty, solution):
        """Turn a solution into fitted attributes."""
        self._source, self._task_position = data.source, data.task_position
        self.tasks_, self.penalty_ = data.tasks, copy.copy(penalty)  # not the user's object, which may be changed
        self.coef_, self.intercept_ = solution.W.astype(data.dtype), solution.b.astype(data.dtype)
        self.shared_coef_ = solution.w0.astype(data.dtype)
        several = solution.b.ndim > 1
        self.shared_intercept_ = solution.b0.astype(data.dtype) if several else float(solution.b0)
        self.objective_, self.n_iter_ = solution.objective, solution.n_iter
        known = {"dual_gap_": solution.dual_gap, "residual_": solution.residual}
        known |= _fitted_attributes(penalty, solution, data.tasks)
        for name in getattr(self, "_published", ()):  # of the last fit, which may have had another penalty
            self.__dict__.pop(name, None)
        self._published = [name for name, value in known.items() if value is not None]
        for name in self._published:
            setattr(self, name, known[name])

    def _warn_unless_converged(self, solution):
        if solution.converged:
            return
        most, tol = f"max_iter={self.max_iter}", f"tol={float(self.tol):g} of the objective at zero weights"
        if not isinstance(self._penalty(), AdaptiveJointFeature):
            spent = f"{solution.n_iter} iterations ({most}, {tol})"
        elif solution.n_iter < self.max_iter:  # up to max_iter stages, each of as many iterations
            spent = f"{solution.n_iter} stages, one of which did not converge in {most} iterations ({tol})"
        else:
            spent = f"{most} stages ({tol})"
        warn(
            f"{type(self).__name__} did not converge: {_exactness(solution)} after {spent}. Increase max_iter, tol or "
            "the penalty, or scale the features.",
            ConvergenceWarning,
        )


def _fitted_attributes(penalty, solution, tasks):
    """What the penalty publishes of a fit.

    With several classes it gets the weights as `Penalty.unfolds` says; attributes that are weights, too, are given the
    shape of W again.
    """
    W = solution.W
    shape = (len(W), -1) if penalty.unfolds else (-1, W.shape[-1])
    parts = solution.parts
    if penalty.decomposition:
        parts = tuple(part.reshape(shape) for part in parts)
    seen = np.ones(len(W), dtype=bool) if solution.seen is None else solution.seen
    known = penalty.fitted_attributes(W.reshape(shape), parts, tasks, seen)
    return known | {
        name: known[name].reshape(W.shape) for name in known if name in ("structured_coef_", "deviation_coef_")
    }


def _exactness(solution):
    """The duality gap and the residual of a solution, as far as it has them, in words."""
    said = {"dual gap": solution.dual_gap, "residual": solution.residual}
    return ", ".join(f"{name} {value:.1e}" for name, value in said.items() if value is not None)


def _check_alphas(alphas):
    try:
        alphas = np.sort(np.asarray(alphas, dtype=float).ravel())[::-1]
    except (TypeError, ValueError):
        raise ValueError(f"alphas must be finite numbers >= 0, at least one. Got {alphas!r}.") from None
    if not len(alphas) or not np.isfinite(alphas).all() or alphas[-1] < 0:
        raise ValueError(f"alphas must be finite numbers >= 0, at least one. Got {alphas!r}.")
    return alphas


def _grid(problem, penalty, n_alphas, eps):
    """Strengths below `alpha_max`, or around the mean curvature of the loss where there is none; descending."""
    if not number(0, 1, ends="()").accepts(eps) or not number(1, kind=Integral).accepts(n_alphas):
        raise ValueError(
            f"eps must be in (0, 1) and n_alphas an int, at least 1. Got eps={eps!r}, n_alphas={n_alphas!r}."
        )
    try:
        largest = problem.alpha_max(penalty)
        return np.geomspace(1.0, eps, n_alphas) * (largest if largest > 0 else 1.0)
    except ValueError:  # not a norm
        scale = problem.curvature()
        return np.geomspace(1 / eps, eps, n_alphas) * (scale if scale > 0 else 1.0)
