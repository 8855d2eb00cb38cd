"""The problem of a working set of features, in whatever form makes an epoch over it cheapest.

A step in one feature changes what the others see.  Within a block of features this is brought up to date through the
block's Gram matrix (`gram_epoch`); between blocks, and for the gradient, a descent keeps products or residuals besides
the weights W:

    OnGram          H = q - G w     the Gram matrices of the tasks, or the one they share; all features are one block
    OnLargeGram     H               one of many features that all tasks share, in single precision
    OnSharedRows    R = v - A w     dense rows that all tasks share
    OnOwnRows       R               dense rows of each task
    OnSparseRows    R               sparse rows

The first two are in `on_grams.py`, the others in `on_rows.py`.  H and R are affine functions of W, so that states can
be combined.  Weights and products are (n_features, n_tasks), the features those of the working set.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from skmtl._numba import read_only
from skmtl.solvers._coordinate.epochs import gram_epoch
from skmtl.solvers._coordinate.separable import Separable, without_dust

__all__ = ["MEMORY", "Descent"]

MEMORY = 5  # epochs between two extrapolations
_CALL = 1e5  # multiplications that take as long as it takes to call an epoch


class Descent(ABC):
    """One feature after the other; blocks without weights are visited in the first of every `MEMORY` epochs only.

    What a subclass has to offer is abstract here; all of its prices are in multiplications.

    Attributes
    ----------
    at : array (n_features,)
        The positions of the working set among all features.
    W, H : arrays (n_features, n_tasks)
        Its weights, and ``q_t - G_t w_t``.
    omega : Separable
        Its penalty.
    grams : list of arrays (n_block, n_block, n_tasks), or (n_block, n_block, 1) for all tasks
        The Gram matrices of the blocks.
    """

    W: np.ndarray
    H: Any  # an array: kept, or computed when asked for
    omega: Separable
    grams: list
    block = 64  # features whose Gram matrix is at hand at once

    def __init__(self, columns, at, block=None):
        size = block or self.block
        self.columns, self.at, self.count = columns, at, 0
        self.blocks = [slice(start, min(start + size, len(at))) for start in range(0, len(at), size)]
        self.q, self.curvature = np.ascontiguousarray(columns.q[at]), columns.c * columns.squares[at]
        self.W = np.zeros_like(self.q)
        self.shortened = 0  # Newton steps in a row that were not taken as a whole
        n_tasks = self.q.shape[1]
        self.step, self.work = np.empty((size, n_tasks)), np.empty((3, n_tasks))
        self.c, self.whole = read_only(columns.c), int(len(self.blocks) == 1)
        largest = self.curvature.max(axis=1)
        self.unit_scale = 1.0 / np.sqrt(np.where(largest > 0.0, largest, 1.0))  # after which the largest curvature is 1

    # The state: W and what is kept with it, a list of arrays.

    @property
    @abstractmethod
    def state(self):
        """The state, which goes on changing."""

    @abstractmethod
    def at_weights(self, W):
        """The state of the weights W."""

    @abstractmethod
    def move_to(self, state):
        """Go on from a state."""

    @abstractmethod
    def objective(self, state=None):
        """The objective at a state, at this one if it is None."""

    @abstractmethod
    def _start(self, W, H):
        """Take the weights W of the working set; H are the products of all features."""

    # Epochs.

    @abstractmethod
    def _visit(self, k, block):
        """Descend over block k, a slice of the working set, and bring up to date what the others see."""

    # Newton steps.

    def gram_price(self, n_used):
        """The price of `gram_of`; infinite where there is none, for want of dense columns."""
        return np.inf

    def gram_of(self, used):
        """Gram matrices (n_tasks, n_used, n_used), or (1, n_used, n_used) for all, of some of the features."""
        raise NotImplementedError

    @abstractmethod
    def single(self):
        """The function ``V -> D G_t D v_t`` in single precision, D the diagonal `unit_scale`."""

    @property
    @abstractmethod
    def product_price(self):
        """The price of a product of all G_t with weights, in double precision."""

    # What follows from these.

    def begin(self, omega, state):
        """Go on from the `State` of all features, with another penalty."""
        self.omega, self.count, self.lam = omega.at(self.at), 0, read_only(omega.lam[self.at])
        self._start(np.ascontiguousarray(state.W[self.at]), state.H)

    def copy(self):
        """The state as it is now."""
        return [part.copy() for part in self.state]

    def epoch(self):
        """Visit all blocks, or those with weights."""
        for k, block in enumerate(self.blocks):
            if not self.count % MEMORY or self.W[block].any():
                self._visit(k, block)
        self.count += 1

    def _descend(self, k, block, H):
        """Change the weights of a block, from H, the products with it; the change, or None."""
        omega, step = self.omega, self.step[: len(H)]
        how = (omega.ridge, self.lam[block], omega.mu, int(omega.infinite), int(omega.positive), self.whole)
        moved = gram_epoch(self.grams[k], self.c, *how, self.W[block], H, step, self.work)
        return step if moved else None

    @property
    def n_used(self):
        """How many features are in use."""
        return np.count_nonzero(self.W.any(axis=1))

    @property
    def epoch_price(self):
        """The price of an epoch."""
        return self.W.size * self.n_used + _CALL

    @property
    def damping(self):
        """The share of a feature's curvature along its own weights that the next Newton step adds to it."""
        return 0.0 if self.shortened < 2 else 0.01 * 3.0 ** min(self.shortened, 4)

    def without_dust(self):
        """Make what rounding has left of zero weights exact zeros."""
        W = without_dust(self.W, self.curvature)
        if np.count_nonzero(W) < np.count_nonzero(self.W):
            self.move_to(self.at_weights(W))

    def of_all(self):
        """The state of all features, with products from the data."""
        return self.columns.state(self._weights_of_all())

    def _weights_of_all(self):
        W = np.zeros_like(self.columns.q)
        W[self.at] = self.W
        return W
