"""Steps in kernels: Adam, AdamW and SGD over the flat parameters, with the penalties that belong to a step."""

import math

from skmtl.neural._arrays import take
from skmtl.neural._jit import entry, fields, part

__all__ = ["adapt", "limit_norms", "pull", "step_of"]


@entry
def pull(packed, theta, n):
    r"""Add the gradient of :math:`\frac{s}{2} \sum_t \|\theta_t - \bar\theta\|^2`, and its value to the objective.

    The blocks :math:`\theta_t` have the same shape in every task. The mean's own derivative falls out, for differences
    from the mean have sum zero.
    """
    grad, soft, real, sums = take(packed, theta, "grad soft real sums")
    total, strength = 0.0, theta.dtype.type(real[4])
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
    sums[len(sums) - 1] += n * 0.5 * real[4] * total


@entry
def decay(packed, theta, n):
    r"""No step, but the gradient of :math:`\frac{a}{2} \|W\|^2`, added to `grad`, and its value, to the objective.

    a is a strength over the n items of the batch, and W are the weights: theta without the biases, see `Tables.bounds`.

    real : float64 (9,). Learning rate; beta_1, beta_2 or momentum, 1 for Nesterov's; strength of L2, of soft sharing;
    share of dropout; the largest norm or 0; AdamW's decay; epsilon.
    """
    bounds, grad, real, sums = take(packed, theta, "bounds grad real sums")
    for s in range(0, 4, 2):
        k, a, squares = bounds[s + 1] - bounds[s], theta.dtype.type(real[3] / n), theta.dtype.type(0)
        W, G = part(theta, bounds[s], k), part(grad, bounds[s], k)
        for p in range(k):
            squares += W[p] * W[p]
            G[p] += a * W[p]
        sums[len(sums) - 1] += 0.5 * real[3] * squares


@entry
def descend(packed, theta, n):
    """A step of SGD with momentum, or Nesterov's."""
    bounds, grad, m, real, steps, sums = take(packed, theta, "bounds grad m real steps sums")
    step, momentum, nesterov = theta.dtype.type(real[0]), theta.dtype.type(real[1]), real[2]
    for s in range(4):  # weights, biases, weights, biases
        k, strength, squares = bounds[s + 1] - bounds[s], real[3] if s % 2 == 0 else 0.0, theta.dtype.type(0)
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
    rate, beta_1, beta_2, ridge, _, _, _, decay, epsilon = fields(real, 0, 9)
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


def step_of(solver):
    """The kernel of a solver."""
    return {"sgd": descend, "adam": adapt, "adamw": adapt}.get(solver, decay)


@entry
def limit_norms(packed, theta, n):
    """Shorten the weights into every hidden unit to a length; Srebro and Shraibman (2005)."""
    layers, norms, real = take(packed, theta, "layers D real")  # D is done with, and has room
    most, one = theta.dtype.type(real[6]), theta.dtype.type(1)
    for q in range(len(layers)):
        _, _, W, _, d, h, _ = fields(layers, q, 7)
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
