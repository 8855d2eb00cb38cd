"""Latent basis tasks: a lasso for every task's loadings, one linear system for the components, in turn.

The problem is nonconvex.  Several starts, the same in every fit, take a few rounds each, and the best goes on.
"""

import numpy as np
from scipy.linalg import qr

from skmtl.penalties import LatentBasis, ReducedRank, Ridge
from skmtl.solvers._alternating import Components, Step, best_of, relative_change, seen_by
from skmtl.solvers._sparse_minima import sparse_minima
from skmtl.solvers.solution import Certificate, loss_at_zero, loss_of, solution_of, solve, solve_one, without_grams

__all__ = ["BasisSteps", "directions", "ordered"]

_SWEEPS = 1000  # turns of coordinate descent in the loadings, at most
_EXACT = 1e-13  # share of the largest gradient at zero: what the lassos of the loadings may leave of their equations
_STRENGTHS = 0.1, 1.0  # ridges of the starts, in units of the mean curvature of the loss
_RANDOM = 10, 2  # starts from random mixtures of tasks, and how many where a step is dear


@solve.register
@without_grams
def solve_latent_basis(penalty: LatentBasis, path, moments, c, *, tol=1e-6, max_iter=1000, init=None):
    """Every penalty of a path starts from the ridge solutions, and from the solution before."""
    for basis in path:
        if basis.alpha * basis.alpha_ridge == 0:
            solution = solve_one(_unpenalized(basis), moments, c, tol=tol, max_iter=max_iter, init=init)
            S, B = directions(solution.W, basis.n_components)
            certificate, n_iter, settled = solution.certificate, solution.n_iter, solution.converged
        else:
            (S, B), change, n_iter, settled = _alternate(basis, moments, c, tol, max_iter, init)

            def certificate(S=S, B=B, basis=basis, change=change):
                loss = loss_of(moments, c, S @ B, moments.times_gram(S @ B))
                return Certificate(loss + basis.value(B, S), None, change)

        active = moments.active
        S = np.where(active[:, None], S, S[active].mean(axis=0))
        yield solution_of(moments, S @ B, certificate, n_iter=n_iter, converged=settled, parts=(S,))
        init = S @ B


def _unpenalized(basis):
    """The problem if one strength is 0: scaling the factors then makes the other term as small as one likes."""
    return ReducedRank(basis.n_components, alpha_ridge=0.0)


def _alternate(basis, moments, c, tol, max_iter, init):
    """The factors, the change of the last step, the number of steps and whether they came to rest."""
    problem = BasisSteps(basis, moments, c)
    starts = list(problem.starts(init))
    last, n_iter, settled = best_of(problem, starts, f0=problem.f0, tol=tol, max_iter=max_iter)
    S, B = last.model
    if not last.objective < problem.f0:  # a local minimum above zero weights
        return (np.zeros_like(S), np.zeros_like(B)), 0.0, n_iter, True
    return ordered(S, B), last.change, n_iter, settled


def ordered(S, B):
    """The same factors, the components with the largest loadings first, these positive on the whole."""
    order = np.argsort(-np.abs(S).sum(axis=0), kind="stable")
    sign = np.where(S.sum(axis=0) < 0, -1.0, 1.0)
    return (S * sign)[:, order], (B * sign[:, None])[order]


