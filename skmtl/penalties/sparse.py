"""Few weights, or few features for all tasks together."""

import numpy as np

from skmtl._algebra import over
from skmtl.penalties._directions import Directions, of_columns, of_weights
from skmtl.penalties._prox import clip_features, shrink_columns
from skmtl.penalties.base import Chain, Norm

__all__ = ["L1", "JointFeature", "RowNorm", "soft_threshold"]


class L1(Norm):
    r"""Few of the weights matter, for each task on its own.

    .. math:: \Omega(W) = \alpha \sum_{t,j} |W_{jt}|, \qquad \Omega^\circ(Z) = \max_{t,j} |Z_{jt}|

    Parameters
    ----------
    alpha : float, default=0.01
        Strength, >= 0.
    alpha_ridge : float, default=0.0
        Adds :math:`\tfrac{\alpha_r}{2} \|W\|_F^2`, >= 0.

    References
    ----------
    Tibshirani (1996), *Journal of the Royal Statistical Society B* 58:267-288.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import L1
    >>> L1(alpha=2.0).value(np.array([[1.0, -2.0], [0.0, 1.0]]))
    8.0
    """

    separable = True

    unfolds = False

    def __init__(self, alpha=0.01, alpha_ridge=0.0):
        self.alpha = alpha
        self.alpha_ridge = alpha_ridge

    def value(self, W):
        """Omega(W)."""
        return float(self.alpha * np.abs(W).sum() + self._ridge_value(W))

    def prox(self, V, step):
        """``argmin_P step * Omega(P) + 1/2 |P - V|_F^2``: every weight nearer to zero, or zero."""
        return soft_threshold(V, step * self.alpha) / (1.0 + step * self.ridge)

    def directions(self, V, P, step, before=None):
        """Weights that are not zero move as they did before."""
        return of_weights(P != 0.0) if before is None else before.where(P != 0.0)

    def dual_norm(self, Z):
        """The largest absolute value."""
        return float(np.abs(Z).max(initial=0.0))


class JointFeature(Norm):
    r"""A feature serves all tasks or none: the length of its weights over tasks, summed over features.

    .. math:: \Omega(W) = \alpha \Big[ r \sum_j \omega_j \|W_{j}\| + \tfrac{1 - r}{2} \|W\|_F^2 \Big]
              + \alpha_1 \|W\|_1 + \tfrac{\alpha_r}{2} \|W\|_F^2

    with the row :math:`W_j` of a feature's weights in all tasks, the Euclidean or the maximum norm, and :math:`r` =
    ``l1_ratio``. On rows that all tasks share this is scikit-learn's ``MultiTaskLasso`` (r = 1) or
    ``MultiTaskElasticNet``; with ``alpha_l1`` it is the sparse group lasso.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength, >= 0.
    l1_ratio : float, default=1.0
        Share of the norm against the square, 0 <= l1_ratio <= 1.
    alpha_l1 : float, default=0.0
        Strength on single weights, >= 0: a task need not use all the features the others use.
    feature_weights : array-like of shape (n_features,), default=None
        Factors :math:`\omega_j` >= 0 of the norm, not of the squares. None: ones. A feature with factor 0 is not
        selected but always there.
    norm : {2, inf}, default=2
        Norm of a row. With inf a feature costs as much as its largest weight.
    positive : bool, default=False
        Whether all weights are to be >= 0.
    alpha_ridge : float, default=0.0
        Strength on the squares of the weights, >= 0.

    References
    ----------
    Obozinski, Taskar, Jordan (2010), *Statistics and Computing* 20:231-252.

    Argyriou, Evgeniou, Pontil (2007), *NIPS*, 41-48.

    Turlach, Venables, Wright (2005), *Technometrics* 47:349-363: the maximum norm.

    Simon, Friedman, Hastie, Tibshirani (2013), *Journal of Computational and Graphical Statistics* 22:231-245: with
    `alpha_l1`.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import JointFeature
    >>> W = np.array([[3.0, 0.0], [4.0, 0.0]])
    >>> JointFeature(alpha=2.0).value(W)
    10.0
    >>> JointFeature(alpha=2.0, norm=np.inf).value(W)
    8.0
    """

    unfolds = False

    def __init__(
        self, alpha=0.01, l1_ratio=1.0, alpha_l1=0.0, feature_weights=None, norm=2, positive=False, alpha_ridge=0.0
    ):
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.alpha_l1 = alpha_l1
        self.feature_weights = feature_weights
        self.norm = norm
        self.positive = positive
        self.alpha_ridge = alpha_ridge

    @property
    def ridge(self):
        """Strength of all squares, ``alpha (1 - l1_ratio) + alpha_ridge``."""
        return float(self.alpha * (1.0 - self.l1_ratio) + self.alpha_ridge)

    def value(self, W):
        """Omega(W); infinite for a negative weight under `positive`."""
        return self._chain(W.shape[1]).value(W) + float(0.5 * self.ridge * np.vdot(W, W))

    def prox(self, V, step):
        """``argmin_P step * Omega(P) + 1/2 |P - V|_F^2``: the norm's prox of the weights nearer to zero."""
        return self._chain(V.shape[1]).prox(V, step) / (1.0 + step * self.ridge)

    def directions(self, V, P, step, before=None):
        """Those of the norms in turn; without a ridge term."""
        return self._chain(V.shape[1]).directions(V, step)

    def dual_norm(self, Z):
        """The length of the longest row, each divided by its factor: the dual of the norm alone.

        Under `positive` the positive part of Z counts.
        """
        return self._chain(Z.shape[1]).norms[-1].dual_norm(np.maximum(Z, 0.0) if self.positive else Z)

    def terms(self, tasks):
        """One chain, the norm of rows after what concerns single weights."""
        return (self._chain(None),)

    def alpha_max(self, gradient):
        """The smallest `alpha` for which all weights are zero, for the loss's negative gradient at W = 0.

        Raises
        ------
        ValueError
            If there is none: ``l1_ratio=0``, or a feature with factor 0 that the data want.
        """
        if self.l1_ratio == 0.0:
            raise ValueError("JointFeature has no alpha_max for l1_ratio=0: squares alone make no weight zero.")
        least = self.dual_norm(soft_threshold(gradient, self.alpha_l1))
        if np.isinf(least):
            raise ValueError(
                "JointFeature has no alpha_max here: features with feature_weights=0 are not penalised, so no alpha "
                "makes their weights zero."
            )
        return least / self.l1_ratio

    def row_factors(self, n_features):
        """The factors of all features, validated: shape (n_features,).

        Raises
        ------
        ValueError
            If `feature_weights` has another length or holds anything but finite numbers >= 0.
        """
        if self.feature_weights is None:
            return np.ones(n_features)
        factors = _of_features(np.asarray(self.feature_weights, dtype=np.float64), n_features)
        good = np.isfinite(factors) & (factors >= 0)
        if not good.all():
            raise ValueError(f"feature_weights must be finite numbers >= 0. Got {factors[~good][0]}.")
        return factors

    def _chain(self, n_features):
        factors = None if self.feature_weights is None else np.asarray(self.feature_weights, dtype=np.float64)
        if n_features is not None:
            factors = self.row_factors(n_features)
        rows = RowNorm(self.alpha * self.l1_ratio, factors, float(self.norm))
        if self.positive:
            return Chain(_Positive(self.alpha_l1), rows)
        return Chain(L1(self.alpha_l1), rows) if self.alpha_l1 else Chain(rows)


