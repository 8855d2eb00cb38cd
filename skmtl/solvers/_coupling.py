"""How the terms of a penalty see W, and what their subgradients prove.

`Together`: every term has its copies of one W.  `Decomposed`: W = P + Q, a norm sees P, another Q.  The letters are
those of `splitting.py`: z, v = A X and y are vectors of the copies of all terms, one behind the other, and Z, V and Y
the same as lists of blocks, one for each term.
"""

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph
from scipy.sparse.linalg import LinearOperator, cg

from skmtl._algebra import membership
from skmtl.penalties.base import Chain, Norm
from skmtl.penalties.graph import Edges
from skmtl.solvers.solution import AT_ZERO

__all__ = ["Decomposed", "Together", "common_null", "matters", "ways"]

_STEPS = 1000  # of the conjugate gradients that split a mismatch into parts
_LEFT = 1e-12  # share of the length of the direction: what they may leave of the mismatch
_NEAR, _ROUNDS = 1.005, 3  # the gauge below which it pays to share out a mismatch among norms, and rounds of that


class _Copy:
    """A term that sees W itself: ``A_k = I``.

    What it has in common with `_Ends`: `spread` is A_k, `gather` its transpose, `degree` the diagonal of A_k'A_k, and
    `shape` that of A_k W.
    """

    degree = 1.0

    def __init__(self, term):
        self.term = term
        self.prox, self.value = term.prox, term.value

    def shape(self, W):
        return W.shape

    def spread(self, W):
        return W

    def gather(self, Z):
        return Z

    def candidates(self, X, Y):
        """Points whose objective may be the smallest."""
        return [Y]

    def duals(self, V, Y, rho):
        """Every function with its subgradient at ``Y = prox(V)``."""
        if isinstance(self.term, Chain):
            return list(zip(self.term.norms, self.term.duals(V, 1.0 / rho), strict=True))
        return [(self.term, rho * (V - Y))]


class _Ends:
    """A term that sees the two ends of every edge: A_k W are the weights of these tasks, (2, n_edges, n_features)."""

    def __init__(self, edges):
        self.term, self.degree = edges, edges.degree[:, None]
        self.spread, self.gather, self.prox, self.value = edges.spread, edges.gather, edges.prox, edges.value

    def shape(self, W):
        return (2, len(self.term.s), W.shape[1])

    def candidates(self, X, Y):
        """X, and X with the tasks that edges have drawn together at their mean."""
        return [X, self.term.fuse(X, Y)]

    def duals(self, V, Y, rho):
        """The edges with their flows, which pull as much at one end as at the other."""
        U = rho * (V - Y)
        return [(self.term, 0.5 * (U[0] - U[1]))]


