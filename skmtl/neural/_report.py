"""What a fit says as it goes on: callbacks, lines, a progress bar."""

import contextlib
import copy
from functools import partial

import numpy as np

from skmtl.neural._problem import Epoch

__all__ = ["Reporter"]


class Reporter(contextlib.AbstractContextManager):
    """Calls back after epochs; one for all runs of a fit.

    Parameters
    ----------
    estimator : estimator
    problem : Problem
    n_runs : int
    halt : threading.Event
        Set: end after this epoch.
    """

    def __init__(self, estimator, problem, n_runs, halt):
        callbacks = estimator.callbacks
        self.callbacks = [] if callbacks is None else [callbacks] if callable(callbacks) else list(callbacks)
        self.estimator, self.problem, self.halt, self.bar = estimator, problem, halt, None
        if estimator.progress:
            try:
                from tqdm.auto import tqdm
            except ImportError as error:
                raise ImportError("progress=True needs tqdm: pip install 'skmtl[progress]'.") from error
            self.bar = tqdm(total=problem.settings.max_iter * n_runs, unit="epoch", leave=False)

    def __exit__(self, *error):
        if self.bar is not None:
            self.bar.close()

    def of(self, run):
        """The function ``report(epoch, state)`` that run number `run` calls after an epoch: true to end there."""

        def report(number, state):
            if self.bar is not None:
                self.bar.update()
            if self.estimator.verbose:
                self._print(run, number, state)
            wanted = [callback(self._epoch(number, state)) for callback in self.callbacks]
            return self.halt.is_set() or any(isinstance(answer, bool | np.bool_) and answer for answer in wanted)

        return report

    def _epoch(self, number, state):
        return Epoch(
            number,
            self.problem.tasks,
            state.objectives[-1],
            state.losses[-1],
            state.weights[-1],
            state.last_scores,
            partial(self._model, state.copy()),
        )

    def _model(self, state):
        model = copy.copy(self.estimator)
        model._publish_training([state], 0)
        return model

    def _print(self, run, number, state):
        of_run = f"run {run + 1}, " if self.estimator.n_init > 1 else ""
        scores = state.last_scores
        validated = "" if scores is None else f", validation scores {scores.round(4).tolist()}"
        print(f"{of_run}epoch {number}: loss {state.objectives[-1]:.6g}{validated}")
