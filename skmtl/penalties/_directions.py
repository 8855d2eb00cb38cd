"""Derivatives of proxes that treat every feature by itself.

At column j of V such a prox has a derivative J_j (n_tasks, n_tasks), symmetric, with eigenvalues from 0 to 1; where it
has a kink there are several, and any serves.  All of them together are a sum of squares of `Directions`,

    J = sum_k (e_j(k) x b_k) (e_j(k) x b_k)'

A norm of features has a method ``directions(V, P, step, before)``: the directions of its prox at V, the result of which
is P.  `before` are those of the proxes before it in a `Chain`, None for the first: what comes back is the product.
"""

from typing import NamedTuple

import numpy as np

__all__ = ["Directions", "of_columns", "of_runs", "of_weights"]


class Directions(NamedTuple):
    """The feature of every direction, int (n_directions,), and its weights, (n_tasks, n_directions)."""

    features: np.ndarray
    B: np.ndarray

    def only(self, kept):
        """Those where the mask `kept` is true."""
        return Directions(self.features[kept], self.B[:, kept])

    def where(self, used):
        """Those with a weight where the mask `used` (n_tasks, n_features) is true."""
        return self.only(((self.B != 0.0) & used[:, self.features]).any(axis=0))

    def beside(self, others):
        """These and others."""
        return Directions(*(np.concatenate(pair, axis=-1) for pair in zip(self, others, strict=True)))


def of_weights(used):
    """Every weight where the mask `used` (n_tasks, n_features) is true by itself."""
    tasks, features = np.nonzero(used)
    B = np.zeros((len(used), len(tasks)))
    B[tasks, np.arange(len(tasks))] = 1.0
    return Directions(features, B)


def of_columns(directions, V, left):
    """Those of a prox that shortens columns to a share of their length, `left` (n_features,), after `directions`.

    ``J_j = left_j (I - h h') + h h'`` with h the column's own direction.
    """
    features, B = directions
    H = V[:, features] / np.linalg.norm(V, axis=0)[features]
    roots = np.sqrt(left[features])
    return Directions(features, roots * B + (1.0 - roots) * H * np.einsum("tk,tk->k", H, B))


def of_runs(P):
    """Runs of equal weights in the columns of P, from one row to the next: each moves as a whole."""
    n_tasks, n_features = P.shape
    begins = np.ones(P.shape, dtype=bool)
    begins[1:] = P[1:] != P[:-1]
    run = np.cumsum(begins.T.ravel()) - 1
    B = np.zeros((n_tasks, run[-1] + 1))
    B[np.tile(np.arange(n_tasks), n_features), run] = 1.0 / np.sqrt(np.bincount(run))[run]
    return Directions(np.repeat(np.arange(n_features), begins.sum(axis=0)), B)
