r"""Weights of two kinds: ``W = P + Q``, a structure that tasks share and deviations from it, each with a norm.

    Omega(W) = min over P + Q = W of  Omega_P(P) + Omega_Q(Q)

The fit minimises over P and Q together, so `value` takes both.  The dual ball is the intersection of the two dual
balls.
"""

import numpy as np

from skmtl.penalties._prox import shrink_rows
from skmtl.penalties.base import Norm, Penalty
from skmtl.penalties.low_rank import TraceNorm
from skmtl.penalties.sparse import L1, JointFeature

__all__ = ["Decomposition", "Dirty", "RobustFeature", "RobustLowRank", "Sides", "SparseLowRank", "TaskLengths"]


class TaskLengths(Norm):
    r"""Most tasks have zero weights: the length of each task's weights, summed.

    .. math:: \Omega(W) = \alpha \sum_t \|w_t\|_2
    """

    rotation_invariant = True

    def __init__(self, alpha=0.01):
        self.alpha = alpha

    def value(self, W):
        """Omega(W)."""
        return float(self.alpha * np.linalg.norm(W, axis=1).sum())

    def prox(self, V, step):
        """Every task's weights shorter by ``step * alpha``, stopping at zero."""
        return shrink_rows(V, step * self.alpha)

    def dual_norm(self, Z):
        """The longest task."""
        return float(np.linalg.norm(Z, axis=1).max(initial=0.0))


class Sides(Norm):
    """A norm of the first n features plus one of the others, each with its own strength: a norm again, with alpha 1.

    So a decomposition is a penalty of a single W, with the features of P on one side and those of Q on the other.
    """

    alpha = 1.0

    def __init__(self, first, second, n):
        self.first = first
        self.second = second
        self.n = n

    def value(self, W):
        return self.first.value(W[:, : self.n]) + self.second.value(W[:, self.n :])

    def prox(self, V, step):
        return np.hstack([self.first.prox(V[:, : self.n], step), self.second.prox(V[:, self.n :], step)])

    def dual_norm(self, Z):
        first, second = self.first.dual_norm(Z[:, : self.n]), self.second.dual_norm(Z[:, self.n :])
        return max(first / self.first.alpha, second / self.second.alpha)


class Decomposition(Penalty):
    """``W = P + Q`` with a norm for each; a subclass gives the two in `terms`."""

    decomposition = True

    def value(self, P, Q):  # type: ignore[override]  # a function of two arrays
        """Omega_P(P) + Omega_Q(Q), and the ridge term of P + Q."""
        structure, deviation = self.terms(None)
        return structure.value(P) + deviation.value(Q) + self._ridge_value(P + Q)

    def alpha_max(self, gradient):
        structure, deviation = self.terms(None)
        needed = deviation.dual_norm(gradient)
        if needed > deviation.alpha * (1.0 + 1e-12):
            (name,) = (name for name in self.get_params() if name.startswith("alpha_") and name != "alpha_ridge")
            raise ValueError(
                f"{type(self).__name__} has no alpha_max with {name}={deviation.alpha:g}: deviations have to be "
                f"penalised by {name} >= {needed:g} for any alpha to make W zero."
            )
        return structure.with_alpha(1.0).dual_norm(gradient)

    @property
    def is_free(self):
        """Whether one of the parts costs nothing, so that all of W is in it and W costs no more than its ridge term."""
        return any(term.alpha == 0 for term in self.terms(None))

    def parts_of(self, W, seen):
        """P and Q, one of which costs nothing; `seen` is as in `fitted_attributes`."""
        structure, _ = self.terms(None)
        P = np.zeros_like(W) if structure.alpha > 0 else W.copy()
        return P, W - P

    def shared_parts(self, P, Q):
        """The two parts of what `shared` gives a task never seen."""
        return P.mean(axis=0), Q.mean(axis=0)

    def fitted_attributes(self, W, parts, tasks, seen):
        P, Q = parts
        return {"structured_coef_": P, "deviation_coef_": Q}


class _Outlying(Decomposition):
    """A decomposition in which Q is zero but for outlying tasks; tasks never seen do not count as such."""

    def parts_of(self, W, seen):
        P, _ = super().parts_of(W, seen)
        P[~seen] = W[~seen]
        return P, W - P

    def shared_parts(self, P, Q):
        return (P + Q).mean(axis=0), np.zeros_like(Q[0])

    def fitted_attributes(self, W, parts, tasks, seen):
        return super().fitted_attributes(W, parts, tasks, seen) | {"outlier_tasks_": tasks[parts[1].any(axis=1)]}


