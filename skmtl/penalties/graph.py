"""Tasks are nodes of a graph: the weights of neighbours are alike, or the same."""

import copy
from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from skmtl._algebra import membership
from skmtl._ids import number_as_they_come
from skmtl.penalties._adjacency import adjacency_of, has_ids, nodes_of
from skmtl.penalties._prox import fuse_all, fuse_pairs
from skmtl.penalties.base import Norm, Penalty, Term
from skmtl.penalties.quadratic import AroundMean, TaskQuadratic, laplacian_solver
from skmtl.penalties.sparse import L1

__all__ = ["Edges", "EveryPair", "FusedTasks", "GraphPenalty", "TaskGraph", "each_edge", "equal_rows"]


class GraphPenalty(Penalty):
    """What penalties with a `graph`, in any of its forms, share."""

    @property
    def has_nodes(self):
        """Whether tasks without labels are nodes, predicted from their neighbours; else they get the shared model."""
        return self.graph is not None

    def all_tasks(self, tasks):
        """The ids of `tasks` and of the graph; sorted if the graph brings new ones."""
        return nodes_of(self.graph, tasks)

    def placed(self, nodes, kept):
        """The same with the graph as an array: to read ids at every strength would take longer than many a fit."""
        if self.graph is None or (kept.all() and not has_ids(self.graph)):
            return self
        other = copy.copy(self)
        other.graph = self.adjacency(nodes)[kept][:, kept]
        return other

    def adjacency(self, tasks):
        """The symmetric weights K, zero on the diagonal; CSR array (n_tasks, n_tasks)."""
        return adjacency_of(self.graph, tasks)


class TaskGraph(GraphPenalty):
    r"""Neighbouring tasks have similar weights.

    .. math:: \Omega(W) = \tfrac{\alpha}{2} \sum_{(s,t) \in E} k_{st} \|w_s - w_t\|_2^2 + \tfrac{\alpha_r}{2} \|W\|_F^2
              + \alpha_1 \|W\|_1
              = \tfrac{\alpha}{2} \operatorname{tr}(W L W') + \tfrac{\alpha_r}{2} \|W\|_F^2 + \alpha_1 \|W\|_1

    L is the graph's Laplacian D - K, or :math:`I - D^{-1/2} K D^{-1/2}` when `normalized`.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength of the graph, >= 0.
    graph : dict, list, data frame, networkx graph, array or None, default=None
        ``{(a, b): weight}``; a list of pairs ``(a, b)`` or triples ``(a, b, weight)``; a square pandas data frame of
        weights with the ids as index and columns; a networkx graph (edge attribute "weight", 1 if absent); or a
        symmetric array or sparse matrix of shape (n_tasks, n_tasks) in the order of `tasks_`. Undirected, weights >= 0;
        an edge may be listed in both directions with the same weight. None connects every pair of tasks with weight 1.
    alpha_ridge : float, default=0.01
        Strength :math:`\alpha_r` of the ridge term, >= 0; without edges it is all there is.
    normalized : bool, default=False
        Whether to divide every edge by the roots of its nodes' degrees, so that hubs count no more than others.
    alpha_l1 : float, default=0.0
        Strength :math:`\alpha_1` on the absolute value of every weight, >= 0.

    References
    ----------
    Evgeniou, Micchelli, Pontil (2005), *Journal of Machine Learning Research* 6:615-637.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import TaskGraph
    >>> chain = TaskGraph(alpha=1.0, graph={("a", "b"): 1.0, ("b", "c"): 2.0}, alpha_ridge=0.0)
    >>> chain.laplacian(np.array(["a", "b", "c"], dtype=object)).toarray()
    array([[ 1., -1.,  0.],
           [-1.,  3., -2.],
           [ 0., -2.,  2.]])
    """

    def __init__(self, alpha=0.01, graph=None, alpha_ridge=0.01, normalized=False, alpha_l1=0.0):
        self.alpha = alpha
        self.graph = graph
        self.alpha_ridge = alpha_ridge
        self.normalized = normalized
        self.alpha_l1 = alpha_l1

    @property
    def rotation_invariant(self):
        """True without the absolute values."""
        return self.alpha_l1 == 0

    def value(self, W, tasks=None):
        """Omega(W); `tasks` (n_tasks,) are the ids of the rows of W, 0, 1, ... by default."""
        tasks = np.arange(len(W)) if tasks is None else tasks
        if self.graph is None:
            return sum(term.value(W) for term in self.terms(tasks)) + self._ridge_value(W)
        return self.value_on(each_edge(self.adjacency(tasks)), W)

    def value_on(self, K, W):
        """Omega(W) for the edges K between the rows of W, which a path reads once: see `each_edge`."""
        W_ = _per_root_degree(K + K.T)[:, None] * W if self.normalized else W
        edges = K.data @ np.sum((W_[K.row] - W_[K.col]) ** 2, axis=1)  # edge by edge: tr(W L W') cancels
        return float(0.5 * self.alpha * edges + self.alpha_l1 * np.abs(W).sum()) + self._ridge_value(W)

    def laplacian(self, tasks):
        """L for the ids `tasks` (n_tasks,), which hold all of the graph's; CSR array (n_tasks, n_tasks)."""
        K = self.adjacency(tasks)
        L = sparse.diags_array(np.asarray(K.sum(axis=1)).ravel()) - K
        root = sparse.diags_array(_per_root_degree(K)) if self.normalized else None
        return (L if root is None else root @ L @ root).tocsr()

    def terms(self, tasks):
        if self.alpha == 0:
            return (L1(self.alpha_l1),)
        if self.graph is None:
            n_tasks = len(tasks)
            apart = self.alpha * (n_tasks / max(n_tasks - 1, 1) if self.normalized else n_tasks)
            return AroundMean(apart, 0.0, n_tasks), L1(self.alpha_l1)
        return TaskQuadratic(self.alpha * self.laplacian(tasks)), L1(self.alpha_l1)


