"""Coordinate descent over a working set of features: on its Gram matrices, or on residuals where it is large.

A step in one feature changes what the others see: within a block this is brought up to date through the block's Gram
matrix (`gram_epoch`), between blocks by matrix products.  A state is a list of W and of what is kept with it, affine
functions of W: ``H = q - G w`` (`OnGram`) or residuals (`OnRows`), so that states can be combined.  Weights and
products are (n_features, n_tasks), the features those of the working set.
"""

from typing import Any

import numpy as np
from scipy.linalg.blas import dgemm

from skmtl._blas import thin_product
from skmtl._numba import read_only
from skmtl.solvers._coordinate.columns import columns_of
from skmtl.solvers._coordinate.epochs import gram_epoch, take_off
from skmtl.solvers._coordinate.separable import without_dust

__all__ = ["MEMORY", "Descent", "descent_over", "extrapolated"]

MEMORY = 5  # epochs between two extrapolations
_BLOCK = 64  # features whose Gram matrix is at hand at once


def descent_over(columns, at):
    """A descent over the features at positions `at`, those in use first; on Gram matrices, perhaps over more."""
    if not columns.prefers_gram(len(at)):
        return OnSparseRows(columns, at) if columns.sparse else OnRows(columns, at)
    return OnLargeGram(columns, at) if columns.shared and len(at) > 2 * _BLOCK else OnGram(columns, at)


class Descent:
    """One feature after the other; blocks without weights are visited in the first of every `MEMORY` epochs only.

    A subclass says what is kept besides W, and how a block is visited.
    """

    has_columns = False  # whether there are `single_columns`
    objective: Any  # the methods of a subclass
    at_weights: Any
    move_to: Any
    state: Any  # its properties or attributes
    H: Any
    grams: Any  # those of the blocks

    def __init__(self, columns, at, size):
        self.columns, self.at, self.count = columns, at, 0
        self.blocks = [slice(start, min(start + size, len(at))) for start in range(0, len(at), size)]
        self.q, self.curvature = np.ascontiguousarray(columns.q[at]), columns.c * columns.squares[at]
        self.W = np.zeros_like(self.q)
        self.shortened = 0  # Newton steps in a row that were not taken as a whole
        n_tasks = self.q.shape[1]
        self.step, self.work = np.empty((size, n_tasks)), np.empty((3, n_tasks))
        self.c, self.whole, self._single = read_only(columns.c), int(len(self.blocks) == 1), None
        largest = self.curvature.max(axis=1)
        self.unit_scale = 1.0 / np.sqrt(np.where(largest > 0.0, largest, 1.0))  # after which the largest curvature is 1

    @property
    def damping(self):
        """The share of a feature's curvature along its own weights that the next Newton step adds to it."""
        return 0.0 if self.shortened < 2 else 0.01 * 3.0 ** min(self.shortened, 4)

    def begin(self, omega, W, H):
        """Go on from the weights W of all features, whose products are H, with another penalty."""
        self.omega, self.count, self.lam = omega.at(self.at), 0, read_only(omega.lam[self.at])
        self._start(np.ascontiguousarray(W[self.at]), H)

    def _start(self, W, H):
        """Take the weights W of the working set; H are the products of all features."""
        raise NotImplementedError

    def _visit(self, k, block):
        """Descend over block k, a slice of the working set, and bring up to date what the others see."""
        raise NotImplementedError

    def without_dust(self):
        """Make what rounding has left of zero weights exact zeros."""
        W = without_dust(self.W, self.curvature)
        if np.count_nonzero(W) < np.count_nonzero(self.W):
            self.move_to(self.at_weights(W))

    def products(self):
        """``q_t - G_t w_t`` of all features, from the data."""
        W = np.zeros_like(self.columns.q)
        W[self.at] = self.W
        return self.columns.residual_products(W)

    def copy(self):
        """The state, which goes on changing, as it is now."""
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


class OnGram(Descent):
    """Epochs on the Gram matrices of a working set."""

    def __init__(self, columns, at):
        super().__init__(columns, at, len(at))
        self.G = read_only(columns.with_grams(at))
        self.grams = [self.G]

    def _start(self, W, H):
        self.W, self.H = W, np.ascontiguousarray(H[self.at])

    def _visit(self, k, block):
        self._descend(k, block, self.H)

    @property
    def state(self):
        return [self.W, self.H]

    def at_weights(self, W):
        """The state of the weights W."""
        if self.columns.shared:
            return [W, self.q - self.G[:, :, 0] @ W]
        H = self.q.copy()
        take_off(self.G, read_only(W), H)
        return [W, H]

    def move_to(self, state):
        """Go on from a state."""
        self.W, self.H = (np.ascontiguousarray(part) for part in state)

    def objective(self, state=None):
        """The objective at a state, at this one if it is None."""
        W, H = state or self.state
        return self.columns.loss_of(W, H, self.q) + self.omega.value(W)

    def gram_price(self, n_used):
        """Multiplications of `gram_of`; infinite where there is none."""
        return 0.0

    def gram_of(self, used):
        """Gram matrices (n_tasks, n_used, n_used), or (1, n_used, n_used) for all, of some of the features."""
        return np.ascontiguousarray(np.moveaxis(self.G[used[:, None], used], 2, 0))

    def product_price(self):
        """Multiplications of a product with the Gram matrices."""
        return self.q.size * len(self.q)

    def single(self):
        """The function ``V -> D G_t D v_t`` in single precision, D the diagonal `unit_scale`."""
        if self._single is None:
            scaled = self.G * (self.unit_scale[:, None] * self.unit_scale)[:, :, None]
            self._single = np.ascontiguousarray(np.moveaxis(scaled, 2, 0)).astype(np.float32)
        G = self._single
        if self.columns.shared:
            return lambda V: G[0] @ V
        return lambda V: np.ascontiguousarray(np.matmul(V.T[:, None], G)[:, 0].T)


