"""Small dense matrices that may be singular or have rows of very different length; sums over groups."""

import numpy as np
from scipy import sparse
from scipy.linalg import LinAlgError, cho_factor, cho_solve

__all__ = [
    "SINGULAR",
    "TINY",
    "bordered",
    "inverse_of_rows",
    "lengths_of",
    "membership",
    "over",
    "plus_diagonal",
    "positive_solver",
    "pseudo_inverse",
    "smallest_solution",
]

TINY = 1e-140  # a length whose square has not all digits
SINGULAR = 1e-12  # of the largest eigenvalue of a matrix of unit diagonal: rounding noise


def over(numerator, denominator):
    """The quotient, 0 where the denominator is 0: the pseudo-inverse of a diagonal matrix."""
    denominator = np.asarray(denominator, dtype=float)
    if denominator.all():
        return numerator / denominator
    return np.divide(
        numerator, denominator, out=np.zeros(np.broadcast(numerator, denominator).shape), where=denominator > 0
    )


def lengths_of(squares):
    """The roots of `squares` (..., d) where they differ much; else, and for features of length 0, ones."""
    D = np.sqrt(np.maximum(squares, 0.0))
    shortest = np.min(D, axis=-1, keepdims=True, initial=np.inf, where=D > 0)
    return np.where((D > 0) & (shortest < 1e-3 * D.max(axis=-1, keepdims=True)), D, 1.0)


def membership(label):
    """Ones where members have the labels (n,), 0, 1, ...; times X it is sums over groups. CSR array (n_groups, n)."""
    return sparse.csr_array((np.ones(len(label)), (label, np.arange(len(label)))))


def bordered(S, side, corner):
    """S with one more row and column."""
    return np.block([[S, side[:, None]], [side[None], corner]])


def plus_diagonal(A, a):
    """The matrices A (n, d, d) with `a`, a number or (n, 1), added to their diagonals in place."""
    np.einsum("tjj->tj", A)[...] += a
    return A


def pseudo_inverse(A, smallest=SINGULAR):
    """Of positive semi-definite matrices A (..., d, d) whose features may differ in length by orders of magnitude.

    Eigenvalues below `smallest`, with diagonals of ones, count as zero.
    """
    D = _roots_of_diagonal(A)
    scale = D[..., :, None] * D[..., None, :]
    return np.linalg.pinv(A / scale, rcond=smallest, hermitian=True) / scale


def smallest_solution(A, R, smallest=SINGULAR):
    """``A^+ R`` for A (..., d, d) as of `pseudo_inverse` and R (..., d, k), with digits that the inverse has lost."""
    D = _roots_of_diagonal(A)[..., None]
    l, Q = np.linalg.eigh(A / D / D.swapaxes(-1, -2))  # noqa: E741
    inverse = over(1.0, np.where(l > smallest * l[..., -1:], l, 0.0))[..., None]
    return Q @ (inverse * (Q.swapaxes(-1, -2) @ (R / D))) / D


def _roots_of_diagonal(A):
    """The lengths of features that have the products A (..., d, d); 1 for those that have none."""
    D = np.sqrt(np.maximum(np.einsum("...jj->...j", A), 0.0))
    return np.where(D > TINY, D, 1.0)


def inverse_of_rows(A):
    """The function ``r -> (A'A)^+ r`` for A (n, d) of few rows; as `pseudo_inverse`, without a d x d array."""
    D = lengths_of(np.einsum("ij,ij->j", A, A))
    P = np.linalg.pinv(A / D, rcond=SINGULAR) / D[:, None]
    return lambda r: P @ (P.T @ r)


def positive_solver(S, span=None):
    """A function that solves ``S x = r`` for positive definite S, or for one that is so only on the range of `span`.

    Then x is the smallest solution.  The range cannot be read off S, whose smallest eigenvalues are rounding noise.
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
