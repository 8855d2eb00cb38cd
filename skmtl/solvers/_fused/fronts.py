"""Cholesky factors of matrices of small blocks, one row of blocks for each task, that couple neighbours of a graph.

    A = blockdiag(H_t) + sum_e (i_s - i_t)(i_s - i_t)' (x) (diag(k_e) - u_e u_e')

Tasks are eliminated in an order of little fill.  Those with the same neighbours later on go together, in a front: the
rows ``[U_11 U_12]`` of the factor, and the update ``-U_12' U_12`` of the tasks behind (Duff, Reid 1983, *ACM
Transactions on Mathematical Software* 9:302-325).  BLAS does the work, kernels put blocks where they belong.
"""

import numpy as np
from numpy.linalg import LinAlgError
from scipy import sparse
from scipy.linalg.blas import dsyrk, dtrsm
from scipy.linalg.lapack import dpotrf
from scipy.sparse.linalg import spilu

from skmtl._numba import kernel, read_only

__all__ = ["Elimination", "Fronts"]

_FILL = 0.2  # share of blocks of zeros that a larger front may bring
_FILLED = 40  # blocks of a factor for each task and edge, at most


class Elimination:
    """In which order tasks are eliminated, together with whom, and who is touched.

    Attributes
    ----------
    position : int array of shape (n_tasks,)
        The place of each task in the order.
    first : int array of shape (n_fronts + 1,)
        Front f eliminates the positions ``first[f], ..., first[f + 1] - 1``.
    behind : list of int arrays
        The later positions that a front touches, ascending.
    later : list of lists of int, or None
        For every position the later ones that its own elimination touches, ascending. None where these are many times
        as many as there are edges; then there are no fronts, either.
    front_of : int array of shape (n_tasks,)
        The front that eliminates each position.
    parent : int array of shape (n_fronts,)
        The front that takes up the update, -1 if there is none.
    """

    def __init__(self, n_tasks, s, t):
        ones = np.ones(len(s))
        A = sparse.coo_array((ones, (s, t)), shape=(n_tasks, n_tasks))
        A = (A + A.T + sparse.eye_array(n_tasks) * (n_tasks + 1.0)).tocsc()
        how = {"permc_spec": "MMD_AT_PLUS_A", "diag_pivot_thresh": 0.0, "options": {"SymmetricMode": True}}
        order = spilu(A, drop_tol=1.0, fill_factor=1.0, **how)  # the order of a factor, without the work for one
        self.position = order.perm_c.astype(np.int64)
        later, self.later = self._later(n_tasks, s, t), None
        if later is None:
            return
        self.first, self.behind = self._fronts(later)
        self.later = [sorted(row) for row in later]
        self.front_of = np.repeat(np.arange(len(self.behind)), np.diff(self.first))
        self.parent = np.array([self.front_of[rest[0]] if len(rest) else -1 for rest in self.behind], dtype=np.int64)

    def _later(self, n_tasks, s, t):
        """For every position the later ones in its row of the factor; None if these are too many."""
        left = _FILLED * (n_tasks + len(s))
        later: list[set[int]] = [set() for _ in range(n_tasks)]
        for a, b in zip(self.position[s].tolist(), self.position[t].tolist(), strict=True):
            later[min(a, b)].add(max(a, b))
        for k, row in enumerate(later):
            left -= len(row)
            if left < 0:
                return None
            if row:
                parent = min(row)
                later[parent] |= row
                later[parent].discard(parent)
                later[parent].discard(k)
        return later

    @staticmethod
    def _fronts(later):
        """Consecutive positions joined where that brings few blocks of zeros."""
        first, blocks, zeros = [0], 0, 0
        for k in range(1, len(later) + 1):
            start = first[-1]
            blocks += len(later[k - 1]) + 1
            if k < len(later) and k in later[k - 1]:
                more = (k - start) * (len(later[k]) + 1 - len(later[k - 1]))
                if zeros + more <= _FILL * (blocks + len(later[k]) + 1):
                    zeros += more
                    continue
            first.append(k)
            blocks = zeros = 0
        behind = [np.array(sorted(later[b - 1]), dtype=np.int64) for b in first[1:]]
        return np.array(first, dtype=np.int64), behind

    def cost(self, d):
        """Multiplications of a factorisation with blocks (d, d)."""
        if self.later is None:
            return np.inf
        a, b = d * np.diff(self.first).astype(float), d * np.array([len(rest) for rest in self.behind], dtype=float)
        return float(np.sum(a**3 / 6 + a**2 * b / 2 + a * b**2 / 2))