class Together:
    """All terms see one W."""

    stiffness = 1.0  # the first rho, in units of the loss's mean curvature

    def __init__(self, penalty, quadratic):
        self.quadratic = quadratic
        terms = [term for term in penalty.terms(quadratic.tasks) if matters(term)]
        self.terms = [_Ends(term) if isinstance(term, Edges) else _Copy(term) for term in self._copied(terms)]
        self._constraints = [term for term in terms if any(norm.constrains for norm in term.norms)]
        self.degree = sum(term.degree for term in self.terms)  # the diagonal of sum_k A_k'A_k
        self._shapes = [term.shape(quadratic.B) for term in self.terms]
        self._cuts = np.cumsum([0, *(int(np.prod(shape)) for shape in self._shapes)])
        self._null = _Null.of(terms, quadratic)

    def _copied(self, terms):
        """Those of the terms that have copies of W: all, unless a subclass takes some into its step."""
        return terms

    def blocks(self, z):
        """Views of the copies of each term."""
        return [z[a:b].reshape(shape) for a, b, shape in zip(self._cuts, self._cuts[1:], self._shapes, strict=False)]

    def join(self, blocks):
        """The blocks as one vector."""
        return np.concatenate([block.ravel() for block in blocks])

    # ------------------------------------------------------------------------------------------------- iterations

    def start(self, state):
        """Where to begin, z and rho.

        state : the pair (z, rho) where the penalty before ended, or weights as a list [W] or [P, Q], or None.
            Zeros take the place of None, and of weights whose objective is larger than at zero.
        """
        if isinstance(state, tuple):
            return state
        rho = self.stiffness * self.quadratic.curvature / float(np.mean(self.degree))
        if state is None or self.quadratic.f0 < self.value_at(state) < np.inf:
            return np.zeros(self._cuts[-1]), rho  # along what no row sees, the way back from bad weights is slow
        return self.join(self._from_weights(state, self._slope(sum(state)) / rho)), rho

    def _slope(self, W):
        """The gradient of f at W, the ridge term included."""
        return self.quadratic.ridge * W - self.quadratic.at(W)[1]

    def value_at(self, parts):
        """The objective at weights [W] or [P, Q]."""
        return self.objective(sum(parts))

    def _from_weights(self, state, slope):
        """The copies Z for which the X of the iteration is these weights; `slope` is the gradient of f there, over rho.

        So that ``grad f(X) + rho sum_k A_k'(A_k X - Z_k) = 0``.
        """
        point = sum(state) + slope / np.maximum(self.degree, 1.0)
        return [term.spread(point) for term in self.terms]

    def center(self, Z, rho):
        """``X = argmin f(X) + rho / 2 sum_k |A_k X - Z_k|^2``."""
        return self.quadratic.resolve(self.quadratic.B + rho * self._pull(Z), rho * self.degree)

    def _pull(self, Z):
        """``sum_k A_k' Z_k``."""
        return sum(term.gather(block) for term, block in zip(self.terms, Z, strict=True))

    def copies(self, Z, rho):
        """``A_k X`` of every term, for the X of the iteration."""
        X = self.center(Z, rho)
        return [term.spread(X) for term in self.terms]

    def step(self, z, rho):
        """``A X`` and Y of the iteration from z, and their difference ``Y - A X``, its step."""
        Z = self.blocks(z)
        V = self.copies(Z, rho)
        Y = [term.prox(2.0 * at - block, 1.0 / rho) for term, at, block in zip(self.terms, V, Z, strict=True)]
        v, y = self.join(V), self.join(Y)
        return v, y, y - v

    def haste(self, n_iter):
        """By what factor rho is to be larger than the one that balances the residuals: see `_balance`."""
        return 1.0

    # ------------------------------------------------------------------------------------------------ certificates

    def zero_is_optimal(self):
        """Whether W = 0 is known to be optimal: of several terms or edges, whose proxes do not tell, only if B = 0."""
        B = self.quadratic.B
        if not B.any():
            return True
        if len(self.terms) > 1 or isinstance(self.terms[0], _Ends):
            return False
        return not self.terms[0].prox((1.0 - AT_ZERO) * B, 1.0).any()

    def zero(self):
        """The objective at W = 0, W, and its parts."""
        return self.quadratic.f0, np.zeros_like(self.quadratic.B), ()

    def bound_at_zero(self):
        """The dual value where W = 0 is optimal."""
        B = self.quadratic.B
        if not B.any():
            return self.quadratic.f0
        return self.bound(self.level(np.zeros_like(B)), self.duals_at_zero())

    def duals_at_zero(self):
        """Subgradients at W = 0, where that is optimal."""
        B = self.quadratic.B
        return self.terms[0].duals(B, np.zeros_like(B), 1.0)

    def certify(self, z, v, y, rho):
        """Points (objective, W, parts), a lower bound of all objectives, and what proves it: X and subgradients."""
        points, duals, X = self._found(z, v, y, rho)
        X = self.level(X)
        return points, self.bound(X, duals), (X, duals)

    def _found(self, z, v, y, rho):
        """Points, subgradients of the terms with copies, and X."""
        V, Y, Z = self.blocks(v), self.blocks(y), self.blocks(z)
        X = self.center(Z, rho)
        points, duals = [], []
        for term, at, target, block in zip(self.terms, V, Y, Z, strict=True):
            points += [(self.objective(W), W, ()) for W in term.candidates(X, target)]
            duals += term.duals(2.0 * at - block, target, rho)
        if len(self._constraints) > 1:
            points.append(self._feasible(X))
        return points, duals, X

    def _feasible(self, W):
        """A point that all constraints allow, from W by each of their proxes in turn.

        The candidates Y_k need not be: each meets the constraint of its own term, and may break those of others.
        """
        for term in self._constraints:
            W = term.prox(W, 0.0)
        return self.objective(W), W, ()

    def objective(self, W):
        """The objective at W."""
        return self.quadratic.value(W) + sum(term.value(W) for term in self.terms)

    def level(self, X):
        """X moved along what no term sees, to where the loss has no slope there."""
        for _ in range(0 if self._null is None else 2):  # once, and once more for what rounding has left
            X = X + self._null.shift(self.quadratic.at(X)[1])
        return X

    def bound(self, X, duals):
        """The largest dual value found with multiples of the residuals of X and of these subgradients."""
        loss, direction = self.quadratic.at(X)
        return self.bound_of(X, loss, direction, duals)

    def bound_of(self, X, loss, direction, duals):
        """The same where the loss at X and its negative gradient are known."""
        return max((_dual_value(X, loss, direction, *way) for way in self._ways(X, direction, duals)), default=0.0)

    def _ways(self, X, direction, duals):
        """Gauge and price for every place that can take the mismatch: see the function `ways`."""
        return ways(direction, duals, self.quadratic.ridge, 0 if self._null is None else self._null.basis.shape[1])


