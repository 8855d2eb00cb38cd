"""Tasks come in groups, or share a subspace: a few directions of W cost less than the others."""

from abc import abstractmethod

import numpy as np

from skmtl._ids import number_as_they_come
from skmtl.penalties._spectral import singular_values, spectral
from skmtl.penalties.base import Square

__all__ = ["Clustered", "SharedSubspace", "cheap_shares"]


class CheapDirections(Square):
    r"""Singular directions share a budget k of discounts, at most one each.

    .. math:: \Omega(W) = \alpha \, \eta (1 + \eta) \min_{0 \le \theta_i \le 1, \; \sum_i \theta_i \le k}
              \sum_i \frac{\sigma_i(W)^2}{\eta + \theta_i} + \tfrac{\alpha_r}{2} \|W\|_F^2

    A direction costs :math:`\alpha (1 + \eta) \sigma^2`, with a whole discount :math:`\alpha \eta \sigma^2`.
    The square of the cluster norm of McDonald, Pontil, Stamos (2016), *Journal of Machine Learning Research* 17(155);
    docs/guide/spectral_prox.md derives all of it.
    """

    rotation_invariant = True

    @property
    @abstractmethod
    def budget(self):
        """k, the number of cheap directions."""

    @property
    def _factor(self):
        return self.alpha * self.eta * (1.0 + self.eta)

    def value(self, W):
        """Omega(W)."""
        s = singular_values(W)
        cost = np.sum(s**2 / (self.eta + cheap_shares(s, self.budget, self.eta)))
        return float(self._factor * cost) + self._ridge_value(W)

    def prox(self, V, step):
        """``argmin_P step * Omega(P) + 1/2 |P - V|_F^2``, in a finite number of steps."""
        V, step = self._after_ridge(V, step)
        cost = 2.0 * step * self._factor

        def shrink(s):
            relief = self.eta + cheap_shares(s, self.budget, self.eta + cost)
            return s * (relief / (relief + cost))

        return spectral(V, shrink)

    def conjugate(self, U):
        """``max_W <U, W> - Omega(W)``, Omega without ridge: of the k largest singular values, and of all of them."""
        squares = singular_values(U) ** 2
        total = self.eta * squares.sum() + squares[: self.budget].sum()
        if self._factor == 0:
            return np.inf if total > 0 else 0.0
        return float(total / (4.0 * self._factor))


class Clustered(CheapDirections):
    r"""Tasks come in k groups of similar weights.

    .. math:: \Omega(W) = \alpha \, \eta (1 + \eta) \min_{0 \preceq M \preceq I, \; \operatorname{tr} M = k}
              \operatorname{tr}\big(W (\eta I + M)^{-1} W'\big) + \tfrac{\alpha_r}{2} \|W\|_F^2

    with M of shape (n_tasks, n_tasks): the convex relaxation of a sum of squares within and between groups, of which M
    says who belongs together.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength, >= 0.
    n_clusters : int, default=2
        Number k of groups, >= 1; with as many as tasks the penalty is :math:`\alpha \eta \|W\|_F^2`.
    eta : float, default=1.0
        Strength on all weights relative to that on the differences within groups, > 0: small values let groups differ.
    alpha_ridge : float, default=0.0
        Strength :math:`\alpha_r` of a ridge term, >= 0.

    References
    ----------
    Jacob, Bach, Vert (2008), *NIPS*, 745-752.

    Zhou, Chen, Ye (2011), *NIPS*, 702-710: this form of it.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import Clustered
    >>> W = np.array([[2.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    >>> penalty = Clustered(alpha=1.0, n_clusters=2)
    >>> round(penalty.value(W), 12)  # two directions, and both are cheap: alpha eta |W|^2
    9.0
    >>> penalty.groups(W)
    array([0, 0, 1])
    """

    def __init__(self, alpha=0.01, n_clusters=2, eta=1.0, alpha_ridge=0.0):
        self.alpha = alpha
        self.n_clusters = n_clusters
        self.eta = eta
        self.alpha_ridge = alpha_ridge

    @property
    def budget(self):
        """k, the number of groups."""
        return self.n_clusters

    def fitted_attributes(self, W, parts, tasks, seen):
        return {"cluster_labels_": self.groups(W, seen)}

    def groups(self, W, seen=None):
        """The group of every task (n_tasks,), numbered as they come: k-means on the k leading eigenvectors of M.

        M is that of the tasks where the mask `seen` is true, all by default; the others join the nearest group.
        """
        from sklearn.cluster import KMeans

        seen = np.ones(len(W), dtype=bool) if seen is None else seen
        U, s, V = np.linalg.svd(W[seen], full_matrices=False)
        solid = np.flatnonzero(s[: self.n_clusters] > 1e-12 * s.max(initial=0.0))
        place = U[:, solid]
        n_places = len(np.unique(place.round(12), axis=0)) if place.size else 1
        if n_places == 1:
            return np.zeros(len(W), dtype=np.intp)
        means = KMeans(min(self.n_clusters, n_places), n_init=3, random_state=0).fit(place)
        labels = np.empty(len(W), dtype=np.intp)
        labels[seen] = means.labels_
        if not seen.all():
            labels[~seen] = means.predict(W[~seen] @ (V[solid].T / s[solid]))
        return number_as_they_come(labels)


