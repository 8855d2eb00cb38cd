"""Tasks share a few directions: the weights have low rank."""

import numpy as np

from skmtl._algebra import over
from skmtl.penalties._spectral import largest_singular_value, singular_values, spectral
from skmtl.penalties.base import Norm, Square

__all__ = ["TaskRelationship", "TraceNorm"]


class TraceNorm(Norm):
    r"""All tasks are combinations of a few: the singular values of W, summed.

    .. math:: \Omega(W) = \alpha \|W\|_* + \tfrac{\alpha_r}{2} \|W\|_F^2 = \alpha \sum_i \sigma_i(W)
              + \tfrac{\alpha_r}{2} \|W\|_F^2, \qquad \|Z\|_*^\circ = \sigma_1(Z)

    Parameters
    ----------
    alpha : float, default=0.01
        Strength, >= 0.
    alpha_ridge : float, default=0.0
        Strength :math:`\alpha_r` of a ridge term, >= 0.

    References
    ----------
    Ji, Ye (2009), *ICML*, 457-464; Pong, Tseng, Ji, Ye (2010), *SIAM Journal on Optimization* 20:3465-3489.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import TraceNorm
    >>> penalty = TraceNorm(alpha=1.0)
    >>> penalty.prox(np.diag([3.0, 1.5, 0.5]), step=1.0).round(12)
    array([[2. , 0. , 0. ],
           [0. , 0.5, 0. ],
           [0. , 0. , 0. ]])
    """

    rotation_invariant = True

    unfolds = False

    def __init__(self, alpha=0.01, alpha_ridge=0.0):
        self.alpha = alpha
        self.alpha_ridge = alpha_ridge

    def value(self, W):
        """Omega(W)."""
        return float(self.alpha * singular_values(W).sum()) + self._ridge_value(W)

    def prox(self, V, step):
        """Singular values less ``step * alpha``, stopping at zero."""
        V, step = self._after_ridge(V, step)
        return spectral(V, lambda s: np.maximum(s - step * self.alpha, 0.0))

    def dual_norm(self, Z):
        """The largest singular value."""
        return largest_singular_value(Z)

    def fitted_attributes(self, W, parts, tasks, seen):
        s = singular_values(W)
        return {"rank_": int(np.sum(s > 1e-9 * s.max(initial=0.0)))}


class TaskRelationship(Square):
    r"""Tasks have a covariance, which is learned: the square of the trace norm.

    .. math:: \Omega(W) = \min_{S \succeq 0,\, \operatorname{tr} S = 1} \tfrac{\alpha}{2} \operatorname{tr}(W S^{-1} W')
              + \tfrac{\alpha_r}{2} \|W\|_F^2
              = \tfrac{\alpha}{2} \|W\|_*^2 + \tfrac{\alpha_r}{2} \|W\|_F^2,
              \qquad S = \frac{(W'W)^{1/2}}{\operatorname{tr} (W'W)^{1/2}}

    Without ridge its solutions are those of the trace norm: of strength :math:`\alpha \|W\|_*` at the solution W.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength, >= 0.
    alpha_ridge : float, default=0.0
        Strength :math:`\alpha_r` of the ridge term, >= 0.

    References
    ----------
    Zhang, Yeung (2010), *UAI*, 733-742.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import TaskRelationship
    >>> round(TaskRelationship(alpha=1.0).value(np.array([[3.0, 4.0], [3.0, 4.0]])), 12)
    25.0
    """

    rotation_invariant = True

    def __init__(self, alpha=0.01, alpha_ridge=0.0):
        self.alpha = alpha
        self.alpha_ridge = alpha_ridge

    def value(self, W):
        """Omega(W)."""
        return float(0.5 * self.alpha * singular_values(W).sum() ** 2) + self._ridge_value(W)

    def prox(self, V, step):
        """Singular values less ``step * alpha`` times the sum of the new ones, stopping at zero."""
        V, step = self._after_ridge(V, step)

        def shrink(s):
            total = np.cumsum(s) / (1.0 + step * self.alpha * np.arange(1, len(s) + 1))  # of the first 1, 2, ...
            r = np.sum(s > step * self.alpha * total)
            return np.maximum(s - step * self.alpha * total[max(r - 1, 0)], 0.0)

        return spectral(V, shrink)

    def conjugate(self, U):
        """``|U|^2 / (2 alpha)`` with the largest singular value."""
        size = largest_singular_value(U) ** 2
        return size / (2.0 * self.alpha) if self.alpha > 0 else (np.inf if size > 0 else 0.0)

    def fitted_attributes(self, W, parts, tasks, seen):
        length = np.linalg.norm(W, axis=1)
        seen = seen & (length > 1e-14 * length.max())  # what rounding leaves of zero weights points anywhere
        U, s, _ = np.linalg.svd(W[seen], full_matrices=False)
        A = np.zeros((len(W), len(s)))
        A[seen] = U * np.sqrt(over(s, s.sum()))  # A A' is the covariance
        unit = over(A, np.linalg.norm(A, axis=1, keepdims=True))
        correlation = unit @ unit.T
        np.fill_diagonal(correlation, 1.0)
        return {"task_covariance_": A @ A.T, "task_correlation_": np.clip(correlation, -1.0, 1.0, out=correlation)}
