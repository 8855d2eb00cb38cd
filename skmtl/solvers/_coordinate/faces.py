r"""Newton steps for rows of weights under the maximum norm: the minimum on a face of the penalty.

Near W the penalty is linear as long as the same weights of a row are its largest and, where signs matter, none changes
its sign. On that face a row is its length tau_j, which its largest weights share, and its other weights: the minimum is
a linear problem, that of all tau together after every task's other weights are eliminated.
"""

import numpy as np

from skmtl._algebra import over

__all__ = ["face_step", "stepped_on_face"]

_LARGEST = 1.0 - 1e-10  # share of the largest weight of a row: as large as this, a weight is one of the largest
_SOFT = 1e-7  # share of the curvatures, added to them: a task's other weights may be more than its rows, or as many


def face_step(descent):
    """The change of the weights to the minimum on their face, (n_features, n_tasks); None if there is none."""
    omega, columns = descent.omega, descent.columns
    used = np.flatnonzero(descent.W.any(axis=1))
    if not len(used):
        return None
    W, c = descent.W[used].T, columns.c
    top, free = (part.T for part in _parts(descent.W[used], descent.curvature[used], omega))
    sign = np.where(top, np.sign(W), 0.0)
    down = c[:, None] * descent.H[used].T - omega.ridge * W - omega.mu * np.sign(W)
    P = c[:, None, None] * descent.gram_of(used)
    diagonal = np.einsum("tjj->tj", P)
    diagonal += omega.ridge
    diagonal *= 1.0 + _SOFT
    M = np.where(free[:, :, None] & free[:, None, :], P, 0.0)
    np.einsum("tjj->tj", M)[~free] = 1.0
    B = P * sign[:, None, :]
    right = np.concatenate([B, down[:, :, None]], axis=2) * free[:, :, None]
    try:
        solved = np.linalg.solve(M, right)  # M^-1 B, and what other weights would do alone
        eliminated = B.reshape(-1, len(used)).T @ solved.reshape(-1, len(used) + 1)
        S = np.einsum("tj,tjk->jk", sign, B) - eliminated[:, :-1]
        slope = np.einsum("tj,tj->j", sign, down) - omega.lam[used] - eliminated[:, -1]
        change = np.linalg.solve(S, slope)
    except np.linalg.LinAlgError:
        return None
    step = np.zeros_like(descent.W)
    step[used] = (sign * change + solved @ np.append(-change, 1.0)).T
    return step


def stepped_on_face(descent, step, to_boundary=False):
    """W after a step, inside the face: weights that would leave it stay at its boundary, rows that turn around vanish.

    `to_boundary`: all weights go on until the first reaches it.
    """
    omega, W = descent.omega, descent.W
    top, _ = _parts(W, descent.curvature, omega)
    length, signs = np.abs(W).max(axis=1, keepdims=True), np.sign(W)
    longer = np.where(top, signs * step, 0.0).sum(axis=1, keepdims=True) / np.maximum(top.sum(axis=1, keepdims=True), 1)
    if to_boundary:
        # how far until a length is zero, a weight is as large as it, or changes its sign
        room = [over(length, np.maximum(-longer, 0.0))]
        room += [np.where(top, 0.0, over(length - s * W, np.maximum(s * step - longer, 0.0))) for s in (1.0, -1.0)]
        if omega.mu or omega.positive:
            room.append(over(np.abs(W), np.maximum(-signs * step, 0.0)))
        share = min(1.0, *(np.min(part, initial=1.0, where=part > 0.0) for part in room))
        step, longer = share * step, share * longer
    new, length = W + step, np.maximum(length + longer, 0.0)
    if omega.mu or omega.positive:
        new[(W != 0) & (new * W <= 0)] = 0.0
    return np.where(top, signs * length, np.clip(new, -length, length))


def _parts(W, curvature, omega):
    """Which weights are the largest of their rows, and which others may change: masks (n_features, n_tasks)."""
    size = np.abs(W)
    top = (size >= _LARGEST * size.max(axis=1, keepdims=True)) & (W != 0)
    return top, ~top & (curvature > 0.0) & ((W != 0) | (not omega.mu and not omega.positive))
