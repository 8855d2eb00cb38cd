"""Cholesky factors of ``diag(s_j) + D' diag(k_j) D`` for every feature j, with D W the differences along edges.

All features have one order of elimination.  What is kept of a matrix are its couplings and what its rows sum to, both
of which grow as nodes are eliminated: nothing is ever subtracted, so that the solutions are right to the last digits
even where couplings are 1e15 times s (Grassmann, Taksar, Heyman 1985, *Operations Research* 33:1107-1116).
"""

import numpy as np

from skmtl._numba import kernel, read_only

__all__ = ["Laplacians"]


class Laplacians:
    """The factors: `factor` for new numbers, `solve` as often as wanted."""

    def __init__(self, elimination, s, t):
        later = elimination.later
        self._first = read_only(np.concatenate([[0], np.cumsum([len(row) for row in later])]).astype(np.int64))
        self._node = read_only(np.concatenate([*later, []]).astype(np.int64))
        self._position, self._task_at = elimination.position, np.argsort(elimination.position)
        a, b = self._position[s], self._position[t]
        low, high = np.minimum(a, b), np.maximum(a, b)
        order = np.repeat(np.arange(len(later)), np.diff(self._first)) * len(later) + self._node  # ascending
        self._place = np.searchsorted(order, low * len(later) + high)

    def factor(self, sums, k):
        """Factorise for what rows sum to, (n_tasks, d) > 0, and couplings k >= 0 of edges, (n_edges, d)."""
        self._ratio = np.zeros((len(self._node), sums.shape[1]))
        self._ratio[self._place] = k
        self._pivot = np.empty_like(sums)
        eliminate(self._first, self._node, np.ascontiguousarray(sums[self._task_at]), self._ratio, self._pivot)

    def solve(self, R):
        """The solutions for R (n_tasks, d), a column for each feature."""
        X = np.ascontiguousarray(R[self._task_at])
        factors = read_only(self._ratio), read_only(self._pivot)
        substitute_columns(self._first, self._node, *factors, np.empty(X.shape[1]), X)
        return X[self._position]


@kernel
def eliminate(first, node, sums, ratio, pivot):
    r"""Eliminate one node after the other, for every feature.

    first : int64 (n_nodes + 1,), node : int64: the later neighbours of node i are ``node[first[i]:first[i + 1]]``,
    ascending, those that its elimination makes neighbours among them.
    sums : float64 (n_nodes, d), what rows sum to, changed.
    ratio : float64 (len(node), d), couplings >= 0 before, their ratios to the pivot after.
    pivot : float64 (n_nodes, d), filled.
    NumPy twin for one feature and a dense coupling K: ``pivot[i] = sums[i] + K[i, i+1:].sum(); r = K[i, i+1:] /
    pivot[i]; sums[i+1:] += r * sums[i]; K[i+1:, i+1:] += np.outer(r, K[i, i+1:])``, the diagonal apart.
    """
    n_nodes, d = sums.shape
    for i in range(n_nodes):
        begin, end = first[i], first[i + 1]
        for j in range(d):
            pivot[i, j] = sums[i, j]
        for p in range(begin, end):
            for j in range(d):
                pivot[i, j] += ratio[p, j]
        for p in range(begin, end):
            a = node[p]
            for j in range(d):
                ratio[p, j] /= pivot[i, j]
                sums[a, j] += ratio[p, j] * sums[i, j]
            at = first[a]
            for q in range(p + 1, end):
                while node[at] != node[q]:
                    at += 1
                for j in range(d):
                    ratio[at, j] += ratio[p, j] * ratio[q, j]


@kernel
def substitute_columns(first, node, ratio, pivot, x, X):
    r"""Solve for X (n_nodes, d), changed, with the factors of `eliminate`; x (d,) is workspace."""
    n_nodes, d = X.shape
    for i in range(n_nodes):
        for j in range(d):
            x[j] = X[i, j]
        for p in range(first[i], first[i + 1]):
            a = node[p]
            for j in range(d):
                X[a, j] += ratio[p, j] * x[j]
    for b in range(n_nodes):
        i = n_nodes - 1 - b
        for j in range(d):
            x[j] = X[i, j] / pivot[i, j]
        for p in range(first[i], first[i + 1]):
            a = node[p]
            for j in range(d):
                x[j] += ratio[p, j] * X[a, j]
        for j in range(d):
            X[i, j] = x[j]
