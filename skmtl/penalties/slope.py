"""Features for all tasks together, with a bound on how many of those selected are false."""

from functools import lru_cache

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import chdtri

from skmtl.penalties.base import Norm

__all__ = ["GroupSlope"]


class GroupSlope(Norm):
    r"""The longer a feature's weights are among all, the more each unit of their length costs.

    .. math:: \Omega(W) = \alpha \sum_k \lambda_k \|W\|_{(k)}, \qquad
              \Omega^\circ(Z) = \max_k \frac{\sum_{i \le k} \|Z\|_{(i)}}{\sum_{i \le k} \lambda_i}

    with the lengths of the features' weights over tasks, :math:`\|W\|_{(1)} \ge \|W\|_{(2)} \ge \dots`, and the weights
    of Benjamini and Hochberg's procedure, :math:`\lambda_k \propto \chi_T^{-1}(1 - q k / d)`, of which the first is 1.
    For orthogonal features and an `alpha` at the level of the noise, at most a share q of the selected features is
    false, in expectation.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength, >= 0.
    q : float, default=0.1
        The rate of false discoveries, 0 < q < 1.

    References
    ----------
    Brzyski, Gossmann, Su, Bogdan (2019), *Journal of the American Statistical Association* 114:419-433.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import GroupSlope
    >>> penalty = GroupSlope(alpha=1.0, q=0.5)
    >>> W = np.array([[3.0, 0.0], [4.0, 2.0]])
    >>> round(penalty.value(W), 4)
    6.4142
    """

    unfolds = False

    def __init__(self, alpha=0.01, q=0.1):
        self.alpha = alpha
        self.q = q

    def value(self, W):
        """Omega(W)."""
        return float(self.alpha * self._weights(W) @ np.sort(np.linalg.norm(W, axis=0))[::-1])

    def prox(self, V, step):
        """Lengths less their weights, in the order they had: where that would change, they become equal."""
        length = np.linalg.norm(V, axis=0)
        order = np.argsort(-length)
        left = isotonic_regression(length[order] - step * self.alpha * self._weights(V), increasing=False).x
        share = np.zeros_like(length)
        share[order] = np.maximum(left, 0.0) / np.maximum(length[order], np.finfo(float).tiny)
        return V * share

    def dual_norm(self, Z):
        """The largest ratio of cumulated lengths and cumulated weights."""
        longest = np.sort(np.linalg.norm(Z, axis=0))[::-1]
        return float(np.max(np.cumsum(longest) / np.cumsum(self._weights(Z)), initial=0.0))

    def _weights(self, W):
        return _weights(*W.shape, float(self.q))


@lru_cache(maxsize=8)
def _weights(n_tasks, n_features, q):
    quantiles = np.sqrt(chdtri(n_tasks, q * np.arange(1, n_features + 1) / n_features))
    return quantiles / quantiles[0]
