"""Activations and their derivatives over flat rows, a kernel each: only that of the network is compiled."""

from skmtl.neural._jit import entry, part
from skmtl.neural._math import exp

__all__ = ["ACTIVATE", "ACTIVATIONS", "DIFFERENTIATE", "relu", "relu_slope"]

ACTIVATIONS = ("identity", "logistic", "tanh", "relu")


@entry
def identity(Z, bias):
    """``Z = Z + bias`` for every row of Z, flat (n, len(bias)); those below, of a function of that."""
    h = len(bias)
    for i in range(0, len(Z), h):
        row = part(Z, i, h)
        for j in range(h):
            row[j] += bias[j]


@entry
def logistic(Z, bias):
    """``Z = 1 / (1 + exp(-Z - bias))``."""
    h, one = len(bias), Z.dtype.type(1)
    for i in range(0, len(Z), h):
        row = part(Z, i, h)
        for j in range(h):
            row[j] = one / (one + exp(-(row[j] + bias[j])))


@entry
def tanh(Z, bias):
    """``Z = tanh(Z + bias)``, by one exponential."""
    h, one = len(bias), Z.dtype.type(1)
    for i in range(0, len(Z), h):
        row = part(Z, i, h)
        for j in range(h):
            z = row[j] + bias[j]
            row[j] = one - (one + one) / (exp(z + z) + one)


@entry
def relu(Z, bias):
    """``Z = max(Z + bias, 0)``, keeping NaN."""
    h, zero = len(bias), Z.dtype.type(0)
    for i in range(0, len(Z), h):
        row = part(Z, i, h)
        for j in range(h):
            z = row[j] + bias[j]
            row[j] = zero if z < zero else z


@entry
def identity_slope(D, H, grad, kept):
    """``D = D * phi'``, then ``grad += D' 1``; phi' as a function of phi, which is H times `kept`: 1 less dropout."""
    h = len(grad)
    for i in range(0, len(D), h):
        delta = part(D, i, h)
        for j in range(h):
            grad[j] += delta[j]


@entry
def logistic_slope(D, H, grad, kept):
    """With phi' = phi (1 - phi)."""
    h, one, kept = len(grad), D.dtype.type(1), D.dtype.type(kept)
    for i in range(0, len(D), h):
        delta, value = part(D, i, h), part(H, i, h)
        for j in range(h):
            delta[j] *= (kept * value[j]) * (one - kept * value[j])
            grad[j] += delta[j]


@entry
def tanh_slope(D, H, grad, kept):
    """With phi' = 1 - phi^2."""
    h, one, kept = len(grad), D.dtype.type(1), D.dtype.type(kept)
    for i in range(0, len(D), h):
        delta, value = part(D, i, h), part(H, i, h)
        for j in range(h):
            delta[j] *= one - (kept * value[j]) * (kept * value[j])
            grad[j] += delta[j]


@entry
def relu_slope(D, H, grad, kept):
    """With phi' = 1 where phi is positive, else 0."""
    h, zero = len(grad), D.dtype.type(0)
    for i in range(0, len(D), h):
        delta, value = part(D, i, h), part(H, i, h)
        for j in range(h):
            delta[j] = delta[j] if value[j] > zero else zero
            grad[j] += delta[j]


ACTIVATE = (identity, logistic, tanh, relu)  # in the order of ACTIVATIONS
DIFFERENTIATE = (identity_slope, logistic_slope, tanh_slope, relu_slope)
