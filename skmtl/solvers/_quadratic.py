"""The smooth part of a splitting: squared loss from moments, plus a ridge term."""

import itertools
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from scipy.optimize import brentq

from skmtl._algebra import inverse_down_to_noise, inverse_of_rows, over, smallest_inverse
from skmtl.moments import Factor
from skmtl.moments._incomplete import IncompleteMoments
from skmtl.solvers._resolvents import IncompleteResolvent
from skmtl.solvers._sparse_minima import sparse_minima

__all__ = ["PulledIntercepts", "Quadratic", "mean_rows", "quadratic_for", "quadratic_of"]

_BEYOND, _TRIALS = 1.5, 50  # times the expected way to a root, so that it is bracketed, and trials until it is
_NO_ROOM = 1e-12  # share of the curvature in b_0; where the weights leave less of it, they can do all that b_0 does
_WORTH_THREADS = 500_000  # numbers in a factor; with fewer, the product ends before a thread has started


def _in_turn(call, parts):
    """What a `crew` of one does."""
    for part in parts:
        call(part)


class Quadratic:
    """``f(W) = sum_t c_t / 2 (yy_t - 2 q_t'w_t + w_t'G_t w_t) + ridge / 2 |W|^2`` and the minimiser of f + a square.

    Attributes
    ----------
    B : array of shape (n_tasks, n_features)
        ``c_t q_t``, the negative gradient of the loss at 0.
    f0 : float
        The loss at 0, the unit of tolerances.
    each : callable
        ``each(call, parts)`` calls ``call(part)`` for parts of the tasks, perhaps in threads: see `crew`.
    ridge : float
        May be changed between solutions.
    """

    def __init__(self, moments, c, each=_in_turn):
        self.moments, self.c, self.ridge, self._each = moments, c, 0.0, each
        self.f0, self.B = self.at(np.zeros_like(moments.xy))

    @property
    def tasks(self):
        """The ids of the tasks."""
        return self.moments.tasks

    @cached_property
    def _full(self):
        """The factors of tasks with Gram matrices, shared out to threads."""
        moments = self.moments
        n_full = len(moments.factors) - len(moments.thin_factors)
        return [part for f in moments.factors[:n_full] for part in _shared_out(f, moments.n_jobs)]

    @cached_property
    def _thin(self):
        """The factors of all other tasks that have rows, likewise; those of similar size as one."""
        moments = self.moments
        return [part for f in _packed(moments.thin_factors) for part in _shared_out(f, moments.n_jobs)]

    @property
    def curvature(self):
        """The mean eigenvalue of the Hessian."""
        total = float(self.c @ self.moments.squares.sum(axis=1)) / self.B.size + self.ridge
        return total if total > 0 else 1.0

    @cached_property
    def least_curvatures(self):
        """The smallest eigenvalue of every ``c_t G_t``, 0 for tasks with fewer rows than features."""
        least = np.zeros(len(self.B))
        for f in self.moments.factors:
            if f.l.shape[1] == self.B.shape[1]:
                least[f.tasks] = self.c[f.tasks] * f.l.min(axis=1)
        return least

    def at(self, W):
        """The loss at W, with the best intercepts, and its negative gradient ``c_t (q_t - G_t w_t)``."""
        GW = self.moments.times_gram(W)
        return 0.5 * float(self.c @ self.moments.squared_error(W, GW)), self.c[:, None] * (self.moments.xy - GW)

    def value(self, W):
        """f(W)."""
        return self.at(W)[0] + 0.5 * self.ridge * float(np.vdot(W, W))

    def resolve(self, R, rho):
        """``(c_t G_t + (ridge + rho_t) I)^-1 r_t`` for R (n_tasks, n_features) and rho, a number or (n_tasks, 1)."""
        D = np.broadcast_to(np.asarray(rho + self.ridge, dtype=float), (len(R), 1))
        out = over(R, np.broadcast_to(D, R.shape))

        def fill_full(f):
            out[f.tasks] = f.up(over(f.down(R[f.tasks]), self.c[f.tasks, None] * f.l + D[f.tasks]))

        def fill_thin(f):
            own = D[f.tasks]
            inside = over(1.0, self.c[f.tasks, None] * f.l + own) - over(1.0, own)
            out[f.tasks] += f.up(f.down(R[f.tasks]) * inside)

        self._each(fill_full, self._full)
        self._each(fill_thin, self._thin)
        return out

    def sparse_minima(self, R, rho, alpha, enough, X):
        """Change X (n_tasks, n_features) to the minimum of f with ``-<r, x> + rho / 2 |x|^2 + alpha |x|_1``.

        `enough` is what may be left of the equations.
        """
        D = np.broadcast_to(np.asarray(rho + self.ridge, dtype=float), (len(R), 1))
        enough = np.full(len(R), float(enough))

        def fill(part):
            tasks, H = part
            sparse_minima(H, R[tasks], D[tasks], alpha, enough[tasks], X[tasks])

        self._each(fill, self._grams)

    @cached_property
    def _grams(self):
        """Parts of the tasks, and their c_t G_t."""
        H = self.gram_of(np.arange(len(self.B)))
        return [(part, H[part]) for part in _slices(len(H), H.size, self.moments.n_jobs)]

    def gram_of(self, tasks):
        """``c_t G_t`` of the tasks at positions `tasks`, (len(tasks), n_features, n_features)."""
        return self.c[tasks, None, None] * self.moments.dense_gram(tasks)

    def inverse_on(self, N, to_noise=False):
        """The function ``r -> (N' H N)^+ r`` for r (n_combinations, n_features), with the Hessian H of the loss.

        N is a sparse array (n_tasks, n_combinations) of numbers >= 0, in which no task is in two combinations.
        With `to_noise` the inverse is that of `inverse_down_to_noise`.
        """
        inverses = [self._inverse_of_sum(one.indices, one.data**2, to_noise) for one in N.T.tocsr()]
        return lambda R: np.stack([inverse(r) for inverse, r in zip(inverses, R, strict=True)])

    def _inverse_of_sum(self, tasks, share, to_noise):
        """The function ``r -> (sum_t share_t c_t G_t)^+ r``, the sum over the tasks at positions `tasks`."""
        c = np.zeros(len(self.c))
        c[tasks] = share * self.c[tasks]
        A = self.moments.rows_of_sum(c)
        if A is not None:
            return inverse_of_rows(A)
        gram = self.moments.gram_sum(c)
        if to_noise:
            return inverse_down_to_noise(gram)
        inverse = smallest_inverse(gram)
        return lambda r: inverse @ r


