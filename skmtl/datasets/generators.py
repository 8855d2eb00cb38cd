"""Generators: weights by one belief about how tasks relate, then rows for them, `sample`.

Weights are scaled to ``E |w_t|^2 = 1``: with uncorrelated features noise=1 is half the variance of y around b_t.
They are drawn before the rows: for an int random_state the truth does not change with n_samples, noise or layout.
"""

import functools
import inspect

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.utils import check_random_state

from skmtl.datasets._common import fill_in
from skmtl.datasets._sampling import check, check_at_most, sample

__all__ = [
    "make_clustered_tasks",
    "make_graph_tasks",
    "make_joint_features",
    "make_low_rank_tasks",
    "make_outlier_tasks",
    "make_related_tasks",
    "make_temporal_tasks",
]

_COMMON_PARAMETERS = """n_tasks : int, default=20
        Number of tasks T.
    n_features : int, default=10
        Number of features d.
    n_samples : int or sequence of n_tasks ints, default=30
        Rows per task: their mean, or each task's own number.
    noise : float, default=1.0
        Standard deviation of the noise, in units of y.
    imbalance : float, default=0.0
        Log10 of the ratio between the largest and the smallest task: 0 makes them equal, 1 one task ten times another.
        Sizes form a geometric sequence in random order, rounded to at least 1, and sum to ``n_samples * n_tasks``.
    correlation : float in (-1, 1), default=0.0
        Correlation of neighbouring features; features j and k correlate by ``correlation ** abs(j - k)``.
    intercept_scale : float, default=0.0
        Standard deviation of the tasks' intercepts, in units of y.
    shared_X : bool, default=False
        True draws one X for all tasks, labels ``Y`` with a column per task, and ``n_samples`` rows in all.
    missing : float in [0, 1), default=0.0
        Share of the labels in ``Y`` that are NaN, at random; every task keeps one. Needs ``shared_X=True``.
    as_frame : bool, default=False
        Also return ``frame``, a pandas DataFrame: columns x0, x1, ..., task, y; or x0, ..., y0, y1, ... for wide ``Y``.
    random_state : int, RandomState instance or None, default=None
        Seed; an int gives the same data every time."""

_COMMON_RETURNS = """data : Bunch
        The rows: ``X`` (n, d), ``y`` (n,) and ``task`` (n,), int ids from 0 in ascending order; or ``X`` (n, d) and
        ``Y`` (n, T) with ``shared_X=True``.
        The truth: ``coef`` (T, d), ``intercept`` (T,), ``noise`` and ``correlation`` as given, and"""


def _generator(make):
    """Add to the signature and docstring of ``make`` what all generators have in common; refuse other parameters."""
    *own, random_state, _ = inspect.signature(make).parameters.values()
    common = [p for p in inspect.signature(sample).parameters.values() if p.kind is p.KEYWORD_ONLY]
    make.__signature__ = signature = inspect.Signature([*own, *common, random_state])

    @functools.wraps(make)
    def generate(**parameters):
        for name in parameters:
            if name not in signature.parameters:
                raise TypeError(f"{make.__name__}() got an unexpected keyword argument {name!r}")
        return make(**parameters)

    return fill_in(generate, {"<parameters>": _COMMON_PARAMETERS, "<data>": _COMMON_RETURNS})


def _unit_rows(rng, n_rows, n_features):
    """Gaussian rows, float64 (n_rows, n_features), whose squared length is 1 on average."""
    return rng.normal(scale=n_features**-0.5, size=(n_rows, n_features))


@_generator
def make_related_tasks(*, similarity=0.8, n_tasks=20, n_features=10, random_state=None, **sampling):
    r"""Tasks that vary around one shared model, as `MeanRegularizedRegressor` assumes.

    .. math:: w_t = w_0 + v_t, \qquad w_0 \sim N(0, \tfrac{s}{d} I), \quad v_t \sim N(0, \tfrac{1-s}{d} I)

    with s = ``similarity``. Without intercepts the best predictor is then known (the posterior mean): mean-regularised
    ridge with specific alpha T d noise^2 / (N (1 - s)) and shared alpha T d noise^2 / (N s), N labels in all.

    Evgeniou, Pontil (2004), Regularized multi-task learning, *KDD*.

    Parameters
    ----------
    similarity : float in [0, 1], default=0.8
        Correlation between the weights of two tasks: 0 makes them unrelated, 1 equal.
    <parameters>

    Returns
    -------
    <data>
        ``shared_coef`` w_0 (d,), ``specific_coef`` v_t (T, d); they sum to ``coef``.

    Examples
    --------
    >>> from skmtl.datasets import make_related_tasks
    >>> data = make_related_tasks(n_tasks=5, n_samples=40, imbalance=1.0, random_state=0)
    >>> data.X.shape, data.y.shape, data.coef.shape, data.shared_coef.shape
    ((200, 10), (200,), (5, 10), (10,))
    """
    check(similarity=similarity, n_tasks=n_tasks, n_features=n_features)
    rng = check_random_state(random_state)
    shared = np.sqrt(similarity) * _unit_rows(rng, 1, n_features)[0]
    specific = np.sqrt(1.0 - similarity) * _unit_rows(rng, n_tasks, n_features)
    return sample(shared + specific, {"shared_coef": shared, "specific_coef": specific}, rng, **sampling)


