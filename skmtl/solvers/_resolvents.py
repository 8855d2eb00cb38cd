r"""Resolvents ``(c_t G_t + a I)^-1`` of all tasks, as functions of R (n_tasks, n_features).

For tasks that share rows A but not all labels they come from the formula of Woodbury (1950, *Memorandum Report* 42,
Princeton University).  With the rows M that a task has no label for and, for an intercept, a unit vector e over all n
rows, whose entries are 1 / sqrt(n) if the weights are 1,

    (G_t + a I)^-1 = K + K M'(I - H_t)^-1 M K,   K = (A'A + a I)^-1,   H_t = M K M' + e_M e_M',

where e_M are the entries of e for the rows M.  H_t is a part of one matrix for all tasks, the hat matrix of ridge
regression with an intercept (Hoaglin, Welsch 1978, *The American Statistician* 32:17-22).  Where a task has few labels,
it is ``K - K L'(I + L K L')^-1 L K`` with the task's own centred rows L and ``K = I / a``.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from skmtl._algebra import plus_diagonal
from skmtl._inverses import invert_all
from skmtl.moments._incomplete import IncompleteMoments
from skmtl.solvers.solution import largest_of

__all__ = ["IncompleteResolvent", "Resolvent", "between_rows", "resolvent_of"]

_LEAST = 1e-12  # share of the largest curvature: a smaller D would be rounding beside it, and counts as this much
_ATTEMPTS = 5  # to factor a matrix that is positive definite but for rounding
_WEAK = 1e-6  # share of the largest curvature: with a strength of less, inverting products of rows would lose digits


def resolvent_of(moments, c, a, once=False):
    """The resolvent that the moments have, for one a > 0: called with R, and with a `sum_damped` over the tasks.

    With `once` there is no other strength that could use the factors of the moments again.
    """
    if isinstance(moments, IncompleteMoments):
        return IncompleteResolvent(moments, c, a)
    return Resolvent(moments, c, a, once)


def between_rows(rows, c, a):
    """``X_t X_t' + a / c_t I`` of tasks that keep rows X_t."""
    return plus_diagonal(np.matmul(rows.A, rows.A.swapaxes(1, 2)), a / c[rows.tasks, None])


class Resolvent:
    """``(A_t + a I)^-1`` for A_t = c_t G_t and a > 0.

    By inversion where a task has a Gram matrix of its own: half the time of an eigendecomposition, and features may
    differ in length by orders of magnitude, which eigenvalues do not bear.  Tasks with few rows X have factors; for one
    strength alone, unless it is weak, smaller inverses take a tenth of their time:

        (A_t + a I)^-1 = 1 / a (I - X' K^-1 X),    K = X X' + a / c_t I.
    """

    def __init__(self, moments, c, a, once=False):
        self.moments, self.c, self.a = moments, c, a
        self.inverse, self.inside = None, []
        if moments.shared:
            self.factors = moments.factors
            return
        if len(moments.gram):
            self.inverse = invert_all(plus_diagonal(c[moments.full, None, None] * moments.gram, a), moments.n_jobs)
        few = once and a > _WEAK * largest_of(moments, c)
        self.factors = () if few else moments.thin_factors
        for rows in moments.rows if few else ():
            self.inside.append((rows, invert_all(between_rows(rows, c, a), moments.n_jobs)))

    def __call__(self, R):
        """``(A_t + a I)^-1 r_t`` for r_t in the range of A_t."""
        out = np.zeros_like(R)
        if self.inverse is not None:
            full = self.moments.full
            out[full] = np.matmul(R[full, None, :], self.inverse)[:, 0]
        for f in self.factors:
            out[f.tasks] = f.up(f.down(R[f.tasks]) / (self.c[f.tasks, None] * f.l + self.a))
        for rows, inverse in self.inside:
            R_few = R[rows.tasks]
            within = rows.products(np.matmul(rows.margins(R_few)[:, None], inverse)[:, 0])
            out[rows.tasks] = (R_few - within) / self.a
        return out

    def sum_damped(self):
        """``sum_t a A_t (A_t + a I)^-1``, shape (d, d)."""
        d = self.moments.n_features
        S = np.zeros((d, d))
        if self.inverse is not None:
            A = self.c[self.moments.full, None, None] * self.moments.gram
            S = self.a * (self.inverse.reshape(-1, d).T @ A.reshape(-1, d))  # inverses are symmetric
        for rows, inverse in self.inside:
            S += self.a * (rows.A.reshape(-1, d).T @ np.matmul(inverse, rows.A).reshape(-1, d))
        S = 0.5 * (S + S.T)
        for f in self.factors:
            l = self.c[f.tasks, None] * f.l  # noqa: E741
            damped = self.a * l / (l + self.a)
            if len(f.V) == 1:
                damped = damped.sum(axis=0, keepdims=True)
            half = (np.sqrt(damped)[:, :, None] * f.V).reshape(-1, d)
            S += half.T @ half
        return S


