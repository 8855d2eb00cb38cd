r"""The weight of every task in the objective of a batch, :math:`\sum_t w_t L_t`.

Weights sum to the number of tasks whatever the rule, so that a learning rate keeps its meaning. A task that is absent
from a batch has no part in it: its own weight is its importance p_t, which multiplies nothing, and the others share the
rest. Rules from losses alone are one softmax, :math:`w_t \propto p_t e^{a_t}`, of scores

=============  ===========================================================  ==========================================
uncertainty    -s_t, where s_t descends on e^-s_t L_t + s_t / 2             Kendall, Gal, Cipolla (2018), CVPR
geometric      -log L_t: descent on the geometric mean of the losses        Chennupati et al. (2019), CVPR workshops
stch           log(L_t / z_t) / mu - log L_t: on a smooth maximum of        Lin et al. (2024), ICML
               log(L_t / z_t), z_t the losses of the first epoch
random         a standard normal number, anew in every batch                Lin et al. (2022), TMLR
dwa            L_t / L'_t / 2, losses of the last two epochs                Liu, Johns, Davison (2019), CVPR
priority       log(-(1 - k_t) log k_t), k_t a running validation score      Guo et al. (2018), ECCV
=============  ===========================================================  ==========================================

Rules from the gradients of the tasks stand in `_conflicts.py`. All is float64, whatever the dtype of the network.
"""

import math
from dataclasses import dataclass

import numpy as np

from skmtl.neural._arrays import Balance, take
from skmtl.neural._jit import entry, helper, part
from skmtl.neural._random import uniform

__all__ = [
    "FIXED",
    "FROM_GRADIENTS",
    "FROM_LOSSES",
    "Memory",
    "Weighting",
    "mean_losses",
    "softmax",
    "step_scalar",
    "weigh_losses",
]

FIXED = ("equal", "dwa", "priority")  # within an epoch
FROM_LOSSES = ("uncertainty", "geometric", "stch", "random")
FROM_GRADIENTS = ("gradnorm", "pcgrad", "upgrad", "cagrad", "imtl", "mgda")
_UNCERTAINTY, _GEOMETRIC, _STCH, _RANDOM = range(len(FROM_LOSSES))

_RATE = 0.01  # of Adam on the scalars of uncertainty
_SMOOTHING = 0.5  # stch; 1 would be fixed weights, 1 / z_t
_TEMPERATURE = 2.0  # dwa
_NEWEST = 0.3  # priority: what the last validation score counts in the running one
_SMALLEST_LOSS = 1e-6  # as a share of the largest, below which logarithms stop: or one perfect task had all weight


@dataclass
class Memory:
    """What a rule has learned so far, kept for a training that continues.

    Attributes
    ----------
    rule : str
    learned : array of shape (4, n_tasks)
        A scalar of every task, and the moments and steps of Adam; kernels write here.
    reference : array of shape (n_tasks,)
        Losses of the first epoch; 0 of tasks that have had none.
    before : array of shape (n_tasks,)
        Losses of the last epoch; NaN before there was one.
    scores : array of shape (n_tasks,)
        Running validation scores; NaN before there was one.
    tilt : array of shape (n_tasks,)
        Logarithms of the factors of the importance in the next epoch, up to a constant.
    """

    rule: str
    learned: np.ndarray
    reference: np.ndarray
    before: np.ndarray
    scores: np.ndarray
    tilt: np.ndarray

    @classmethod
    def new(cls, rule, n_tasks):
        """Nothing yet."""
        learned = np.zeros((4, n_tasks))
        learned[0] = rule == "gradnorm"
        unknown = np.full(n_tasks, np.nan)
        return cls(rule, learned, np.zeros(n_tasks), unknown, unknown.copy(), np.zeros(n_tasks))

    def copy(self):
        """A memory that shares nothing with this one."""
        return Memory(self.rule, *(part.copy() for part in list(vars(self).values())[1:]))


