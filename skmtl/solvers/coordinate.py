"""Coordinate descent for penalties that separate over features: L1 and JointFeature.

    min_W  sum_t c_t / 2 |y_t - X_t w_t|^2  +  sum_j lam_j |W_j|  +  mu |W|_1  +  ridge / 2 |W|^2        (and W >= 0)

with W_j the weights of feature j in all tasks and |W_j| their Euclidean or maximum norm.  A feature is free if it has
no norm, lam_j = mu = 0: its weights are found exactly, with those of all others given.

Few features matter, so a fit is a loop in a loop, each in a file of `_coordinate/`:

    rounds.py   A product with all features gives the gap, the features that are zero for certain and the next working
                set.  Turns over this, and the next round, until the gap is at most the goal.
    turns.py    Some epochs over the working set (`descent.py`) and their extrapolation, then perhaps a Newton step in
                the weights that are not zero (`support.py`): each when its price says so.  The next turn, until the
                gap of the working set is at most the goal, or small enough to see what other features say.

`max_iter` is how many epochs all turns of all rounds may take.  Both loops also end when gaps no longer shrink.

Some penalties go other ways.  Without any norm squares are left, which are solved at once.  Where lam = 0, tasks are
lassos of their own (`lassos.py`), unless they share a Gram matrix, which then is read once for all.  Where tasks have
no Gram matrix, splitting is tried after some epochs, and most of the time it is enough: under the maximum norm, as a
feature has many largest weights, and which these are changes all the time; under the Euclidean one if more features
are in use than most tasks have rows, as then only the norm curves along what no row sees, and a weak one hardly.

Working sets and extrapolation: Massias, Gramfort, Salmon (2018), *ICML*, 3315-3324.  Screening: `gap.py`.
"""

import math
from dataclasses import replace

import numpy as np

from skmtl.moments import TaskMoments
from skmtl.penalties.shared import Ridge
from skmtl.penalties.sparse import L1, JointFeature
from skmtl.solvers._coordinate.columns import LARGEST, Columns, State, least_squares
from skmtl.solvers._coordinate.gap import lower_bound
from skmtl.solvers._coordinate.lassos import Lassos
from skmtl.solvers._coordinate.rounds import Found, Rounds
from skmtl.solvers._coordinate.separable import Separable
from skmtl.solvers._screen import MANY
from skmtl.solvers.exact import gap_of_least_squares
from skmtl.solvers.solution import ROUNDING, Certificate, loss_at_zero, moments_for, solution_of, solve, solve_one
from skmtl.solvers.splitting import solve_by_splitting

__all__: list[str] = []  # found through `solve`

_PASSES = 20  # times that a fit is expected to visit a feature
_BRIEF, _LONG = 50, 300  # epochs before splitting is tried, and where few features are in use
_WIDE, _CROWD = 10, 0.25  # few are at most this share of the features, if there are so many for each row of a task
_PATIENCE = 500  # iterations of a splitting that sees all features, before more epochs


@moments_for.register(L1)
@moments_for.register(JointFeature)
def moments_for_features(penalty, data, *, fit_intercept=True, n_jobs=None):
    """Rows, unless a Gram matrix of all features costs less than the products with a few residuals."""
    keep_rows = data.X.shape[1] > 4 * data.n_tasks
    return TaskMoments.from_data(data, fit_intercept=fit_intercept, n_jobs=n_jobs, keep_rows=keep_rows)


@solve.register(L1)
@solve.register(JointFeature)
def solve_by_coordinates(penalty, path, moments, c, *, tol=1e-6, max_iter=1000, init=None):
    """Each penalty of a path from where those before lead."""
    columns = Columns.of(_worth_a_gram(moments, len(path)), c, _PASSES * len(path))
    f0 = loss_at_zero(moments, c)
    W = np.zeros_like(columns.q)
    if init is not None:
        W[columns.curved] = init.T[columns.curved]
    zero, here = State(np.zeros_like(W), columns.q), columns.state(W)
    lassos, descent = None, None
    states: list[State] = []  # where rounds have led with the last members of the path, at most three
    for k, member in enumerate(path):
        omega, last = Separable.of(member, moments.n_features), states
        states = []
        if omega.is_zero_at(columns.gradient_at_zero) or f0 == 0.0:
            found = Found(zero, Certificate(f0, 0.0, None), 0, True)
        elif omega.free.all() and not omega.positive:
            found = _without_norm(columns, omega, max(tol, ROUNDING) * f0)
        elif omega.apart and Lassos.suit(columns):
            lassos = lassos or Lassos(columns)
            W, H, certificate, n_iter = lassos.minimize(omega, tol * f0, max_iter, here.W, here.H)
            found = Found(State(W, H), certificate, n_iter, certificate.dual_gap <= max(tol, ROUNDING) * f0)
        else:
            rounds = Rounds(columns, omega, tol * f0, descent)
            starts = here, zero, *_ahead(last, [one.alpha for one in path[k - len(last) : k + 1]])
            if _may_suit_splitting(omega, moments):
                found = _with_splitting(rounds, member, moments, c, tol, max_iter, starts)
            else:
                found = rounds.run(max_iter, *starts)
            states, descent = [*last[-2:], found.state], rounds.descent
        here = found.state
        how = {"n_iter": found.n_iter, "converged": found.converged}
        yield solution_of(moments, here.W.T, found.certificate, **how)


