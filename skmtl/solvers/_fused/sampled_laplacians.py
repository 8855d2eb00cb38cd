"""Rough Cholesky factors of ``diag(s_j) + D' diag(k_j) D`` for every feature j, in time linear in the number of edges.

As in `laplacians.py`, couplings and sums of rows are kept instead of a matrix.  To eliminate a node with neighbours
u_1, u_2, ... and couplings w_1 <= w_2 <= ... would couple all its neighbours, pair by pair, with ``w_a w_b / pivot``.
Instead u_a is coupled to one u_b alone, b > a, drawn with probabilities in proportion to w_b, by
``w_a sum_{b > a} w_b / pivot``: the right thing on average, never more edges than before, and neighbours that were
strongly coupled through the node remain so (Kyng, Sachdeva 2016, *FOCS*, 573-582).  On graphs of
random neighbours, with couplings from 1e-8 to 1e8, conjugate gradients then take a few dozen steps (see the tests).
"""

import numpy as np

from skmtl._numba import kernel, read_only

__all__ = ["SampledLaplacians"]

_DRAWS = 4093  # random numbers, used in turn; the same in every fit
_ROOM = 4  # entries of a factor for each edge, at first


class SampledLaplacians:
    """The factors: `factor` for new numbers, `solve` as often as wanted."""

    def __init__(self, elimination, s, t):
        self._position, self._task_at = elimination.position, np.argsort(elimination.position)
        a, b = self._position[s], self._position[t]
        self._low, self._high = read_only(np.minimum(a, b)), read_only(np.maximum(a, b))
        self._draws = read_only(np.random.default_rng(0).random(_DRAWS))
        self._room = _ROOM * len(s) + 1

    def factor(self, sums, k):
        """Factorise for what rows sum to, (n_tasks, d) > 0, and couplings k >= 0 of edges, (n_edges, d)."""
        sums, k = np.ascontiguousarray(sums[self._task_at].T), read_only(np.ascontiguousarray(k.T))
        (d, n), n_edges = sums.shape, len(self._low)
        lists = np.empty((2, n), dtype=np.int64), np.empty((2, n_edges), dtype=np.int64), np.empty(n_edges)
        pivot, first = np.empty((d, n)), np.empty((d, n + 1), dtype=np.int64)
        while True:
            later, ratio = np.empty((d, self._room), dtype=np.int64), np.empty((d, self._room))
            out = first, later, ratio, pivot
            if eliminate_roughly(self._low, self._high, k, self._draws, sums.copy(), *lists, *out):
                break
            self._room *= 2
        n_used = first[:, -1].max()
        places = first.astype(np.uint32), later[:, :n_used].astype(np.uint32)  # unsigned: no index counts from the end
        self._factors = [read_only(part) for part in (*places, ratio[:, :n_used].copy(), 1.0 / pivot)]

    def solve(self, R):
        """The solutions for R (n_tasks, d), a column for each feature."""
        X = np.ascontiguousarray(R[self._task_at].T)
        substitute_roughly(*self._factors, X)
        return np.ascontiguousarray(X.T[self._position])


@kernel
def eliminate_roughly(low, high, k, draws, sums, ends, edges, weight, first, later, ratio, pivot):
    r"""Eliminate one node after the other, for every feature; whether there was room for all neighbours.

    low, high : int64 (n_edges,), read-only, the ends of edges, low < high.  k : float64 (d, n_edges), read-only.
    draws : float64 (n_draws,), read-only, in [0, 1).  sums : float64 (d, n), what rows sum to, changed.
    ends : int64 (2, n), edges : int64 (2, n_edges), weight : float64 (n_edges,): workspace, for each node the edges to
    later ones as a list, and the place where a neighbour stands.
    first : int64 (d, n + 1), later : int64 (d, room), ratio : float64 (d, room), filled: the later neighbours of node i
    are ``later[j, first[j, i]:first[j, i + 1]]``, and the ratios of their couplings to the pivot.
    pivot : float64 (d, n), filled.
    """
    head, place, node, following = ends[0], ends[1], edges[0], edges[1]
    n_drawn = 0
    for j in range(len(sums)):
        head[:], place[:] = -1, -1
        for e in range(len(low)):
            node[e], weight[e], following[e], head[low[e]] = high[e], k[j, e], head[low[e]], e
        free, start = -1, 0
        for i in range(sums.shape[1]):
            end, e = start, head[i]
            while e >= 0:  # its edges are free from now on; those to one neighbour are one
                u, ahead = node[e], following[e]
                if place[u] < start:
                    if end == later.shape[1]:
                        return False
                    place[u], later[j, end], ratio[j, end] = end, u, 0.0
                    end += 1
                ratio[j, place[u]] += weight[e]
                following[e] = free
                free, e = e, ahead
            sort(ratio[j, start:end], later[j, start:end])
            rest = 0.0
            for p in range(start, end):
                rest += ratio[j, p]
            pivot[j, i] = sums[j, i] + rest
            for p in range(start, end):
                u, w = later[j, p], ratio[j, p]
                rest -= w
                ratio[j, p] /= pivot[j, i]
                sums[j, u] += ratio[j, p] * sums[j, i]
                if p < end - 1:
                    q, left = p + 1, draws[n_drawn % len(draws)] * rest
                    n_drawn += 1
                    while q < end - 1 and left >= ratio[j, q]:
                        left -= ratio[j, q]
                        q += 1
                    e, free = free, following[free]
                    a, node[e] = min(u, later[j, q]), max(u, later[j, q])
                    weight[e], following[e], head[a] = ratio[j, p] * rest, head[a], e
            first[j, i] = start
            start = end
        first[j, sums.shape[1]] = start
    return True


@kernel
def sort(values, labels):
    """Sort a few values, ascending, and their labels with them; np.argsort makes the whole three times as long."""
    for p in range(1, len(values)):
        value, label, q = values[p], labels[p], p
        while q > 0 and values[q - 1] > value:
            values[q], labels[q] = values[q - 1], labels[q - 1]
            q -= 1
        values[q], labels[q] = value, label


@kernel
def substitute_roughly(first, later, ratio, inverse, X):
    r"""Solve for X (d, n), changed, with what `eliminate_roughly` has filled, read-only; inverse (d, n): of the pivots.

    first : uint32 (d, n + 1).  later : uint32 (d, room).
    """
    d, n = X.shape
    for j in range(d):
        begin, node, share, x = first[j], later[j], ratio[j], X[j]
        for i in range(n):
            value = x[i]
            for p in range(begin[i], begin[i + 1]):
                x[node[p]] += share[p] * value
        for b in range(n):
            i = n - 1 - b
            value = x[i] * inverse[j, i]
            for p in range(begin[i], begin[i + 1]):
                value += share[p] * x[node[p]]
            x[i] = value
