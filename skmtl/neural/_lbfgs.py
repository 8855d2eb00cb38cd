"""L-BFGS: SciPy's, on all rows at once."""

import numpy as np
from scipy.optimize import minimize

from skmtl.neural._training import Epochs, Stopping

__all__ = ["train_by_lbfgs"]


def train_by_lbfgs(problem, state, report):
    """Train from `state`, in place; as `train`."""
    epochs = Epochs(problem, state, report)
    stop, start = Stopping(problem.settings, problem.validation is not None), len(state.objectives)
    reason, raised = "tol", None

    def objective(theta):
        state.put(theta)
        return epochs.differentiate()

    def after_iteration(theta):
        nonlocal reason, raised
        state.put(theta)
        epochs.differentiate(recorded=True)
        try:
            reason = epochs.after_epoch(stop, start) or reason
        except StopIteration as error:  # of a callback: SciPy would end in silence
            raised = error
            raise
        if reason in ("callback", "validation"):
            raise StopIteration

    settings = problem.settings
    options = {
        "maxiter": settings.max_iter,
        "maxfun": 50 * settings.max_iter,
        "gtol": settings.tol,
        "ftol": 64 * 2.2e-16,
    }
    try:
        result = minimize(
            objective,
            state.theta.astype(np.float64),
            method="L-BFGS-B",
            jac=True,
            callback=after_iteration,
            options=options,
        )
    except KeyboardInterrupt:
        return epochs.interrupted(stop, start)
    if raised is not None:
        raise raised
    state.put(result.x)
    epochs.check_finite()
    if not state.objectives:  # it began at a minimum: without an epoch there is no loss, and no curve
        epochs.differentiate(recorded=True)
        reason = epochs.after_epoch(stop, start) or reason
    failed = result.status == 2 and np.abs(result.jac).max() > settings.tol  # the line search, before a minimum
    if reason == "tol" and (failed or result.nit >= settings.max_iter):
        reason = "max_iter"
    return epochs.end(stop, reason)
