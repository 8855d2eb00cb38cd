"""Training by the solver that was asked for: L-BFGS on all rows, or epochs of batches."""

from sklearn.exceptions import ConvergenceWarning

from skmtl._ids import describe
from skmtl._warnings import warn
from skmtl.neural._lbfgs import train_by_lbfgs
from skmtl.neural._losses import POISSON, SOFT
from skmtl.neural._training import Epochs

__all__ = ["train", "warn_if_lost", "warn_unless_converged"]

_LOST = 100.0  # a mean loss above it says that training went astray: answering the mean has 1/2, of standardised labels


def train(problem, state, report):
    """Train from `state`, in place, until `max_iter` epochs or a reason to stop; why it stopped.

    Returns
    -------
    str
        "max_iter", "tol", "validation", "callback" or "interrupt".

    Raises
    ------
    ValueError
        A loss or a parameter that is not finite; the message says what to change.
    """
    if problem.settings.solver == "lbfgs":
        return train_by_lbfgs(problem, state, report)
    return Epochs(problem, state, report).run()


def warn_unless_converged(reason, n_iter, settings):
    """Warn that L-BFGS has not reached a minimum.

    Epochs of the other solvers are a budget, and using it up is no failure.  n_iter : iterations of this run only.
    """
    if reason == "max_iter" and settings.solver == "lbfgs" and settings.tol > 0:
        warn(
            f"{type(settings).__name__} did not converge: after {n_iter} iterations of L-BFGS (max_iter="
            f"{settings.max_iter}) the gradient is still above tol={float(settings.tol):g}. Increase max_iter, tol or "
            "alpha, or scale the features.",
            ConvergenceWarning,
        )


def warn_if_lost(model):
    """Warn if the last loss of a task is far above that of a constant answer, unless labels have units of their own."""
    scaled = getattr(model, "standardize_y", True)
    losses = model._states[model._best].losses
    parts = zip(model._names.tolist(), model._heads, losses[-1] if losses else [], strict=False)
    lost = [
        name
        for name, head, loss in parts
        if loss > _LOST * _unit(head) and head.loss != POISSON and (scaled or not head.numeric)
    ]
    if lost and not model.early_stopping:
        warn(
            f"Training went astray: the last losses of {describe(lost)} are above {_LOST:g}; a constant answer has "
            f"about 1. Lower learning_rate_init ({model.learning_rate_init:g}), or standardise the features.",
            ConvergenceWarning,
        )


def _unit(head):
    """What a constant answer of a head is about: at a temperature above 1, losses are multiplied by its square."""
    return max(1.0, head.constant**2) if head.loss == SOFT else 1.0