class IncompleteQuadratic(Quadratic):
    """The same for tasks that share rows and lack some labels."""

    _latest: Any = (None, None)  # the last diagonal and its resolvent, which serves again: rho changes rarely

    def resolve(self, R, rho):
        (latest, resolvent), D = self._latest, rho + self.ridge
        if resolvent is None or not np.array_equal(latest, D):
            resolvent = IncompleteResolvent(self.moments, self.c, D)
            self._latest = D, resolvent
        return resolvent(R)


def quadratic_of(moments, c, each=_in_turn):
    """The `Quadratic` for the moments."""
    return (IncompleteQuadratic if isinstance(moments, IncompleteMoments) else Quadratic)(moments, c, each)


class PulledIntercepts(Quadratic):
    """The same with intercepts drawn to a free ``b_0`` by ``a_b / 2 sum_t (b_t - b_0)^2``.

    Given b_0, the best b_t leave one more row for each task, its mean; the best b_0 takes a square off their sum:
    ``f(W) = f_rows(W) - (beta - <U, W>)^2 / (2 kappa)``.
    """

    def __init__(self, moments, c, each=_in_turn, *, a_b):
        N = c * moments.weight
        self.origin = N @ moments.y_mean / N.sum()  # of y, so that labels that are all alike are zeros
        moments = replace(moments, y_mean=moments.y_mean - self.origin)
        rows, self.k, self.U = mean_rows(moments, c, a_b)
        self.beta, self.kappa = self.k @ moments.y_mean, self.k.sum()
        self.share = self.k / a_b  # of what b_t would move if it were free
        self._growth = self.kappa  # the slope of `excess` in `sparse_minima`, as the last call found it
        super().__init__(rows, c, each)

    def at(self, W):
        loss, descent = super().at(W)
        b0 = self.shared_intercept(W)
        return loss - 0.5 * self.kappa * b0**2, descent - b0 * self.U

    def shared_intercept(self, W):
        """The best b_0, from `origin` on."""
        return (self.beta - np.vdot(self.U, W)) / self.kappa

    def resolve(self, R, rho):
        """By the formula of Sherman and Morrison."""
        X, V = super().resolve(R, rho), super().resolve(self.U, rho)
        return X + V * (np.vdot(self.U, X) / (self.kappa - np.vdot(self.U, V)))

    def inverse_on(self, N, to_noise=False):
        """By the same formula, unless moving along N does all that b_0 can do: then b_0 is left out."""
        inverse, U = super().inverse_on(N, to_noise), N.T @ self.U
        V = inverse(U)
        room = self.kappa - np.vdot(U, V)
        if room <= _NO_ROOM * self.kappa:
            return inverse

        def of_all(R):
            X = inverse(R)
            return X + V * (np.vdot(U, X) / room)

        return of_all

    def sparse_minima(self, R, rho, alpha, enough, X):
        """The same with the pull between intercepts, by a search for ``s = <U, W> / kappa``, which couples the tasks.

        For a given s every task is a lasso of its own, with the minimum W(s), and the right s is the root of
        ``kappa s - <U, W(s)>``.  This grows with s, as the minimum over W is convex in s.
        """
        minima, known = super().sparse_minima, {}

        def excess(s):
            if s not in known:
                minima(R + s * self.U, rho, alpha, enough, X)
                known[s] = self.kappa * s - np.vdot(self.U, X)
            return known[s]

        s = np.vdot(self.U, X) / self.kappa
        other = s - _BEYOND * excess(s) / self._growth
        while excess(s) * excess(other) > 0.0 and len(known) < _TRIALS:
            s, other = other, other + 4.0 * (other - s)
        if excess(s) * excess(other) < 0.0:
            growth = (excess(other) - excess(s)) / (other - s)
            self._growth = np.clip(growth, 1e-12 * self.kappa, self.kappa)
            brentq(excess, s, other, xtol=enough / np.abs(self.U).max(), rtol=4.0 * np.finfo(float).eps)


