"""Steps in kernels: Adam, AdamW and SGD over the flat parameters, with the penalties that belong to a step."""

import math

from skmtl.neural._jit import helper, part, stage, view

__all__ = ["SOLVERS", "step"]

SOLVERS = ("adam", "adamw", "sgd")

_SGD = 2


@helper
def add_soft(theta, grad, soft, strength):
    r"""Add the gradient of :math:`\frac{s}{2} \sum_t \|\theta_t - \bar\theta\|^2`; its value.

    The blocks :math:`\theta_t` have the same shape in every task. The mean's own derivative falls out, for differences
    from the mean have sum zero.
    """
    total = 0.0
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
    return 0.5 * strength * total


@helper
def update(kind, theta, grad, m, v, rates, decay, shrink):
    r"""One step, with the gradient of :math:`\frac{a}{2} \|W\|^2`, a being `decay`; the sum of squares before it.

    rates : of theta's dtype. Adam: step (with the correction of the start), beta_1, 1 - beta_1, beta_2, 1 - beta_2 and
    epsilon. SGD: step, momentum, and 1 for Nesterov's, else 0. shrink : what AdamW multiplies them by, else 1.
    """
    squares = theta.dtype.type(0)
    if kind == _SGD:
        step, momentum, nesterov = rates[0], rates[1], rates[2]
        for p in range(len(theta)):
            squares += theta[p] * theta[p]
            g = grad[p] + decay * theta[p]
            velocity = momentum * m[p] - step * g
            m[p] = velocity
            theta[p] += momentum * velocity - step * g if nesterov > 0 else velocity
        return squares
    step, b1, c1, b2, c2, epsilon = rates[0], rates[1], rates[2], rates[3], rates[4], rates[5]
    for p in range(len(theta)):
        squares += theta[p] * theta[p]
        g = grad[p] + decay * theta[p]
        m[p] = b1 * m[p] + c1 * g
        v[p] = b2 * v[p] + c2 * (g * g)
        theta[p] = shrink * theta[p] - step * m[p] / (math.sqrt(v[p]) + epsilon)
    return squares


@helper
def limit_norms(theta, layers, norms, most):
    """Shorten the weights into every hidden unit to length `most`; Srebro and Shraibman (2005). norms: workspace."""
    one = theta.dtype.type(1)
    for q in range(len(layers)):
        W = view(theta, layers[q, 2], layers[q, 4], layers[q, 5])
        for j in range(W.shape[1]):
            norms[j] = 0
        for i in range(W.shape[0]):
            for j in range(W.shape[1]):
                norms[j] += W[i, j] * W[i, j]
        for j in range(W.shape[1]):
            norms[j] = most / math.sqrt(norms[j]) if norms[j] > most * most else one
        for i in range(W.shape[0]):
            for j in range(W.shape[1]):
                W[i, j] *= norms[j]


@stage
def step(kind, layers, weights, soft, theta, grad, m, v, rates, real, steps, n_items, scratch):
    """Add the gradients of the penalties, and take a step (none for a kind of -1); the value of the penalties.

    real : float64 (8,). Learning rate, beta_1, beta_2, strength of L2, of soft sharing, share of dropout, the largest
    norm or 0, AdamW's decay.
    """
    zero, one = theta.dtype.type(0), theta.dtype.type(1)
    decay, shrink = theta.dtype.type(real[3] / n_items), theta.dtype.type(1.0 - real[0] * real[7])
    penalty, squares, first = 0.0, zero, 0
    if len(soft):
        penalty += add_soft(theta, grad, soft, real[4])
    if kind < 0:
        for block in range(2):
            for p in range(weights[block, 0], weights[block, 1]):
                squares += theta[p] * theta[p]
                grad[p] += decay * theta[p]
        return penalty + 0.5 * decay * squares
    steps[0] += 1
    rates[0] = real[0]
    if kind != _SGD:
        t = float(steps[0])
        rates[0] *= math.sqrt(1.0 - math.pow(real[2], t)) / (1.0 - math.pow(real[1], t))
    for block in range(2):  # weights, then the biases up to the next weights
        end = weights[1, 0] if block == 0 else len(theta)
        middle = weights[block, 1]
        n, k = middle - first, end - middle
        squares += update(
            kind,
            part(theta, first, n),
            part(grad, first, n),
            part(m, first, n),
            part(v, first, n),
            rates,
            decay,
            shrink,
        )
        update(
            kind,
            part(theta, middle, k),
            part(grad, middle, k),
            part(m, middle, k),
            part(v, middle, k),
            rates,
            zero,
            one,
        )
        first = end
    if real[6] > 0.0:
        limit_norms(theta, layers, scratch, theta.dtype.type(real[6]))
    return penalty + 0.5 * decay * squares