class Decomposed(Together):
    """``W = P + Q``: one norm sees P, the other Q, and the loss their sum."""

    def __init__(self, penalty, quadratic):
        super().__init__(penalty, quadratic)
        if len(self.terms) < 2:  # where one part costs nothing, all of W may be in it
            self.terms = []

    def value_at(self, parts):
        values = [term.value(part) for term, part in zip(self.terms, parts, strict=False)]  # Q is 0 if it is not given
        return self.quadratic.value(sum(parts)) + sum(values)

    def _from_weights(self, state, slope):
        P, Q = state if len(state) == 2 else (state[0], np.zeros_like(state[0]))
        return [P + slope, Q + slope]

    def center(self, Z, rho):
        """The sum P + Q of the iteration."""
        return self.quadratic.resolve(self.quadratic.B + 0.5 * rho * (Z[0] + Z[1]), 0.5 * rho)

    def copies(self, Z, rho):
        """P and Q: both differ from Z by half of what their sum has to."""
        half = 0.5 * (self.center(Z, rho) - Z[0] - Z[1])
        return [Z[0] + half, Z[1] + half]

    def zero_is_optimal(self):
        B = (1.0 - AT_ZERO) * self.quadratic.B
        return not any(term.prox(B, 1.0).any() for term in self.terms)

    def zero(self):
        W = np.zeros_like(self.quadratic.B)
        return self.quadratic.f0, W, (W, W)

    def duals_at_zero(self):
        return []

    def certify(self, z, v, y, rho):
        P, Q = self.blocks(y)
        W = P + Q
        objective = self.quadratic.value(W) + self.terms[0].value(P) + self.terms[1].value(Q)
        X = self.center(self.blocks(z), rho)
        return [(objective, W, (P, Q))], self.bound(X, []), (X, [])

    def _ways(self, X, direction, duals):
        """Gauge and price of what the ridge term leaves of the direction: it must be a subgradient of both norms."""
        ridge = self.quadratic.ridge
        U = direction - ridge * X
        yield max(term.term.gauge(U) for term in self.terms), 0.5 * ridge * np.vdot(X, X)


class _Null:
    """Weights that cost nothing, ``N a`` with N (n_tasks, n_null): constants in the connected components of a graph.

    With the best a, ``N' direction`` is zero, and then what costs nothing elsewhere can take a mismatch.
    """

    def __init__(self, basis, quadratic):
        self.basis = basis
        self._inverse = quadratic.inverse_on(basis)

    @classmethod
    def of(cls, terms, quadratic):
        """None where a norm or a ridge term makes every W cost something."""
        basis = common_null(terms, quadratic.ridge)
        return None if basis is None else cls(basis, quadratic)

    def shift(self, direction):
        """What to add to X, for its descent direction."""
        return self.basis @ self._inverse(self.basis.T @ direction)


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


