"""The best intercepts at given margins, to machine precision: what every step of the weights starts from.

One number a task is found by Newton's steps within a bracket; several, or those that are drawn to each other, by
Newton's steps that are halved until the loss goes down.
"""

import numpy as np

from skmtl.losses import Multinomial
from skmtl.solvers._rows.curvature import ClassCurvature, Curvature

__all__ = ["best_intercepts"]

_ROUNDS = 100  # Newton steps, at most; a handful do


def best_intercepts(rows, margins, a):
    """The intercepts that minimise the loss of a `RowLoss` at these margins, from a first guess `a`."""
    if not rows.fit_intercept:
        return np.zeros(rows.n_outputs)
    if rows.a_b == np.inf:  # steps are the same for all tasks
        a = np.tile(a.reshape(rows.n_tasks, rows.K).mean(axis=0), rows.n_tasks)
    if rows.K == 1 and rows.a_b in (0.0, np.inf):
        return _by_bracket(rows, margins, a)
    return _by_newton(rows, margins, a)


def _slopes(rows, margins, a):
    """The pull on every intercept, and the curvature of the loss there."""
    with np.errstate(over="ignore", invalid="ignore"):
        theta, h = rows.each(lambda loss, y, eta: loss.slopes(y, eta), margins + rows.spread(a))
    g, h = rows.per_task(rows.weight * theta), rows.per_task(rows.weight * h)
    return (np.full_like(g, g.sum()), np.full_like(h, h.sum())) if rows.a_b == np.inf else (g, h)


def _by_bracket(rows, margins, a):
    """One number a task: Newton steps, or halves of what lies between a pull upwards and one downwards."""
    low, high = np.full_like(a, -np.inf), np.full_like(a, np.inf)
    scale = np.maximum(rows.largest(np.abs(margins)), rows.label_sizes)
    scale = np.where(scale > 0, scale, 1.0) if rows.a_b == 0.0 else np.full_like(a, scale.max() or 1.0)
    reach = scale  # how far to go while nothing has said stop
    length = np.full_like(a, np.inf)
    for _ in range(_ROUNDS):
        g, h = _slopes(rows, margins, a)
        low, high = np.where(g > 0, a, low), np.where(g < 0, a, high)
        sound = (h > 0) & np.isfinite(g) & np.isfinite(h)
        with np.errstate(over="ignore"):
            step = np.where(g == 0, 0.0, np.divide(g, h, out=np.copysign(reach, g), where=sound))
        bounded = np.isfinite(low) & np.isfinite(high)
        slow = np.abs(step) > np.maximum(0.5 * length, 1e-8 * scale)  # as down an exponential
        step = np.where(slow & ~bounded, np.copysign(reach, g), step)
        new = a + np.where(bounded, step, np.clip(step, -reach, reach))
        outside = bounded & ((new < low) | (new > high) | slow)
        new[outside] = 0.5 * (low[outside] + high[outside])
        reach = np.where(bounded, reach, 2.0 * reach)
        a, length = new, np.abs(new - a)
        # Newton's error is squared by each step: after one this short it is nothing but rounding
        if (np.where(sound & ~outside, length <= 1e-8 * scale, length <= 1e-16 * scale)).all():
            break
    return a


def _by_newton(rows, margins, a):
    """Several numbers a task, or a pull between tasks: Newton steps, halved until the loss goes down."""
    a = np.where(rows.present, a, 0.0)
    best, slope, hessian = _loss(rows, margins, a)
    if not np.isfinite(best):  # too far for exp: first down to where no linear predictor is above zero
        a = a - np.maximum(rows.largest(margins + rows.spread(rows.open(a))), 0.0)
        best, slope, hessian = _loss(rows, margins, a)
    decrement = np.inf
    nothing = 1e-16 * rows.task_weight.sum() if rows.K > 1 else 0.0  # of a log-loss, which has no units
    for _ in range(_ROUNDS):
        step, last = _newton_step(rows, slope, hessian), decrement
        decrement = float(np.vdot(slope, step))
        if best <= nothing or not decrement > 1e-30 * max(abs(best), 1e-300):
            break
        if last <= decrement < max(1e-14 * abs(best), nothing):  # it shrinks with each step, or is rounding
            break
        for halvings in range(40):
            new = a + 0.5**halvings * step
            value, new_slope, new_hessian = _loss(rows, margins, new)
            rounding = max(1e-15 * abs(best), nothing)
            if value <= best - 1e-4 * 0.5**halvings * decrement + rounding:
                break
            if 0.5**halvings * decrement <= 0.1 * rounding:  # the loss cannot tell any more, but the slope can
                if not np.isfinite(value) or np.abs(new_slope).max() >= np.abs(slope).max():
                    return a
                break
        else:
            break
        small = np.abs(new - a).max() <= 1e-15 * np.abs(new).max()
        a, best, slope, hessian = new, value, new_slope, new_hessian
        if small:
            break
    return a


def _loss(rows, margins, a):
    """The loss as a function of intercepts: value, descent and Hessian (n_tasks, K, K), without the pull's."""
    eta = margins + rows.spread(rows.open(a))

    def call(loss, y, eta):
        if isinstance(loss, Multinomial):
            return (loss.value(y, eta), loss.descent(y, eta), loss.mean(eta))
        return (*loss.value_and_descent(y, eta), loss.curvature(y, eta))

    with np.errstate(over="ignore", invalid="ignore"):
        value, theta, of_labels = rows.each(call, eta)
        total = float(np.vdot(rows.weight, value))
    if not np.isfinite(total):
        return np.inf, None, None
    slope = rows.per_output(rows.weighted(theta)) - rows.price_slope(a)
    curvature = ClassCurvature(rows, of_labels) if rows.K > 1 else Curvature(rows, of_labels)
    return total + rows.price(a), slope, curvature.of_intercepts()


def _newton_step(rows, slope, H):
    """``(H + pull)^-1 slope``; directions without curvature, such as the same for all classes, stay as they are."""
    K, slope = rows.K, slope.reshape(rows.n_tasks, rows.K)
    if rows.a_b == np.inf:  # one intercept for all
        step = np.linalg.lstsq(H.sum(axis=0), slope.sum(axis=0), rcond=1e-12)[0]
        return np.tile(step, rows.n_tasks)
    if rows.a_b == 0.0:
        return np.linalg.solve(H + _where_flat(rows, H), slope[:, :, None]).ravel()
    # (H_t + a I) e_t - a mean(e) = slope_t: solve for the mean, then for each
    inverse = np.linalg.inv(H + rows.a_b * np.eye(K))
    free, share = np.einsum("tkl,tl->tk", inverse, slope), rows.a_b * inverse.mean(axis=0)
    mean = np.linalg.lstsq(np.eye(K) - share, free.mean(axis=0), rcond=1e-12)[0]
    return (free + rows.a_b * np.einsum("tkl,l->tk", inverse, mean)).ravel()


def _where_flat(rows, H):
    """Curvature for the directions that have none, orthogonal to every slope: a solve is faster than a pinv."""
    scale = np.einsum("tkk->t", H) / rows.K
    scale[scale == 0] = 1.0  # a task with one class, or without labels
    present = rows.present.reshape(rows.n_tasks, rows.K)
    same = present[:, :, None] * present[:, None, :] / np.maximum(present.sum(axis=1), 1)[:, None, None]
    absent = ~present + 1e-12  # the rest is for classes whose probability is all but zero
    return scale[:, None, None] * (same + absent[:, :, None] * np.eye(rows.K))
