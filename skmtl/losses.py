r"""Losses: what a wrong prediction costs, as a function of eta = x'w + b.

Each one is convex, smooth and never negative, and says four things of a label y:

    value(y, eta)      l(y, eta)                          units of the loss
    descent(y, eta)    theta = -dl/deta                   a residual; y - mean(eta) for canonical links
    curvature(y, eta)  weight of y in a Newton step       d2l/deta2, or a bound of it where that may be zero
    dual(y, theta)     min_eta l(y, eta) + theta * eta    a lower bound of the loss, and all that a duality gap needs

Arrays of one shape; for `Multinomial`, eta and theta have one more axis, the classes.
"""

from abc import abstractmethod
from collections.abc import Mapping

import numpy as np
from scipy.special import entr, expit, log_softmax, logit, softmax, xlogy
from sklearn.base import BaseEstimator

__all__ = ["Huber", "Logistic", "Loss", "Multinomial", "Poisson", "Squared", "is_loss", "loss_named"]


_SLACK = 1e-12  # by which rounding may bring a dual point out of the domain
_REACH = 1e4  # the slope of the entropy beyond it: margins are taken to be no larger


class Loss(BaseEstimator):
    """A loss l(y, eta) >= 0, convex and smooth in eta; see the module's text for the four methods."""

    n_columns = 1  # how many eta a label has

    def check(self, y, task):
        """Raise ValueError if a label of y is none that the loss knows; `task` is named in the message."""

    def settled(self, y):
        """Whether no finite intercept is best for labels y (n_labels,), n_labels > 0."""
        return False

    @abstractmethod
    def mean(self, eta):
        """The expected label, in units of y."""

    def best_constant(self, y, weight):
        """The eta that is best for all labels y (n,) with these weights; labels must not be `settled`.

        Huber's is not the mean, but `score` measures a fit by Huber's loss as one by squares.
        """
        return np.average(y, weights=weight)

    def size(self, y):
        """The order of magnitude of eta for labels y."""
        return np.abs(y)

    @abstractmethod
    def value(self, y, eta):
        """l(y, eta)."""

    @abstractmethod
    def descent(self, y, eta):
        """-dl/deta."""

    def value_and_descent(self, y, eta):
        """Both, where they have work in common."""
        return self.value(y, eta), self.descent(y, eta)

    @abstractmethod
    def curvature(self, y, eta):
        """The second derivative in eta, or an upper bound."""

    def slopes(self, y, eta):
        """`descent` and the exact second derivative, for Newton's method in a single eta such as an intercept."""
        return self.descent(y, eta), self.curvature(y, eta)

    def reach(self, theta):
        """A factor s <= 1 that brings s theta into the domain of `dual`; 1 where the size of theta does not matter."""
        return 1.0

    @abstractmethod
    def dual(self, y, theta):
        """``min over eta of l(y, eta) + theta eta``; finite for ``theta = s * descent(y, eta)`` with 0 <= s <= 1."""


class Squared(Loss):
    r"""Half the squared error, :math:`\tfrac12 (y - \eta)^2`.

    Examples
    --------
    >>> from skmtl.losses import Squared
    >>> float(Squared().value(3.0, 1.0))
    2.0
    """

    def mean(self, eta):
        return eta

    def value(self, y, eta):
        return 0.5 * (y - eta) ** 2

    def descent(self, y, eta):
        return y - eta

    def curvature(self, y, eta):
        return np.ones_like(eta)

    def dual(self, y, theta):
        return theta * (y - 0.5 * theta)


class Logistic(Loss):
    r"""The log-loss of a label that is 0 or 1, :math:`\log(1 + e^\eta) - y \eta`.

    Examples
    --------
    >>> from skmtl.losses import Logistic
    >>> float(Logistic().value(1.0, 0.0).round(3)), float(Logistic().mean(0.0))
    (0.693, 0.5)
    """

    def check(self, y, task):
        wrong = y[(y != 0) & (y != 1)]
        if len(wrong):
            raise ValueError(f"loss='logistic' needs labels 0 and 1. Got y={wrong[0]:g} for task {task!r}.")

    def settled(self, y):
        return bool((y == y[0]).all())

    def best_constant(self, y, weight):
        return logit(np.average(y, weights=weight))

    def mean(self, eta):
        return expit(eta)

    def value(self, y, eta):
        return np.maximum(eta, 0.0) - y * eta + np.log1p(np.exp(-np.abs(eta)))

    def descent(self, y, eta):
        return y - expit(eta)

    def value_and_descent(self, y, eta):
        e = np.exp(-np.abs(eta))
        mu = np.where(eta >= 0.0, 1.0, e) / (1.0 + e)
        # log, which NumPy has vectorised, for log1p: what it loses is below the rounding error of a mean of losses
        return np.maximum(eta, 0.0) - y * eta + np.log(1.0 + e), y - mu

    def curvature(self, y, eta):
        return expit(eta) * expit(-eta)

    def slopes(self, y, eta):
        mu = expit(eta)
        return y - mu, mu * (1.0 - mu)

    def dual(self, y, theta):
        mu = y - theta
        return _entropy(mu) + _entropy(1.0 - mu)


