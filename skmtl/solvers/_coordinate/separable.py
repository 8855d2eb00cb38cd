"""Penalties that separate over features, in numbers: their values, their dual norms, the largest feasible dual point.

All weights W and negative gradients Z here are (n_features, n_tasks).
"""

from dataclasses import dataclass, replace

import numpy as np

from skmtl._algebra import over
from skmtl.penalties.sparse import L1, soft_threshold
from skmtl.solvers.solution import AT_ZERO

__all__ = ["Separable", "row_lengths", "without_dust"]

_DUST = 1e-13  # share of the largest weight of a task, in units of the features: what is smaller is rounding


@dataclass(frozen=True)
class Separable:
    """``sum_j lam_j |W_j| + mu |W|_1 + ridge / 2 |W|^2``; lam has shape (n_features,)."""

    lam: np.ndarray
    mu: float
    ridge: float
    infinite: bool
    positive: bool

    @classmethod
    def of(cls, penalty, n_features):
        """The numbers of an L1 or a JointFeature."""
        if isinstance(penalty, L1):
            return cls(np.zeros(n_features), float(penalty.alpha), penalty.ridge, False, False)
        lam = penalty.alpha * penalty.l1_ratio * penalty.row_factors(n_features)
        infinite = np.isinf(float(penalty.norm))
        return cls(lam, float(penalty.alpha_l1), penalty.ridge, bool(infinite), bool(penalty.positive))

    def at(self, features):
        """The penalty of some of the features."""
        return replace(self, lam=self.lam[features])

    @property
    def free(self):
        """Which features have no norm at all, bool (n_features,): given the others, theirs is a linear problem."""
        return (self.lam == 0.0) & (self.mu == 0.0)

    @property
    def apart(self):
        """Whether there are absolute values of weights, and nothing that joins tasks."""
        return self.mu > 0.0 and not self.lam.any()

    @property
    def smooth(self):
        """Whether nothing but the norms of features has kinks, and those only at zero."""
        return not (self.mu or self.positive or self.infinite)

    def value(self, W, at=slice(None)):
        """The penalty of W, which is >= 0 under `positive`: the weights of the features at `at`."""
        value = self.lam[at] @ (np.abs(W).max(axis=1, initial=0.0) if self.infinite else row_lengths(W))
        if self.mu:
            value += self.mu * np.abs(W).sum()
        return float(value + 0.5 * self.ridge * np.einsum("jt,jt->", W, W) if self.ridge else value)

    def lengths(self, Z, slack=1.0):
        """The dual norm of every row of Z once mu has shortened its entries: up to lam_j, the weights W_j are zero.

        slack : a factor on mu.
        """
        Z = self._left(Z, slack)
        return np.abs(Z).sum(axis=1) if self.infinite else row_lengths(Z)

    def room(self, Z, lengths, s=1.0):
        """How far every row of s Z, of these lengths, is from where its weights would be used."""
        room = self.lam - lengths
        if self.mu:  # and how far mu is above its largest entry, which has to get past it first
            room += np.maximum(self.mu - s * (Z if self.positive else np.abs(Z)).max(axis=1), 0.0)
        return room

    def is_zero_at(self, Z):
        """Whether W = 0 is the minimum, for the negative gradient Z there."""
        slack = 1.0 + AT_ZERO
        return bool((self.lengths(Z, slack) <= self.lam * slack).all())

    def largest_scale(self, Z, lengths):
        """The largest s <= 1 with ``length_j(s Z) <= lam_j`` everywhere."""
        bad = lengths > self.lam
        if not bad.any():
            return 1.0
        if not self.mu:
            return float(np.min(self.lam[bad] / lengths[bad]))
        part, Z = self.at(bad), self._left(Z[bad], 0.0)
        s = 1.0
        hard = part.lam == 0.0
        if hard.any():
            s = self.mu / np.abs(Z[hard]).max()
        if hard.all():
            return s
        part, Z = part.at(~hard), Z[~hard]
        for _ in range(8):  # Newton on convex functions of s, from above
            at_s, growth = part.lengths(s * Z), part._growth(s, Z)
            s_ = s - np.maximum(at_s - part.lam, 0.0) / np.where(growth > 0, growth, np.inf)
            s = float(np.min(s_))
        at_s = part.lengths(s * Z)
        return s * float(np.min(part.lam / np.maximum(at_s, part.lam)))  # convex and 0 at 0: inside, whatever s was

    def _left(self, Z, slack=1.0):
        """Z with its entries shortened by ``slack * mu``; negative ones are zero where W >= 0."""
        if self.positive:
            return np.maximum(Z - slack * self.mu, 0.0)
        return soft_threshold(Z, slack * self.mu) if self.mu and slack else Z

    def _growth(self, s, Z):
        """The derivative of ``lengths(s Z)`` with respect to s."""
        left = np.abs(self._left(s * Z))
        if self.infinite:
            return np.sum(np.abs(Z), axis=1, where=left > 0)
        return over(np.einsum("jt,jt->j", left, np.abs(Z)), row_lengths(left))


def without_dust(W, curvature, axis=0):
    """Weights without what rounding leaves of a zero; `axis` is that of features, in whose units weights are small."""
    size = np.abs(W) * np.sqrt(curvature)
    return np.where(size > _DUST * size.max(axis=axis, keepdims=True, initial=0.0), W, 0.0)


def row_lengths(W):
    """The Euclidean length of every row."""
    return np.sqrt(np.einsum("jt,jt->j", W, W))
