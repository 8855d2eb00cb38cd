"""Training: epochs of batches around the kernels, validation, schedules, and when to stop."""

import math
from functools import cached_property

import numpy as np

from skmtl._ids import describe
from skmtl._warnings import warn
from skmtl.neural._arrays import Training, pack
from skmtl.neural._batches import addresses, run_batches
from skmtl.neural._losses import CONSTANT
from skmtl.neural._optimizers import RATE, numbers_of
from skmtl.neural._random import draw, shuffle
from skmtl.neural._weighting import FROM_GRADIENTS, Weighting

__all__ = ["Epochs", "Stopping"]

_MOST_WORK = 1e9  # multiplications in one call of a kernel, which Ctrl-C waits for


class Epochs:
    """The epochs of one run."""

    def __init__(self, problem, state, report):
        settings, table, architecture = problem.settings, problem.table, problem.architecture
        self.problem, self.state, self.report = problem, state, report
        self.items, self.shares = problem.items, problem.shares()
        labels, rows = problem.totals()
        rate = labels / len(self.items)
        if self.shares is not None:
            counts = np.bincount(table.task_of_item()[self.items], minlength=table.n_tasks)
            rate = self.shares * labels / np.maximum(counts, 1)
        rule = settings.task_weight
        rule = "equal" if isinstance(rule, dict) or rule == "samples" else rule
        self.weighting = Weighting(rule, problem.importance(rows), state.memory)
        state.memory = self.weighting.memory
        dtype, size = state.theta.dtype, problem.batch_size
        self.size, self.n_batches = size, -(-len(self.items) // size)
        self.tables, self.data = problem.tables(dtype), table.data(rate)
        self.buffers = architecture.buffers(self.tables, size, size * table.most_pairs, settings.dropout > 0, dtype)
        self.order = self.items.astype(np.int64)
        self.training = self._training(rows)
        self.safe = state.theta.copy()
        work = 6 * state.theta.size * size * (table.most_pairs if architecture.by_task else 1)
        if rule in FROM_GRADIENTS:  # a backward pass for every task, and at most a T x T problem for every task
            work = work * table.n_tasks + table.n_tasks**4
        self.batches_per_call = max(1, int(_MOST_WORK / work))
        self.packed = pack(self.tables, self.data, self.buffers, self.training, self.weighting.balance)
        self.kernels = self._addresses(settings.solver)

    def _training(self, rows):
        settings, state = self.problem.settings, self.state
        n_tasks, rows = len(rows), rows[rows > 0]
        # scikit-learn's penalty is alpha / (2 n) |W|^2 on a batch of n rows; here n are the rows of one task in it, on
        # average, where a row of weight 2 is two
        ridge = settings.alpha * len(self.items) / rows.mean() if len(rows) else 0.0
        return Training(
            theta=state.theta,
            m=state.m,
            v=state.v,
            real=numbers_of(settings, ridge),
            steps=state.steps,
            weight=self.weighting.weight,
            losses=np.zeros(n_tasks),
            seen=np.zeros(n_tasks),
            sums=np.zeros(2 * n_tasks + 1),
            random=state.random,
            jacobian=self._jacobian(),
            order=self.order,
        )

    def _jacobian(self):
        """Room for the gradients of tasks on what they share, if they are what weights are made of; else empty."""
        rule, n_tasks, n_shared = self.weighting.rule, len(self.weighting.weight), int(self.tables.bounds[2])
        if rule not in FROM_GRADIENTS:
            return np.zeros(0, dtype=self.state.theta.dtype)
        if n_shared == 0:
            raise ValueError(
                f"task_weight={rule!r} weighs the gradients of what tasks share, but with sharing="
                f"{self.problem.settings.sharing!r} no parameter belongs to more than one task."
            )
        return np.zeros(n_tasks * n_shared, dtype=self.state.theta.dtype)

    def _addresses(self, solver):
        problem, theta, weighted = self.problem, self.state.theta, self.problem.table.weight is not None
        return addresses(problem.settings, solver, self.tables, weighted, self.weighting.rule, theta)

    @cached_property
    def _stepless(self):
        """Kernels that take no step: the gradient of the loss of the last batch is left in ``buffers.grad``."""
        return self._addresses("lbfgs")

    def _call(self, kernels, size, begin, end):
        """Run batches; raise if one failed."""
        if run_batches(kernels, self.packed, self.state.theta, self.weighting.code, size, begin, end) >= 0:
            self.complain()

    def run(self):
        settings, state = self.problem.settings, self.state
        stop = Stopping(settings, self.problem.validation is not None)
        real, start = self.training.real, len(state.objectives)
        self._deal()
        try:
            for epoch in range(settings.max_iter):
                if settings.learning_rate == "cosine":
                    angle = math.pi * epoch / settings.max_iter
                    real[RATE] = settings.learning_rate_init * 0.5 * (1.0 + math.cos(angle))
                self.run_epoch()
                halt = self.after_epoch(stop, start)
                if halt in ("tol", "validation") and settings.learning_rate == "plateau" and real[RATE] > 1e-6:
                    real[RATE] /= 5.0
                    stop.waited = 0
                elif halt:
                    return self.end(stop, halt)
        except KeyboardInterrupt:
            return self.interrupted(stop, start)
        return self.end(stop, "max_iter")

    def after_epoch(self, stop, start):
        """Validate, weigh, report; a reason to stop, or an empty string."""
        state = self.state
        self.safe[:] = state.theta
        if self.problem.validation is not None:
            state.note(self.problem.scores(state.theta))
            if len(state.objectives) == start + 1:
                self._check_scores(state.last_scores)
        self.weighting.end_epoch(state.losses[-1], state.last_scores)
        halt = stop.look(state)
        if self.report is not None and self.report(len(state.objectives) - start, state):
            return "callback"
        return halt

    def _check_scores(self, scores):
        """Raise ValueError where early stopping has nothing to go by: it would end training at once."""
        learned = [head.loss != CONSTANT for head in self.problem.heads]
        if self.problem.settings.early_stopping and any(learned) and np.isnan(scores).all():
            raise ValueError(
                "early_stopping needs a score of some task, and the rows to validate on give none: the score is NaN "
                f"for {describe(self.problem.tasks)}. Give more of them, with labels, or metrics that are defined for "
                "so few; metrics see the rows of a head with several columns that have all their labels."
            )

    def interrupted(self, stop, start):
        """Ctrl-C: back to the end of the last epoch, or to the best one."""
        state = self.state
        state.put(self.safe)  # not in the middle of a step
        n = len(state.objectives)
        for curve in (state.losses, state.weights, state.scores):
            del curve[n:]
        warn(
            f"Training interrupted after {n - start} epochs; the best weights so far are kept.",
            UserWarning,
        )
        return self.end(stop, "interrupt")

    def end(self, stop, reason):
        """Back to the best weights, if any were better; the reason."""
        if stop.best is not None:
            self.state.put(stop.best)
        return reason

    def differentiate(self, recorded=False):
        """The objective on all items and its gradient; `recorded`: as an epoch, too."""
        training = self.training
        training.sums[:] = 0.0
        self._call(self._stepless, len(self.order), 0, 1)
        n = len(self.items)
        if recorded:
            self._record()
        return training.sums[-1] / n, self.buffers.grad.astype(np.float64)

    def _record(self):
        state, means = self.state, self.training.sums / len(self.items)
        weights, losses = means[:-1].reshape(2, -1)
        state.losses.append(losses)
        state.weights.append(weights)
        state.objectives.append(float(means[-1]))  # last: Ctrl-C cuts the others to its length

    def check_finite(self):
        if not np.isfinite(self.state.theta).all():
            self.complain()

    def run_epoch(self):
        """All batches once; appends to the curves."""
        training = self.training
        training.sums[:] = 0.0
        self._shuffle()
        for begin in range(0, self.n_batches, self.batches_per_call):
            self._call(self.kernels, self.size, begin, min(begin + self.batches_per_call, self.n_batches))
        self.check_finite()
        self._record()

    def complain(self):
        losses = self.training.losses
        bad = self.problem.tasks[~np.isfinite(losses)]
        of, settings = f" of task {describe(bad)}" if len(bad) else "", self.problem.settings
        batches = settings.solver != "lbfgs"  # which has no rate, and takes no bound
        strengths = [f"learning_rate_init ({settings.learning_rate_init:g})"] if batches else []
        strengths += [f"alpha_soft ({settings.alpha_soft:g})"] if settings.sharing == "soft" else []
        remedies = [f"lower {' or '.join(strengths)}"] if strengths else []
        remedies += ["standardise the features", *(["bound the weights with max_norm"] if batches else [])]
        *others, last = remedies
        advice = f"{', '.join(others)}, or {last}" if others else last
        raise ValueError(
            f"The loss{of} is no longer finite in epoch {len(self.state.objectives) + 1}: training diverges. "
            f"{advice[0].upper()}{advice[1:]}."
        )

    def _deal(self):
        """Items task by task, for draws with a temperature."""
        if self.shares is None:
            return
        task = self.problem.table.task_of_item()[self.items]
        by_task = np.argsort(task, kind="stable")
        present = np.flatnonzero(self.shares)
        starts = np.concatenate([np.searchsorted(task[by_task], present), [len(task)]])
        self.draws = self.items[by_task].astype(np.int64), starts, starts[1:].copy(), self.shares[present]

    def _shuffle(self):
        if self.shares is not None:
            draw(self.order, *self.draws, self.state.random)
        elif self.problem.settings.shuffle:
            shuffle(self.order, self.state.random)


class Stopping:
    """Whether an epoch was the last, and the best parameters so far."""

    def __init__(self, settings, validated):
        self.tol, self.patience = settings.tol, settings.n_iter_no_change
        self.early = settings.early_stopping
        self.validated = validated
        self.best, self.best_mean, self.best_scores, self.best_objective = None, -math.inf, None, math.inf
        self.waited = 0

    def look(self, state):
        """Take note of the last epoch; a reason to stop, or an empty string."""
        improved = False
        if self.validated and self.early:
            scores = np.nan_to_num(state.scores[-1], nan=-math.inf)
            known = np.isfinite(state.scores[-1])
            mean = scores[known].mean() if known.any() else -math.inf
            if mean > self.best_mean:
                self.best_mean, self.best = mean, state.theta.copy()
            if self.best_scores is None:
                improved, self.best_scores = True, scores
            improved |= bool((scores > self.best_scores + self.tol).any())  # as long as one task still learns
            self.best_scores = np.maximum(self.best_scores, scores)
        else:
            objective = state.objectives[-1]
            improved = objective < self.best_objective - self.tol
            self.best_objective = min(self.best_objective, objective)
        self.waited = 0 if improved else self.waited + 1
        if self.waited <= self.patience:
            return ""
        return "validation" if self.validated and self.early else "tol"
