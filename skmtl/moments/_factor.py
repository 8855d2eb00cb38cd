"""Factors of Gram matrices, ``G = V' diag(l) V``, from eigenvalues or from the singular values of few rows."""

from dataclasses import dataclass

import numpy as np

from skmtl._algebra import lengths_of
from skmtl._threads import in_threads

__all__ = ["Factor", "of_grams", "of_rows"]

_EIGH = 10  # multiplications of an eigendecomposition, in units of n_features^3
_SVD = 25  # those of singular values and vectors, in units of n_rows^2 n_features


@dataclass(frozen=True, eq=False)
class Factor:
    """The factors of several tasks, of one size (r, d): ``G_t = V_t' diag(l_t) V_t``, the rows of V_t orthonormal.

    tasks (g,): positions.  V (g, r, d), l (g, r) >= 0; or (1, r, d) and (1, r) for all.
    """

    tasks: np.ndarray
    V: np.ndarray
    l: np.ndarray  # noqa: E741 - the field's letter

    def down(self, R):
        """Coordinates ``V_t r_t`` of vectors (g, d); shape (g, r)."""
        return R @ self.V[0].T if len(self.V) == 1 else np.matmul(self.V, R[:, :, None])[:, :, 0]

    def up(self, S):
        """The vectors ``V_t' s_t`` of coordinates (g, r); shape (g, d)."""
        return S @ self.V[0] if len(self.V) == 1 else np.matmul(S[:, None, :], self.V)[:, 0]


def of_grams(tasks, gram, n_jobs):
    """The `Factor` of tasks from their Gram matrices (n, d, d), or (1, d, d) for all."""
    l, Q = np.empty(gram.shape[:2]), np.empty_like(gram)  # noqa: E741

    def fill(first, last):
        l[first:last], vectors = np.linalg.eigh(gram[first:last])
        Q[first:last] = vectors.swapaxes(1, 2)

    in_threads(fill, np.full(len(l), _EIGH * gram.shape[1] ** 3), n_jobs)
    l = _without_noise(l, l[:, -1:])  # noqa: E741
    D = lengths_of(np.einsum("tjj->tj", gram))
    for t in np.flatnonzero((D != 1.0).any(axis=1)):
        l[t], Q[t] = _of_uneven_features(gram[t], D[t])
    return Factor(tasks, Q, l)


def _of_uneven_features(gram, D):
    """Eigenvalues and eigenvectors of a Gram matrix whose features differ much in length D, from 1e-4 to 1e4 say.

    `eigh` of G itself takes what is small beside the largest eigenvalue for rounding noise.  In ``D^-1 G D^-1 = R'R``
    all features have length 1, so that `eigh` finds R with all its digits; the singular values of R D, squared, are the
    eigenvalues of G.
    """
    l, Q = np.linalg.eigh(gram / D / D[:, None])  # noqa: E741
    solid = _without_noise(l[None], l[-1])[0] > 0.0
    _, s, V = np.linalg.svd(np.sqrt(l[solid])[:, None] * Q[:, solid].T * D, full_matrices=True)
    l = np.zeros(len(D))  # noqa: E741
    l[: len(s)] = s**2
    return l[::-1], V[::-1]


def of_rows(groups, centered, n_jobs):
    """The `Factor` of every group of tasks that keep rows, from the singular values of these."""
    found = [_room_for(rows.A) for rows in groups]
    starts = np.cumsum([0, *(len(s) for s, _ in found)])

    def fill(first, last):
        for rows, start, (s, V) in zip(groups, starts[:-1], found, strict=True):
            some = slice(max(first - start, 0), max(last - start, 0))
            s[some], V[some] = _singular_values(rows.A[some])

    costs = [np.full(len(s), _SVD * s.shape[1] * V[0].size) for s, V in found]
    in_threads(fill, np.concatenate([np.empty(0), *costs]), n_jobs)
    return tuple(_of_singular_values(rows, s, V, centered) for rows, (s, V) in zip(groups, found, strict=True))


def _room_for(A):
    """Arrays for the singular values and the right singular vectors of A (g, r, d)."""
    g, r, d = A.shape
    return np.empty((g, min(r, d))), np.empty((g, min(r, d), d))


def _singular_values(A):
    """The singular values of A (g, r, d), and their right singular vectors."""
    if A.shape[1] > A.shape[2]:  # with `keep_rows`
        _, s, V = np.linalg.svd(A, full_matrices=False)
        return s, V
    # LAPACK takes tall matrices in half the time; eigh of A A' would lose what is below 1e-8 of the largest s
    U, s, _ = np.linalg.svd(A.swapaxes(1, 2), full_matrices=False)
    return s, U.swapaxes(1, 2)


def _of_singular_values(rows, s, V, centered):
    """The `Factor` of the rows, less the rounding noise in s."""
    if centered and rows.A.shape[1] <= rows.A.shape[2]:
        s[:, -1] = 0.0  # centred rows have a combination that is zero, but for the rounding of their mean
    return Factor(rows.tasks, V, _without_noise(s, s[:, :1]) ** 2)


def _without_noise(values, largest):
    """Zero for what is no more than rounding noise beside the `largest`."""
    return np.where(values > largest * values.shape[1] * np.finfo(float).eps, values, 0.0)