def ways(direction, duals, ridge, n_null):
    """Yield the ways in which subgradients can make up a descent `direction` of the loss, (n_tasks, n_features).

    The `duals` are pairs (f, U), whose sum is the direction but for a mismatch that is zero at a solution.  Each way
    gives that mismatch to another place which can take it: the ridge term, one function, or several.  It is a pair for
    `_dual_value`: the gauge, the largest factor by which a dual variable then is outside its ball (inside up to 1), and
    the price, the sum of the conjugates.

    No function can take what is not orthogonal to its null space, the combinations of tasks that cost it nothing.  The
    direction is orthogonal to that of the whole penalty, `n_null` combinations, and so is the mismatch: functions with
    no larger null space can take all of it.  Where there is none, all functions together can.
    """
    mismatch = direction - sum(f.divergence(U) for f, U in duals)
    gauges, prices = np.array([(f.gauge(U), f.price(U)) for f, U in duals]).reshape(-1, 2).T
    least = np.inf
    if ridge > 0:  # to the ridge term, whose conjugate is |M|^2 / (2 ridge)
        yield gauges.max(initial=0.0), prices.sum() + np.vdot(mismatch, mismatch) / (2.0 * ridge)
    for k, (f, U) in enumerate(duals):  # to one function, U_k + M
        if _n_unseen(f) > n_null:
            continue  # the mismatch need not be orthogonal to all of its null space
        changed = U + f.route(mismatch)
        gauge = max(f.gauge(changed), np.delete(gauges, k).max(initial=0.0))
        least = min(least, gauge)
        yield gauge, f.price(changed) + np.delete(prices, k).sum()
    if len(duals) > 1 and all(_n_unseen(f) > n_null for f, _ in duals):  # to all, in parts M_k that f_k can take
        parts = _parts(mismatch, [f.null for f, _ in duals], np.linalg.norm(direction))
        changed = [(f, U + f.route(part)) for (f, U), part in zip(duals, parts, strict=False)]
        if changed:
            yield max(f.gauge(U) for f, U in changed), sum(f.price(U) for f, U in changed)
    norms = [k for k, (f, _) in enumerate(duals) if isinstance(f, Norm) and _n_unseen(f) <= n_null]
    if len(norms) > 1 and least < _NEAR:  # to several norms, as far as each has room
        yield from _among_norms(mismatch, [duals[k] for k in norms], np.delete(gauges, norms), prices.sum(), ridge)


def _among_norms(mismatch, duals, other_gauges, price, ridge):
    """The same where several norms share a mismatch: each takes what its dual ball has room for, in turn and again.

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


def _parts(mismatch, bases, size):
    """Parts that sum to the mismatch, each orthogonal to one of the bases; an empty list if there are none.

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


def matters(term):
    """Whether a term has any strength."""
    return any(norm.alpha > 0 or norm.constrains for norm in term.norms)


def _null_basis(f):
    """The combinations of tasks that cost f nothing (n_tasks, n_null), None if there are none."""
    return f.null if _n_unseen(f) else None


def _n_unseen(f):
    """How many combinations of tasks cost f nothing."""
    return 0 if f.null is None else f.null.shape[1]


def _dual_value(X, loss, direction, gauge, price):
    """The best dual value of s times the residuals r of X, ``s y'r - s^2 (|r|^2 / 2 + price)``, ``0 <= s gauge <= 1``.

    It takes no row: ``|r|^2 = 2 loss`` and ``y'r = |r|^2 + <direction, X>``, rows weighted with c_t.  At a solution the
    best s is 1.  Where it would be far above, both numbers are rounding errors, and 2 is as good.
    """
    linear, curvature = 2.0 * loss + float(np.vdot(direction, X)), 2.0 * (loss + price)
    if not np.isfinite(gauge) or not np.isfinite(curvature) or curvature <= 0.0:
        return 0.0
    s = max(min(linear / curvature, 1.0 / gauge if gauge > 0 else np.inf, 2.0), 0.0)
    return s * linear - 0.5 * s * s * curvature
