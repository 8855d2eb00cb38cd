"""Equations in which neighbours on a graph are coupled: ``blockdiag(H_t) + D' blockdiag(diag(k_e) - u_e u_e') D``.

D W are the differences along edges.  Where eliminating tasks joins few others, a sparse Cholesky factor solves them.
Else conjugate gradients do, until they take as long as the factor would, as they do where features are much alike.
"""

from functools import cached_property

import numpy as np
from numpy.linalg import LinAlgError
from scipy import sparse
from scipy.sparse import csgraph

from skmtl._algebra import membership, pseudo_inverse
from skmtl._inverses import invert_all
from skmtl._numba import kernel, read_only
from skmtl.solvers._fused.fronts import Elimination, Fronts
from skmtl.solvers._fused.laplacians import Laplacians
from skmtl.solvers._fused.sampled_laplacians import SampledLaplacians

__all__ = ["edge_system"]

_CHEAP = 1e7  # multiplications of a factorisation that always pays
_STEP = 3e5, 8.0  # multiplications in the time of a step of conjugate gradients: some, and some for each number in it
_MOST = 5000  # steps of conjugate gradients; a factorisation that takes longer never pays
_PAIRS = 100  # pairs of neighbours, twice, that eliminations couple for each edge: with more, rough factors are quicker
_REFINEMENTS = 20  # at most
_STEPS = 500  # of conjugate gradients
_EXACT, _ROUGH = 1e-4, 0.03  # their residual


def edge_system(H, s, t):
    """The way to solve such equations for H (n_tasks, d, d) and edges from s to t that suits their size."""
    n_tasks, d = H.shape[:2]
    elimination = Elimination(n_tasks, s, t)
    cost = elimination.cost(d)
    if cost <= _CHEAP:
        return Direct(H, s, t, elimination)
    n_steps = cost / (_STEP[0] + _STEP[1] * (H.size + 2 * len(s) * d))
    return Iterative(H, s, t, elimination) if n_steps > _MOST else Switching(H, s, t, elimination, n_steps)


def laplacians(elimination, s, t):
    """The factors that the preconditioner needs, each feature alone: exact ones, unless they would be dear."""
    later = elimination.later
    exact = later is not None and sum(len(row) ** 2 for row in later) <= _PAIRS * len(s)
    return (Laplacians if exact else SampledLaplacians)(elimination, s, t)