class Fronts:
    """The factor: `factor` for new numbers, `solve` as often as wanted."""

    def __init__(self, elimination, s, t, d):
        self.d, self.order = d, elimination
        first, behind = elimination.first, elimination.behind
        self._own = np.diff(first)
        self._wide = self._own + np.array([len(rest) for rest in behind])
        self._at = np.concatenate([[0], np.cumsum(self._own * self._wide)]) * d * d
        self._panels = np.empty(self._at[-1])
        nodes = [np.concatenate([np.arange(a, b), rest]) for a, b, rest in zip(first, first[1:], behind, strict=False)]
        self._nodes, self._starts = np.concatenate(nodes), np.concatenate([[0], np.cumsum(self._wide)])
        self._maps = [
            np.searchsorted(nodes[p], rest) if p >= 0 else None
            for p, rest in zip(elimination.parent, behind, strict=True)
        ]
        a, b = elimination.position[s], elimination.position[t]
        low, high = np.minimum(a, b), np.maximum(a, b)
        front = elimination.front_of[low]
        column = [np.searchsorted(nodes[f], node) for f, node in zip(front.tolist(), high.tolist(), strict=True)]
        self._edges = [read_only(np.ascontiguousarray(x, dtype=np.int64)) for x in (low, high, column)]
        self._fixed = [read_only(x) for x in (first, self._own, self._wide, self._at, elimination.front_of)]
        self._task_at = np.argsort(elimination.position)
        self._spare: dict[int, list] = {}

    def factor(self, H, K, U):
        """Factorise for H (n_tasks, d, d), K (n_edges, 1 or d) and U (n_edges, d); LinAlgError if not positive."""
        first, own, _, at, front_of = self._fixed
        inputs = (read_only(np.ascontiguousarray(x)) for x in (H[self._task_at], K, U))
        fill_panels(*inputs, *self._edges, first, own, at, front_of, self._panels)
        waiting: list[list] = [[] for _ in own]  # updates that a front's children hand on
        for f, parent in enumerate(self.order.parent):
            for child in waiting[f]:
                add_to_panel(read_only(child[0].T), child[1], self.d, own[f], at[f], self._panels)
            update = self._eliminate(f)
            for child in waiting[f]:
                add_to_update(read_only(child[0].T), child[1], self.d, own[f], update.T)
                self._spare.setdefault(len(child[0]), []).append(child[0])
            if parent >= 0:
                waiting[parent].append((update, self._maps[f]))

    def _eliminate(self, f):
        """Factorise the panel of front f; its update, upper triangle."""
        a, m = self.d * self._own[f], self.d * self._wide[f]
        panel = self._panels[self._at[f] : self._at[f + 1]].reshape((m, a)).T  # (a, m), Fortran-ordered
        U, failed = dpotrf(panel[:, :a], lower=0, overwrite_a=1, clean=0)
        if failed:
            raise LinAlgError
        if m == a:
            return np.empty((0, 0))
        side = dtrsm(1.0, U, panel[:, a:], lower=0, trans_a=1, overwrite_b=1)
        spare = self._spare.get(m - a)  # fresh pages would cost more than the sums
        update = spare.pop() if spare else np.empty((m - a, m - a), order="F")
        return dsyrk(-1.0, side, beta=0.0, c=update, trans=1, lower=0, overwrite_c=1)

    def solve(self, R):
        """``A^-1 R`` for R (n_tasks, d)."""
        X = np.ascontiguousarray(R[self._task_at])
        _, own, wide, at, _ = self._fixed
        work = np.empty(self.d * max(self._wide))
        substitute(read_only(self._panels), own, wide, at, self._nodes, self._starts, work, X)
        return X[self.order.position]


