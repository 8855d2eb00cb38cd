"""Small dense matrices that may be singular or have rows of very different length; sums over groups, means."""

import numpy as np
from scipy import sparse
from scipy.linalg import LinAlgError, cho_factor, cho_solve

__all__ = [
    "SINGULAR",
    "TINY",
    "bordered",
    "inverse_down_to_noise",
    "inverse_of_rows",
    "lengths_of",
    "membership",
    "over",
    "plus_diagonal",
    "positive_solver",
    "pseudo_inverse",
    "smallest_inverse",
    "smallest_solution",
    "weighted_mean",
]

TINY = 1e-140  # shorter vectors count as zero: their squares would not have all digits
SINGULAR = 1e-12  # an eigenvalue below this share of the largest is rounding noise, if the diagonal is all ones


def over(numerator, denominator):
    """``numerator / denominator``, but 0 where the denominator is: the pseudo-inverse of a diagonal matrix."""
    denominator = np.asarray(denominator, dtype=float)
    if denominator.all():
        return numerator / denominator
    return np.divide(
        numerator, denominator, out=np.zeros(np.broadcast(numerator, denominator).shape), where=denominator > 0
    )


def lengths_of(squares):
    """The lengths of features with these `squares` (..., d), by which to scale them; ones where that is not needed.

    It is not for features of length 0, nor where lengths differ by less than a factor of 1000.
    """
    D = np.sqrt(np.maximum(squares, 0.0))
    shortest = np.min(D, axis=-1, keepdims=True, initial=np.inf, where=D > 0)
    return np.where((D > 0) & (shortest < 1e-3 * D.max(axis=-1, keepdims=True)), D, 1.0)


def membership(label):
    """The CSR array (n_groups, n) that sums rows over groups, ``membership(label) @ X``, for labels (n,) 0, 1, ..."""
    return sparse.csr_array((np.ones(len(label)), (label, np.arange(len(label)))))


def bordered(S, side, corner):
    """S with one more row and column."""
    return np.block([[S, side[:, None]], [side[None], corner]])


def plus_diagonal(A, a):
    """The matrices A (n, d, d) with `a`, a number or (n, 1), added to their diagonals in place."""
    np.einsum("tjj->tj", A)[...] += a
    return A


def pseudo_inverse(A, smallest=SINGULAR):
    """The pseudo-inverse of positive semi-definite matrices A (..., d, d).

    Features may differ in length by orders of magnitude: they are scaled to length 1 before eigenvalues below
    `smallest` times the largest count as zero.
    """
    D = _roots_of_diagonal(A)
    scale = D[..., :, None] * D[..., None, :]
    return np.linalg.pinv(A / scale, rcond=smallest, hermitian=True) / scale


def smallest_solution(A, R, smallest=SINGULAR):
    """``pseudo_inverse(A, smallest) @ R`` for R (..., d, k), with the digits that forming the inverse would lose."""
    D, l, Q = _scaled_eigenvectors(A)  # noqa: E741
    D = D[..., None]
    inverse = over(1.0, np.where(l > smallest * l[..., -1:], l, 0.0))[..., None]
    return Q @ (inverse * (Q.swapaxes(-1, -2) @ (R / D))) / D


def smallest_inverse(A):
    """The inverse of a positive semi-definite A (d, d) that makes of r in its range the smallest solution.

    Which eigenvalues count as zero is as in `pseudo_inverse`, but small are solutions in units of `lengths_of` the
    features, as those of `inverse_of_rows` and `positive_solver` are.
    """
    (D, l, Q), E = _scaled_eigenvectors(A), lengths_of(np.diag(A))  # noqa: E741
    solid = l > SINGULAR * l[-1]
    U = Q[:, solid] / D[:, None]
    inverse = (U / l[solid]) @ U.T
    if solid.all():
        return inverse
    onto = np.linalg.qr(over(1.0, E / D)[:, None] * Q[:, solid])[0]
    smallest = (onto / E[:, None]) @ (onto.T * E)
    return smallest @ inverse @ smallest.T


def inverse_down_to_noise(A):
    """The function ``r -> A^-1 r`` of R (..., d), for positive semi-definite A (..., d, d).

    Half of ``r'A^-1 r`` is how far above its minimum a square is whose equations leave r.  Eigenvalues count less the
    rounding noise of A, or as that noise where they may be no more: along features that depend on each other nothing is
    left of the equations, and along others that are nearly so it may be much.
    """
    D, l, Q = _scaled_eigenvectors(A)  # noqa: E741
    noise = np.finfo(float).eps * l[..., -1:]
    l = np.maximum(l - l.shape[-1] * noise, noise)  # noqa: E741

    def inverse(R):
        inside = over(np.matmul((R / D)[..., None, :], Q), l[..., None, :])
        return np.matmul(inside, Q.swapaxes(-1, -2))[..., 0, :] / D

    return inverse


def _scaled_eigenvectors(A):
    """The lengths D of features, and eigenvalues and eigenvectors of ``D^-1 A D^-1``, in which all have length 1."""
    D = _roots_of_diagonal(A)
    return D, *np.linalg.eigh(A / D[..., :, None] / D[..., None, :])


def _roots_of_diagonal(A):
    """The lengths of features whose products are A (..., d, d); infinite for those of length 0, which then say nothing.

    Where a log-loss is certain of every label 1e-307 may be all there is, and its inverse as good as infinite.
    """
    D = np.sqrt(np.maximum(np.einsum("...jj->...j", A), 0.0))
    return np.where(D > TINY, D, np.inf)


def inverse_of_rows(A):
    """The function ``r -> smallest_inverse(A'A) @ r`` for A (n, d) of few rows, without an array of d x d numbers."""
    D = lengths_of(np.einsum("ij,ij->j", A, A))
    P = np.linalg.pinv(A / D, rcond=SINGULAR) / D[:, None]
    return lambda r: P @ (P.T @ r)


def positive_solver(S, span=None):
    """A function that solves ``S x = r`` for a positive definite S.

    With `span`, positive semi-definite, S is so on the range of `span` only, and x is the smallest solution.  The
    range cannot be read off S itself, whose smallest eigenvalues are rounding noise.
    """
    if span is None:
        try:
            factor = cho_factor(S)
            return lambda r: cho_solve(factor, r)
        except LinAlgError:  # positive in exact arithmetic only
            span = S
    D = lengths_of(np.diag(span))
    l, Q = np.linalg.eigh(span / D[:, None] / D)  # noqa: E741
    solid = l > SINGULAR * l[-1]
    V, onto = Q[:, solid] / D[:, None], np.linalg.qr(Q[:, solid] * D[:, None])[0]
    inverse = np.linalg.pinv(V.T @ S @ V, hermitian=True)
    return lambda r: onto @ (onto.T @ (V @ (inverse @ (V.T @ r))))


def weighted_mean(Z, share, total):
    """The mean of the rows of Z with weights `share`, whose sum is `total`; exact for columns that are constant."""
    mean, some = share @ Z / total, np.flatnonzero(share)
    level = np.flatnonzero((Z[some[:: len(some) // 8 + 1]] == Z[some[0]]).all(axis=0))  # a few rows exclude most
    level = level[(Z[np.ix_(some, level)] == Z[some[0], level]).all(axis=0)]
    mean[level] = Z[some[0], level]
    return mean
