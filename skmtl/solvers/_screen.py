"""Which features can do without weights, and which belong to the next working set of a few.

Of many features few are in use.  The problem of these and of the nearest others is a small one with the same minimum,
once the features that were left out are where the penalty makes their weights zero.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from skmtl._algebra import over
from skmtl.penalties.graph import Edges, EveryPair
from skmtl.penalties.sparse import L1, JointFeature, RowNorm
from skmtl.penalties.temporal import TotalVariation
from skmtl.solvers._coordinate.separable import Separable

__all__ = ["MANY", "Screen", "joining", "nearest", "working_sets"]

MANY = 1000  # features, with fewer of which all of them are one set
_IDLE, _LESS = 3, 0.8  # so many working sets in a row that leave more than this share of the gap are the last
_MOST = 0.5  # share of all features; a working set as large would not be worth it
_SURE = 0.3  # share of the gap that is wanted of all features; that of a few need not be smaller
_SHARE = 0.1  # share of the gap of all features that is wanted of a few; after a set without progress, of that again
_FIRST = TotalVariation, EveryPair  # norms that compare the tasks of a feature; their prox precedes those of zeros


@dataclass(frozen=True)
class Screen:
    """What decides whether a penalty makes the weights of a feature zero: a part, or two for a decomposition."""

    parts: tuple

    @classmethod
    def of(cls, penalty, tasks, n_features):
        """The screen of a penalty for the ids `tasks`; None if it makes no weights zero."""
        if isinstance(penalty, L1 | JointFeature):
            return cls((_Part((), Separable.of(penalty, n_features)),))
        terms = penalty.terms(tasks)
        if penalty.decomposition:
            halves = [cls.of(norm, tasks, n_features) for norm in terms]
            return cls(tuple(part for half in halves for part in half.parts)) if all(halves) else None
        part = _Part.of(terms, n_features)
        return part and cls((part,))

    @classmethod
    def of_half(cls, penalty, tasks, n_features):
        """The screen of one half of a decomposition, and which half, 0 or 1, where the other prefers no direction.

        The other half then lies in the span of the rows.  None if there is no such half, or a ridge term on the sum,
        with which the other half need not lie there.
        """
        if not penalty.decomposition or penalty.ridge:
            return None
        halves = penalty.terms(tasks)
        for half in (0, 1):
            screen = cls.of(halves[half], tasks, n_features)
            if screen is not None and halves[1 - half].rotation_invariant:
                return screen, half
        return None

    def room(self, Z):
        """How far every column of Z (n_tasks, n_features) is from where weights would be used; negative beyond."""
        return np.min([part.room(Z) for part in self.parts], axis=0)

    @staticmethod
    def shared_out(duals, rest):
        """The `duals`, pairs (function, subgradient), changed so that their sum grows by `rest`.

        In the order of their proxes each norm takes what its dual ball has room for, and the last one all that is left.
        By Moreau's identity ``V - prox(V)`` is the point of the ball nearest to V.
        """
        order = [k for kind in (_FIRST, (L1, RowNorm)) for k, (f, _) in enumerate(duals) if isinstance(f, kind)]
        duals = list(duals)
        for k in order:
            f, U = duals[k]
            share = rest if k == order[-1] else rest - f.prox(rest, 1.0)
            duals[k], rest = (f, U + share), rest - share
        return duals


class _Part(NamedTuple):
    """Norms that compare the tasks of a feature, and the norm that makes its weights zero once these are taken off."""

    first: tuple
    norm: Separable

    @classmethod
    def of(cls, terms, n_features):
        """The part of those terms that separate over features.

        None if they make no weights zero, or if another term may depend on how many features there are.
        """
        functions = [f for term in terms for f in term.norms]
        mu = sum(f.alpha for f in functions if isinstance(f, L1))
        lengths = [f for f in functions if isinstance(f, RowNorm)]
        lam = sum(f.alpha for f in lengths)
        first = tuple(f for f in functions if isinstance(f, _FIRST))
        others = [f for f in functions if not isinstance(f, (*_FIRST, Edges, L1, RowNorm))]
        plain = len(lengths) < 2 and all(f.factors is None for f in lengths)
        if not plain or not mu + lam > 0.0 or not all(f.rotation_invariant for f in others):
            return None
        infinite = any(np.isinf(f.norm) for f in lengths)
        return cls(first, Separable(np.full(n_features, lam), mu, 0.0, infinite, False))

    def room(self, Z):
        """The same as of `Screen`, for what the first norms leave of Z."""
        for f in self.first:
            Z = f.prox(Z, 1.0)
        return self.norm.room(Z.T, self.norm.lengths(Z.T))


def joining(n_wanted, n_used, widen=1):
    """How many features may join a working set: twice those wanted and a few, up to a multiple of those in use."""
    return np.minimum(20 * widen + 2 * n_wanted, widen * (60 + 3 * n_used))


def nearest(room, lengths, used, widen):
    """The positions of the features in use and of those nearest to it; None if that is too many to be worth it.

    room : array (n_features,)
        How far a gradient is from where it would use the feature.
    lengths : array (n_features,)
        Of the features, the units of that; 0 for those that never will be used.
    """
    n_used = int(used.sum())
    size = n_used + int(joining(np.sum((room < 0.0) & ~used), n_used, widen))
    if size >= _MOST * len(room):
        return None
    far = np.where(used, -np.inf, np.where(lengths > 0.0, over(room, lengths), np.inf))
    return np.sort(np.argpartition(far, size - 1)[:size])


def working_sets(best, following, enough, f0, max_iter):
    """Positions of a few features, and the gap to which their problem is to be solved, until that of all is enough.

    best : object
        The best solution so far, with its `gap` and `n_iter`, which change before the next set is asked for.
    following : callable
        ``following(widen)`` is the next set, wider where others have not helped; None ends all.
    f0 : float
        The loss at zero weights.
    """
    idle = 0
    while best.gap > enough and best.n_iter < max_iter and idle < _IDLE:
        before, some = best.gap, following(2**idle)
        if some is None:
            return
        yield some, max(_SURE * enough, _SHARE * min(before, f0)) * _SHARE**idle
        idle = idle + 1 if best.gap > _LESS * before else 0