class SharedSubspace(CheapDirections):
    r"""The weights of all tasks lie near a subspace of k dimensions.

    .. math:: \Omega(W) = \alpha \, \eta (1 + \eta) \min_{0 \preceq M \preceq I, \; \operatorname{tr} M = k}
              \operatorname{tr}\big(W' (\eta I + M)^{-1} W\big) + \tfrac{\alpha_r}{2} \|W\|_F^2

    with M of shape (n_features, n_features), the subspace: convex alternating structure optimisation.  The same
    function of W as `Clustered`, since both are one of its singular values.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength, >= 0.
    n_components : int, default=2
        Dimension k of the subspace, >= 1.
    eta : float, default=1.0
        Strength on all weights relative to that on their part outside the subspace, > 0.
    alpha_ridge : float, default=0.0
        Strength :math:`\alpha_r` of a ridge term, >= 0.

    References
    ----------
    Ando, Zhang (2005), *Journal of Machine Learning Research* 6:1817-1853.

    Chen, Tang, Liu, Ye (2009), *ICML*, 137-144: the convex relaxation.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import Clustered, SharedSubspace
    >>> W = np.array([[2.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    >>> SharedSubspace(alpha=1.0, n_components=1).value(W) == Clustered(alpha=1.0, n_clusters=1).value(W)
    True
    """

    unfolds = False

    def __init__(self, alpha=0.01, n_components=2, eta=1.0, alpha_ridge=0.0):
        self.alpha = alpha
        self.n_components = n_components
        self.eta = eta
        self.alpha_ridge = alpha_ridge

    @property
    def budget(self):
        """k, the dimension of the subspace."""
        return self.n_components


def cheap_shares(s, k, offset):
    r"""How the budget k is best shared among the values `s`, in a finite number of steps.

    .. math:: \operatorname*{argmin}_{0 \le \theta_i \le 1, \; \sum_i \theta_i \le k} \sum_i \frac{s_i^2}{c + \theta_i}

    Parameters
    ----------
    s : array of shape (n_values,)
        At least 0, largest first.
    k : int
    offset : float
        c > 0.

    Returns
    -------
    array of shape (n_values,)
        ``theta_i = clip(s_i / m - offset, 0, 1)`` with the m at which they sum to k; ones if all of them fit.
    """
    n = np.count_nonzero(s)
    if k >= n:
        return np.ones_like(s)
    ascending, below = s[:n][::-1], np.append(np.cumsum(s[:n][::-1])[::-1], 0.0)  # below[i]: the sum from s_i on

    def counts(m):  # how many have all, and how many have anything
        return n - np.searchsorted(ascending, (offset + 1.0) * m), n - np.searchsorted(ascending, offset * m)

    m = np.sort(np.concatenate([s[:n] / offset, s[:n] / (offset + 1.0)]))[::-1]  # where a share leaves 0 or reaches 1
    whole, some = counts(m)
    spent = whole + (below[whole] - below[some]) / m - offset * (some - whole)
    at = min(max(np.searchsorted(spent, k), 1), len(m) - 1)
    m = 0.5 * (m[at - 1] + m[at])
    whole, some = counts(m)
    if some > whole:
        m = (below[whole] - below[some]) / (k - whole + offset * (some - whole))
    with np.errstate(over="ignore"):  # for a tiny m the quotient is infinite, and the share 1
        return np.clip(s / m - offset, 0.0, 1.0)
