r"""Newton's method where the splitting is slow: tasks with few rows beside many features.

Along what no row sees, the splitting takes thousands of small steps.  The residuals theta are few, and given copies W_k
and a step size sigma the method of multipliers asks for the minimum over them of

    phi(theta) = 1/2 |theta|^2 - <u, theta> + sum_k |P_k|^2 / (2 sigma),    P_k = prox_{sigma g_k}(W_k + sigma A' theta)

with the rows A and the labels u of all tasks, each times the root of its c_t.  The gradient is theta - u + A sum_k P_k,
and a derivative of that is ``I + sigma sum_k A J_k A'``, where the `Directions` of a prox span its derivative J_k: a
system of as many equations as there are rows, or directions.  Then the P_k are the new W_k, and sigma may grow, so that
a few rounds are enough, to any precision (Li, Sun, Toh 2018, *SIAM Journal on Optimization* 28:433-458: semismooth
Newton augmented Lagrangian).
"""

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from skmtl._algebra import plus_diagonal
from skmtl.moments import TaskMoments
from skmtl.penalties.base import Chain
from skmtl.solvers._coupling import Decomposed, Together
from skmtl.solvers._quadratic import Quadratic

__all__ = ["has_few_labels", "minimize_by_newton", "n_rows_of", "patience", "suits"]

_ROWS = 1000  # of all tasks: with more, a step takes longer than hundreds of iterations of the splitting
_CHEAP, _MANY = 200, 100  # iterations of the splitting that cost next to nothing, with fewer features than so many
_FIRST = 10.0  # the first sigma, in units of the splitting's step size 1 / rho
_GROWTH, _QUICK = 3.0, 0.2  # a round multiplies sigma by the first, unless it brings the gap to this share of itself
_STEPS = 50  # of Newton in a round, at most
_IDLE, _LESS = 5, 0.99  # so many rounds in a row that leave more than this share of the gap end the method
_INSIDE = 0.2  # share of how far the round moves W, over the root of sigma: what it may leave of phi's gradient
_DECREASE, _SHORTEST = 1e-4, 1e-6  # line search: the share of the slope that is to be gained, and the shortest step
_FINE = 1e-13  # share of phi: whether so small a gain is one cannot be told, so that there is no line search


def suits(problem):
    """Whether the splitting's problem is one of few rows, and the derivatives of all its proxes are known."""
    moments = problem.quadratic.moments
    if type(problem.quadratic) is not Quadratic or type(moments) is not TaskMoments or len(moments.full):
        return False
    if type(problem) not in (Together, Decomposed) or problem.quadratic.ridge:
        return False
    if len(problem.terms) != (2 if type(problem) is Decomposed else 1):
        return False
    if any(norm.directions is None for term in problem.terms for norm in term.term.norms):
        return False
    return n_rows_of(moments) <= min(_ROWS, problem.quadratic.B.size)


