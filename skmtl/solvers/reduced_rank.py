"""Reduced rank: the closed form where tasks share their rows, and exact steps in either factor otherwise."""

from functools import cached_property

import numpy as np

from skmtl._algebra import SINGULAR, lengths_of, over
from skmtl.penalties import ReducedRank, Ridge
from skmtl.solvers._alternating import Components, Step, best_of, relative_change, seen_by
from skmtl.solvers.solution import Certificate, loss_at_zero, loss_of, solution_of, solve, without_grams

__all__ = ["RankSteps", "closest_of_rank"]

_STRENGTHS = 0.0, 0.1, 1.0, 10.0  # ridges of the starts, in units of the mean curvature of the loss
_RANDOM = 8, 2  # starts in random directions, and how many where a step is dear


@solve.register
@without_grams
def solve_reduced_rank(penalty: ReducedRank, path, moments, c, *, tol=1e-6, max_iter=1000, init=None):
    """Every penalty of a path starts from the ridge solutions, and from the solution before."""
    ridges = [Ridge(reduced.alpha_ridge) for reduced in path]
    for reduced, alone in zip(path, solve(ridges[0], ridges, moments, c), strict=True):
        problem = RankSteps(moments, c, int(reduced.rank), float(reduced.alpha_ridge))
        W, change, n_iter, settled = problem.solution(alone, tol, max_iter, init)
        W = np.where(moments.active[:, None], W, 0.0)

        def certificate(W=W, change=change, ridge=problem.ridge):
            objective = loss_of(moments, c, W, moments.times_gram(W)) + Ridge(ridge).value(W)
            return Certificate(objective, None, change())

        yield solution_of(moments, W, certificate, n_iter=n_iter, converged=settled)
        init = W


class RankSteps:
    """``loss(S B) + ridge / 2 |S B|^2`` for S (n_tasks, rank) and B (rank, d), by steps that are exact in S or in B.

    A point is a matrix W of any rank: its leading directions are the components to start from.
    """

    def __init__(self, moments, c, rank, ridge):
        self.moments, self.c, self.rank, self.ridge = moments, c, rank, ridge
        self.best_components = Components(moments, c, ridge)
        self.f0 = loss_at_zero(moments, c)

    def solution(self, alone, tol, max_iter, init):
        """W, a function that says how much the last step changed it, the number of steps and whether they settled.

        A closed form takes no steps: there the function says how much one more step would change it.

        alone : Solution
            That of every task alone, with the same ridge.
        """
        if self.rank >= min(self.moments.active.sum(), self.moments.n_features):
            return alone.W, lambda: alone.residual, 1, True
        if self.moments.shared and (self.ridge == 0 or np.ptp(self.c) == 0):
            W = self.closed_form(alone.W)
            return W, lambda: self(W).change, 1, True
        starts = list(self.starts(init))
        last, n_iter, settled = best_of(self, starts, f0=self.f0, tol=tol, max_iter=max_iter)
        return last.x, lambda: last.change, n_iter, settled

    def __call__(self, W):
        return self.step(np.linalg.svd(W, full_matrices=False)[2][: self.rank])

    def step(self, B):
        """The best loadings for orthonormal components B, then the best components for orthonormal loadings."""
        H, p = seen_by(self.moments, self.c, B)
        S = _best_loadings(H, p, self.ridge)
        Q, start = self.for_components(S, B)
        before, B = S @ B, self.best_components(Q, start)
        after = Q @ B
        return Step(self.f0 - 0.5 * float(np.vdot(S, p)), after, relative_change(before, after), (Q, B))

    def for_loadings(self, S, B):
        """The same product with orthonormal components."""
        Q, R = np.linalg.qr(B.T)
        return S @ R.T, Q.T

    def best_loadings(self, S, B):
        """The best loadings for orthonormal components; S are the last."""
        H, p = seen_by(self.moments, self.c, B)
        return _best_loadings(H, p, self.ridge)

    def for_components(self, S, B):
        """The same product with orthonormal loadings."""
        Q, R = np.linalg.qr(S)
        return Q, R @ B

    def closed_form(self, W):
        """The solution from that of every task alone, W, where all have one G, and one c if there is a ridge."""
        root = np.sqrt(self.c)[:, None]
        return closest_of_rank(root * W, self._mean_gram, self.ridge / self.c[0], self.rank) / root

    def starts(self, init):
        """Closed forms for the mean G, at the ridge and at larger ones; `init`; and random directions."""
        moments, d = self.moments, self.moments.n_features
        curvature = np.trace(self._mean_gram) * self._sizes.sum() / (d * moments.active.sum())
        ridges = [Ridge(self.ridge + factor * curvature) for factor in _STRENGTHS]
        root = np.sqrt(self._sizes)[:, None]
        for alone in solve(ridges[0], ridges, moments, self.c):
            W = np.where(moments.active[:, None], alone.W, 0.0)
            yield closest_of_rank(root * W, self._mean_gram, self.ridge, self.rank)
        if init is not None:
            yield init
        rng = np.random.default_rng(0)
        for _ in range(_RANDOM[self.best_components.are_many(self.rank)]):
            yield self.step(np.linalg.qr(rng.normal(size=(d, self.rank)))[0].T).x

    @cached_property
    def _sizes(self):
        return self.c * self.moments.weight

    @cached_property
    def _mean_gram(self):
        """G per unit of weight; of tasks that share their rows, G itself."""
        gram = self.moments.gram_sum(self.c)
        return gram / (self.c.sum() if self.moments.shared else self._sizes.sum())


def closest_of_rank(W, gram, ridge, rank):
    """The matrix of that rank closest to W (n_tasks, d) in the metric ``|W M^(1/2)|``, ``M = gram + ridge I``.

    It is U U'W with the leading left singular vectors U of ``W M^(1/2)``.  The root of `gram` is taken with its
    diagonal scaled to 1 where that differs much, so that short features count.
    """
    D = lengths_of(np.diag(gram))
    l, Q = np.linalg.eigh(gram / D[:, None] / D)  # noqa: E741
    Z = (W * D) @ Q * np.sqrt(np.maximum(l, 0.0))
    U = np.linalg.svd(np.hstack([Z, np.sqrt(ridge) * W]), full_matrices=False)[0][:, :rank]
    return U @ (U.T @ W)


def _best_loadings(H, p, ridge):
    """``(H_t + ridge I) s_t = p_t``; the smallest s_t where that is singular."""
    l, Q = np.linalg.eigh(H)  # noqa: E741
    l = np.where(l > SINGULAR * l[:, -1:], l, 0.0) + ridge  # noqa: E741
    return np.matmul(Q, over(np.matmul(p[:, None, :], Q)[:, 0], l)[:, :, None])[:, :, 0]