class IncompleteResolvent:
    """``(c_t G_t + D_t I)^-1`` for D_t >= 0: ``1 / c_t (K + K A_S' X_t A_S K)`` with K diagonal in `directions`.

    The rows S are the missing ones of a task, and K is ``(A'A + a I)^-1``; or, where these are fewer, the labelled
    ones, and K is ``1 / a``.

    Parameters
    ----------
    moments : IncompleteMoments
    c : array of shape (n_tasks,)
    D : float or array of shape (n_tasks, 1)
    """

    def __init__(self, moments, c, D):
        self.V, self.Z, self.l = moments.directions
        self.unit, self.c = moments.unit, c[:, None]
        self.D = np.maximum(D, _LEAST * self.c * max(self.l.max(initial=0.0), 1e-100))
        self.a = self.D / self.c
        n_labels = moments.labelled.sum(axis=0)
        self.few = 2 * n_labels <= len(self.Z)
        self.rows = [np.flatnonzero(column == few) for column, few in zip(moments.labelled.T, self.few, strict=True)]
        self.K = 1.0 / (np.where(self.few[:, None], 0.0, self.l) + self.a)
        self.X: dict[int, _Between] = {}
        for K, tasks, whole in self._groups():
            H = (self.Z * K) @ self.Z.T if whole else None
            for t in tasks:
                S = self.rows[t]
                own = (self.Z[S] * K) @ self.Z[S].T if H is None else H[S[:, None], S]
                between = _Between.of_labelled if self.few[t] else _Between.of_missing
                self.X[t] = between(own, self.unit[S])

    def _groups(self):
        """Each K with its tasks that have rows in S, and whether all rows by all are fewer numbers than theirs."""
        size = np.array([len(S) for S in self.rows])
        for a, few in set(zip(self.a[:, 0], self.few, strict=True)):
            tasks = np.flatnonzero((self.a[:, 0] == a) & (self.few == few) & (size > 0))
            if len(tasks):
                yield self.K[tasks[0]], tasks, len(self.Z) ** 2 <= size[tasks] @ size[tasks]

    def __call__(self, R):
        """``(c_t G_t + D_t I)^-1 r_t`` for R (n_tasks, n_features)."""
        R = R / self.c
        inside = R @ self.V.T
        q = self.K * inside
        margins = q @ self.Z.T
        between = np.zeros_like(margins)
        for t, X in self.X.items():
            between[t, self.rows[t]] = X(margins[t, self.rows[t]])
        q += self.K * (between @ self.Z)
        if len(self.V) == self.V.shape[1]:
            return q @ self.V
        return (q - inside / self.a) @ self.V + R / self.a  # there is more than the rows span

    def sum_damped(self):
        """``sum_t D_t A_t (A_t + D_t I)^-1`` for ``A_t = c_t G_t``, shape (n_features, n_features).

        ``D I - D^2 (A + D I)^-1``, K's part in a form that loses no digits.
        """
        damped = (self.D * np.where(self.few[:, None], 0.0, self.l) * self.K).sum(axis=0)
        S = (self.V.T * damped) @ self.V
        for K, tasks, whole in self._groups():
            half = (self.Z * K) @ self.V
            total = np.zeros((len(half),) * 2) if whole else None
            for t in tasks:
                rows, X = self.rows[t], self.D[t] * self.a[t] * self.X[t].dense()
                if whole:
                    total[rows[:, None], rows] += X
                else:
                    S -= half[rows].T @ X @ half[rows]
            if whole:
                S -= half.T @ total @ half
        return 0.5 * (S + S.T)


@dataclass(frozen=True, eq=False)
class _Between:
    """``X = s P (I - s H)^-1 P`` of one task, P the projection off a unit vector if there is one."""

    sign: float
    factor: np.ndarray  # of Cholesky, upper
    unit: np.ndarray | None

    @classmethod
    def of_missing(cls, H, unit):
        """From what its missing rows are to each other by K: ``(I - H - e e')^-1``."""
        return cls(1.0, _upper(np.eye(len(H)) - H - np.outer(unit, unit)), None)

    @classmethod
    def of_labelled(cls, H, unit):
        """From what its labelled rows are to each other: ``-P (I + P H P)^-1 P``, P taking off their mean."""
        length = np.linalg.norm(unit)
        if length == 0.0:
            return cls(-1.0, _upper(np.eye(len(H)) + H), None)
        unit = unit / length
        H = H - np.outer(unit, unit @ H)
        return cls(-1.0, _upper(np.eye(len(H)) + H - np.outer(H @ unit, unit)), unit)

    def __call__(self, u):
        """``X u``."""
        if self.unit is not None:
            u = u - self.unit * (self.unit @ u)
        x = self.sign * lapack.dpotrs(self.factor, u)[0]
        return x if self.unit is None else x - self.unit * (self.unit @ x)

    def dense(self):
        """X."""
        X = np.triu(lapack.dpotri(self.factor)[0])
        X = self.sign * (X + np.triu(X, 1).T)
        if self.unit is not None:
            X -= np.outer(self.unit, self.unit @ X)
            X -= np.outer(X @ self.unit, self.unit)
        return X


def _upper(A):
    """The factor of Cholesky of A, positive definite but for rounding, for LAPACK: `cho_solve` takes longer to call."""
    more = len(A) * np.finfo(float).eps * np.max(np.diag(A), initial=0.0)
    for attempt in range(_ATTEMPTS):
        factor, failed = lapack.dpotrf(A.T if attempt == 0 else A.T + 100.0 ** (attempt - 1) * more * np.eye(len(A)))
        if not failed:
            return factor
    raise np.linalg.LinAlgError("What missing labels take from the moments leaves no positive definite matrix.")