def patience(problem):
    """Iterations of the splitting to try first: the fewer rows, the cheaper Newton's steps, and the sooner they come.

    With few features, hundreds of iterations cost less than one such step.
    """
    moments = problem.quadratic.moments
    return max(30 + n_rows_of(moments) // 4, _CHEAP if moments.n_features < _MANY else 0)


def has_few_labels(data):
    """Whether tasks have so few labels in all that the method may be wanted, for which they have to keep rows."""
    return np.count_nonzero(data.label_weight()) <= _ROWS


def n_rows_of(moments):
    """How many rows all tasks together keep, which is how many residuals there are."""
    return sum(rows.v.size for rows in moments.rows)


def minimize_by_newton(problem, found, goal, max_iter):
    """Go on from the best point of the splitting, which has `found` too little, for at most `max_iter` steps.

    Should rounding end that, `found.state` is where the splitting can start again, with the smallest gap so far.
    """
    rho = found.state[1]
    fit = _Multipliers(problem, found.weights, _FIRST / rho)
    left, idle = max_iter, 0
    while not found.reaches(goal, problem.quadratic.f0) and left > 0 and idle < _IDLE:
        before = found.gap
        try:
            left -= max(fit.round(min(_STEPS, left)), 1)
        except LinAlgError:
            break
        found.improve(*fit.certify())
        if found.gap < before:
            found.state = problem.join(fit.fixed_point(rho)), rho
        idle = idle + 1 if found.gap > _LESS * before else 0
        if found.gap > _QUICK * before:
            fit.sigma *= _GROWTH
    found.n_iter += max_iter - left
    found.converged = found.gap <= goal
    return found


class _StackedRows:
    """The rows of all tasks, one below the other, each times the root of its c_t."""

    def __init__(self, quadratic):
        self._shape = quadratic.B.shape
        self._groups = [(rows, np.sqrt(quadratic.c[rows.tasks])[:, None]) for rows in quadratic.moments.rows]
        self._cuts = np.cumsum([rows.v.size for rows, _ in self._groups])[:-1]
        self.labels = np.concatenate([(root * rows.v).ravel() for rows, root in self._groups])

    def margins(self, W):
        """A W for W (n_tasks, n_features)."""
        return np.concatenate([(root * rows.margins(W[rows.tasks])).ravel() for rows, root in self._groups])

    def products(self, theta):
        """``A' theta``, (n_tasks, n_features)."""
        H = np.zeros(self._shape)
        for (rows, root), part in zip(self._groups, np.split(theta, self._cuts), strict=True):
            H[rows.tasks] = rows.products(root * part.reshape(rows.v.shape))
        return H

    def along(self, directions):
        """A times every direction, (n_rows, n_directions)."""
        features, B = directions
        parts = [rows.columns(features) * (root * B[rows.tasks])[:, None] for rows, root in self._groups]
        return np.concatenate([part.reshape(part.shape[0] * part.shape[1], len(features)) for part in parts])


class _Multipliers:
    """The method's copies W_k, residuals theta, and step size sigma.

    Attributes
    ----------
    P, Z : lists of arrays (n_tasks, n_features)
        For every term its prox, and where it is taken.
    """

    def __init__(self, problem, copies, sigma):
        self.problem, self.sigma = problem, sigma
        self.terms = [term.term for term in problem.terms]
        self.rows = _StackedRows(problem.quadratic)
        self.P = self.Z = copies
        self.theta = self.rows.labels - self.rows.margins(sum(copies))

    def round(self, max_steps):
        """One round of multipliers: the last P become the copies W, and Newton's steps find their theta.

        Returns how many steps that took.
        """
        self.W, length, fine = self.P, np.inf, False
        H = self.rows.products(self.theta)
        value, self.Z, self.P = self._at(self.theta, H)
        for n_steps in range(max_steps + 1):
            gradient = self.theta - self.rows.labels + self.rows.margins(sum(self.P))
            last, length = length, float(np.linalg.norm(gradient))
            moved = np.sqrt(sum(np.linalg.norm(new - old) ** 2 for new, old in zip(self.P, self.W, strict=True)))
            if length <= _INSIDE * moved / np.sqrt(self.sigma) or (fine and length > 0.5 * last):
                return n_steps
            if n_steps < max_steps:
                step = self._newton_step(gradient)
                ahead, slope, share = self.rows.products(step), gradient @ step, 1.0
                at_share = self._at(self.theta + step, H + ahead)
                fine = -slope <= _FINE * abs(value)
                while not fine and share > _SHORTEST and at_share[0] > value + _DECREASE * share * slope:
                    share *= 0.5
                    at_share = self._at(self.theta + share * step, H + share * ahead)
                self.theta, H = self.theta + share * step, H + share * ahead
                value, self.Z, self.P = at_share
        return max_steps

    def _at(self, theta, H):
        """The value of phi at theta, with H = A' theta; where the proxes are taken, and they."""
        Z = [W + self.sigma * H for W in self.W]
        P = [term.prox(V, self.sigma) for term, V in zip(self.terms, Z, strict=True)]
        squares = sum(np.vdot(part, part) for part in P) / (2.0 * self.sigma)
        return 0.5 * theta @ theta - self.rows.labels @ theta + squares, Z, P

    def _newton_step(self, gradient):
        """``-(I + M M')^-1 gradient``, by as many equations as M (n_rows, n_directions) has rows or columns."""
        directions = [Chain(*term.norms).directions(V, self.sigma) for term, V in zip(self.terms, self.Z, strict=True)]
        M = np.hstack(list(map(self.rows.along, directions)))
        M *= np.sqrt(self.sigma)
        if M.shape[1] < len(M):
            K = plus_diagonal((M.T @ M)[None], 1.0)[0]
            return M @ cho_solve(cho_factor(K), M.T @ gradient) - gradient
        K = plus_diagonal((M @ M.T)[None], 1.0)[0]
        return -cho_solve(cho_factor(K), gradient)

    def certify(self):
        """Points, a lower bound of the objective, and what proves it, as the splitting's `certify` returns them."""
        problem, W = self.problem, sum(self.P)
        if isinstance(problem, Decomposed):
            parts, duals = tuple(self.P), []
        else:
            parts, duals = (), problem.terms[0].duals(self.Z[0], W, 1.0 / self.sigma)
        X = problem.level(W)
        return [(problem.value_at(self.P), W, parts)], problem.bound(X, duals), (X, duals)

    def fixed_point(self, rho):
        """The copies Z of a splitting with step size 1 / rho that stand for these P and their subgradients."""
        return [P - (V - P) / (self.sigma * rho) for V, P in zip(self.Z, self.P, strict=True)]