class Multinomial(Loss):
    r"""The log-loss of a label that is one of K classes, :math:`\log \sum_k e^{\eta_k} - \eta_y`.

    Parameters
    ----------
    n_classes : int
        K; labels are 0, ..., K - 1.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.losses import Multinomial
    >>> Multinomial(3).mean(np.zeros((1, 3))).round(2)
    array([[0.33, 0.33, 0.33]])
    """

    def __init__(self, n_classes):
        self.n_classes = n_classes

    @property
    def n_columns(self):  # type: ignore[override]
        """One eta a class."""
        return self.n_classes

    def settled(self, y):
        return bool((y == y[0]).all())

    def mean(self, eta):
        return softmax(eta, axis=-1)

    def value(self, y, eta):
        return -np.take_along_axis(log_softmax(eta, axis=-1), y.astype(np.intp)[..., None], axis=-1)[..., 0]

    def descent(self, y, eta):
        theta = -softmax(eta, axis=-1)
        at = y.astype(np.intp)[..., None]
        np.put_along_axis(theta, at, 1.0 + np.take_along_axis(theta, at, axis=-1), axis=-1)
        return theta

    def curvature(self, y, eta):
        r"""The diagonal 2 p (1 - p), which is above the matrix diag(p) - p p'."""
        p = softmax(eta, axis=-1)
        return 2.0 * p * (1.0 - p)

    def dual(self, y, theta):
        mu, at = -theta, y.astype(np.intp)[..., None]
        np.put_along_axis(mu, at, 1.0 + np.take_along_axis(mu, at, axis=-1), axis=-1)
        return _entropy(mu).sum(axis=-1)


class Poisson(Loss):
    r"""Half the unit deviance of a count with mean :math:`e^\eta`: :math:`e^\eta - y \eta + y \log y - y`.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.losses import Poisson
    >>> float(Poisson().value(2.0, np.log(2.0))), float(Poisson().mean(0.0))
    (0.0, 1.0)
    """

    def check(self, y, task):
        wrong = y[y < 0]
        if len(wrong):
            raise ValueError(f"loss='poisson' needs labels >= 0. Got y={wrong[0]:g} for task {task!r}.")

    def settled(self, y):
        return not y.any()

    def best_constant(self, y, weight):
        return np.log(np.average(y, weights=weight))

    def mean(self, eta):
        return np.exp(eta)

    def size(self, y):
        return 1.0 + np.log1p(y)

    def value(self, y, eta):
        return np.maximum(np.exp(eta) - y * eta + (xlogy(y, y) - y), 0.0)

    def descent(self, y, eta):
        return y - np.exp(eta)

    def curvature(self, y, eta):
        return np.exp(eta)

    def slopes(self, y, eta):
        mu = np.exp(eta)
        return y - mu, mu

    def dual(self, y, theta):
        mu = y - theta
        return mu + _entropy(mu) + (xlogy(y, y) - y)


class Huber(Loss):
    r"""Squared for small residuals, linear for large ones, so that outliers pull with a bounded force.

    .. math:: \ell(y, \eta) = \tfrac12 r^2 \;\text{if } |r| \le \delta, \text{ else } \delta |r| - \tfrac12 \delta^2,
              \qquad r = y - \eta

    Parameters
    ----------
    delta : float, default=1.35
        The longest residual that is squared, in units of y, > 0.

    References
    ----------
    Huber (1964), *Annals of Mathematical Statistics* 35:73-101.

    Examples
    --------
    >>> from skmtl.losses import Huber
    >>> float(Huber(delta=1.0).value(5.0, 0.0)), float(Huber(delta=1.0).value(0.5, 0.0))
    (4.5, 0.125)
    """

    def __init__(self, delta=1.35):
        self.delta = delta

    def mean(self, eta):
        return eta

    def value(self, y, eta):
        r = np.abs(y - eta)
        inside = np.minimum(r, self.delta)
        return inside * (r - 0.5 * inside)

    def descent(self, y, eta):
        return np.clip(y - eta, -self.delta, self.delta)

    def curvature(self, y, eta):
        """The curvature of the parabola that touches the loss here and is above it everywhere."""
        return self.delta / np.maximum(np.abs(y - eta), self.delta)

    def slopes(self, y, eta):
        return self.descent(y, eta), (np.abs(y - eta) < self.delta).astype(float)

    def reach(self, theta):
        return min(1.0, self.delta / np.abs(theta).max(initial=self.delta))

    def dual(self, y, theta):
        inside = np.abs(theta) <= self.delta * (1.0 + _SLACK)
        return np.where(inside, theta * (y - 0.5 * theta), -np.inf)


def _entropy(mu):
    """``-mu log(mu)``, continued by a line to a mu that rounding has brought below zero; -inf further below."""
    return np.where((mu < 0.0) & (mu > -_SLACK), _REACH * mu, entr(mu))


_NAMES = {"squared": Squared, "logistic": Logistic, "poisson": Poisson, "huber": Huber}


def loss_named(loss):
    """The `Loss` that a parameter names, or is.

    Raises
    ------
    ValueError
        If it is none.
    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, str) and loss in _NAMES:
        return _NAMES[loss]()
    raise ValueError(
        f"A loss is one of {', '.join(map(repr, _NAMES))} or a Loss such as Huber(delta=2.0). Got {loss!r}."
    )


def is_loss(value):
    """Whether the parameter `loss` may have this value."""
    known = value.values() if isinstance(value, Mapping) else [value]
    try:
        return all(isinstance(one, Loss) or loss_named(one) for one in known)
    except ValueError:
        return False
