"""Quadratic functions of the tasks, ``1/2 tr(W' K W)``, as terms of a splitting."""

from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph
from scipy.sparse.linalg import splu

from skmtl.penalties.base import Square

__all__ = ["AroundMean", "TaskQuadratic", "laplacian_solver", "sparse_solver"]

_DENSE = 500  # tasks; with fewer, a product with the dense inverse is as fast as a sparse factor
_ROUNDING = 1e-12  # a combination of tasks that K takes to less than this share of |K| |x| costs nothing


class TaskQuadratic(Square):
    r"""Half a quadratic form of the tasks, the same for every feature.

    .. math:: \Omega(W) = \tfrac12 \operatorname{tr}(W' K W) \;\text{for arrays } W \text{ (n\_tasks, n\_features)}

    Parameters
    ----------
    K : array or sparse array of shape (n_tasks, n_tasks)
        Symmetric and positive semi-definite, with at most one null vector in each connected component, as a graph's
        Laplacian has.
    """

    rotation_invariant = True

    _latest = (None, None)  # the last step, and the function that solves with I + step K

    def __init__(self, K):
        self.K = K

    def value(self, W):
        W = self._ranged(W)  # what costs nothing, large as it may be, brings no rounding errors
        return float(0.5 * np.vdot(W, self.K @ W))

    def slope(self, W):
        """The gradient ``K W``, likewise."""
        return self.K @ self._ranged(W)

    def prox(self, V, step):
        """``(I + step K)^-1 V``; the factor is kept, since solvers keep their step for many iterations."""
        latest, apply = self._latest
        if latest != step:
            apply = self._shrinkage(step)
            self._latest = step, apply
        return apply(V)

    def _shrinkage(self, step):
        """``(I + step K)^-1`` as a function, the identity on the null space however large the step."""
        n_tasks, K = len(self.components), sparse.csr_array(self.K)
        if n_tasks > _DENSE:
            solve = sparse_solver(sparse.eye_array(n_tasks) + step * K)
            return lambda V: self._ranged(solve(self._ranged(V))) + self._null_part(V)
        identity = np.eye(n_tasks)
        null = self._null_part(identity)
        inverse = np.linalg.inv(identity + step * (K + abs(K).max() * null))  # regular where step K rounds off I
        matrix = self._ranged(inverse @ self._ranged(identity)) + null
        return lambda V: matrix @ V

    def conjugate(self, U):
        """``1/2 tr(U' K^+ U)`` for U in the range of K; what is not, such as rounding errors, is projected out."""
        U = self._ranged(U)
        return float(0.5 * np.vdot(U, self._inverse(U)))

    @cached_property
    def components(self):
        """The connected component of every task (n_tasks,)."""
        return _components(self.K)

    @cached_property
    def null(self):
        """Combinations of tasks that cost nothing, orthonormal, one a column; sparse array (n_tasks, n_null)."""
        K = sparse.csr_array(self.K)
        x = np.ones(len(self.components))  # a Laplacian's
        if _costs(K, x).any():
            solve = sparse_solver(K + 1e-10 * abs(K).max() * sparse.eye_array(len(x)))
            for _ in range(3):  # inverse iteration, a few digits more each time
                x = solve(x[:, None])[:, 0]
                x /= np.sqrt(np.bincount(self.components, x**2))[self.components]
        free = ~np.isin(self.components, self.components[_costs(K, x)])
        column = np.unique(self.components[free], return_inverse=True)[1]
        length = np.sqrt(np.bincount(column, x[free] ** 2))
        shape = (len(x), len(length))
        return sparse.csr_array((x[free] / length[column], (np.flatnonzero(free), column)), shape=shape)

    def _null_part(self, V):
        return self.null @ (self.null.T @ V)

    def _ranged(self, V):
        return V - self._null_part(V)

    @cached_property
    def _inverse(self):
        """Solves ``K X = U`` for U in the range of K."""
        return _grounded_solver(self.K, abs(self.null).argmax(axis=0))


class AroundMean(TaskQuadratic):
    r"""A quadratic form to which all tasks are alike: a price of deviations from the mean, and one of the mean.

    .. math:: \Omega(W) = \tfrac{a}{2} \sum_t \|w_t - \bar w\|_2^2 + \tfrac{b T}{2} \|\bar w\|_2^2, \qquad
              K = a I + (b - a) 1 1' / T

    In closed form: K has an entry for every pair of tasks, and is not written out.

    Parameters
    ----------
    apart, together : float
        Strengths a > 0 and b >= 0.
    n_tasks : int
    """

    def __init__(self, apart, together, n_tasks):
        size = (together + (n_tasks - 1) * (apart + abs(together - apart))) / n_tasks  # a row of |K|, summed
        free = together <= _ROUNDING * size  # what costs nothing, as `TaskQuadratic` has it
        self.apart, self.together, self.n_tasks = apart, 0.0 if free else together, n_tasks

    def value(self, W):
        mean, deviations = _split(W)
        return float(0.5 * (self.apart * np.vdot(deviations, deviations) + self.together * len(W) * (mean @ mean)))

    def slope(self, W):
        mean, deviations = _split(W)
        return self.apart * deviations + self.together * mean

    def prox(self, V, step):
        mean, deviations = _split(V)
        return deviations / (1.0 + step * self.apart) + mean / (1.0 + step * self.together)

    def conjugate(self, U):
        mean, deviations = _split(U)
        common = len(U) * (mean @ mean) / self.together if self.together > 0 else 0.0
        return float(0.5 * (np.vdot(deviations, deviations) / self.apart + common))

    @cached_property
    def null(self):
        """The mean, where it costs nothing."""
        return sparse.csr_array(np.full((self.n_tasks, 0 if self.together > 0 else 1), self.n_tasks**-0.5))


def _split(W):
    """The mean of all tasks and what each deviates from it."""
    mean = W.mean(axis=0)
    return mean, W - mean


def laplacian_solver(L):
    """A function that solves ``L X = M`` for a Laplacian L (n_tasks, n_tasks), sparse or not.

    M (n_tasks, n_features) must sum to zero in every connected component; one task of each has X = 0.
    """
    return _grounded_solver(L, np.unique(_components(L), return_index=True)[1])


def _grounded_solver(K, ground):
    """Solves ``K X = U`` with X = 0 at the tasks `ground`, one for each null vector of K."""
    kept = np.setdiff1d(np.arange(K.shape[0]), ground)
    solve = sparse_solver(sparse.csr_array(K)[kept][:, kept])

    def solve_grounded(U):
        X = np.zeros_like(U)
        X[kept] = solve(U[kept])
        return X

    return solve_grounded


def sparse_solver(A):
    """A function that solves ``A X = B`` for a sparse positive definite A."""
    if A.shape[0] <= _DENSE:
        inverse = np.linalg.inv(A.toarray())
        return lambda B: inverse @ B
    return splu(A.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}).solve


def _costs(K, x):
    """Which rows of ``K x`` are not zero but for rounding."""
    return np.abs(K @ x) > _ROUNDING * (abs(K) @ np.abs(x))


def _components(K):
    return csgraph.connected_components(sparse.csr_array(K), directed=False)[1]
