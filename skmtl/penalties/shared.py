"""Tasks share a weight vector: not at all, entirely, or up to a deviation of their own."""

from functools import cached_property

import numpy as np
from scipy import sparse

from skmtl.penalties.base import Penalty, Square
from skmtl.penalties.quadratic import AroundMean
from skmtl.penalties.sparse import L1

__all__ = ["Alike", "Pooled", "Ridge", "SharedPlusSpecific"]


class Ridge(Penalty):
    r"""Tasks have nothing in common.

    .. math:: \Omega(W) = \tfrac{\alpha}{2} \|W\|_F^2 = \tfrac{\alpha}{2} \sum_t \|w_t\|_2^2

    Parameters
    ----------
    alpha : float, default=0.01
        Strength, >= 0.

    References
    ----------
    Hoerl, Kennard (1970), *Technometrics* 12:55-67.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import Ridge
    >>> Ridge(alpha=2.0).value(np.array([[1.0, 2.0], [0.0, 1.0]]))
    6.0
    """

    separable = True
    rotation_invariant = True

    def __init__(self, alpha=0.01):
        self.alpha = alpha

    @property
    def ridge(self):
        return float(self.alpha)

    def value(self, W):
        """Omega(W)."""
        return float(0.5 * self.alpha * np.sum(W**2))

    def terms(self, tasks):
        """None: all of it is the ridge term."""
        return ()


class Pooled(Penalty):
    r"""All tasks have the same weights.

    .. math:: \Omega(W) = \tfrac{\alpha}{2} \|w\|_2^2 \text{ if every } w_t = w, \text{ else } \infty

    The limit of `SharedPlusSpecific` with ``alpha_shared=alpha`` as its `alpha` grows.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength, >= 0.
    task_intercepts : bool, default=False
        Whether every task has an intercept of its own; False: one for all.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import Pooled
    >>> Pooled(alpha=2.0).value(np.array([[1.0, 2.0], [1.0, 2.0]]))
    5.0
    >>> Pooled(alpha=2.0).value(np.array([[1.0, 2.0], [1.0, 0.0]]))
    inf
    """

    rotation_invariant = True

    def __init__(self, alpha=0.01, task_intercepts=False):
        self.alpha = alpha
        self.task_intercepts = task_intercepts

    def value(self, W):
        """Omega(W)."""
        return Alike(self.alpha, len(W)).value(W)

    @property
    def alpha_intercept(self):
        """Infinite where there is only one intercept."""
        return 0.0 if self.task_intercepts else np.inf

    def terms(self, tasks):
        return (Alike(self.alpha, len(tasks)),)


class Alike(Square):
    """``alpha / 2 |w|^2`` where all tasks have weights w, else infinite: `Pooled` as a term of a sum."""

    constrains = True  # also where alpha is 0

    def __init__(self, alpha, n_tasks):
        self.alpha = alpha
        self.n_tasks = n_tasks

    @cached_property
    def null(self):
        """The common weights, which cost nothing where alpha is 0."""
        return sparse.csr_array(np.full((self.n_tasks, 0 if self.alpha > 0 else 1), self.n_tasks**-0.5))

    def value(self, W):
        """The price of the common weights, infinite if there are none."""
        return float(0.5 * self.alpha * np.sum(W[0] ** 2)) if (W == W[0]).all() else np.inf

    def prox(self, V, step):
        """The common weights nearest to those of all tasks, shrunk."""
        return np.repeat(V.sum(axis=0, keepdims=True) / (len(V) + step * self.alpha), len(V), axis=0)

    def conjugate(self, U):
        """``|sum_t u_t|^2 / (2 alpha)``; 0 where alpha is 0, for U that sums to zero over tasks."""
        total = U.sum(axis=0)
        return float(0.5 * total @ total / self.alpha) if self.alpha > 0 else 0.0


class SharedPlusSpecific(Penalty):
    r"""Tasks are variations of one: a shared weight vector and a deviation for each task.

    .. math:: \Omega(W) = \min_{w_0} \tfrac{\alpha_0}{2} \|w_0\|_2^2 + \tfrac{\alpha}{2} \sum_t \|w_t - w_0\|_2^2
              + \alpha_1 \|W\|_1, \qquad w_0 = \frac{\alpha}{\alpha_0 + T \alpha} \sum_t w_t

    With ``alpha_intercept`` > 0 the intercepts are pulled together as well, by
    :math:`\tfrac{\alpha_b}{2} \sum_t (b_t - b_0)^2` with a free :math:`b_0`.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength on the deviations, >= 0. 0 makes tasks independent, a large value pools them.
    alpha_shared : float, default=1.0
        Strength on the shared weights, >= 0: :math:`\alpha_0`.
    alpha_intercept : float, default=0.0
        Strength on the deviations of the intercepts, >= 0: :math:`\alpha_b`. 0 leaves the intercepts free.
    alpha_l1 : float, default=0.0
        Strength :math:`\alpha_1` on the absolute value of every weight, >= 0.

    References
    ----------
    Evgeniou, Pontil (2004), *KDD*, 109-117.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import SharedPlusSpecific
    >>> SharedPlusSpecific(alpha=1.0, alpha_shared=2.0).value(np.array([[1.0], [3.0]]))
    3.0
    """

    def __init__(self, alpha=0.01, alpha_shared=1.0, alpha_intercept=0.0, alpha_l1=0.0):
        self.alpha = alpha
        self.alpha_shared = alpha_shared
        self.alpha_intercept = alpha_intercept
        self.alpha_l1 = alpha_l1

    @property
    def rotation_invariant(self):
        """True without the absolute values."""
        return self.alpha_l1 == 0

    def value(self, W):
        """Omega(W), without the intercepts."""
        w0 = self.shared(W)
        squares = 0.5 * self.alpha_shared * w0 @ w0 + 0.5 * self.alpha * np.sum((W - w0) ** 2)
        return float(squares + self.alpha_l1 * np.abs(W).sum())

    def shared(self, W):
        """The best w_0 for W, shape (n_features,)."""
        total = self.alpha_shared + len(W) * self.alpha
        return W.mean(axis=0) if total == 0 else (self.alpha / total) * W.sum(axis=0)

    def terms(self, tasks):
        if self.alpha == 0:
            return (L1(self.alpha_l1),)
        together = self.alpha * (self.alpha_shared / (self.alpha_shared + len(tasks) * self.alpha))
        return AroundMean(self.alpha, together, len(tasks)), L1(self.alpha_l1)
