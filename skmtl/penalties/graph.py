"""Tasks are nodes of a graph: the weights of neighbours are alike."""

from collections.abc import Mapping

import numpy as np
from scipy import sparse

from skmtl._ids import canonical_ids, describe, encode, lookup
from skmtl.penalties.base import Penalty

__all__ = ["TaskGraph"]


class TaskGraph(Penalty):
    r"""Neighbouring tasks have similar weights.

    .. math:: \Omega(W) = \tfrac{\alpha}{2} \sum_{(s,t) \in E} k_{st} \|w_s - w_t\|_2^2 + \tfrac{\alpha_r}{2} \|W\|_F^2
              = \tfrac{\alpha}{2} \operatorname{tr}(W L W') + \tfrac{\alpha_r}{2} \|W\|_F^2

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

    rotation_invariant = True

    def __init__(self, alpha=0.01, graph=None, alpha_ridge=0.01, normalized=False):
        self.alpha = alpha
        self.graph = graph
        self.alpha_ridge = alpha_ridge
        self.normalized = normalized

    def value(self, W, tasks=None):
        """Omega(W); `tasks` (n_tasks,) are the ids of the rows of W, 0, 1, ... by default."""
        K = sparse.triu(self._adjacency(np.arange(len(W)) if tasks is None else tasks), 1).tocoo()
        W_ = _per_root_degree(K + K.T)[:, None] * W if self.normalized else W
        edges = K.data @ np.sum((W_[K.row] - W_[K.col]) ** 2, axis=1)  # edge by edge: tr(W L W') cancels
        return float(0.5 * self.alpha * edges + 0.5 * self.alpha_ridge * np.sum(W**2))

    def all_tasks(self, tasks):
        """The ids of `tasks` and of the graph; sorted if the graph brings new ones."""
        if not self._by_id():
            return tasks
        ids, missing = canonical_ids([node for edge in self._edges() for node in edge[:2]] + self._nodes(), "graph")
        if missing.any():
            raise ValueError("The graph has a missing value (None or NaN) among its ids.")
        known = lookup(ids, tasks) >= 0
        if len(ids) and not known.any():
            raise ValueError(
                f"No id of the graph ({describe(ids)}) is a task of the data ({describe(tasks)}). Ids are compared as "
                "they are: 1 is not '1'."
            )
        return tasks if known.all() else encode(np.concatenate([tasks, ids[~known]]))[0]

    def laplacian(self, tasks):
        """L for the ids `tasks` (n_tasks,), which hold all of the graph's; CSR array (n_tasks, n_tasks)."""
        K = self._adjacency(tasks)
        L = sparse.diags_array(np.asarray(K.sum(axis=1)).ravel()) - K
        root = sparse.diags_array(_per_root_degree(K)) if self.normalized else None
        return (L if root is None else root @ L @ root).tocsr()

    def _by_id(self):
        return self.graph is not None and not isinstance(self.graph, np.ndarray) and not sparse.issparse(self.graph)

    def _edges(self):
        """The edges as triples (a, b, weight), each as often as the graph lists it."""
        graph = self.graph
        if isinstance(graph, Mapping):
            return [(*_pair(edge), weight) for edge, weight in graph.items()]
        if hasattr(graph, "edges") and hasattr(graph, "nodes"):  # networkx
            return list(graph.edges(data="weight", default=1.0))
        if hasattr(graph, "columns") and hasattr(graph, "index"):  # pandas
            if list(graph.columns) != list(graph.index):
                raise ValueError("A data frame as graph needs the same ids, in the same order, as index and columns.")
            K, ids = _symmetric(graph.to_numpy(dtype=float)), list(graph.index)
            rows, columns = np.nonzero(np.triu(K, 1))
            return [(ids[a], ids[b], K[a, b]) for a, b in zip(rows, columns, strict=True)]
        if isinstance(graph, (list, tuple, set, frozenset)):
            return [edge if len(edge) == 3 else (*_pair(edge), 1.0) for edge in graph]
        raise TypeError(
            "graph must be a dict {(a, b): weight}, a list of edges, a pandas data frame, a networkx graph, an array "
            f"of shape (n_tasks, n_tasks) or None. Got {type(graph).__name__}."
        )

    def _nodes(self):
        """The ids of nodes that need not have an edge."""
        if hasattr(self.graph, "nodes"):
            return list(self.graph.nodes)
        return list(self.graph.index) if hasattr(self.graph, "index") and hasattr(self.graph, "columns") else []

    def _adjacency(self, tasks):
        """The symmetric weights K, zero on the diagonal; CSR array (n_tasks, n_tasks)."""
        n_tasks = len(tasks)
        if self.graph is None:
            return sparse.csr_array(np.ones((n_tasks, n_tasks)) - np.eye(n_tasks))
        if not self._by_id():
            if self.graph.shape != (n_tasks, n_tasks):
                raise ValueError(
                    f"graph has shape {self.graph.shape}, but there are {n_tasks} tasks: an array follows tasks_, in "
                    "its order. Give the graph by ids where some tasks may be absent: {(a, b): weight}."
                )
            K = sparse.csr_array(_symmetric(self.graph))
            K.setdiag(0.0)
            K.eliminate_zeros()
            return K
        edges = self._edges()
        a, b = (lookup(canonical_ids([edge[end] for edge in edges], "graph")[0], tasks) for end in (0, 1))
        weights = _one_weight_per_edge(a, b, np.array([edge[2] for edge in edges], dtype=float))
        a, b = np.array(list(weights), dtype=np.intp).reshape(-1, 2).T
        half = sparse.coo_array((list(weights.values()), (a, b)), shape=(n_tasks, n_tasks))
        return (half + half.T).tocsr()


def _per_root_degree(K):
    """1 / sqrt(degree) of every node, 0 for one without edges."""
    degree = np.asarray(K.sum(axis=1)).ravel()
    return np.divide(1.0, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)


def _pair(edge):
    if not isinstance(edge, tuple) or len(edge) != 2:
        raise ValueError(f"An edge of the graph is a pair of task ids (a, b). Got {edge!r}.")
    return edge


def _symmetric(K):
    """The array or sparse matrix K as float, if it is one of undirected weights."""
    K = K.tocsr().astype(float) if sparse.issparse(K) else K.astype(float)
    values = K.data if sparse.issparse(K) else K
    if K.ndim != 2 or K.shape[0] != K.shape[1]:
        raise ValueError(f"graph must be square, of shape (n_tasks, n_tasks). Got shape {K.shape}.")
    if not np.isfinite(values).all() or (values < 0).any():
        raise ValueError("The weights of the graph must be finite and >= 0.")
    if abs(K - K.T).max() > 1e-12 * abs(K).max():
        raise ValueError("graph is not symmetric: edges have no direction, so that weight (a, b) equals weight (b, a).")
    return K


def _one_weight_per_edge(a, b, weights):
    """``{(a, b): weight}`` with a < b; an edge listed twice must have one weight, and loops say nothing."""
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("The weights of the graph must be finite and >= 0.")
    edges: dict[tuple[int, int], float] = {}
    for s, t, weight in zip(np.minimum(a, b).tolist(), np.maximum(a, b).tolist(), weights.tolist(), strict=True):
        if s != t and edges.setdefault((s, t), weight) != weight:
            raise ValueError(f"The graph lists an edge twice with different weights, {edges[s, t]} and {weight}.")
    return edges
