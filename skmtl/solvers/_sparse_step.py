r"""The quadratic step of a splitting with absolute values in it, ``min_W  f(W) + alpha |W|_1 + rho / 2 |W - Z|^2``.

Absolute values have no copy of W then; only the other terms have.  Where tasks have fewer rows than features, f alone
is flat in many directions, along which a sparse copy and, say, one of low rank approach each other slowly.  With
absolute values X has few weights, and in these f is not flat.  The step is coordinate descent, task by task, from the X
of the iteration before, which has nearly the same signs.  Beside quadratic forms alone, copies approach each other as
quickly and cost less, unless intercepts are drawn together.
"""

import numpy as np

from skmtl.penalties.quadratic import TaskQuadratic
from skmtl.penalties.sparse import L1
from skmtl.solvers._coupling import Together, matters
from skmtl.solvers._quadratic import PulledIntercepts, Quadratic

__all__ = ["SparseStep", "needs_grams"]

_LARGEST = 1e7  # numbers in all Gram matrices; with more, factors are better
_INEXACT = 0.01  # share of rho times the mean difference of copies: what a step may leave of its own equations
_ROUNDING = 1e-13  # share of alpha: no step can leave less
_UNHURRIED = 15.0  # iterations; a problem that takes more is a hard one, and its rho grows with their number
_HASTE = 4.0  # the largest factor by which it does


def needs_grams(penalty, tasks):
    """Whether the step for a penalty of tasks with the ids `tasks` takes in absolute values, for which it needs G_t."""
    if penalty.decomposition:
        return False
    return _with_absolute_values([term for term in penalty.terms(penalty.all_tasks(tasks)) if matters(term)])


def _with_absolute_values(terms, beside_forms=False):
    """Whether `terms` are absolute values and others, among which quadratic forms count only if `beside_forms`."""
    others = [term for term in terms if not isinstance(term, L1)]
    reasons = others if beside_forms else [term for term in others if not isinstance(term, TaskQuadratic)]
    return len(others) < len(terms) and len(reasons) > 0


class SparseStep(Together):
    """All terms see one W; those that are absolute values within the step."""

    stiffness = 3.0

    def __init__(self, penalty, quadratic):
        super().__init__(penalty, quadratic)
        self.X, self._left = np.zeros_like(quadratic.B), np.inf

    @staticmethod
    def suits(problem):
        """Whether there are absolute values besides other terms, and the step is a problem for each task, given b_0."""
        quadratic = problem.quadratic
        if type(problem) is not Together or quadratic.B.size * quadratic.B.shape[1] > _LARGEST:
            return False
        pulled = type(quadratic) is PulledIntercepts
        alone = pulled or type(quadratic) is Quadratic
        return alone and _with_absolute_values([copy.term for copy in problem.terms], beside_forms=pulled)

    def _copied(self, terms):
        self.inside = L1(sum(term.alpha for term in terms if isinstance(term, L1)))
        return [term for term in terms if not isinstance(term, L1)]

    def _slope(self, W):
        """The same with the subgradient of the absolute values, at zeros the one nearest to what f needs."""
        slope, alpha = super()._slope(W), self.inside.alpha
        return slope + np.where(W != 0, alpha * np.sign(W), np.clip(-slope, -alpha, alpha))

    def _from_weights(self, state, slope):
        self.X = sum(state)  # from which the first step starts
        return super()._from_weights(state, slope)

    def haste(self, n_iter):
        """More for hard problems: there X has few weights to choose from, and Y soon has the same if rho is large."""
        return float(np.clip(n_iter / _UNHURRIED, 1.0, _HASTE))

    def center(self, Z, rho):
        enough = max(min(_INEXACT * rho * self._left, 1e-3 * self.inside.alpha), _ROUNDING * self.inside.alpha)
        R, self.X = self.quadratic.B + rho * self._pull(Z), self.X.copy()
        self.quadratic.sparse_minima(R, rho * self.degree, self.inside.alpha, enough, self.X)
        return self.X

    def step(self, z, rho):
        v, y, r = super().step(z, rho)
        self._left = float(np.sqrt(np.mean(r**2)))
        return v, y, r

    def zero_is_optimal(self):
        return not self.quadratic.B.any()

    def certify(self, z, v, y, rho):
        """The same with one more point, X itself, whose zeros are exact, and a subgradient of the absolute values.

        That is the gradient's equation solved for it: what f and the pull of the copies leave.
        """
        points, duals, X = self._found(z, v, y, rho)
        pull = rho * (self._pull(self.blocks(z)) - self.degree * X)
        duals.append((self.inside, self.quadratic.at(X)[1] - self.quadratic.ridge * X + pull))
        return [*points, (self.objective(X), X, ())], self.bound(X, duals), (X, duals)

    def objective(self, W):
        return super().objective(W) + self.inside.value(W)