class _Positive(Norm):
    """``alpha * sum(W)`` for W >= 0, else infinite: with its one-sided dual it serves as a norm."""

    constrains = True  # with alpha 0, too

    def __init__(self, alpha=0.0):
        self.alpha = alpha

    @property
    def is_sign_constraint(self):
        """Whether it is 0 for all weights >= 0."""
        return self.alpha == 0

    def value(self, W):
        return float(self.alpha * W.sum()) if (W >= 0).all() else np.inf

    def prox(self, V, step):
        return np.maximum(V - step * self.alpha, 0.0)

    directions = L1.directions

    def dual_norm(self, Z):
        return float(Z.max(initial=0.0))


class RowNorm(Norm):
    """``alpha * sum_j factors_j |W_j|``, the Euclidean or the maximum norm of every feature's weights."""

    def __init__(self, alpha=0.01, factors=None, norm=2.0):
        self.alpha = alpha
        self.factors = factors
        self.norm = norm

    def value(self, W):
        return float(self.alpha * (self._of(W.shape[1]) @ np.linalg.norm(W, self.norm, axis=0)))

    def prox(self, V, step):
        radius = step * self.alpha * self._of(V.shape[1])
        return clip_features(V, radius) if np.isinf(self.norm) else shrink_columns(V, radius)

    def directions(self, V, P, step, before=None):
        """Of a shortened column all directions, scaled; of a clipped one its largest weights as one, others alone."""
        used = P.any(axis=0)
        moves = of_weights((V != 0.0) & used) if before is None else before.only(used[before.features])
        if not np.isinf(self.norm):
            return of_columns(moves, V, over(np.linalg.norm(P, axis=0), np.linalg.norm(V, axis=0)))
        clipped = (np.abs(V) > np.abs(P)) & used
        n_clipped = clipped.sum(axis=0)
        largest = np.flatnonzero(n_clipped)
        together = np.where(clipped, np.sign(V), 0.0)[:, largest] / np.sqrt(n_clipped[largest])
        return moves.where(~clipped).beside(Directions(largest, together))

    def dual_norm(self, Z):
        length, factors = np.linalg.norm(Z, 1 if np.isinf(self.norm) else 2, axis=0), self._of(Z.shape[1])
        free = factors == 0
        if length[free].any():
            return np.inf
        return float((length[~free] / factors[~free]).max(initial=0.0))

    @property
    def unseen_features(self):
        """Which features cost nothing, bool (n_features,); None if there are none."""
        return None if self.factors is None or self.factors.all() else self.factors == 0

    def _of(self, n_features):
        return np.ones(n_features) if self.factors is None else _of_features(self.factors, n_features)


def _of_features(factors, n_features):
    """The factors, if there is one for each feature."""
    if factors.shape != (n_features,):
        raise ValueError(f"feature_weights must have shape (n_features,) = ({n_features},). Got shape {factors.shape}.")
    return factors


def soft_threshold(V, step):
    """Every number nearer to zero by `step`, or zero."""
    return np.sign(V) * np.maximum(np.abs(V) - step, 0.0)
