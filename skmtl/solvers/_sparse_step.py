r"""The quadratic step of a splitting with absolute values in it, ``min_W  f(W) + alpha |W|_1 + rho / 2 |W - Z|^2``.

Absolute values need no copy of W then: what is left to agree on are the other terms.  Where tasks have fewer rows than
features, f alone is flat in many directions, and copies of a sparse and of a simple W approach each other slowly; on
few weights it is not.  Task by task, coordinate descent from the iteration before, which has nearly the same signs.
Beside quadratic forms copies approach each other as quickly, and cost less, unless intercepts are drawn together.
"""

import numpy as np

from skmtl.penalties.quadratic import TaskQuadratic
from skmtl.penalties.sparse import L1
from skmtl.solvers._coupling import Together
from skmtl.solvers._quadratic import PulledIntercepts, Quadratic

__all__ = ["SparseStep", "with_absolute_values"]

_LARGEST = 1e7  # numbers in all Gram matrices; with more, factors are better
_INEXACT = 0.01  # of the mean difference of copies: what a step may leave of its own equations
_ROUNDING = 1e-13  # of alpha: what it leaves at least
_UNHURRIED, _HASTE = 15.0, 4.0  # iterations in which problems end that are no hard ones; for those rho may be so large


def with_absolute_values(terms, beside_forms=False):
    """Whether there are absolute values among terms, and others; quadratic forms count as such if `beside_forms`."""
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
        """Whether there are absolute values besides other terms, and every task, given b_0, a problem of its own."""
        quadratic = problem.quadratic
        small = quadratic.B.size * quadratic.B.shape[1] <= _LARGEST
        pulled = type(quadratic) is PulledIntercepts
        alone = pulled or type(quadratic) is Quadratic
        return small and alone and with_absolute_values([copy.term for copy in problem.terms], beside_forms=pulled)

    def _copied(self, terms):
        self.inside = L1(sum(term.alpha for term in terms if isinstance(term, L1)))
        return [term for term in terms if not isinstance(term, L1)]

    def _slope(self, W):
        slope, alpha = super()._slope(W), self.inside.alpha
        self.X = W.copy()
        return slope + np.where(W != 0, alpha * np.sign(W), np.clip(-slope, -alpha, alpha))

    def haste(self, n_iter):
        """More for hard problems, where the step has few weights to choose from, and a large rho makes Y alike soon."""
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
        """And X itself, whose zeros are exact, with what the step leaves of the gradient for the absolute values."""
        points, duals, X = self._found(z, v, y, rho)
        pull = rho * (self._pull(self.blocks(z)) - self.degree * X)
        duals.append((self.inside, self.quadratic.at(X)[1] - self.quadratic.ridge * X + pull))
        return [*points, (self.objective(X), X, ())], self.bound(X, duals), (X, duals)

    def objective(self, W):
        return super().objective(W) + self.inside.value(W)
