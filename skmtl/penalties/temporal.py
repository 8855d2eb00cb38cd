"""Tasks follow one another in time: the weights of one are like those of the next."""

from functools import cached_property

import numpy as np
from scipy import sparse

from skmtl._ids import canonical_ids, describe, lookup
from skmtl.penalties._directions import Directions, of_runs
from skmtl.penalties._prox import total_variation
from skmtl.penalties.base import Chain, Norm, Penalty
from skmtl.penalties.quadratic import TaskQuadratic
from skmtl.penalties.sparse import L1, RowNorm

__all__ = ["Temporal", "TotalVariation"]


class Temporal(Penalty):
    r"""Weights change little from a task to the next, or seldom.

    .. math:: \Omega(W) = \alpha \sum_t \|w_{t+1} - w_t\|_1 + \alpha_1 \|W\|_1 + \alpha_g \sum_j \|W_j\|_2
              + \tfrac{\alpha_r}{2} \|W\|_F^2

    or, if `smooth`, :math:`\tfrac{\alpha}{2} \sum_t \|w_{t+1} - w_t\|_2^2` as its first term.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength on the change from task to task, >= 0.
    alpha_l1 : float, default=0.0
        Strength :math:`\alpha_1` on the absolute value of every weight, >= 0.
    alpha_group : float, default=0.0
        Strength :math:`\alpha_g` on the length of a feature's weights over all tasks, >= 0: few features matter at any
        time.
    smooth : bool, default=False
        Whether weights drift. Otherwise they jump at a few times and are the same in between.
    order : list of task ids or None, default=None
        The tasks in order of time. It may hold ids that are not in the data; their neighbours then are each other's.
        None: as in `tasks_`: of a wide y the order of its columns, else sorted, where "month10" comes before "month2".
    alpha_ridge : float, default=0.0
        Strength :math:`\alpha_r` of a ridge term, >= 0.

    References
    ----------
    Zhou, Yuan, Liu, Ye (2011), *KDD*, 814-822: smooth.

    Zhou, Liu, Narayan, Ye (2012), *KDD*, 1095-1103: with jumps, and how the proxes of the parts are composed.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import Temporal
    >>> W = np.array([[1.0, 0.0], [1.0, 0.0], [4.0, 0.0]])
    >>> Temporal(alpha=1.0).value(W), Temporal(alpha=1.0, smooth=True).value(W)
    (3.0, 4.5)
    >>> Temporal(alpha=1.0, order=[0, 2, 1]).value(W)
    6.0
    """

    def __init__(self, alpha=0.01, alpha_l1=0.0, alpha_group=0.0, smooth=False, order=None, alpha_ridge=0.0):
        self.alpha = alpha
        self.alpha_l1 = alpha_l1
        self.alpha_group = alpha_group
        self.smooth = smooth
        self.order = order
        self.alpha_ridge = alpha_ridge

    @property
    def rotation_invariant(self):
        """True for smooth weights of all features."""
        return bool(self.smooth) and self.alpha_l1 == 0 and self.alpha_group == 0

    def value(self, W, tasks=None):
        """Omega(W); `tasks` (n_tasks,) are the ids of the rows of W, 0, 1, ... by default."""
        steps = np.diff(W[self.places(np.arange(len(W)) if tasks is None else tasks)], axis=0)
        change = 0.5 * np.vdot(steps, steps) if self.smooth else np.abs(steps).sum()
        sparsity = sum(norm.value(W) for norm in self._sparsity())
        return float(self.alpha * change + sparsity + self._ridge_value(W))

    def terms(self, tasks):
        places = self.places(tasks)
        if self.smooth:
            D = _differences(places)
            change = [TaskQuadratic(self.alpha * (D.T @ D))] if self.alpha > 0 else []
            return (*change, *_chain(self._sparsity()))
        change = [TotalVariation(self.alpha, places)] if self.alpha > 0 else []
        return _chain(change + self._sparsity())

    def places(self, tasks):
        """The positions of the ids `tasks` (n_tasks,) in order of time."""
        if self.order is None:
            return np.arange(len(tasks))
        ids, missing = canonical_ids(self.order, "order")
        at = lookup(ids, tasks)
        lost = np.setdiff1d(np.arange(len(tasks)), at)
        if missing.any() or len(lost):
            what = (
                "a missing value (None or NaN)"
                if missing.any()
                else f"{describe(ids)}, without {describe(tasks[lost])}"
            )
            raise ValueError(f"order must list every task of the data once. Got {what}. Ids are compared as they are.")
        at = at[at >= 0]
        values, counts = np.unique(at, return_counts=True)
        if (counts > 1).any():
            raise ValueError(f"order must list every task once. It lists {describe(tasks[values[counts > 1]])} again.")
        return at

    def _sparsity(self):
        """The norms that do not look at time; each keeps the subgradients of those before it."""
        norms = [L1(self.alpha_l1), RowNorm(self.alpha_group)]
        return [norm for norm in norms if norm.alpha > 0]


class TotalVariation(Norm):
    r"""The change from task to task, summed; nothing for weights that do not change.

    .. math:: \Omega(W) = \alpha \sum_t \|w_{t+1} - w_t\|_1, \qquad
              \Omega^\circ(Z) = \max_{t,j} \Big| \sum_{s \le t} Z_{js} \Big| \text{ where } \sum_s Z_{js} = 0

    Parameters
    ----------
    alpha : float
        Strength, >= 0.
    places : int array of shape (n_tasks,)
        The positions of the tasks in order of time.
    """

    def __init__(self, alpha, places):
        self.alpha = alpha
        self.places = places

    def value(self, W):
        """Omega(W)."""
        return float(self.alpha * np.abs(np.diff(W[self.places], axis=0)).sum())

    def prox(self, V, step):
        """Weights that jump less and less often."""
        out = np.empty(V.shape)
        out[self.places] = total_variation(V[self.places], step * self.alpha)
        return out

    def directions(self, V, P, step, before=None):
        """Tasks in a row that have the same weight move together."""
        features, B = of_runs(P[self.places])
        placed = np.empty_like(B)
        placed[self.places] = B
        return Directions(features, placed)

    def dual_norm(self, Z):
        """The largest partial sum over time, for Z that sums to zero over tasks; what rounding adds is removed."""
        Z = Z[self.places]
        return float(np.abs(np.cumsum(Z - Z.mean(axis=0), axis=0)[:-1]).max(initial=0.0))

    @cached_property
    def null(self):
        """The direction that costs nothing: the same weights for all tasks; sparse array (n_tasks, 1)."""
        n_tasks = len(self.places)
        return sparse.csr_array(np.full((n_tasks, 1), 1.0 / np.sqrt(n_tasks)))


def _chain(norms):
    return (Chain(*norms),) if norms else ()


def _differences(places):
    """D with ``D W`` the changes of W from task to task, sparse array (n_tasks - 1, n_tasks)."""
    n = len(places)
    steps = np.arange(n - 1)
    values, rows = np.repeat([-1.0, 1.0], n - 1), np.tile(steps, 2)
    return sparse.csr_array((values, (rows, np.concatenate([places[:-1], places[1:]]))), shape=(n - 1, n))
