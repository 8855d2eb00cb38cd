"""A graph of tasks, in any form in which users have one, as an adjacency matrix.

dict, list, data frame, networkx    edges between ids, which may be those of no task of the data
array, sparse matrix                weights of the tasks as they come
None                                every pair of tasks, each with weight 1
"""

from collections.abc import Mapping

import numpy as np
from scipy import sparse

from skmtl._ids import brief, canonical_ids, describe, encode, lookup

__all__ = ["adjacency_of", "has_ids", "nodes_of"]


def has_ids(graph):
    """Whether a graph names its nodes."""
    return graph is not None and not isinstance(graph, np.ndarray) and not sparse.issparse(graph)


def nodes_of(graph, tasks):
    """The ids of `tasks` and of the graph; sorted if the graph brings new ones."""
    if not has_ids(graph):
        return tasks
    edges, nodes = _read(graph)
    ids, missing = canonical_ids([end for edge in edges for end in edge[:2]] + nodes, "graph")
    if missing.any():
        raise ValueError("The graph has a missing value (None or NaN) among its ids.")
    known = lookup(ids, tasks) >= 0
    if len(ids) and not known.any():
        raise ValueError(
            f"No id of the graph ({describe(ids)}) is a task of the data ({describe(tasks)}). Ids are compared as "
            "they are: 1 is not '1'."
        )
    return tasks if known.all() else encode(np.concatenate([tasks, ids[~known]]))[0]


def adjacency_of(graph, tasks):
    """The symmetric weights K for the ids `tasks`, zero on the diagonal; CSR array (n_tasks, n_tasks)."""
    n_tasks = len(tasks)
    if graph is None:
        return sparse.csr_array(np.ones((n_tasks, n_tasks)) - np.eye(n_tasks))
    if has_ids(graph):
        return _joined(_read(graph)[0], tasks)
    if graph.shape != (n_tasks, n_tasks):
        raise ValueError(
            f"graph has shape {graph.shape}, but there are {n_tasks} tasks: an array follows tasks_, in its order. "
            "Give the graph by ids where some tasks may be absent: {(a, b): weight}."
        )
    K = sparse.csr_array(_symmetric(graph))
    K.setdiag(0.0)
    K.eliminate_zeros()
    return K


def _read(graph):
    """The edges as triples (a, b, weight), each as often as the graph lists it; and nodes that need not have any."""
    if isinstance(graph, Mapping):
        return [(*_pair(edge), weight) for edge, weight in graph.items()], []
    if hasattr(graph, "edges") and hasattr(graph, "nodes"):  # networkx
        return list(graph.edges(data="weight", default=1.0)), list(graph.nodes)
    if hasattr(graph, "columns") and hasattr(graph, "index"):  # pandas
        ids = list(graph.index)
        if list(graph.columns) != ids:
            raise ValueError("A data frame as graph needs the same ids, in the same order, as index and columns.")
        K = _symmetric(graph.to_numpy(dtype=float))
        rows, columns = np.nonzero(np.triu(K, 1))
        return [(ids[a], ids[b], K[a, b]) for a, b in zip(rows, columns, strict=True)], ids
    if isinstance(graph, (list, tuple, set, frozenset)):
        return [_triple(edge) for edge in graph], []
    raise TypeError(
        "graph must be a dict {(a, b): weight}, a list of edges, a pandas data frame, a networkx graph, an array "
        f"of shape (n_tasks, n_tasks) or None. Got {type(graph).__name__}."
    )


def _pair(edge):
    if not isinstance(edge, (tuple, list)) or len(edge) != 2:
        raise ValueError(f"An edge of the graph is a pair of task ids (a, b). Got {edge!r}.")
    return edge


def _triple(edge):
    """A pair of task ids and a weight, which is 1 where there is none."""
    return edge if isinstance(edge, (tuple, list)) and len(edge) == 3 else (*_pair(edge), 1.0)


def _symmetric(K):
    """The array or sparse matrix K as float, if it is one of undirected weights."""
    K = K.tocsr().astype(float) if sparse.issparse(K) else K.astype(float)
    if K.ndim != 2 or K.shape[0] != K.shape[1]:
        raise ValueError(f"graph must be square, of shape (n_tasks, n_tasks). Got shape {K.shape}.")
    _check_weights(K.data if sparse.issparse(K) else K)
    difference = abs(K - K.T)
    if difference.max() > 1e-12 * abs(K).max():
        a, b = (int(at) for at in np.unravel_index(difference.argmax(), K.shape))
        raise ValueError(
            "graph is not symmetric: edges have no direction, so that weight (a, b) equals weight (b, a). "
            f"Got {K[a, b]:g} at {(a, b)} and {K[b, a]:g} at {(b, a)}."
        )
    return K


def _joined(edges, tasks):
    """The weights of `edges` as an array: one listed twice must have one weight, and loops say nothing."""
    a, b = (lookup(canonical_ids([edge[end] for edge in edges], "graph")[0], tasks) for end in (0, 1))
    weights = np.array(list(map(_weight, edges)))
    _check_weights(weights)
    weight_of: dict[tuple[int, int], float] = {}
    for s, t, weight in zip(np.minimum(a, b).tolist(), np.maximum(a, b).tolist(), weights.tolist(), strict=True):
        if s != t and weight_of.setdefault((s, t), weight) != weight:
            raise ValueError(
                f"The graph lists the edge between {describe(tasks[[s, t]])} twice with different weights, "
                f"{weight_of[s, t]} and {weight}."
            )
    a, b = np.array(list(weight_of), dtype=np.intp).reshape(-1, 2).T
    half = sparse.coo_array((list(weight_of.values()), (a, b)), shape=(len(tasks), len(tasks)))
    return (half + half.T).tocsr()


def _weight(edge):
    a, b, weight = edge
    try:
        return float(weight)
    except (TypeError, ValueError):
        raise ValueError(
            f"The weights of the graph must be numbers, finite and >= 0. Got {brief(weight)} for the edge {(a, b)}."
        ) from None


def _check_weights(weights):
    refused = weights[~(np.isfinite(weights) & (weights >= 0))]
    if len(refused):
        raise ValueError(f"The weights of the graph must be numbers, finite and >= 0. Got {refused[0]:g}.")