class OnLargeGram(OnGram):
    """Epochs on a Gram matrix of many features that all tasks share, in single precision.

    So H is wrong by about 1e-7 of what the steps of a round change; the exact products between rounds put it right.
    """

    def __init__(self, columns, at):
        at, self.G = columns.grams.single(at)
        Descent.__init__(self, columns, at, _BLOCK)
        self.unit = columns.grams.unit[at, None]
        unit = self.unit[:, 0]
        self.grams = [read_only((self.G[b, b] / unit[b] / unit[b, None])[:, :, None]) for b in self.blocks]

    def epoch(self):
        """Visit the blocks; what they have told each other, `_told`, is taken off H at the end, at once."""
        self._told = np.zeros(self.W.shape, dtype=np.float32)
        super().epoch()
        self.H -= self._told / self.unit

    def _visit(self, k, block):
        step = self._descend(k, block, self.H[block] - self._told[block] / self.unit[block])
        if step is not None:
            self._told += self._products_of(step, block)

    def at_weights(self, W):
        """The state of the weights W."""
        return [W, self.H - self._products_of(W - self.W, slice(None)) / self.unit]

    def _products_of(self, V, block):
        """The products of the matrix at unit length with weights V of a block, (n_features, n_tasks), float32."""
        return thin_product(self.G[:, block], (V / self.unit[block]).astype(np.float32))

    def gram_of(self, used):
        """The Gram matrix (1, n_used, n_used) of some of the features."""
        return np.ascontiguousarray(np.moveaxis(self.columns.with_grams(self.at[used]), 2, 0))

    def single(self):
        """The function ``V -> D G D v_t`` in single precision, D the diagonal `unit_scale`."""
        more = (self.unit_scale[:, None] / self.unit).astype(np.float32)  # one number, but for features without length
        return lambda V: more * thin_product(self.G, more * V)


class OnRows(Descent):
    """Epochs on residuals: between blocks by matrix products with their columns."""

    has_columns = True

    def __init__(self, columns, at):
        super().__init__(columns, at, _BLOCK)
        self.rows = columns.moments.rows
        self.A = [columns.grams.columns(at)[None]] if columns.shared else [columns_of(rows, at) for rows in self.rows]
        self.grams = [read_only(np.ascontiguousarray(np.moveaxis(self.gram_of(block), 0, 2))) for block in self.blocks]

    def gram_price(self, n_used):
        """Multiplications of `gram_of`."""
        return n_used**2 * sum(A.shape[0] * A.shape[2] for A in self.A)

    def gram_of(self, used):
        """Gram matrices (n_tasks, n_used, n_used), or (1, n_used, n_used) for all, of some of the features."""
        if self.columns.shared:
            A = self.A[0][:, used]
            return np.matmul(A, A.swapaxes(1, 2))
        curved = self.columns.curved[self.at[used]].T
        G = np.zeros((*curved.shape, curved.shape[1]))
        for rows, A in zip(self.rows, self.A, strict=True):
            G[rows.tasks] = np.matmul(A[:, used], A[:, used].swapaxes(1, 2))
        np.einsum("tjj->tj", G)[~curved] = 0.0
        return G

    def _start(self, W, H):
        self.move_to(self.at_weights(W))

    def _visit(self, k, block):
        step = self._descend(k, block, self._products(self.R, block))
        if step is None:
            return
        for rows, A, R in zip(self.rows, self.A, self.R, strict=True):
            if self.columns.shared:  # all transposed, so that nothing is copied
                dgemm(-1.0, A[0, block].T, step.T, trans_b=True, beta=1.0, c=R.T, overwrite_c=True)
            else:
                R -= np.matmul(step.T[rows.tasks][:, None], A[:, block])[:, 0]
        self._H = None

    @property
    def H(self):
        if self._H is None:
            self._H = self._products(self.R, slice(None))
        return self._H

    @property
    def state(self):
        return [self.W, *self.R]

    def at_weights(self, W):
        """The state of the weights W."""
        if self.columns.shared:
            return [W, self.rows[0].v - W.T @ self.A[0][0]]
        each = zip(self.rows, self.A, strict=True)
        return [W, *(rows.v - np.matmul(W.T[rows.tasks][:, None], A)[:, 0] for rows, A in each)]

    def move_to(self, state):
        """Go on from a state."""
        self.W, *self.R = (np.ascontiguousarray(part) for part in state)
        self._H = None

    def objective(self, state=None):
        """The objective at a state, at this one if it is None."""
        W, *residuals = state or self.state
        loss = sum(
            self.columns.c[rows.tasks] @ np.einsum("ti,ti->t", R, R)
            for rows, R in zip(self.rows, residuals, strict=True)
        )
        return float(0.5 * loss) + self.omega.value(W)

    def products(self):
        """``q_t - G_t w_t`` of all features, from the data."""
        return self.columns.products(self.at_weights(self.W)[1:])

    def product_price(self):
        """Multiplications of a product with the columns and one back."""
        return 2 * len(self.q) * sum(R.size for R in self.R)

    def single_columns(self):
        """The columns ``D A_t`` in single precision, D the diagonal `unit_scale`."""
        if self._single is None:
            self._single = [(A * self.unit_scale[:, None]).astype(np.float32) for A in self.A]
        return self._single

    def single(self):
        """The function ``V -> D G_t D v_t`` in single precision, D the diagonal `unit_scale`."""
        columns = self.single_columns()

        def product(V):
            if self.columns.shared:
                A = columns[0][0]
                return A @ (V.T @ A).T
            out = np.zeros_like(V)
            for rows, A in zip(self.rows, columns, strict=True):
                R = np.matmul(V.T[rows.tasks][:, None], A)
                out[:, rows.tasks] = np.matmul(A, R.swapaxes(1, 2))[:, :, 0].T
            return out

        return product

    def _products(self, residuals, block):
        """``A_t' r_t`` of the features of a block."""
        if self.columns.shared:
            return self.A[0][0, block] @ residuals[0].T
        H = np.zeros_like(self.q[block])
        for rows, A, R in zip(self.rows, self.A, residuals, strict=True):
            H[:, rows.tasks] = np.matmul(A[:, block], R[:, :, None])[:, :, 0].T
        return H


