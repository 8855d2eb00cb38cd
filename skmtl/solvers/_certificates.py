r"""What subgradients of a penalty prove: a lower bound of the objective, and with it the duality gap.

The objective, with the rows A and the labels u of all tasks, less their means where intercepts are free, and each times
the root of its weight, c_t times that of the sample, is

    F(W) = 1/2 |u - A W|^2 + ridge / 2 |W|^2 + sum_k f_k(W).

The bound.  Take any weights X, with residuals ``r = u - A X`` and the descent ``direction = A' r`` of the loss, and any
dual variables that add up to the direction, U_k for each f_k and V for the ridge term.  For all W and s >= 0

    1/2 |u - A W|^2   >=  s <r, u - A W> - s^2 / 2 |r|^2
    f_k(W)            >=  s <U_k, W> - f_k*(s U_k)
    ridge / 2 |W|^2   >=  s <V, W> - s^2 |V|^2 / (2 ridge)

by the definition of a conjugate.  In the sum W cancels.  The conjugate of a norm is 0 in its dual ball, where
``s f_k.gauge(U_k) <= 1``, and that of a square is s^2 ``f_k.price(U_k)``.  So

    F(W)  >=  s <u, r> - s^2 (|r|^2 / 2 + price)    for 0 <= s gauge <= 1,

where `gauge` is the largest of all ``f_k.gauge(U_k)``, and `price` the sum of all ``f_k.price(U_k)`` and of
``|V|^2 / (2 ridge)``.  `dual_value` is that with the best s.

The ways.  The U_k that a solver has found add up to the direction, less ridge X, only at a solution.  What they leave
of the direction, the mismatch ``M = direction - sum_k U_k``, can go to several places, and each is a way to a pair of
gauge and price; the best bound counts:

    the ridge term   V = M
    one function     U_k + M
    all functions    U_k + M_k, where all M_k add up to M
    several norms    U_k + what its dual ball has room for, and to the ridge term or to one of them what is left then

(For edges of a graph U_k is a flow; what adds up is its divergence, and M becomes a flow by `route`.)

Null spaces.  A function may cost nothing for some combinations of tasks, the columns of ``f_k.null``; its subgradients
are orthogonal to them.  Those that cost nothing anywhere, `n_null` combinations, come first: X is moved along them to
where the direction is orthogonal to them (`Null`), and then so is M.  A function whose null space is no larger than
that can take all of M.  Where there is none, all functions together may, each a part M_k that it can take.
"""

from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph
from scipy.sparse.linalg import LinearOperator, cg

from skmtl._algebra import membership
from skmtl.penalties.base import Norm

__all__ = ["Null", "common_null", "dual_value", "way_of_parts", "ways"]

_STEPS = 1000  # of the conjugate gradients that split a mismatch into parts
_LEFT = 1e-12  # share of the length of the direction: what they may leave of the mismatch
_NEAR, _ROUNDS = 1.005, 3  # the gauge below which it pays to share out a mismatch among norms, and rounds of that


def dual_value(loss, along, gauge, price):
    """``max_s  s <u, r> - s^2 (|r|^2 / 2 + price)``, ``0 <= s gauge <= 1``, for the residuals r of X.

    It takes no row: ``|r|^2 = 2 loss`` and ``<u, r> = |r|^2 + along``, where `along` is ``<direction, X>``.  At a
    solution the best s is 1.  Where it would be far above, both numbers are rounding errors, and 2 is as good.
    """
    linear, curvature = 2.0 * loss + along, 2.0 * (loss + price)
    if not np.isfinite(gauge) or not np.isfinite(curvature) or curvature <= 0.0:
        return 0.0
    s = max(min(linear / curvature, 1.0 / gauge if gauge > 0 else np.inf, 2.0), 0.0)
    return s * linear - 0.5 * s * s * curvature


def ways(direction, duals, ridge, n_null):
    """Yield gauge and price of every way in which dual variables add up to the direction (n_tasks, n_features).

    duals : list of (f, U)
        They add up to it but for a mismatch.
    n_null : int
        How many combinations of tasks cost nothing anywhere; the direction is orthogonal to them.
    """
    mismatch = direction - sum(f.divergence(U) for f, U in duals)
    gauges, prices = np.array([(f.gauge(U), f.price(U)) for f, U in duals]).reshape(-1, 2).T
    able = [k for k, (f, _) in enumerate(duals) if _n_unseen(f) <= n_null]
    norms = [k for k in able if isinstance(duals[k][0], Norm)]
    if ridge > 0:  # V = M
        yield gauges.max(initial=0.0), prices.sum() + np.vdot(mismatch, mismatch) / (2.0 * ridge)
    by_one = [_by_one(k, mismatch, duals, gauges, prices) for k in able]
    yield from by_one
    if len(duals) > 1 and not able:
        yield from _by_all(mismatch, duals, np.linalg.norm(direction))
    if len(norms) > 1 and min(gauge for gauge, _ in by_one) < _NEAR:
        yield from _by_norms(mismatch, [duals[k] for k in norms], np.delete(gauges, norms), prices.sum(), ridge)


def way_of_parts(X, direction, norms, ridge):
    """The one way of a decomposition: as W = P + Q, what the ridge term leaves is a dual variable of both norms."""
    U = direction - ridge * X
    return max(norm.gauge(U) for norm in norms), 0.5 * ridge * np.vdot(X, X)