def quadratic_for(penalty, moments, c, each=_in_turn):
    """The `Quadratic` for the moments: with `PulledIntercepts` if the penalty draws the intercepts together."""
    if penalty.penalizes_intercepts and moments.centered:
        return PulledIntercepts(moments, c, each, a_b=penalty.alpha_intercept)
    return quadratic_of(moments, c, each)


def mean_rows(moments, c, a_b):
    """The moments with one more row for each task, its mean, with weights k_t / c_t; k; and ``U_t = k_t x_mean_t``.

    They are what eliminating intercepts b_t that cost ``a_b / 2 (b_t - b_0)^2`` leaves in the equations for W, with
    k_t = c_t N_t a_b / (c_t N_t + a_b), which is c_t N_t for an infinite a_b.
    """
    N = c * moments.weight
    k = N.copy() if a_b == np.inf else np.divide(N * a_b, N + a_b, out=np.zeros_like(N), where=N > 0)
    rows = moments.with_mean_rows(np.divide(k, c, out=np.zeros_like(c), where=c > 0)) if k.any() else moments
    return rows, k, k[:, None] * moments.x_mean


def _shared_out(f, n_jobs):
    """The factor in one part for each thread, where a product with it takes longer than starting threads."""
    parts = _slices(len(f.tasks), f.V.size, n_jobs)
    return [f] if len(parts) == 1 else [Factor(f.tasks[part], f.V[part], f.l[part]) for part in parts]


def _slices(n_tasks, size, n_jobs):
    """Slices of the tasks, one for each thread that pays where a factor has `size` numbers."""
    jobs = min(effective_n_jobs(n_jobs), n_tasks) if size > _WORTH_THREADS else 1
    cuts = np.linspace(0, n_tasks, jobs + 1).astype(int)
    return [slice(a, b) for a, b in itertools.pairwise(cuts)]


def _packed(factors):
    """Factors of similar size as one, with zero rows where they differ: a dozen products instead of hundreds."""
    if len(factors) < 2:
        return factors
    groups: dict[int, list] = {}
    for f in factors:
        groups.setdefault(int(2 * np.log2(f.V.shape[1])), []).append(f)
    return [_pack(group) for group in groups.values()]


def _pack(group):
    """The factors of a group as one."""
    n, r, d = sum(len(f.tasks) for f in group), max(f.V.shape[1] for f in group), group[0].V.shape[2]
    V, l = np.zeros((n, r, d)), np.zeros((n, r))  # noqa: E741
    at = 0
    for f in group:
        part = slice(at, at := at + len(f.tasks))
        V[part, : f.V.shape[1]], l[part, : f.V.shape[1]] = f.V, f.l
    return Factor(np.concatenate([f.tasks for f in group]), V, l)