class OnSparseRows(OnRows):
    """Epochs on the residuals of sparse rows, whose products take the means of the columns off."""

    has_columns = False

    def __init__(self, columns, at):
        Descent.__init__(self, columns, at, _BLOCK)
        self.rows = columns.moments.rows
        self.parts = [[rows.take(at[block]) for rows in self.rows] for block in self.blocks]
        self.all = [rows.take(at) for rows in self.rows]
        self.grams = [read_only(columns.with_grams(at[block])) for block in self.blocks]

    def gram_price(self, n_used):
        """Infinite: dense columns to take it from are not kept."""
        return np.inf

    def _visit(self, k, block):
        step = self._descend(k, block, self._with(self.parts[k], self.R))
        if step is not None:
            for part, R in zip(self.parts[k], self.R, strict=True):
                R -= part.margins(np.ascontiguousarray(step.T[part.tasks]))
            self._H = None

    def _with(self, parts, residuals):
        """``A_t' r_t``, (n_features, n_tasks), for `parts`, rows of the same features in each group of tasks."""
        H = np.zeros((parts[0].raw.shape[1], self.q.shape[1]))
        for part, R in zip(parts, residuals, strict=True):
            H[:, part.tasks] = part.products(R).T
        return H

    def _products(self, residuals, block):
        return self._with(self.all, residuals)

    def at_weights(self, W):
        """The state of the weights W."""
        return [W, *(part.v - part.margins(np.ascontiguousarray(W.T[part.tasks])) for part in self.all)]

    def product_price(self):
        """Multiplications of a product with the columns and one back, in double precision."""
        return 4 * sum(part.raw.size for part in self.all) * (self.q.shape[1] if self.columns.shared else 1)

    def single(self):
        """The function ``V -> D G_t D v_t``, D the diagonal `unit_scale`, of numbers in single precision."""
        scale = self.unit_scale[:, None]

        def product(V):
            V = scale * V
            margins = [part.margins(np.ascontiguousarray(V.T[part.tasks])) for part in self.all]
            return (scale * self._with(self.all, margins)).astype(np.float32)

        return product


def extrapolated(states):
    """The affine combination of the last states whose combined step is shortest; None if there is none.

    Unlike `Anderson` it takes states of several arrays, as many as there are at once, and remembers none.
    """
    if len(states) <= MEMORY:
        return None
    steps = np.diff([state[0].ravel() for state in states], axis=0)
    products = steps @ steps.T
    scale = np.trace(products)
    if not scale > 0.0:
        return None
    try:
        z = np.linalg.solve(products + 1e-14 * scale * np.eye(len(products)), np.ones(len(products)))
    except np.linalg.LinAlgError:
        return None
    if not np.isfinite(z).all() or abs(z.sum()) < 1e-300:
        return None
    z /= z.sum()
    return [sum(f * part for f, part in zip(z, parts, strict=True)) for parts in zip(*states[1:], strict=True)]
