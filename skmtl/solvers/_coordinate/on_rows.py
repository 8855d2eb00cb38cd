"""The descents on residuals, of dense and of sparse rows."""

from abc import abstractmethod
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg.blas import dgemm

from skmtl._numba import read_only
from skmtl.solvers._coordinate.columns import State, columns_of
from skmtl.solvers._coordinate.descent import Descent

__all__ = ["OnOwnRows", "OnSharedRows", "OnSparseRows"]


class _OnResiduals(Descent):
    """What keeps residuals: the state is [W, *R], with R (n_tasks, n_rows) of each group of tasks.

    A subclass has the columns A of the working set, and in `parts` those of each block, and multiplies with them.
    """

    A: Any
    parts: list

    def __init__(self, columns, at):
        super().__init__(columns, at)
        self.rows = columns.moments.rows

    @abstractmethod
    def _products(self, part):
        """``A_t' r_t`` of some columns."""

    @abstractmethod
    def _take_off(self, part, step):
        """``R -= A_t step_t`` for some columns."""

    @property
    def state(self):
        return [self.W, *self.R]

    def _start(self, W, H):
        self.move_to(self.at_weights(W))

    def move_to(self, state):
        self.W, *self.R = (np.ascontiguousarray(part) for part in state)
        self._H = None

    @property
    def H(self):
        if self._H is None:
            self._H = self._products(self.A)
        return self._H

    def _visit(self, k, block):
        step = self._descend(k, block, self._products(self.parts[k]))
        if step is not None:
            self._take_off(self.parts[k], step)
            self._H = None

    def objective(self, state=None):
        W, *residuals = state or self.state
        loss = sum(
            self.columns.c[rows.tasks] @ np.einsum("ti,ti->t", R, R)
            for rows, R in zip(self.rows, residuals, strict=True)
        )
        return float(0.5 * loss) + self.omega.value(W)

    def of_all(self):
        return State(self._weights_of_all(), self.columns.products(self.at_weights(self.W)[1:]))

    @property
    def product_price(self):
        return 2 * len(self.q) * sum(R.size for R in self.R)


class OnSharedRows(_OnResiduals):
    """Epochs on the residuals of dense rows that all tasks share; columns are (n_features, n_rows)."""

    def __init__(self, columns, at):
        super().__init__(columns, at)
        self.A = columns.grams.columns(at)
        self.parts = [self.A[block] for block in self.blocks]
        self.grams = [read_only((A @ A.T)[:, :, None]) for A in self.parts]

    def _products(self, part):
        return part @ self.R[0].T

    def _take_off(self, part, step):  # all transposed, so that nothing is copied
        dgemm(-1.0, part.T, step.T, trans_b=True, beta=1.0, c=self.R[0].T, overwrite_c=True)

    def at_weights(self, W):
        return [W, self.rows[0].v - W.T @ self.A]

    def gram_of(self, used):
        A = self.A[used]
        return (A @ A.T)[None]

    def gram_price(self, n_used):
        return n_used**2 * self.A.shape[1]

    @cached_property
    def single_columns(self):
        """The columns ``D A`` in single precision, D the diagonal `unit_scale`."""
        return (self.A * self.unit_scale[:, None]).astype(np.float32)

    def single(self):
        A = self.single_columns
        return lambda V: A @ (V.T @ A).T


class OnOwnRows(_OnResiduals):
    """Epochs on the residuals of dense rows of each task; columns are a list, (g, n_features, n_rows) of g tasks."""

    def __init__(self, columns, at):
        super().__init__(columns, at)
        self.A = [columns_of(rows, at) for rows in self.rows]
        self.parts = [[A[:, block] for A in self.A] for block in self.blocks]
        self.grams = [read_only(np.ascontiguousarray(np.moveaxis(self.gram_of(block), 0, 2))) for block in self.blocks]

    def _products(self, part):
        H = np.zeros((part[0].shape[1], self.q.shape[1]))
        for rows, A, R in zip(self.rows, part, self.R, strict=True):
            H[:, rows.tasks] = np.matmul(A, R[:, :, None])[:, :, 0].T
        return H

    def _take_off(self, part, step):
        for rows, A, R in zip(self.rows, part, self.R, strict=True):
            R -= _margins(step, rows, A)

    def at_weights(self, W):
        return [W, *(rows.v - _margins(W, rows, A) for rows, A in zip(self.rows, self.A, strict=True))]

    def gram_of(self, used):
        curved = self.columns.curved[self.at[used]].T
        G = np.zeros((*curved.shape, curved.shape[1]))
        for rows, A in zip(self.rows, self.A, strict=True):
            G[rows.tasks] = np.matmul(A[:, used], A[:, used].swapaxes(1, 2))
        np.einsum("tjj->tj", G)[~curved] = 0.0
        return G

    def gram_price(self, n_used):
        return n_used**2 * sum(A.shape[0] * A.shape[2] for A in self.A)

    @cached_property
    def _single(self):
        """The columns ``D A_t`` in single precision."""
        return [(A * self.unit_scale[:, None]).astype(np.float32) for A in self.A]

    def single(self):
        columns = self._single

        def product(V):
            out = np.zeros_like(V)
            for rows, A in zip(self.rows, columns, strict=True):
                R = _margins(V, rows, A)
                out[:, rows.tasks] = np.matmul(A, R[:, :, None])[:, :, 0].T
            return out

        return product


def _margins(W, rows, A):
    """``A_t w_t`` of a group of tasks, (g, n_rows)."""
    return np.matmul(W.T[rows.tasks][:, None], A)[:, 0]


class OnSparseRows(_OnResiduals):
    """Epochs on the residuals of sparse rows, whose products take the means of the columns off."""

    def __init__(self, columns, at):
        super().__init__(columns, at)
        self.A = [rows.take(at) for rows in self.rows]
        self.parts = [[rows.take(at[block]) for rows in self.rows] for block in self.blocks]
        self.grams = [read_only(columns.with_grams(at[block])) for block in self.blocks]

    def _products(self, part):
        return self._products_of(part, self.R)

    def _products_of(self, part, residuals):
        """``A_t' r_t`` of some columns."""
        H = np.zeros((part[0].raw.shape[1], self.q.shape[1]))
        for rows, R in zip(part, residuals, strict=True):
            H[:, rows.tasks] = rows.products(R).T
        return H

    def _take_off(self, part, step):
        for rows, R in zip(part, self.R, strict=True):
            R -= rows.margins(np.ascontiguousarray(step.T[rows.tasks]))

    def at_weights(self, W):
        return [W, *(rows.v - rows.margins(np.ascontiguousarray(W.T[rows.tasks])) for rows in self.A)]

    @property
    def product_price(self):
        return 4 * sum(rows.raw.size for rows in self.A) * (self.q.shape[1] if self.columns.shared else 1)

    def single(self):
        scale = self.unit_scale[:, None]

        def product(V):
            V = scale * V
            margins = [rows.margins(np.ascontiguousarray(V.T[rows.tasks])) for rows in self.A]
            return (scale * self._products_of(self.A, margins)).astype(np.float32)

        return product
