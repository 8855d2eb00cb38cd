"""Beliefs that no convex function says: features without bias, a fixed rank, a few basis tasks.

There is no duality gap, and the solution may be a local minimum.  The solvers are sequences of exact or certified steps
that never raise the objective; they report how much the last one changed.
"""

import copy

import numpy as np

from skmtl.penalties.base import Penalty
from skmtl.penalties.sparse import JointFeature

__all__ = ["AdaptiveJointFeature", "LatentBasis", "ReducedRank"]


class AdaptiveJointFeature(Penalty):
    r"""Few features serve all tasks, and those that do are not shrunk: a concave function of each feature's length.

    .. math:: \Omega(W) = \sum_j \rho(\|W_{j:}\|_2) + \tfrac{\alpha_r}{2} \|W\|_F^2

    ================  ============================================  ===========================================
    `penalty`         :math:`\rho'(r)`                              beyond
    ================  ============================================  ===========================================
    "mcp"             :math:`\alpha - r / \gamma`                   0 from :math:`r = \gamma \alpha`
    "scad"            :math:`\alpha` up to :math:`r = \alpha`,      0 from :math:`r = \gamma \alpha`
                      then :math:`(\gamma \alpha - r)/(\gamma-1)`
    "capped_l1"       :math:`\alpha`                                0 from :math:`r = \gamma \alpha`
    "sqrt"            :math:`\alpha / (2 \sqrt{r})`
    ================  ============================================  ===========================================

    The first three start as ``JointFeature(alpha)`` and level off, so that a feature with long weights costs a
    constant: it is neither shrunk nor does it need a smaller `alpha`, which would let false features in. "sqrt",
    infinitely steep at zero, flattens out.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength, >= 0: the slope at zero, but for "sqrt".
    penalty : {"mcp", "scad", "capped_l1", "sqrt"}, default="mcp"
        The function :math:`\rho`.
    gamma : float, default=3.0
        Where it is level: at weights of length ``gamma * alpha``. > 1 for "mcp", > 2 for "scad", > 0 for "capped_l1";
        "sqrt" does not use it.
    alpha_ridge : float, default=0.0
        Strength :math:`\alpha_r` of a ridge term, >= 0: with it weights that the rest no longer pulls stay finite.

    References
    ----------
    Gong, Ye, Zhang (2013), *Journal of Machine Learning Research* 14:2979-3010. Zhang (2010), *The Annals of
    Statistics* 38:894-942 (MCP). Fan, Li (2001), *Journal of the American Statistical Association* 96:1348-1360 (SCAD).

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import AdaptiveJointFeature
    >>> AdaptiveJointFeature(alpha=1.0, penalty="mcp", gamma=3.0).value(np.array([[1.5, 100.0, 0.0]]))
    2.625
    """

    unfolds = False

    def __init__(self, alpha=0.01, penalty="mcp", gamma=3.0, alpha_ridge=0.0):
        self.alpha = alpha
        self.penalty = penalty
        self.gamma = gamma
        self.alpha_ridge = alpha_ridge

    def value(self, W):
        """Omega(W)."""
        return self._concave(W) + self._ridge_value(W)

    def tangent(self, slopes=None):
        """The convex penalty with these `slopes` for every feature, by default those at zero."""
        return JointFeature(self.alpha, feature_weights=slopes, alpha_ridge=self.alpha_ridge)

    def _concave(self, W):
        r, a, g = np.linalg.norm(W, axis=0), float(self.alpha), float(self.gamma)
        if self.penalty == "sqrt":
            return float(a * np.sqrt(r).sum())
        r = np.minimum(r, g * a)
        if self.penalty == "mcp":
            return float((a * r - r**2 / (2.0 * g)).sum())
        if self.penalty == "scad":
            return float((a * r - np.maximum(r - a, 0.0) ** 2 / (2.0 * (g - 1.0))).sum())
        return float((a * r).sum())

    def slopes(self, W):
        r"""``rho'(|W_j|) / alpha``, the weight of each feature at W; shape (n_features,).

        "sqrt" is infinitely steep at zero: there the weight is only so large that the feature stays zero.
        """
        r, a, g = np.linalg.norm(W, axis=0), float(self.alpha), float(self.gamma)
        if self.penalty == "sqrt":
            return 0.5 / np.sqrt(np.maximum(r, 1e-16 * r.max(initial=0.0) + np.finfo(float).tiny))
        if self.penalty == "mcp":
            return np.maximum(1.0 - r / (g * a), 0.0)
        if self.penalty == "scad":
            return np.clip((g - r / a) / (g - 1.0), 0.0, 1.0)
        return np.where(r < g * a, 1.0, 0.0)

    def check(self):
        """Raise ValueError where `gamma` is too small for the shape."""
        least = {"mcp": 1.0, "scad": 2.0}.get(self.penalty, 0.0)
        if not self.gamma > least:
            raise ValueError(f"gamma must be > {least:g} for penalty={self.penalty!r}. Got {self.gamma!r} instead.")

    def alpha_max(self, gradient):
        """As for `JointFeature`: there the first stage is zero, and with it all that follow.

        With "sqrt" a later stage may be zero for a somewhat smaller `alpha`, too.
        """
        return float(np.linalg.norm(gradient, axis=0).max(initial=0.0))