class FusedTasks(GraphPenalty):
    r"""Neighbouring tasks have the same weights, but for some.

    .. math:: \Omega(W) = \alpha \sum_{(s,t) \in E} k_{st} \|w_s - w_t\|_{1 \text{ or } 2}
              + \tfrac{\alpha_r}{2} \|W\|_F^2

    Parameters
    ----------
    alpha : float, default=0.01
        Strength of the graph, >= 0.
    graph : dict, list, data frame, networkx graph, array or None, default=None
        As in `TaskGraph`. None connects every pair of tasks with weight 1, for which the 2-norm needs memory in
        proportion to ``n_tasks ** 2 * n_features``.
    norm : {1, 2}, default=2
        2 fuses all weights of two tasks together, 1 feature by feature.
    alpha_ridge : float, default=0.0
        Strength :math:`\alpha_r` of a ridge term, >= 0.

    References
    ----------
    Hocking, Joulin, Bach, Vert (2011), *ICML*, 745-752; Hallac, Leskovec, Boyd (2015), *KDD*, 387-396.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import FusedTasks
    >>> W = np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 4.0]])
    >>> FusedTasks(alpha=1.0).value(W), FusedTasks(alpha=1.0, norm=1).value(W)
    (10.0, 14.0)
    """

    def __init__(self, alpha=0.01, graph=None, norm=2, alpha_ridge=0.0):
        self.alpha = alpha
        self.graph = graph
        self.norm = norm
        self.alpha_ridge = alpha_ridge

    @property
    def rotation_invariant(self):
        """True for the 2-norm."""
        return float(self.norm) == 2

    def value(self, W, tasks=None):
        """Omega(W); `tasks` (n_tasks,) are the ids of the rows of W, 0, 1, ... by default."""
        return self._edge_term(np.arange(len(W)) if tasks is None else tasks).value(W) + self._ridge_value(W)

    def terms(self, tasks):
        if self.graph is None and float(self.norm) == 1:
            return (EveryPair(self.alpha, len(tasks)),)
        return (self._edge_term(tasks),)

    def _edge_term(self, tasks):
        K = each_edge(self.adjacency(tasks))
        return Edges(self.alpha, K.row, K.col, K.data, len(tasks), float(self.norm))

    def fitted_attributes(self, W, parts, tasks, seen):
        return {"cluster_labels_": equal_rows(W)}