@_generator
def make_joint_features(*, n_informative=3, n_tasks=20, n_features=10, random_state=None, **sampling):
    r"""Tasks that all use the same few features, each in its own way, as joint-feature (L2,1) penalties assume.

    .. math:: w_{tj} \sim N(0, \tfrac{1}{k}) \text{ for } j \in J, \qquad w_{tj} = 0 \text{ otherwise}, \qquad |J| = k

    Obozinski, Taskar, Jordan (2010), *Statistics and Computing* 20:231-252.

    Parameters
    ----------
    n_informative : int, default=3
        Number k of features in J, which serve the tasks; J is random.
    <parameters>

    Returns
    -------
    <data>
        ``support`` (d,), True where a feature serves the tasks.

    Examples
    --------
    >>> from skmtl.datasets import make_joint_features
    >>> data = make_joint_features(n_informative=2, n_features=6, shared_X=True, random_state=0)
    >>> data.X.shape, data.Y.shape, int(data.support.sum())
    ((30, 6), (30, 20), 2)
    """
    check(n_informative=n_informative, n_tasks=n_tasks, n_features=n_features)
    check_at_most("n_features", n_features, n_informative=n_informative)
    rng = check_random_state(random_state)
    support = _draw_subset(rng, n_features, n_informative)
    coef = np.zeros((n_tasks, n_features))
    coef[:, support] = _unit_rows(rng, n_tasks, n_informative)
    return sample(coef, {"support": support}, rng, **sampling)


def _draw_subset(rng, n_items, n_chosen):
    """Draw a subset of ``n_chosen`` items as a mask, bool (n_items,)."""
    return rng.permutation(n_items) < n_chosen


@_generator
def make_low_rank_tasks(*, rank=2, n_tasks=20, n_features=10, random_state=None, **sampling):
    r"""Tasks whose weights are mixtures of a few basis models, as the trace norm assumes.

    .. math:: w_t = \sum_{k=1}^{r} s_{tk} u_k, \quad s_{tk} \sim N(0, \tfrac{1}{r}), \quad u_k \sim N(0, \tfrac{1}{d} I)

    Argyriou, Evgeniou, Pontil (2008), Convex multi-task feature learning, *Machine Learning* 73:243-272.

    Parameters
    ----------
    rank : int, default=2
        Number r of basis models, the rank of ``coef``.
    <parameters>

    Returns
    -------
    <data>
        ``basis`` u_k (r, d), ``loadings`` s_t (T, r): ``coef = loadings @ basis``; ``rank``.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.datasets import make_low_rank_tasks
    >>> data = make_low_rank_tasks(rank=3, random_state=0)
    >>> int(np.linalg.matrix_rank(data.coef))
    3
    """
    check(rank=rank, n_tasks=n_tasks, n_features=n_features)
    check_at_most("min(n_tasks, n_features)", min(n_tasks, n_features), rank=rank)
    rng = check_random_state(random_state)
    basis, loadings = _unit_rows(rng, rank, n_features), _unit_rows(rng, n_tasks, rank)
    return sample(loadings @ basis, {"basis": basis, "loadings": loadings, "rank": rank}, rng, **sampling)


