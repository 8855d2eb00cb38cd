"""Steps in kernels: Adam, AdamW and SGD over the flat parameters, with the penalties that belong to a step."""

import math

import numpy as np

from skmtl.neural._arrays import take
from skmtl.neural._jit import entry, fields, part

__all__ = ["DROPOUT", "RATE", "adapt", "limit_norms", "numbers_of", "pull", "step_of"]

# places in `real`: parameters by their names; _RIDGE is the strength of L2, _DECAY AdamW's, a largest norm of 0 none
RATE, _BETA_1, _BETA_2, _RIDGE, _ALPHA_SOFT, DROPOUT, _MAX_NORM, _DECAY, _EPSILON = range(9)
_MOMENTUM, _NESTEROV = _BETA_1, _BETA_2  # of SGD, which has no betas; Nesterov's is 1, else 0


@entry
def pull(packed, theta, n):
    r"""Add the gradient of :math:`\frac{s}{2} \sum_t \|\theta_t - \bar\theta\|^2`, and its value to the objective.

    The blocks :math:`\theta_t` have the same shape in every task. The mean's own derivative falls out, for differences
    from the mean have sum zero.
    """
    grad, soft, real, sums = take(packed, theta, "grad soft real sums")
    total, strength = 0.0, theta.dtype.type(real[_ALPHA_SOFT])
    for g in range(len(soft)):
        start, size, count = soft[g, 0], soft[g, 1], soft[g, 2]
        for j in range(start, start + size):
            mean = theta.dtype.type(0)
            for t in range(count):
                mean += theta[j + t * size]
            mean /= theta.dtype.type(count)
            for t in range(count):
                difference = theta[j + t * size] - mean
                grad[j + t * size] += strength * difference
                total += difference * difference
    sums[len(sums) - 1] += n * 0.5 * real[_ALPHA_SOFT] * total


@entry
def decay(packed, theta, n):
    r"""No step, but the gradient of :math:`\frac{a}{2} \|W\|^2`, added to `grad`, and its value, to the objective.

    a is a strength over the n items of the batch, and W are the weights: theta without the biases, see `Tables.bounds`.
    """
    bounds, grad, real, sums = take(packed, theta, "bounds grad real sums")
    for s in range(0, 4, 2):
        k, a, squares = bounds[s + 1] - bounds[s], theta.dtype.type(real[_RIDGE] / n), theta.dtype.type(0)
        W, G = part(theta, bounds[s], k), part(grad, bounds[s], k)
        for p in range(k):
            squares += W[p] * W[p]
            G[p] += a * W[p]
        sums[len(sums) - 1] += 0.5 * real[_RIDGE] * squares


@entry
def descend(packed, theta, n):
    """A step of SGD with momentum, or Nesterov's."""
    bounds, grad, m, real, steps, sums = take(packed, theta, "bounds grad m real steps sums")
    step, momentum, nesterov = theta.dtype.type(real[RATE]), theta.dtype.type(real[_MOMENTUM]), real[_NESTEROV]
    for s in range(4):  # weights, biases, weights, biases
        k, strength, squares = bounds[s + 1] - bounds[s], real[_RIDGE] if s % 2 == 0 else 0.0, theta.dtype.type(0)
        W, G, V = part(theta, bounds[s], k), part(grad, bounds[s], k), part(m, bounds[s], k)
        a = theta.dtype.type(strength / n)
        for p in range(k):
            squares += W[p] * W[p]
            g = G[p] + a * W[p]
            velocity = momentum * V[p] - step * g
            V[p] = velocity
            W[p] += momentum * velocity - step * g if nesterov > 0 else velocity
        sums[len(sums) - 1] += 0.5 * strength * squares
    steps[0] += 1


@entry
def adapt(packed, theta, n):
    """A step of Adam or AdamW."""
    bounds, grad, m, v, real, steps, sums = take(packed, theta, "bounds grad m v real steps sums")
    rate, beta_1, beta_2 = real[RATE], real[_BETA_1], real[_BETA_2]
    ridge, decay, epsilon = real[_RIDGE], real[_DECAY], real[_EPSILON]
    steps[0] += 1
    t, kind = float(steps[0]), theta.dtype.type
    step = kind(rate * math.sqrt(1.0 - math.pow(beta_2, t)) / (1.0 - math.pow(beta_1, t)))
    b1, c1, b2, c2, small = kind(beta_1), kind(1.0 - beta_1), kind(beta_2), kind(1.0 - beta_2), kind(epsilon)
    for s in range(4):  # weights, biases, weights, biases
        start, penalised = bounds[s], s % 2 == 0
        k = bounds[s + 1] - start
        W, G, M, V = part(theta, start, k), part(grad, start, k), part(m, start, k), part(v, start, k)
        strength, squares = ridge if penalised else 0.0, kind(0)
        a, shrink = kind(strength / n), kind(1.0 - rate * decay if penalised else 1.0)
        for p in range(k):
            squares += W[p] * W[p]
            g = G[p] + a * W[p]
            M[p] = b1 * M[p] + c1 * g
            V[p] = b2 * V[p] + c2 * (g * g)
            W[p] = shrink * W[p] - step * M[p] / (math.sqrt(V[p]) + small)
        sums[len(sums) - 1] += 0.5 * strength * squares


def numbers_of(settings, ridge):
    """`Training.real`, from the parameters of an estimator and the strength of L2, which AdamW has no use for."""
    decoupled = settings.solver == "adamw"
    numbers = {
        RATE: settings.learning_rate_init,
        _RIDGE: 0.0 if decoupled else ridge,
        _ALPHA_SOFT: settings.alpha_soft,
        DROPOUT: settings.dropout,
        _MAX_NORM: settings.max_norm or 0.0,
        _DECAY: settings.alpha if decoupled else 0.0,
        _EPSILON: settings.epsilon,
    }
    if settings.solver == "sgd":
        numbers |= {_MOMENTUM: settings.momentum, _NESTEROV: settings.nesterovs_momentum}
    else:
        numbers |= {_BETA_1: settings.beta_1, _BETA_2: settings.beta_2}
    return np.array([numbers[place] for place in range(len(numbers))], dtype=np.float64)


def step_of(solver):
    """The kernel of a solver."""
    return {"sgd": descend, "adam": adapt, "adamw": adapt}.get(solver, decay)


@entry
def limit_norms(packed, theta):
    """Shorten the weights into every hidden unit to a length; Srebro and Shraibman (2005)."""
    layers, norms, real = take(packed, theta, "layers D real")  # D is done with, and has room
    most, one = theta.dtype.type(real[_MAX_NORM]), theta.dtype.type(1)
    for q in range(len(layers)):
        _, _, W, _, d, h = fields(layers, q, 6)
        for j in range(h):
            norms[j] = 0
        for i in range(d):
            row = part(theta, W + i * h, h)
            for j in range(h):
                norms[j] += row[j] * row[j]
        for j in range(h):
            norms[j] = most / math.sqrt(norms[j]) if norms[j] > most * most else one
        for i in range(d):
            row = part(theta, W + i * h, h)
            for j in range(h):
                row[j] *= norms[j]
