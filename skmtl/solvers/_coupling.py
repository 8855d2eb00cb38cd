"""How the terms of a penalty see W: their copies of it, and the subgradients that certificates are made of.

`Together`: every term has its copies of one W.  `Decomposed`: W = P + Q, a norm sees P, another Q.  The letters are
those of `splitting.py`: z, v = A X and y are vectors of the copies of all terms, one behind the other, and Z, V and Y
the same as lists of blocks, one for each term.
"""

import numpy as np

from skmtl.penalties.base import Chain
from skmtl.penalties.graph import Edges
from skmtl.solvers._certificates import Null, dual_value, way_of_parts, ways
from skmtl.solvers.solution import AT_ZERO

__all__ = ["Decomposed", "Together", "matters"]


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
        self._null = Null.of(terms, quadratic)

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
        """By what factor rho is to be larger than the one that balances the residuals in `splitting.py`."""
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

    def at_no_cost(self):
        """The best of the weights that cost nothing, as `certify` returns points; none where that is zero alone."""
        if self._null is None:
            return [], -np.inf, None
        X, zeros = self.level(np.zeros_like(self.quadratic.B)), self.blocks(np.zeros(self._cuts[-1]))
        duals = [dual for term, zero in zip(self.terms, zeros, strict=True) for dual in term.duals(zero, zero, 1.0)]
        return [(self.objective(X), X, ())], self.bound(X, duals), (X, duals)

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
        return X if self._null is None else self._null.level(X)

    def bound(self, X, duals):
        """The largest dual value found with multiples of the residuals of X and of these subgradients."""
        loss, direction = self.quadratic.at(X)
        return self.bound_of(X, loss, direction, duals)

    def bound_of(self, X, loss, direction, duals):
        """The same where the loss at X and its negative gradient are known."""
        along = float(np.vdot(direction, X))
        if self._null is not None:
            loss, along = self._null.levelled(loss, along, direction)
        return max((dual_value(loss, along, *way) for way in self._ways(X, direction, duals)), default=0.0)

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
        yield way_of_parts(X, direction, [term.term for term in self.terms], self.quadratic.ridge)


def matters(term):
    """Whether a term has any strength."""
    return any(norm.alpha > 0 or norm.constrains for norm in term.norms)