class EdgeSystem:
    """``A = blockdiag(H_t + diagonal) + D' blockdiag(diag(k_e) - u_e u_e') D``.

    Where k is many times H, rounding errors in A are as large as H in what the differences do not see: weights that are
    the same for all tasks of a connected component.  These get their values from the sums of H_t, without k.
    """

    exact = False  # whether solutions are, but for rounding

    def __init__(self, H, s, t):
        self.H, self.s, self.t = H, read_only(s.astype(np.int64)), read_only(t.astype(np.int64))
        joined = sparse.coo_array((np.ones(len(s)), (s, t)), shape=(len(H), len(H)))
        n_components, self._component = csgraph.connected_components(joined, directed=False)
        self._member = membership(self._component)
        self._sums = (self._member @ H.reshape(len(H), -1)).reshape(n_components, *H.shape[1:])
        self._n = self._member.sum(axis=1)[:, None]
        self.diagonal = None
        edges = np.arange(len(s))
        at, signs = (np.r_[s, t], np.r_[edges, edges]), np.repeat([1.0, -1.0], len(s))
        self._incidence = sparse.csr_array((signs, at), shape=(len(H), len(s)))

    def _factor(self):
        """Prepare for new K and U."""
        raise NotImplementedError

    def _solve(self, R, enough, rough):
        """A solution X that is right but for what tasks of a component have in common; arguments as of `solve`."""
        raise NotImplementedError

    def restart(self):
        """Forget what was learnt from the couplings of the last problem: the first ones of the next are easy."""

    def factor(self, diagonal, K, U):
        """Prepare for diagonal (d,) or (n_tasks, d), K (n_edges, 1 or d) and U (n_edges, d)."""
        if self.diagonal is None or not np.array_equal(self.diagonal, diagonal):
            self.diagonal = diagonal
            self._invert_sums()
        self._K, self._U = read_only(np.ascontiguousarray(K)), read_only(np.ascontiguousarray(U))
        self._factor()

    def _invert_sums(self):
        """Prepare `_common` for a new diagonal."""
        sums = self._sums.copy()
        np.einsum("tjj->tj", sums)[...] += self._member @ np.broadcast_to(self.diagonal, self.H.shape[:2])
        self._inverse_sums = pseudo_inverse(sums, 1e-13)

    def solve(self, R, enough=None, rough=False, start=None):
        """The solution X for R (n_tasks, d), and D X, which may be exact even where X is much larger.

        enough : what may be left of the equations, a number, (d,) or (n_tasks, d).
        rough : whether a few digits are enough.
        start : X and D X not far from the solution, which iterations go on from.
        """
        if start is not None and not self.exact:
            X, D = start
            more, more_D = self.solve(R - self._times_blocks(X) - self._divergence(D), enough, rough)
            return X + more, D + more_D
        common = self._common(R)
        R = R - self._times_blocks(common)
        X = self._solve(R, enough, rough)
        D = X[self.s] - X[self.t]
        if self.exact and enough is not None and not rough:
            X, D = self._refined(R, X, D, enough)
        return common + X + self._common(R - self._times_blocks(X)), D

    def _refined(self, R, X, D, enough):
        """A solution of which no more is left than `enough`, by conjugate gradients from X and D X on.

        A factor of small H beside large K is a rough one where features differ much in length: what all tasks of a
        component have in common, and what they have not, then need each other.  (SciPy's method would know X alone.)
        """
        P, DP, size, before = 0.0, 0.0, np.inf, R
        for _ in range(_REFINEMENTS):
            rest = R - self._times_blocks(X) - self._divergence(D)
            if (np.abs(rest) <= enough).all():
                break
            Z = self._solve(rest, enough, False)
            DZ = Z[self.s] - Z[self.t]
            Z += self._common(rest - self._times_blocks(Z))
            size, share = np.vdot(rest, Z), np.vdot(rest - before, Z) / size
            P, DP, before = Z + share * P, DZ + share * DP, rest
            step = np.vdot(P, rest) / np.vdot(P, self._times_blocks(P) + self._divergence(DP))
            X, D = X + step * P, D + step * DP
        return X, D

    def _divergence(self, D):
        """D' blockdiag(...) D X for D X."""
        flow = self._K * D - self._U * np.einsum("ej,ej->e", self._U, D)[:, None]
        return self._incidence @ flow

    def means(self, X):
        """X with the tasks of every component at their mean."""
        return (self._member @ X / self._n)[self._component]

    def _common(self, R):
        """Weights, the same within each component, for which what is left of R sums to zero there."""
        return np.matmul((self._member @ R)[:, None, :], self._inverse_sums)[:, 0][self._component]

    def _times_blocks(self, X):
        return np.matmul(X[:, None, :], self.H)[:, 0] + self.diagonal * X


class Direct(EdgeSystem):
    """By a sparse Cholesky factor."""

    exact = True

    def __init__(self, H, s, t, elimination):
        super().__init__(H, s, t)
        self._elimination = elimination

    @cached_property
    def _fronts(self):
        return Fronts(self._elimination, self.s, self.t, self.H.shape[2])

    def _factor(self):
        K, U = self._K, self._U
        largest = np.array([K.max()]) if K.shape[1] == 1 else K.max(axis=0)
        more = 2e-16 * largest
        for _ in range(10):
            H = self.H.copy()
            np.einsum("tjj->tj", H)[...] += self.diagonal + more
            try:
                return self._fronts.factor(H, K, U)
            except LinAlgError:  # positive in exact arithmetic only: rounding errors of K outweigh H
                more = 10.0 * np.maximum(more, 1e-15 * np.einsum("tjj->tj", self.H).max(axis=0))
        raise LinAlgError

    def _solve(self, R, enough, rough):
        return self._fronts.solve(R)