class Edges(Term):
    """``alpha sum_e k_e |w_s(e) - w_t(e)|`` as a term of a splitting, in which every edge has copies of both its ends.

    The copies of all edges are one array Z (2, n_edges, n_features): ``spread`` makes them, ``gather`` adds those of a
    task, and ``prox`` treats every edge alone.  A dual variable is a flow (n_edges, n_features), of length at most
    ``alpha k_e`` on each edge.
    """

    def __init__(self, alpha, s, t, k, n_tasks, norm=2.0):
        kept = k > 0
        self.s, self.t, self.k, self.n_tasks, self.norm = s[kept], t[kept], k[kept], n_tasks, norm
        self.alpha = alpha if kept.any() else 0.0
        ends = np.arange(len(self.s))
        self.incidence = sparse.csr_array(
            (np.repeat([1.0, -1.0], len(ends)), (np.r_[self.s, self.t], np.r_[ends, ends])), (n_tasks, len(ends))
        )
        self.degree = np.bincount(np.r_[self.s, self.t], minlength=n_tasks).astype(float)
        self._ends = abs(self.incidence)

    def value(self, W):
        """The sum over edges."""
        return float(self.alpha * self.k @ self._lengths(W[self.s] - W[self.t]))

    def spread(self, W):
        """The copies (2, n_edges, n_features) of both ends."""
        return np.stack([W[self.s], W[self.t]])

    def gather(self, Z):
        """The sum of the copies of every task, (n_tasks, n_features)."""
        return self.incidence @ (0.5 * (Z[0] - Z[1])) + self._ends @ (0.5 * (Z[0] + Z[1]))

    def prox(self, Z, step):
        """Ends of every edge drawn together by ``step * alpha * k_e``, until they meet."""
        A, B = np.empty_like(Z[0]), np.empty_like(Z[1])
        fuse_pairs(Z[0], Z[1], step * self.alpha * self.k, self.norm, A, B)
        return np.stack([A, B])

    def gauge(self, flow):
        """By what factor a flow exceeds what the edges bear; at most 1 is feasible."""
        dual = np.abs(flow).max(axis=1, initial=0.0) if self.norm == 1 else np.linalg.norm(flow, axis=1)
        return float((dual / (self.alpha * self.k)).max(initial=0.0))

    def route(self, M):
        """A flow whose divergence is M (n_tasks, n_features), which sums to zero in every connected component.

        The smallest one where edges are wide in proportion to k.
        """
        return self.k[:, None] * (self.incidence.T @ self._potential(M))

    @cached_property
    def null(self):
        """What costs nothing, constants in each connected component: orthonormal, (n_tasks, n_components)."""
        label = csgraph.connected_components(self._laplacian, directed=False)[1]
        return sparse.csr_array((1.0 / np.sqrt(np.bincount(label))[label], (np.arange(len(label)), label)))

    def divergence(self, flow):
        """What a flow brings to every task, (n_tasks, n_features)."""
        return self.incidence @ flow

    @cached_property
    def _laplacian(self):
        return (self.incidence * self.k @ self.incidence.T).tocsr()

    @cached_property
    def _potential(self):
        return laplacian_solver(self._laplacian)

    def _lengths(self, D):
        return np.abs(D).sum(axis=1) if self.norm == 1 else np.linalg.norm(D, axis=1)

    def fuse(self, W, Z):
        """W with the tasks of every cluster at their mean; an edge joins two tasks if its copies in Z are equal."""
        meet = (Z[0] == Z[1]).all(axis=1)
        joined = sparse.coo_array((np.ones(meet.sum()), (self.s[meet], self.t[meet])), shape=(len(W), len(W)))
        label = csgraph.connected_components(joined, directed=False)[1]
        return (membership(label) @ W / np.bincount(label)[:, None])[label]


class EveryPair(Norm):
    r"""``alpha sum_s<t |w_s - w_t|_1`` as a term of a splitting: one prox for all pairs of tasks.

    What costs nothing, `null`, are constants; of arrays that sum to zero over tasks, `dual_norm` is

    .. math:: \max_{j, \, 0 < k < T} \frac{\text{sum of the } k \text{ largest of } Z_{j}}{k \, (T - k)}

    since k tasks have k (T - k) edges to the others, and no more than alpha flows on each.
    """

    def __init__(self, alpha, n_tasks):
        self.alpha, self.n_tasks = alpha if n_tasks > 1 else 0.0, n_tasks

    @cached_property
    def null(self):
        """Constants; sparse array (n_tasks, 1)."""
        return sparse.csr_array(np.full((self.n_tasks, 1), self.n_tasks**-0.5))

    def value(self, W):
        """The sum over pairs: in order, w_(i) is the larger in i pairs, the smaller in T - 1 - i."""
        gaps = np.diff(np.sort(W, axis=0), axis=0)
        return float(self.alpha * np.sum(self._pairs(len(W)) @ gaps))

    def prox(self, V, step):
        """``argmin_P step * value(P) + 1/2 |P - V|_F^2``."""
        return fuse_all(V, step * self.alpha)

    def dual_norm(self, Z):
        """``max { <Z, W> : value(W) <= alpha }`` for Z that sums to zero over tasks."""
        largest = np.cumsum(np.sort(Z - Z.mean(axis=0), axis=0)[::-1], axis=0)[:-1]
        return float((largest / self._pairs(len(Z))[:, None]).max(initial=0.0))

    def _pairs(self, n_tasks):
        k = np.arange(1.0, n_tasks)
        return k * (n_tasks - k)


def each_edge(adjacency):
    """The weights of the edges, each once: what is above the diagonal, a COO array (n_tasks, n_tasks)."""
    return sparse.triu(adjacency, 1).tocoo()


def equal_rows(W):
    """A number for each distinct row of W, in the order in which they come first; shape (n_tasks,)."""
    return number_as_they_come(np.unique(W, axis=0, return_inverse=True)[1].ravel())


def _per_root_degree(K):
    """1 / sqrt(degree) of every node, 0 for one without edges."""
    degree = np.asarray(K.sum(axis=1)).ravel()
    return np.divide(1.0, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