@kernel
def fill_panels(H, K, U, low, high, column, first, own, at, front_of, panels):
    r"""Put the blocks of A where the fronts expect them: `panels` is filled.

    H : float64 (n_tasks, d, d), by position.
    K : float64 (n_edges, 1 or d), U : float64 (n_edges, d): the block of edge e is ``diag(K_e) - U_e U_e'``.
    low, high, column : int64 (n_edges,): the positions of the ends, and the place of `high` among the nodes of a front.
    first, front_of : int64, see `Elimination`.
    own, at : int64 (n_fronts,), (n_fronts + 1,): how many positions a front eliminates, and where its panel begins.
    panels : float64, flat: for each front (own d) rows of its nodes' columns, column by column.
    """
    n_tasks, d = H.shape[0], H.shape[1]
    last = K.shape[1] - 1
    for i in range(len(panels)):
        panels[i] = 0.0
    for k in range(n_tasks):
        f = front_of[k]
        a, c = own[f] * d, (k - first[f]) * d
        for j in range(d):
            base = at[f] + (c + j) * a + c
            for i in range(j + 1):
                panels[base + i] = H[k, j, i]
    for e in range(len(low)):
        f = front_of[low[e]]
        a, r, c = own[f] * d, (low[e] - first[f]) * d, column[e] * d
        for j in range(d):
            base, v = at[f] + (c + j) * a + r, U[e, j]
            for i in range(d):
                panels[base + i] += v * U[e, i]
            panels[base + j] -= K[e, min(j, last)]
        for end in range(2):
            k = low[e] if end == 0 else high[e]
            f = front_of[k]
            a, c = own[f] * d, (k - first[f]) * d
            for j in range(d):
                base, v = at[f] + (c + j) * a + c, U[e, j]
                for i in range(j + 1):
                    panels[base + i] -= v * U[e, i]
                panels[base + j] += K[e, min(j, last)]


@kernel
def add_to_panel(update, place, d, own, at, panels):
    r"""Add of a child's update what belongs to tasks that its parent eliminates.

    update : float64 (m d, m d), read-only, the transpose of the upper triangle: row j, columns up to j.
    place : int64 (m,): where the m nodes are among those of the parent, of which the first `own` are eliminated there.
    panels : float64, flat, the parent's from `at`.
    """
    for p in range(len(place)):
        if place[p] >= own:
            break
        for q in range(p, len(place)):
            for j in range(d):
                base = at + (place[q] * d + j) * own * d + place[p] * d
                for i in range(j + 1 if p == q else d):
                    panels[base + i] += update[q * d + j, p * d + i]


@kernel
def add_to_update(update, place, d, own, total):
    r"""Add of a child's update the rest to the one of its parent, both transposed as in `add_to_panel`."""
    skip = 0
    while skip < len(place) and place[skip] < own:
        skip += 1
    for q in range(skip, len(place)):
        for j in range(d):
            row, source = (place[q] - own) * d + j, q * d + j
            for p in range(skip, q + 1):
                base, start = (place[p] - own) * d, p * d
                for i in range(j + 1 if p == q else d):
                    total[row, base + i] += update[source, start + i]


@kernel
def substitute(panels, own, wide, at, nodes, starts, x, X):
    r"""Solve ``U'U x = r`` for every front, forward and back; X (n_tasks, d), by position, is r before and x after.

    x : float64, workspace for the numbers of one front.
    """
    d, n_fronts = X.shape[1], len(own)
    for step in range(2 * n_fronts):
        back = step >= n_fronts
        f = 2 * n_fronts - 1 - step if back else step
        a, m = own[f] * d, wide[f] * d
        for i in range(wide[f]):
            for j in range(d):
                x[i * d + j] = X[nodes[starts[f] + i], j]
        for b in range(m):
            c = m - 1 - b if back else b
            base, n = at[f] + c * a, min(c, a)
            if back:
                if c < a:
                    x[c] /= panels[base + c]
                for i in range(n):
                    x[i] -= panels[base + i] * x[c]
            else:
                s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0  # four sums, which the processor adds at once
                for i in range(n // 4):
                    s0 += panels[base + 4 * i] * x[4 * i]
                    s1 += panels[base + 4 * i + 1] * x[4 * i + 1]
                    s2 += panels[base + 4 * i + 2] * x[4 * i + 2]
                    s3 += panels[base + 4 * i + 3] * x[4 * i + 3]
                for i in range(n - n % 4, n):
                    s0 += panels[base + i] * x[i]
                x[c] -= s0 + s1 + s2 + s3
                if c < a:
                    x[c] /= panels[base + c]
        for i in range(wide[f]):
            for j in range(d):
                X[nodes[starts[f] + i], j] = x[i * d + j]