class ReducedRank(Penalty):
    r"""The tasks' weights span few directions: at most `rank`.

    .. math:: \Omega(W) = \tfrac{\alpha_r}{2} \|W\|_F^2 \text{ if } \operatorname{rank}(W) \le r, \text{ else } \infty

    There is no `alpha`: a path varies `alpha_ridge`.

    Parameters
    ----------
    rank : int, default=1
        The largest rank r, >= 1. From min(n_tasks, n_features) on, nothing is shared.
    alpha_ridge : float, default=0.0
        Strength :math:`\alpha_r` of the ridge term, >= 0.

    References
    ----------
    Izenman (1975), *Journal of Multivariate Analysis* 5:248-264.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import ReducedRank
    >>> ReducedRank(rank=1, alpha_ridge=2.0).value(np.array([[1.0, 2.0], [2.0, 4.0]]))
    25.0
    >>> ReducedRank(rank=1).value(np.eye(2))
    inf
    """

    rotation_invariant = True

    unfolds = False

    takes_sparse = False  # the steps need all columns of the rows

    def __init__(self, rank=1, alpha_ridge=0.0):
        self.rank = rank
        self.alpha_ridge = alpha_ridge

    def value(self, W):
        """Omega(W), up to rounding noise in the rank."""
        return self._ridge_value(W) if _rank(W) <= self.rank else np.inf

    def with_alpha(self, alpha):
        """The same rank with another ridge term."""
        other = copy.copy(self)
        other.alpha_ridge = float(alpha)
        return other

    def fitted_attributes(self, W, parts, tasks, seen):
        return {"rank_": _rank(W)}


class LatentBasis(Penalty):
    r"""Every task mixes a few of k basis tasks: ``W = B S``, S sparse.

    .. math:: \Omega(W) = \min_{B S = W} \alpha \|S\|_1 + \tfrac{\alpha_r}{2} \|B\|_F^2

    Tasks form groups that may overlap: those with the same nonzero loadings :math:`s_t`. Scaling B up and S down
    changes nothing but the two terms, so only :math:`\alpha^2 \alpha_r` matters for W: vary one of them. With either at
    zero the other term can be made as small as one likes, and what remains is `ReducedRank`.

    Parameters
    ----------
    n_components : int, default=2
        Number k of basis tasks, >= 1.
    alpha : float, default=0.01
        Strength on the loadings S, >= 0.
    alpha_ridge : float, default=0.01
        Strength :math:`\alpha_r` of the ridge term on the basis tasks B, >= 0.

    References
    ----------
    Kumar, Daume (2012), Learning task grouping and overlap in multi-task learning, *ICML*.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import LatentBasis
    >>> LatentBasis(alpha=1.0, alpha_ridge=2.0).value(components=np.array([[3.0]]), loadings=np.array([[1.0], [0.0]]))
    10.0
    """

    rotation_invariant = True

    unfolds = False

    takes_sparse = False  # the steps need all columns of the rows

    def __init__(self, n_components=2, alpha=0.01, alpha_ridge=0.01):
        self.n_components = n_components
        self.alpha = alpha
        self.alpha_ridge = alpha_ridge

    def value(self, components, loadings):  # type: ignore[override]  # a function of the factors
        """``alpha |S|_1 + alpha_ridge / 2 |B|^2`` of B (k, n_features) and S (n_tasks, k)."""
        return float(self.alpha * np.abs(loadings).sum() + 0.5 * self.alpha_ridge * np.vdot(components, components))

    def fitted_attributes(self, W, parts, tasks, seen):
        """`task_loadings_` (n_tasks, k) and `components_` (k, n_features), whose product is W.

        The components are the smallest with ``S B = W``, as the ridge term wants them.
        """
        (loadings,) = parts
        return {"task_loadings_": loadings, "components_": np.linalg.pinv(loadings.reshape(len(W), -1)) @ W}


def _rank(W):
    """The rank of W up to rounding noise."""
    return int(np.linalg.matrix_rank(W, tol=1e-9 * np.linalg.norm(W, 2)))
