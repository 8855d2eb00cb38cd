"""The network in NumPy: what prediction and validation take; the kernels compute the same, batch by batch."""

import numpy as np
from scipy.special import expit

__all__ = ["outputs"]

_ACTIVATIONS = {"identity": lambda Z: Z, "logistic": expit, "tanh": np.tanh, "relu": lambda Z: np.maximum(Z, 0, out=Z)}


def outputs(architecture, theta, inputs):
    """The outputs of every task's head.

    Parameters
    ----------
    architecture : Architecture
    theta : array of shape (n_parameters,)
    inputs : array (n_rows, n_features), or list of n_tasks such arrays
        Rows that all tasks read, or those of each; a task without rows may have None.

    Returns
    -------
    list of n_tasks arrays (n_rows, n_outputs) or None
    """
    phi, n_layers = _ACTIVATIONS[architecture.activation], len(architecture.widths)
    first, heads = 0, []
    if isinstance(inputs, np.ndarray):
        for W, b in architecture.hidden_layers(theta, 0):
            if architecture.is_own(first + 1)[0]:
                break
            inputs = phi(inputs @ W + b)
            first += 1
        if first == n_layers:  # one product for all heads
            W, b = architecture.heads(theta)
            return np.split(inputs @ W.T + b, np.cumsum(architecture.n_outputs)[:-1], axis=1)
        inputs = [inputs] * architecture.n_tasks
    for t, H in enumerate(inputs):
        if H is not None:
            for W, b in architecture.hidden_layers(theta, t)[first:]:
                H = phi(H @ W + b)
            W, b = architecture.head(theta, t)
            H = H @ W + b
        heads.append(H)
    return heads
