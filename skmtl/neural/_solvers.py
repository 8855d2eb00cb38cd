"""Training by the solver that was asked for: L-BFGS on all rows, or epochs of batches."""

import warnings

from sklearn.exceptions import ConvergenceWarning

from skmtl.neural._lbfgs import train_by_lbfgs
from skmtl.neural._training import Epochs

__all__ = ["train", "warn_unless_converged"]


def train(problem, state, report=None):
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


def warn_unless_converged(reason, settings):
    """For L-BFGS, which looks for a minimum; epochs are a budget, and `n_iter_` tells whether they were used."""
    if reason == "max_iter" and settings.solver == "lbfgs" and settings.tol > 0:
        warnings.warn(
            f"{type(settings).__name__} did not converge: after max_iter={settings.max_iter} iterations of L-BFGS the "
            f"gradient is still above tol={settings.tol:g}. Increase max_iter, tol or alpha, or scale the features.",
            ConvergenceWarning,
            stacklevel=4,
        )