class Weighting:
    """A rule and its memory: what training calls around the kernels.

    Parameters
    ----------
    rule : one of FIXED, FROM_LOSSES, FROM_GRADIENTS
    importance : array of shape (n_tasks,)
        Nonnegative, not all zero.
    memory : Memory, default=None
        To go on with, if it is of the same rule.

    Attributes
    ----------
    code : int
        The rule, as its kernel knows it.
    weight : array of shape (n_tasks,)
        The weights; kernels write here.
    balance : Balance
    """

    def __init__(self, rule, importance, memory=None):
        self.rule = rule
        self.code = max(rules.index(rule) if rule in rules else -1 for rules in (FIXED, FROM_LOSSES, FROM_GRADIENTS))
        p, T = np.asarray(importance, dtype=float), len(importance)
        pairs = T if rule in FROM_GRADIENTS else 0  # with thousands of tasks, a table of all pairs is too much
        self.memory = memory if memory is not None and memory.rule == rule else Memory.new(rule, T)
        self.balance = Balance(
            importance=p * (T / p.sum()),
            learned=self.memory.learned,
            reference=self.memory.reference,
            gram=np.zeros((pairs, pairs)),
            scores=np.zeros(T),
            vectors=np.zeros((7, T)),
            matrices=np.zeros((3, pairs, pairs)),
            turns=np.zeros((2, T), dtype=np.int64),
        )
        self.weight = self.balance.importance.copy()
        if self.memory.tilt.any():
            self._tilt(self.memory.tilt)

    def end_epoch(self, losses, scores=None):
        """Take note of the mean losses (n_tasks,) of an epoch and, for "priority", of its validation scores.

        A score is 1 at best; nan where a task has no validation rows, which then is as urgent as the mean. A loss of 0
        is that of a task without labels, or that has been learned by heart, and is forgotten.
        """
        memory, now = self.memory, np.array(losses, dtype=float)
        memory.reference[:] = np.where(memory.reference > 0.0, memory.reference, now)
        if self.rule == "dwa" and np.isfinite(memory.before).any():
            ratio = np.divide(now, memory.before, out=np.ones_like(now), where=(memory.before > 0) & (now > 0))
            self._tilt(ratio / _TEMPERATURE)
        memory.before = np.where(now > 0, now, memory.before)
        if self.rule == "priority" and scores is not None:
            new = np.clip(scores, 1e-3, 1.0 - 1e-9)
            running = np.where(np.isnan(memory.scores), new, memory.scores + _NEWEST * (new - memory.scores))
            memory.scores = np.where(np.isnan(new), memory.scores, running)
            urgency = -(1.0 - memory.scores) * np.log(memory.scores)
            known = np.isfinite(urgency)
            if known.any():
                self._tilt(np.log(np.where(known, urgency, urgency[known].mean())))

    def _tilt(self, tilt):
        """Weights for the next epoch."""
        p, self.memory.tilt = self.balance.importance, tilt
        share = p * np.exp(tilt - tilt[p > 0].max())
        self.weight[:] = share * (len(p) / share.sum())


# ------------------------------------------------------------------------------------------------------ from losses


@entry
def weigh_losses(packed, theta, rule, n):
    """Fill `weight` by a rule of FROM_LOSSES, from the losses of a batch of n items."""
    losses, seen, rate, random, weight = take(packed, theta, "losses seen rate random weight")
    importance, learned, reference, scores, vectors = take(packed, theta, "importance learned reference scores vectors")
    mean = part(vectors, 0, len(weight))
    largest = mean_losses(losses, seen, rate, n, mean)
    for t in range(len(weight)):
        if seen[t] <= 0.0 or importance[t] <= 0.0:
            scores[t] = -math.inf
            continue
        log_loss = math.log(max(mean[t], _SMALLEST_LOSS * largest, 1e-300))
        if rule == _UNCERTAINTY:
            scores[t] = -learned[0, t]
            step_scalar(learned, t, 0.5 - min(math.exp(scores[t]) * mean[t], 1e6), _RATE)
        elif rule == _RANDOM:
            scores[t] = math.sqrt(-2.0 * math.log(1.0 - uniform(random))) * math.cos(2.0 * math.pi * uniform(random))
        elif rule == _STCH and reference[t] > 0.0:
            scores[t] = (log_loss - math.log(reference[t])) / _SMOOTHING - log_loss
        else:
            scores[t] = -log_loss
    softmax(scores, importance, weight)


@helper
def mean_losses(losses, seen, rate, n_items, mean):
    """The mean loss of the labels that a batch has of every task, 0 if it has none; returns the largest.

    (``losses`` are relative to the labels to be expected: right on average, but of a rare task not in a batch.)
    """
    largest = 0.0
    for t in range(len(mean)):
        mean[t] = losses[t] * (n_items * rate[t] / seen[t]) if seen[t] > 0.0 else 0.0
        largest = max(largest, mean[t])
    return largest


@helper
def step_scalar(learned, t, slope, rate):
    """One step of Adam on the scalar of a task: ``learned`` has its value, the two moments and the number of steps."""
    learned[3, t] += 1.0
    learned[1, t] = 0.9 * learned[1, t] + 0.1 * slope
    learned[2, t] = 0.999 * learned[2, t] + 0.001 * slope * slope
    first, second = learned[1, t] / (1.0 - 0.9 ** learned[3, t]), learned[2, t] / (1.0 - 0.999 ** learned[3, t])
    learned[0, t] -= rate * first / (math.sqrt(second) + 1e-8)


@helper
def softmax(scores, importance, weight):
    """``w_t ~ p_t exp(scores[t])`` among those whose score is finite, who share their importance; p_t elsewhere."""
    best, total, share = -math.inf, 0.0, 0.0
    for t in range(len(weight)):
        best = max(best, scores[t])
        weight[t] = importance[t]
    for t in range(len(weight)):
        if scores[t] > -math.inf:
            share += importance[t]
            weight[t] = importance[t] * math.exp(scores[t] - best)
            total += weight[t]
    for t in range(len(weight)):
        if scores[t] > -math.inf:
            weight[t] *= share / total