@_generator
def make_graph_tasks(*, n_neighbors=3, smoothness=10.0, n_tasks=20, n_features=10, random_state=None, **sampling):
    r"""Tasks in places, neighbours alike: weights smooth over a known graph, as `TaskGraphRegressor` assumes.

    .. math:: W_j \sim N(0, \tfrac{1}{cd} K), \quad K = (I + \lambda L)^{-1}, \quad c = \tfrac{1}{T} \operatorname{tr} K

    for every feature j, over the tasks, with lambda = ``smoothness`` and L the Laplacian of the graph: the prior of
    the task graph penalty with alpha / alpha_ridge = ``smoothness``. ``E |w_t|^2`` is 1 on average over the tasks.
    Places are uniform on the unit square; each is joined to its nearest ones, with weight
    exp(-distance / mean distance over the edges).

    Evgeniou, Micchelli, Pontil (2005), Learning multiple tasks with kernel methods, *JMLR* 6:615-637.

    Parameters
    ----------
    n_neighbors : int, default=3
        Number of nearest places a task is joined to; it may be chosen by others besides.
    smoothness : float, default=10.0
        Weight lambda of the graph: 0 makes the tasks unrelated; the larger, the more alike are neighbours.
    <parameters>

    Returns
    -------
    <data>
        ``graph``, a dict {(a, b): weight} with task ids a < b; ``positions`` (T, 2).

    Examples
    --------
    >>> from skmtl.datasets import make_graph_tasks
    >>> data = make_graph_tasks(n_tasks=4, n_neighbors=1, random_state=0)
    >>> sorted(data.graph)
    [(0, 1), (0, 2), (0, 3)]
    """
    check(n_neighbors=n_neighbors, smoothness=smoothness, n_tasks=n_tasks, n_features=n_features)
    check_at_most("n_tasks - 1", n_tasks - 1, n_neighbors=n_neighbors)
    rng = check_random_state(random_state)
    positions = rng.uniform(size=(n_tasks, 2))
    graph = _join_neighbors(positions, n_neighbors)
    eigenvalues, U = np.linalg.eigh(_laplacian(graph, n_tasks))
    scale = 1.0 / np.sqrt(1.0 + smoothness * eigenvalues.clip(min=0.0))
    root = (U * scale) @ U.T / np.sqrt(np.mean(scale**2))
    coef = root @ _unit_rows(rng, n_tasks, n_features)
    return sample(coef, {"graph": graph, "positions": positions}, rng, **sampling)


def _join_neighbors(positions, n_neighbors):
    """Join every place (n_places, 2) to its nearest ones: {(a, b): exp(-distance / mean distance)}, a < b."""
    distance = cdist(positions, positions)
    np.fill_diagonal(distance, np.inf)
    nearest = distance.argsort(axis=1)[:, :n_neighbors].tolist()
    edges = sorted({(min(a, b), max(a, b)) for a, neighbors in enumerate(nearest) for b in neighbors})
    length = np.array([distance[edge] for edge in edges])
    return dict(zip(edges, np.exp(-length / length.mean()).tolist(), strict=True))


def _laplacian(graph, n_tasks):
    """Laplacian D - A of ``graph``, float64 (n_tasks, n_tasks)."""
    adjacency = np.zeros((n_tasks, n_tasks))
    for (a, b), weight in graph.items():
        adjacency[a, b] = adjacency[b, a] = weight
    return np.diag(adjacency.sum(axis=0)) - adjacency


@_generator
def make_clustered_tasks(*, n_clusters=3, similarity=1.0, n_tasks=20, n_features=10, random_state=None, **sampling):
    r"""Tasks in groups, alike within and unrelated between, as clustered and fused penalties assume.

    .. math:: w_t = c_{g(t)} + v_t, \qquad c_g \sim N(0, \tfrac{s}{d} I), \quad v_t \sim N(0, \tfrac{1-s}{d} I)

    with s = ``similarity``. Groups differ in size by one task at most, and are assigned at random.

    Jacob, Bach, Vert (2008), Clustered multi-task learning: a convex formulation, *NIPS*.

    Parameters
    ----------
    n_clusters : int, default=3
        Number of groups.
    similarity : float in [0, 1], default=1.0
        Correlation between the weights of two tasks in one group; 1 makes them equal.
    <parameters>

    Returns
    -------
    <data>
        ``cluster_labels`` g(t) (T,), ``cluster_coef`` c_g (n_clusters, d).

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.datasets import make_clustered_tasks
    >>> data = make_clustered_tasks(n_clusters=3, n_tasks=7, random_state=0)
    >>> np.bincount(data.cluster_labels).tolist(), len(np.unique(data.coef, axis=0))
    ([3, 2, 2], 3)
    """
    check(n_clusters=n_clusters, similarity=similarity, n_tasks=n_tasks, n_features=n_features)
    check_at_most("n_tasks", n_tasks, n_clusters=n_clusters)
    rng = check_random_state(random_state)
    labels = rng.permutation(n_tasks) % n_clusters
    centers = np.sqrt(similarity) * _unit_rows(rng, n_clusters, n_features)
    coef = centers[labels] + np.sqrt(1.0 - similarity) * _unit_rows(rng, n_tasks, n_features)
    return sample(coef, {"cluster_labels": labels, "cluster_coef": centers}, rng, **sampling)