def _without_norm(columns, omega, goal):
    """What is `Found` where nothing but squares is penalised."""
    if omega.ridge:
        solution = solve_one(Ridge(omega.ridge), columns.moments, columns.c)
        state = columns.state(np.where(columns.curved, solution.W.T, 0.0))
    else:
        state = columns.state(least_squares(columns))
    objective = columns.objective(omega, state)
    if omega.ridge:
        gap = max(objective - lower_bound(columns, omega, columns.q, state.W, state.H).value, 0.0)
    else:
        gap = gap_of_least_squares((columns.c * state.H).T, columns.moments, columns.c)
    return Found(state, Certificate(objective, float(gap), None), 1, gap <= goal)


def _may_suit_splitting(omega, moments):
    """Whether tasks keep rows, which may not determine all weights, and every feature has a norm."""
    return len(moments.full) < moments.n_tasks and not (omega.lam == 0.0).any()


def _with_splitting(rounds, member, moments, c, tol, max_iter, starts):
    """As `Rounds.run`: some epochs; if these are not enough, iterations of the splitting; and then epochs again."""
    found = rounds.run(min(_BRIEF, max_iter), *starts)
    n_used, n_features = np.count_nonzero(found.state.W.any(axis=1)), moments.n_features
    few = n_used <= _CROWD * n_features and n_features > _WIDE * moments.n_rows.max()
    if few and not found.converged and found.n_iter < min(_LONG, max_iter):
        found = found.then(rounds.run(min(_LONG, max_iter) - found.n_iter, found.state))
    if found.converged or found.n_iter >= max_iter:
        return found
    if not rounds.omega.infinite and n_used <= np.median(moments.n_rows[moments.active]):
        return found.then(rounds.run(max_iter - found.n_iter, found.state))
    patience = _PATIENCE if n_features < MANY else max_iter
    how = {"tol": tol, "max_iter": min(patience, max_iter - found.n_iter), "init": found.state.W.T}
    solution = next(solve_by_splitting(member, [member], moments, c, **how))
    other = rounds.columns.state(np.where(rounds.columns.curved, solution.W.T, 0.0))
    certificate = Certificate(solution.objective, solution.dual_gap, None)
    split = found.then(Found(other, certificate, solution.n_iter, solution.converged))
    if split.converged:
        return split
    return split.then(rounds.run(max_iter - split.n_iter, found.state, other))


def _worth_a_gram(moments, n_alphas):
    """Moments with the Gram matrix of shared rows, where a path needs so many products that it pays."""
    (n_tasks, n_features), n_rows = moments.xy.shape, moments.n_rows.max(initial=0)
    if not moments.shared or len(moments.gram) or n_rows < n_features or n_features > 4 * n_tasks * n_alphas:
        return moments
    if n_features**2 > LARGEST:
        return moments
    return replace(moments, gram=moments.rows[0].cross(moments.rows[0]), full=np.arange(n_tasks), rows=())


def _ahead(states, alphas):
    """Where the line or parabola through two or three solutions of a path leads at its next alpha, if anywhere.

    The `alphas` are those of the states, and the next one.
    """
    if len(states) < 2 or (np.diff(alphas) >= 0.0).any():
        return []
    *known, wanted = alphas
    shares = [math.prod((wanted - other) / (alpha - other) for other in known if other != alpha) for alpha in known]
    return [State(_combination(shares, [one.W for one in states]), _combination(shares, [one.H for one in states]))]


def _combination(shares, arrays):
    """The sum of the arrays times their shares."""
    total = shares[0] * arrays[0]
    for share, array in zip(shares[1:], arrays[1:], strict=True):
        total += share * array
    return total