class Iterative(EdgeSystem):
    """By conjugate gradients.

    The preconditioner inverts the blocks of single tasks, without neighbours, and adds what these cannot see: all tasks
    together, without what couples features.
    """

    def __init__(self, H, s, t, elimination):
        super().__init__(H, s, t)
        self.most_steps = _STEPS
        self._touch, self._laplacians = abs(self._incidence), laplacians(elimination, s, t)

    def _factor(self):
        K, U = self._K, self._U
        blocks = self.H.copy()
        diagonal = np.einsum("tjj->tj", blocks)
        diagonal += self.diagonal
        self._laplacians.factor(diagonal, K - U**2)
        diagonal += self._touch @ K
        self._turned = self._U if U.any() else self._U[:0]
        if len(self._turned):
            subtract_squares(self._U, self.s, self.t, blocks)
        self._inverse = blocks
        invert_all(blocks)

    def product(self, X):
        """A X."""
        out = self._times_blocks(X)
        add_edges(read_only(X), self.s, self.t, self._K, self._turned, out)
        return out

    def precondition(self, R):
        """About A^-1 R."""
        return np.matmul(R[:, None, :], self._inverse)[:, 0] + self._laplacians.solve(R)

    def _solve(self, R, enough, rough):
        X, Z = np.zeros_like(R), self.precondition(R)
        P, R, size = Z, R.copy(), np.vdot(R, Z)
        small, self.n_steps = (_ROUGH if rough else _EXACT) ** 2 * size, 0
        while self.n_steps < self.most_steps:
            if (size <= small and (rough or enough is None)) or (enough is not None and (np.abs(R) <= enough).all()):
                break
            self.n_steps += 1
            AP = self.product(P)
            a = size / np.vdot(P, AP)
            X += a * P
            R -= a * AP
            Z = self.precondition(R)
            size, before = np.vdot(R, Z), size
            P = Z + size / before * P
        return X


class Switching(Direct):
    """Conjugate gradients, and the factor after K and U for which they took more than `n_steps`, about its time."""

    def __init__(self, H, s, t, elimination, n_steps):
        super().__init__(H, s, t, elimination)
        self._quick, self._n_steps = Iterative(H, s, t, elimination), n_steps
        self._quick.most_steps = int(2 * n_steps) + 1
        self.restart()

    def restart(self):
        self.exact, self._spent = False, 0

    def _factor(self):
        self.exact = self.exact or self._spent > self._n_steps
        self._spent = 0
        if self.exact:
            super()._factor()
        else:
            self._quick.factor(self.diagonal, self._K, self._U)

    def _solve(self, R, enough, rough):
        if self.exact:
            return super()._solve(R, enough, rough)
        X = self._quick._solve(R, enough, rough)
        self._spent += self._quick.n_steps
        if self._quick.n_steps < self._quick.most_steps:
            return X
        self.exact = True
        self._factor()
        return super()._solve(R, enough, rough)


@kernel
def add_edges(X, s, t, K, U, out):
    r"""Add ``D' blockdiag(diag(k_e) - u_e u_e') D X`` to out.

    X, out : float64 (n_tasks, d).  s, t : int64 (n_edges,), the ends.  K : float64 (n_edges, 1 or d).
    U : float64 (n_edges, d), or (0, d) where all u_e are zero.
    NumPy twin: ``Y = X[s] - X[t]; Y = K * Y - U * (U * Y).sum(1, keepdims=True)``, np.add.at(out, s, Y), at t -Y.
    """
    d, single = X.shape[1], K.shape[1] == 1
    for e in range(len(s)):
        a, b = s[e], t[e]
        if len(U) > 0:
            s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0  # four sums, which the processor adds at once
            for j in range(d // 4):
                s0 += U[e, 4 * j] * (X[a, 4 * j] - X[b, 4 * j])
                s1 += U[e, 4 * j + 1] * (X[a, 4 * j + 1] - X[b, 4 * j + 1])
                s2 += U[e, 4 * j + 2] * (X[a, 4 * j + 2] - X[b, 4 * j + 2])
                s3 += U[e, 4 * j + 3] * (X[a, 4 * j + 3] - X[b, 4 * j + 3])
            for j in range(d - d % 4, d):
                s0 += U[e, j] * (X[a, j] - X[b, j])
            along = s0 + s1 + s2 + s3
            for j in range(d):
                out[a, j] -= along * U[e, j]
                out[b, j] += along * U[e, j]
        if single:
            k = K[e, 0]
            for j in range(d):
                y = k * (X[a, j] - X[b, j])
                out[a, j] += y
                out[b, j] -= y
        else:
            for j in range(d):
                y = K[e, j] * (X[a, j] - X[b, j])
                out[a, j] += y
                out[b, j] -= y


@kernel
def subtract_squares(U, s, t, blocks):
    r"""Subtract ``u_e u_e'`` from the blocks (n_tasks, d, d) of both ends of every edge.

    U : float64 (n_edges, d).  s, t : int64 (n_edges,).
    """
    d = U.shape[1]
    for e in range(len(s)):
        a, b = s[e], t[e]
        for i in range(d):
            v = U[e, i]
            for j in range(i + 1):
                y = v * U[e, j]
                blocks[a, i, j] -= y
                blocks[b, i, j] -= y
    for k in range(len(blocks)):
        for i in range(d):
            for j in range(i):
                blocks[k, j, i] = blocks[k, i, j]