@_generator
def make_outlier_tasks(
    *,
    n_outliers=2,
    outlier_scale=3.0,
    rank=2,
    n_informative=None,
    n_tasks=20,
    n_features=10,
    random_state=None,
    **sampling,
):
    r"""Tasks that share a structure, but for a few, as robust decompositions assume.

    .. math:: w_t = p_t + q_t, \qquad q_t \sim N(0, \tfrac{a^2}{d} I) \text{ if } t \text{ is an outlier, else } 0

    with a = ``outlier_scale`` and p_t as in `make_low_rank_tasks`, on ``n_informative`` of the features: the structure
    is a low rank, few features or both. ``E |w_t|^2`` is 1, and 1 + a^2 for an outlier.

    Chen, Zhou, Ye (2011), *KDD* (low rank); Gong, Ye, Zhang (2012), *KDD* (joint features).

    Parameters
    ----------
    n_outliers : int, default=2
        Number of tasks that deviate.
    outlier_scale : float, default=3.0
        Root mean squared length a of a deviation, against 1 for the structured part.
    rank : int, default=2
        Rank of the structured part.
    n_informative : int or None, default=None
        Number of features that the structured part uses, at least ``rank``; None uses all.
    <parameters>

    Returns
    -------
    <data>
        ``structured_coef`` p_t (T, d), ``deviation_coef`` q_t (T, d), which sum to ``coef``; ``outlier_tasks``
        (n_outliers,), ascending ids; ``support`` (d,), True for a feature of the structured part.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.datasets import make_outlier_tasks
    >>> data = make_outlier_tasks(n_outliers=2, random_state=0)
    >>> data.outlier_tasks.shape, int(np.linalg.matrix_rank(data.structured_coef))
    ((2,), 2)
    """
    n_informative = n_features if n_informative is None else n_informative
    check(n_tasks=n_tasks, n_features=n_features, n_informative=n_informative)
    check(n_outliers=n_outliers, outlier_scale=outlier_scale, rank=rank)
    check_at_most("n_tasks", n_tasks, n_outliers=n_outliers, rank=rank)
    check_at_most("n_features", n_features, n_informative=n_informative)
    check_at_most("n_informative", n_informative, rank=rank)
    rng = check_random_state(random_state)
    support, is_outlier = _draw_subset(rng, n_features, n_informative), _draw_subset(rng, n_tasks, n_outliers)
    structured, deviation = np.zeros((2, n_tasks, n_features))
    structured[:, support] = _unit_rows(rng, n_tasks, rank) @ _unit_rows(rng, rank, n_informative)
    deviation[is_outlier] = outlier_scale * _unit_rows(rng, n_outliers, n_features)
    truth = {"structured_coef": structured, "deviation_coef": deviation, "support": support}
    truth["outlier_tasks"] = np.flatnonzero(is_outlier)
    return sample(structured + deviation, truth, rng, **sampling)


@_generator
def make_temporal_tasks(*, drift=0.3, n_changes=None, n_tasks=20, n_features=10, random_state=None, **sampling):
    r"""Tasks in order of time whose weights wander, or jump now and then, as temporal penalties assume.

    .. math:: w_t = w_{t-1} + \delta u_t \text{ at a change}, \quad w_t = w_{t-1} \text{ if not}

    with w_0 and u_t ~ N(0, I/d) and delta = ``drift``. ``E |w_t|^2`` starts at 1 and grows by delta^2 a change.

    Zhou, Yuan, Liu, Ye (2011), A multi-task learning formulation for predicting disease progression, *KDD*.

    Parameters
    ----------
    drift : float, default=0.3
        Root mean squared length of a change, against 1 for the weights at the start.
    n_changes : int or None, default=None
        Number of changes, at random times; the weights are constant in between. None changes them at every step.
    <parameters>

    Returns
    -------
    <data>
        ``change_points`` (n_changes,), ascending ids of the tasks that differ from the one before.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.datasets import make_temporal_tasks
    >>> data = make_temporal_tasks(n_tasks=12, n_changes=2, random_state=0)
    >>> data.change_points.shape, len(np.unique(data.coef, axis=0))
    ((2,), 3)
    """
    check(drift=drift, n_tasks=n_tasks, n_features=n_features)
    n_changes = n_tasks - 1 if n_changes is None else n_changes
    check(n_changes=n_changes)
    check_at_most("n_tasks - 1", n_tasks - 1, n_changes=n_changes)
    rng = check_random_state(random_state)
    change_points = 1 + np.flatnonzero(_draw_subset(rng, n_tasks - 1, n_changes))
    steps = np.zeros((n_tasks, n_features))
    steps[0] = _unit_rows(rng, 1, n_features)
    steps[change_points] = drift * _unit_rows(rng, n_changes, n_features)
    return sample(steps.cumsum(axis=0), {"change_points": change_points}, rng, **sampling)