class Dirty(Decomposition):
    r"""Features that all tasks use, and single weights besides.

    .. math:: \Omega(P, Q) = \alpha \sum_j \|P_j\|_{2 \text{ or } \infty} + \alpha_s \|Q\|_1
              + \tfrac{\alpha_r}{2} \|P + Q\|_F^2

    Parameters
    ----------
    alpha : float, default=0.01
        Strength on the shared features P, >= 0.
    alpha_sparse : float, default=0.01
        Strength :math:`\alpha_s` on the single weights Q, >= 0.
    norm : {2, inf}, default=2
        The norm of a feature's weights over tasks; inf as in the source.
    alpha_ridge : float, default=0.0
        Strength :math:`\alpha_r` of a ridge term, >= 0.

    References
    ----------
    Jalali, Ravikumar, Sanghavi, Ruan (2010), *NIPS*, 964-972.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import Dirty
    >>> Dirty(alpha=1.0, alpha_sparse=0.5).value(np.array([[3.0], [4.0]]), np.array([[1.0], [0.0]]))
    5.5
    """

    unfolds = False

    def __init__(self, alpha=0.01, alpha_sparse=0.01, norm=2, alpha_ridge=0.0):
        self.alpha = alpha
        self.alpha_sparse = alpha_sparse
        self.norm = norm
        self.alpha_ridge = alpha_ridge

    def terms(self, tasks):
        return JointFeature(self.alpha, norm=self.norm), L1(self.alpha_sparse)


class RobustLowRank(_Outlying):
    r"""Tasks of low rank, but for outliers.

    .. math:: \Omega(L, S) = \alpha \|L\|_* + \alpha_o \sum_t \|s_t\|_2 + \tfrac{\alpha_r}{2} \|L + S\|_F^2

    Parameters
    ----------
    alpha : float, default=0.01
        Strength on the part L of low rank, >= 0.
    alpha_outlier : float, default=0.01
        Strength :math:`\alpha_o` on the weights S of outlying tasks, >= 0.
    alpha_ridge : float, default=0.0
        Strength :math:`\alpha_r` of a ridge term, >= 0.

    References
    ----------
    Chen, Zhou, Ye (2011), *KDD*, 42-50.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import RobustLowRank
    >>> L, S = np.array([[2.0, 0.0], [2.0, 0.0]]), np.array([[3.0, 4.0], [0.0, 0.0]])
    >>> round(RobustLowRank(alpha=1.0, alpha_outlier=1.0).value(L, S), 9)
    7.828427125
    """

    rotation_invariant = True

    def __init__(self, alpha=0.01, alpha_outlier=0.01, alpha_ridge=0.0):
        self.alpha = alpha
        self.alpha_outlier = alpha_outlier
        self.alpha_ridge = alpha_ridge

    def terms(self, tasks):
        return TraceNorm(self.alpha), TaskLengths(self.alpha_outlier)


class RobustFeature(_Outlying):
    r"""Features that all tasks use, but for outlying tasks.

    .. math:: \Omega(P, Q) = \alpha \sum_j \|P_j\|_2 + \alpha_o \sum_t \|q_t\|_2 + \tfrac{\alpha_r}{2} \|P + Q\|_F^2

    Parameters
    ----------
    alpha : float, default=0.01
        Strength on the shared features P, >= 0.
    alpha_outlier : float, default=0.01
        Strength :math:`\alpha_o` on the weights Q of outlying tasks, >= 0.
    alpha_ridge : float, default=0.0
        Strength :math:`\alpha_r` of a ridge term, >= 0.

    References
    ----------
    Gong, Ye, Zhang (2012), *KDD*, 895-903.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import RobustFeature
    >>> P, Q = np.array([[3.0, 0.0], [4.0, 0.0]]), np.array([[0.0, 0.0], [3.0, 4.0]])
    >>> RobustFeature(alpha=1.0, alpha_outlier=2.0).value(P, Q)
    15.0
    """

    def __init__(self, alpha=0.01, alpha_outlier=0.01, alpha_ridge=0.0):
        self.alpha = alpha
        self.alpha_outlier = alpha_outlier
        self.alpha_ridge = alpha_ridge

    def terms(self, tasks):
        return JointFeature(self.alpha), TaskLengths(self.alpha_outlier)


class SparseLowRank(Decomposition):
    r"""Single weights, and a part of low rank besides.

    .. math:: \Omega(P, Q) = \alpha \|P\|_1 + \alpha_l \|Q\|_* + \tfrac{\alpha_r}{2} \|P + Q\|_F^2

    Parameters
    ----------
    alpha : float, default=0.01
        Strength on the single weights P, >= 0.
    alpha_low_rank : float, default=0.01
        Strength :math:`\alpha_l` on the part Q of low rank, >= 0.
    alpha_ridge : float, default=0.0
        Strength :math:`\alpha_r` of a ridge term, >= 0.

    References
    ----------
    Chen, Liu, Ye (2010), *KDD*, 1179-1188.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import SparseLowRank
    >>> penalty = SparseLowRank(alpha=1.0, alpha_low_rank=2.0)
    >>> round(penalty.value(np.array([[1.0, 0.0]]), np.array([[3.0, 4.0]])), 12)
    11.0
    """

    def __init__(self, alpha=0.01, alpha_low_rank=0.01, alpha_ridge=0.0):
        self.alpha = alpha
        self.alpha_low_rank = alpha_low_rank
        self.alpha_ridge = alpha_ridge

    def terms(self, tasks):
        return L1(self.alpha), TraceNorm(self.alpha_low_rank)
