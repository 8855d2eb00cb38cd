"""A picture of training: the loss of every task, its validation score and its weight, epoch by epoch."""

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skmtl.neural._base import BaseNetwork

__all__ = ["TrainingDisplay"]

_MOST_NAMES = 10  # as many colours as matplotlib's cycle has


class TrainingDisplay:
    """How a network was trained, epoch by epoch: losses, validation scores and weights of its tasks.

    One panel for each, side by side; that of the scores only if there were rows to validate on. Up to 10 tasks have a
    colour and a name; of more, every task is a thin line and their mean a black one. Losses that fall by more than a
    factor of 10 are shown on a logarithmic axis. Use :meth:`from_estimator` rather than the constructor.

    Parameters
    ----------
    losses : dict {task: array of shape (n_iter,)}
        As in the attribute `loss_curve_` of a network.
    weights : dict {task: array of shape (n_iter,)}
        As in `task_weights_curve_`.
    scores : dict {task: array of shape (n_iter,)}, default=None
        As in `validation_scores_`.

    Attributes
    ----------
    axes_ : array of shape (n_panels,) of matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of n_panels dict {task: matplotlib Line2D}
        In the order losses, scores (if any), weights.

    See Also
    --------
    MultiTaskMLPRegressor, MultiTaskMLPClassifier, MultiTaskMLP : The networks.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MultiTaskMLPRegressor
    >>> from skmtl.neural import TrainingDisplay
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> Y = np.column_stack([X[:, 0] * X[:, 1], np.abs(X[:, 0])])
    >>> model = MultiTaskMLPRegressor(max_iter=20, early_stopping=True, random_state=0).fit(X, Y)
    >>> display = TrainingDisplay.from_estimator(model)  # doctest: +SKIP
    >>> display.figure_.savefig("training.png")  # doctest: +SKIP
    """

    def __init__(self, *, losses, weights, scores=None):
        self.losses = losses
        self.weights = weights
        self.scores = scores

    @classmethod
    def from_estimator(cls, estimator, ax=None, **line_kwargs):
        """Draw the training of a fitted network.

        Parameters
        ----------
        estimator : MultiTaskMLPRegressor, MultiTaskMLPClassifier or MultiTaskMLP, or a Pipeline that ends with one
            Fitted.
        ax : matplotlib Axes, or sequence of n_panels of them, default=None
            Where to draw: axes whose place the panels divide, or those of every panel. None: a new figure.
        **line_kwargs
            For every task's line, in the words of ``matplotlib.axes.Axes.plot``.

        Returns
        -------
        TrainingDisplay

        Raises
        ------
        TypeError
            The estimator is no network.
        NotFittedError, ValueError
            It is not fitted, or was not trained for an epoch; `ax` has not an Axes for every panel.
        ImportError
            There is no matplotlib.
        """
        network = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
        if not isinstance(network, BaseNetwork):
            raise TypeError(
                "TrainingDisplay.from_estimator expects a network of skmtl.neural, or a Pipeline that ends with one. "
                f"Got {type(network).__name__}."
            )
        check_is_fitted(network)
        if network.n_iter_ == 0:
            raise ValueError(f"This {type(network).__name__} has not been trained for an epoch yet: call fit.")
        curves = {"losses": network.loss_curve_, "weights": network.task_weights_curve_}
        return cls(**curves, scores=network.validation_scores_).plot(ax, **line_kwargs)

    def plot(self, ax=None, **line_kwargs):
        """Draw.

        Parameters
        ----------
        ax, **line_kwargs
            As in `from_estimator`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            `ax` has not an Axes for every panel.
        ImportError
            There is no matplotlib.
        """
        panels = {"training loss": self.losses, "validation score": self.scores, "weight in the loss": self.weights}
        panels = {title: curves for title, curves in panels.items() if curves is not None}
        self.axes_ = _divide(ax, len(panels))
        self.figure_ = self.axes_[0].figure
        self.lines_ = [
            _draw(axes, title, curves, line_kwargs)
            for axes, (title, curves) in zip(self.axes_, panels.items(), strict=True)
        ]
        values = np.concatenate(list(self.losses.values()))
        values = values[np.isfinite(values)]
        if len(values) and values.min() > 0 and values.max() > 10 * values.min():
            self.axes_[0].set_yscale("log")
        if len(self.losses) <= _MOST_NAMES:
            self.axes_[0].legend(title="task")  # falling lines leave its corner free
        return self


def _divide(ax, n_panels):
    """An array of axes, one for each panel."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("TrainingDisplay needs matplotlib: pip install 'skmtl[plot]'.") from error
    if ax is None:
        return plt.subplots(1, n_panels, figsize=(4 * n_panels, 3.5), layout="constrained")[1]
    if isinstance(ax, plt.Axes):
        ax.set_axis_off()  # only its place is used
        if ax.get_subplotspec() is not None:
            return ax.get_subplotspec().subgridspec(1, n_panels, wspace=0.35).subplots()
        x, y = ax.get_position().intervalx, ax.get_position().intervaly
        place = {"left": x[0], "right": x[1], "bottom": y[0], "top": y[1]}
        return ax.figure.add_gridspec(1, n_panels, wspace=0.35, **place).subplots()
    axes = np.ravel(np.asarray(ax, dtype=object))
    if len(axes) != n_panels:
        raise ValueError(f"ax must be one Axes, or one for each of the {n_panels} panels. Got {len(axes)}.")
    return axes


def _draw(ax, title, curves, line_kwargs):
    """The lines of a panel, by task."""
    few = len(curves) <= _MOST_NAMES
    style: dict[str, object] = {"linewidth": 1.5} if few else {"linewidth": 0.5, "color": "0.6"}
    if all(np.isfinite(curve).sum() <= 1 for curve in curves.values()):  # a line of one point is none
        style["marker"] = "o"
    lines = {}
    for task, curve in curves.items():
        epochs = np.arange(1, len(curve) + 1)
        (lines[task],) = ax.plot(epochs, curve, label=str(task), **{**style, **line_kwargs})
    if not few:
        table = np.array(list(curves.values()))
        known = np.isfinite(table).any(axis=1)  # a task without rows to validate on has no score
        ax.legend(handles=ax.plot(epochs, table[known].mean(axis=0), color="black", lw=2, label="mean of tasks"))
    ax.set(title=title, xlabel="epoch")
    if ax.get_xscale() == "linear":
        ax.locator_params(axis="x", integer=True, min_n_ticks=1)
    return lines
