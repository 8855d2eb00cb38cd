"""The descents on Gram matrices, of few features and of many."""

from functools import cached_property

import numpy as np

from skmtl._blas import thin_product
from skmtl._numba import read_only
from skmtl.solvers._coordinate.descent import Descent
from skmtl.solvers._coordinate.epochs import take_off

__all__ = ["OnGram", "OnLargeGram"]


class _OnProducts(Descent):
    """What keeps H: the state is [W, H]."""

    @property
    def state(self):
        return [self.W, self.H]

    def _start(self, W, H):
        self.W, self.H = W, np.ascontiguousarray(H[self.at])

    def move_to(self, state):
        self.W, self.H = (np.ascontiguousarray(part) for part in state)

    def objective(self, state=None):
        W, H = state or self.state
        return self.columns.loss_of(W, H, self.q) + self.omega.value(W)

    def gram_price(self, n_used):
        return 0.0

    @property
    def product_price(self):
        return self.q.size * len(self.q)


class OnGram(_OnProducts):
    """Epochs on the Gram matrices of a working set."""

    def __init__(self, columns, at):
        super().__init__(columns, at, len(at))
        self.G = read_only(columns.with_grams(at))
        self.grams = [self.G]

    def _visit(self, k, block):
        self._descend(k, block, self.H)

    def at_weights(self, W):
        if self.columns.shared:
            return [W, self.q - self.G[:, :, 0] @ W]
        H = self.q.copy()
        take_off(self.G, read_only(W), H)
        return [W, H]

    def gram_of(self, used):
        return np.ascontiguousarray(np.moveaxis(self.G[used[:, None], used], 2, 0))

    @cached_property
    def _single(self):
        """``D G_t D`` in single precision, (n_tasks, n_features, n_features)."""
        G = np.moveaxis(self.G, 2, 0)
        out = np.empty(G.shape, dtype=np.float32)  # filled at once: copies in double precision are large
        return np.multiply(G, self.unit_scale[:, None] * self.unit_scale, out=out, casting="same_kind")

    def single(self):
        G = self._single
        if self.columns.shared:
            return lambda V: G[0] @ V
        return lambda V: np.ascontiguousarray(np.matmul(V.T[:, None], G)[:, 0].T)


class OnLargeGram(_OnProducts):
    """Epochs on a Gram matrix of many features that all tasks share, in single precision.

    So H is wrong by about 1e-7 of what the steps of a round change; the exact products between rounds put it right.
    """

    def __init__(self, columns, at):
        at, self.G = columns.grams.single(at)
        super().__init__(columns, at)
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
        return [W, self.H - self._products_of(W - self.W, slice(None)) / self.unit]

    def _products_of(self, V, block):
        """The products of the matrix at unit length with weights V of a block, (n_features, n_tasks), float32."""
        return thin_product(self.G[:, block], (V / self.unit[block]).astype(np.float32))

    def gram_of(self, used):
        return np.ascontiguousarray(np.moveaxis(self.columns.with_grams(self.at[used]), 2, 0))

    def single(self):
        more = (self.unit_scale[:, None] / self.unit).astype(np.float32)  # one number, but for features without length
        return lambda V: more * thin_product(self.G, more * V)