class BasisSteps:
    """``loss(S B) + alpha |S|_1 + alpha_ridge / 2 |B|^2``, by steps exact in S or in B.  A point is the array B."""

    def __init__(self, basis, moments, c):
        self.moments, self.c = moments, c
        self.k, self.alpha, self.ridge = int(basis.n_components), float(basis.alpha), float(basis.alpha_ridge)
        self.value, self.best_components = basis.value, Components(moments, c, self.ridge)
        self.f0 = loss_at_zero(moments, c)
        self.last_loadings = np.zeros((moments.n_tasks, self.k))

    def __call__(self, B):
        """The best loadings for B, the best components for these, and the best scale of both."""
        H, p = seen_by(self.moments, self.c, B)
        S = self._lasso(H, p, self.last_loadings)
        loss = self.f0 + 0.5 * float(np.einsum("tk,tkl,tl->", S, H, S)) - float(np.vdot(p, S))
        objective, before = loss + self.value(B, S), S @ B
        S, B = self.balanced(S, self.best_components(S, B))
        self.last_loadings = S
        return Step(objective, B, relative_change(before, S @ B), (S, B))

    def _lasso(self, H, p, start):
        """The best loadings for what tasks see of the components, ``H, p = seen_by(...)``."""
        S, D, enough = start.copy(), np.zeros((len(start), 1)), _EXACT * np.abs(p).max(axis=1)
        sparse_minima(H, p, D, self.alpha, enough, S, most=_SWEEPS)
        return S

    def best_loadings(self, S, B):
        """The best loadings for components B, from the last ones, S."""
        H, p = seen_by(self.moments, self.c, B)
        return self._lasso(H, p, S)

    def balanced(self, S, B):
        """``S / tau, tau B`` with the scale tau of each component that costs least; zero where a factor is zero."""
        length, square = np.abs(S).sum(axis=0), np.einsum("kj,kj->k", B, B)
        alive = (length > 0) & (square > 0)
        tau = np.ones(self.k)
        tau[alive] = np.cbrt(self.alpha * length[alive] / (self.ridge * square[alive]))
        return np.where(alive, S / tau, 0.0), np.where(alive, tau, 0.0)[:, None] * B

    # As of `RankSteps`: the form of the factors in which a step in the loadings, or in the components, is exact.
    for_loadings = for_components = balanced

    def starts(self, init):
        """Yield components to start from, the same ones whatever the order of the tasks.

        They are the leading directions, and the tasks that differ most, of `init` and of the solutions of all tasks
        alone with a ridge; and random mixtures of those with the largest ridge.
        """
        moments, d = self.moments, self.moments.n_features
        curvature = (self.c @ moments.squares).sum() / (d * moments.active.sum())
        ridges = [Ridge(factor * curvature) for factor in _STRENGTHS]
        alone = solve(ridges[0], ridges, moments, self.c)
        candidates = [np.where(moments.active[:, None], ridge.W, 0.0) for ridge in alone]
        for W in candidates if init is None else [init, *candidates]:
            S, B = directions(W, self.k)
            yield self.balanced(S, B)[1]
            yield self.balanced(*_onto(W, _corners(S @ B, self.k)))[1]
        rng, W = np.random.default_rng(0), candidates[-1]
        _, span = directions(W, min(W.shape))
        for _ in range(_RANDOM[self.best_components.are_many(self.k)]):
            yield self.balanced(*_onto(W, rng.normal(size=(self.k, len(span))) @ span))[1]


def directions(W, k):
    """The leading k directions B of W and their loadings S, equal in length; zeros where W has fewer."""
    U, s, V = np.linalg.svd(W, full_matrices=False)
    m = min(k, len(s))
    sign = np.sign(V[np.arange(len(V)), np.abs(V).argmax(axis=1)])
    S, B = np.zeros((len(W), k)), np.zeros((k, W.shape[1]))
    S[:, :m], B[:m] = (U * sign * np.sqrt(s))[:, :m], (V * sign[:, None] * np.sqrt(s)[:, None])[:m]
    return S, B


def _corners(W, k):
    """The k tasks that span most of W as components B; zeros where W has fewer."""
    _, _, order = qr(W.T, mode="economic", pivoting=True)
    B = np.zeros((k, W.shape[1]))
    B[: min(k, *W.shape)] = W[order[: min(k, *W.shape)]]
    return B


def _onto(W, B):
    """The loadings with which the components B come nearest to W, and B."""
    return W @ np.linalg.pinv(B, rcond=1e-8), B
