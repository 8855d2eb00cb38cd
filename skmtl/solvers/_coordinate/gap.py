"""How good weights are: the duality gap, and the features that it proves to be zero.

The dual point is the residual, scaled by s.  With Z = c_t X_t' r_t - ridge W and length_j(Z) = |soft(Z_j, mu)|_dual

    D(s) = s sum_t c_t y_t'r_t  -  s^2 / 2 (sum_t c_t |r_t|^2 + ridge |W|^2),

is a lower bound of the minimum for every s with length_j(s Z) <= lam_j for all features.  Of a free feature, with
lam_j = mu = 0, that asks for Z_j = 0: its weights have to be at their optimum, given all others (`refitted`).

Screening: Ndiaye, Fercoq, Gramfort, Salmon (2017), *JMLR* 18:1-33.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from skmtl._algebra import inverse_down_to_noise, over, plus_diagonal, smallest_solution
from skmtl.solvers._coordinate.columns import State

__all__ = ["Bound", "Progress", "left_over", "lower_bound", "may_be_used", "refitted"]

_ALIKE = 1e-11  # share of the largest eigenvalue; with less, free features depend on each other


@dataclass
class Progress:
    """Whether gaps still shrink."""

    share: float  # a gap of more than this share of the best before it is none
    best: float = np.inf
    idle: int = 0  # how many gaps in a row have been none

    def add(self, gap):
        """Take the next gap into account."""
        self.idle = self.idle + 1 if gap > self.share * self.best else 0
        self.best = min(self.best, gap)


class Bound(NamedTuple):
    """A lower bound of the minimum; its scale s, 0 where residuals prove nothing; what the features say.

    Z is not scaled; `lengths` (n_features,) are those of s Z, `outside` is a mask of the features for which Z itself is
    too long.
    """

    value: float
    scale: float
    Z: np.ndarray
    lengths: np.ndarray
    outside: np.ndarray


def lower_bound(columns, omega, q, W, H, some=slice(None)):
    """The `Bound` over the features that have these q, from their weights W and ``H = q_t - G_t w_t``.

    `some` are positions of all features that have weights.
    """
    Z, free, square = H * columns.c, omega.free, 0.0
    if omega.ridge:
        Z -= omega.ridge * W
        square = omega.ridge * np.einsum("jt,jt->", W, W)
    if free.any():
        left = np.maximum(Z[free], 0.0) if omega.positive else Z[free]
        if omega.ridge:  # any V with ridge V_j = c X_j'r serves instead of W_j
            V = left / omega.ridge + W[free]
            square += omega.ridge * (np.vdot(V, V) - np.vdot(W[free], W[free]))
        elif omega.positive and left.max() > 1e-10 * np.abs(q[free] * columns.c).max():
            return Bound(0.0, 0.0, Z, np.zeros(len(free)), np.ones(len(free), dtype=bool))
        Z[free] = 0.0
    qw, hw = (np.einsum("jt,jt->t", part[some], W[some]) for part in (q, H))
    yy = columns.moments.yy
    a, b = columns.c @ (yy - qw), columns.c @ np.maximum(yy - qw - hw, 0.0) + square
    lengths = omega.lengths(Z)
    outside = lengths > omega.lam
    s = max(min(float(a / b) if b > 0 else 1.0, omega.largest_scale(Z, lengths)), 0.0)
    lengths = omega.lengths(s * Z) if omega.mu and s != 1.0 else s * lengths
    return Bound(s * a - 0.5 * s**2 * b, s, Z, lengths, outside)


def may_be_used(columns, omega, bound, gap):
    """The features that the gap does not prove to be zero, bool (n_features,).

    The dual optimum is within sqrt(2 gap) of the dual point, a ball in which their lengths may reach lam.
    """
    if bound.scale == 0.0:
        return np.ones(len(bound.lengths), dtype=bool)
    size = columns.sums + len(columns.c) * omega.ridge if omega.infinite else columns.largest + omega.ridge
    reach = np.sqrt(2.0 * gap * size)
    return bound.lengths + reach >= omega.lam * (1.0 - 1e-9)


def refitted(columns, omega, state):
    """The state with free features at their exact optimum; that of the dual point, which needs it; and what is `left`.

    The second is another one only where the optimum would have negative weights that are not allowed.  `left` is how
    far above the minimum rounding leaves the second: without a ridge term no dual variable takes up what it leaves of
    the equations.
    """
    free = np.flatnonzero(omega.free)
    if not len(free):
        return state, state, 0.0
    W, H = state.W.copy(), state.H
    G, ridge = np.moveaxis(columns.with_grams(free), 2, 0), over(omega.ridge, columns.c)
    use = columns.curved[free]
    for _ in range(2):
        if omega.positive:
            use = columns.curved[free] & ((W[free] > 0) | (H[free] > 0))
        R = np.where(use, H[free] - ridge * W[free], 0.0)
        if columns.alike and use.all():  # one equation for all tasks
            S = plus_diagonal(G.copy(), ridge[0])
            step = smallest_solution(S, R, _ALIKE)[0]
        else:
            S = plus_diagonal(np.where(use.T[:, :, None] & use.T[:, None, :], G, 0.0), ridge[:, None])
            step = smallest_solution(S, R.T[:, :, None], _ALIKE)[:, :, 0].T
        W[free] += np.where(use, step, 0.0)  # eigenvectors are not zero to the last digit
        H = columns.residual_products(W)
    optimum = State(W, H)
    left = 0.0
    if not omega.ridge:
        R = (np.sqrt(columns.c) * np.where(use, H[free], 0.0)).T
        left = max(0.5 * float(np.vdot(R, inverse_down_to_noise(S)(R))), 0.0)
    return (optimum if not omega.positive or (W >= 0).all() else state), optimum, left


def left_over(descent):
    """What the slope along free features may add to the gap of a working set; 0 for what is `refitted`."""
    omega, columns = descent.omega, descent.columns
    free = np.flatnonzero(omega.free)
    if not len(free):
        return 0.0
    W, Z = descent.W[free], columns.c * descent.H[free] - omega.ridge * descent.W[free]
    if omega.positive:
        Z = np.where(W > 0, Z, np.maximum(Z, 0.0))
    roots = np.sqrt(descent.curvature[free] + omega.ridge)
    return float(np.linalg.norm(over(Z, roots)) * np.sqrt(columns.c @ columns.moments.yy))