def _by_one(k, mismatch, duals, gauges, prices):
    """Gauge and price where the k-th function takes all of the mismatch."""
    f, U = duals[k]
    U = U + f.route(mismatch)
    return max(f.gauge(U), np.delete(gauges, k).max(initial=0.0)), f.price(U) + np.delete(prices, k).sum()


def _by_all(mismatch, duals, size):
    """The same where every function takes a part; nothing if the mismatch has no such parts."""
    parts = _parts(mismatch, [f.null for f, _ in duals], size)
    if parts:
        changed = [(f, U + f.route(part)) for (f, U), part in zip(duals, parts, strict=True)]
        yield max(f.gauge(U) for f, U in changed), sum(f.price(U) for f, U in changed)


def _parts(mismatch, bases, size):
    """Parts that sum to the mismatch, each orthogonal to one of the bases; an empty list if there are none.

    They are the projections of one V, that of ``sum_k (I - N_k N_k') V = mismatch``.

    size : the length of the direction, whose rounding errors are in the mismatch.
    """

    def seen(N, V):
        return V - N @ (N.T @ V)

    def summed(v):
        return sum(seen(N, v.reshape(mismatch.shape)) for N in bases).ravel()

    A = LinearOperator((mismatch.size, mismatch.size), summed, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):  # a mismatch in all of their spans has no such parts
        V = cg(A, mismatch.ravel(), rtol=0.0, atol=1e-14 * size, maxiter=_STEPS)[0].reshape(mismatch.shape)
        parts = [seen(N, V) for N in bases]
    return parts if np.linalg.norm(mismatch - sum(parts)) <= _LEFT * size else []


def _by_norms(mismatch, duals, other_gauges, price, ridge):
    """The same where every norm takes what its dual ball has room for, in turn and again, and then one what is left.

    By Moreau's identity ``V - prox(V)`` is the point of the ball that is nearest to V.
    """
    U = [U for _, U in duals]
    for _ in range(_ROUNDS):
        for k, (f, _) in enumerate(duals):
            V = U[k] + mismatch
            mismatch = f.prox(V, 1.0)
            U[k] = V - mismatch
    gauges = [f.gauge(inside) for (f, _), inside in zip(duals, U, strict=True)]
    if ridge > 0:
        yield max(*gauges, *other_gauges), price + np.vdot(mismatch, mismatch) / (2.0 * ridge)
    for k, (f, _) in enumerate(duals):
        yield max(f.gauge(U[k] + mismatch), *np.delete(gauges, k), *other_gauges), price


class Null:
    """Weights that cost nothing, ``N a`` with N (n_tasks, n_null): constants in the connected components of a graph."""

    def __init__(self, basis, quadratic):
        self.basis, self._quadratic = basis, quadratic
        self._inverse = quadratic.inverse_on(basis)

    @classmethod
    def of(cls, terms, quadratic):
        """None where a norm or a ridge term makes every W cost something."""
        basis = common_null(terms, quadratic.ridge)
        return None if basis is None else cls(basis, quadratic)

    def level(self, X):
        """X moved along N to where the direction is orthogonal to it."""
        for _ in range(2):  # once, and once more for what rounding has left
            X = X + self.basis @ self._inverse(self.basis.T @ self._quadratic.at(X)[1])
        return X

    @cached_property
    def _inverse_to_noise(self):
        return self._quadratic.inverse_on(self.basis, to_noise=True)

    def levelled(self, loss, along, direction):
        """The loss and ``<direction, X>`` at a level X once the slope is gone that rounding has left along N.

        No dual variable takes that up, and it is much where features nearly depend on each other. A bound only falls.
        """
        left = self.basis.T @ direction
        step = self._inverse_to_noise(left)
        gain = 0.5 * float(np.vdot(step, left))
        lower = float(np.vdot(step, self.basis.T @ self._quadratic.B)) - gain
        return (loss - gain, along + gain - lower) if lower > 0.0 else (loss, along)


def common_null(terms, ridge):
    """Combinations of tasks that no term sees (n_tasks, n_null), a sparse array; None if there are none."""
    bases = [_null_basis(f) for term in terms for f in term.norms]
    if ridge > 0 or not bases or any(basis is None for basis in bases):
        return None
    alike = all(basis.shape == bases[0].shape and abs(basis - bases[0]).max() < 1e-9 for basis in bases)
    return bases[0] if alike else _constants(bases)


def _constants(bases):
    """What several bases of constants in groups of tasks have in common: constants in what the groups join."""
    if any(np.ptp(column.data) > 1e-9 for basis in bases for column in basis.T.tocsr()):
        return None  # as of a normalised Laplacian
    if not all(abs(basis).sum(axis=1).all() for basis in bases):
        return None  # a task in no group of one of them
    groups = sparse.hstack(bases)
    label = csgraph.connected_components(groups @ groups.T, directed=False)[1]
    return (membership(label) @ sparse.diags_array(1.0 / np.sqrt(np.bincount(label))[label])).T.tocsr()


def _null_basis(f):
    """The combinations of tasks that cost f nothing (n_tasks, n_null), None if there are none."""
    return f.null if _n_unseen(f) else None


def _n_unseen(f):
    """How many combinations of tasks cost f nothing."""
    return 0 if f.null is None else f.null.shape[1]
