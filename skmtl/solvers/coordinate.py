"""Block coordinate descent for penalties that separate over features: L1 and JointFeature.

    min_W  sum_t c_t / 2 |y_t - X_t w_t|^2  +  sum_j lam_j |W_j|  +  mu |W|_1  +  ridge / 2 |W|^2        (and W >= 0)

with W_j the weights of feature j in all tasks and |W_j| their Euclidean or maximum norm.  A feature is free if it has
no norm, lam_j = mu = 0: its weights are found exactly, with those of all others given.

Few features matter, so the descent (`_coordinate/descent.py`) runs over a working set of them, with Anderson
extrapolation and Newton steps in the weights that are not zero (`support.py`).  Between rounds one product with all
features (`columns.py`) gives the gradient and with it the duality gap, the features that are zero for certain (gap-safe
screening) and the next working set.

Under the maximum norm, where tasks have fewer rows than features, a feature has many largest weights, and which these
are changes all the time.  There splitting is tried after some epochs, and most of the time it is enough.  Where
lam = 0, tasks are lassos of their own (`lassos.py`), unless they share a Gram matrix, which then is read once for all.

The dual point is the residual, scaled by s. With Z = c_t X_t' r_t - ridge W, length_j(Z) = |soft(Z_j, mu)|_dual and

    D(s) = s sum_t c_t y_t'r_t  -  s^2 / 2 (sum_t c_t |r_t|^2 + ridge |W|^2),

D(s) is a lower bound of the minimum for every s with length_j(s Z) <= lam_j for all features.

Working sets and extrapolation: Massias, Gramfort, Salmon (2018), *ICML*, 3315-3324.  Screening: Ndiaye, Fercoq,
Gramfort, Salmon (2017), *JMLR* 18:1-33.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from skmtl._algebra import over, plus_diagonal, smallest_solution
from skmtl.moments import TaskMoments
from skmtl.penalties.shared import Ridge
from skmtl.penalties.sparse import L1, JointFeature
from skmtl.solvers._coordinate import support
from skmtl.solvers._coordinate.columns import LARGEST, Columns, least_squares
from skmtl.solvers._coordinate.descent import MEMORY, Descent, extrapolated
from skmtl.solvers._coordinate.lassos import Lassos
from skmtl.solvers._coordinate.on_grams import OnGram, OnLargeGram
from skmtl.solvers._coordinate.on_rows import OnOwnRows, OnSharedRows, OnSparseRows
from skmtl.solvers._coordinate.separable import Separable
from skmtl.solvers._screen import MANY, joining
from skmtl.solvers.solution import ROUNDING, Certificate, loss_at_zero, moments_for, solution_of, solve, solve_one
from skmtl.solvers.splitting import solve_by_splitting

__all__: list[str] = []  # found through `solve`

_FIRST = 2  # epochs before the gap of a working set is computed for the first time, or before a truncated Newton step
_ENOUGH = 0.3  # share of the gap of all features, for that of a working set: to go below is vain if the set is wrong
_ENOUGH_ALONE = 0.03  # likewise, where no other feature is wanted yet
_FACES = 20  # Newton steps in a row under the maximum norm, each on a smaller face of it
_PASSES = 20  # times that a fit is expected to visit a feature
_BRIEF, _LONG = 50, 300  # epochs before splitting is tried, and where few features are in use
_WIDE, _CROWD = 10, 0.25  # few are at most this share of the features, if there are so many for each row of a task
_PATIENCE = 500  # iterations of a splitting that sees all features, before more epochs
# The shares of a Newton step that are tried in turn: features that would turn around on the way stay at zero.  The last
# trial is as far as the first of these gets to zero.
_TRIALS = *((share, False) for share in (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)), (1.0, True)
_ALIKE = 1e-11  # share of the largest eigenvalue; with less, free features depend on each other
_SURE = 0.3  # share of the goal, for the gap of a working set: that of all features is larger


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
    zero, here = _State(np.zeros_like(W), columns.q), _State(W, columns.residual_products(W))
    descent, lassos = None, None
    states: list[_State] = []  # of the last members of the path, at most three
    for k, member in enumerate(path):
        omega = Separable.of(member, moments.n_features)
        if omega.is_zero_at(columns.gradient_at_zero) or f0 == 0.0:
            here, states = zero, []
            certificate, n_iter, converged = Certificate(f0, 0.0, None), 0, True
        elif omega.free.all() and not omega.positive:
            here, certificate = _Fit(columns, omega, tol * f0).without_norm()
            n_iter, converged = 1, True
        elif omega.apart and Lassos.suit(columns):
            lassos = lassos or Lassos(columns)
            W, H, certificate, n_iter = lassos.minimize(omega, tol * f0, max_iter, *here)
            here, states, converged = _State(W, H), [], certificate.dual_gap <= max(tol, ROUNDING) * f0
        else:
            fit = _Fit(columns, omega, tol * f0, descent)
            starts = here, zero, *_ahead(states, [one.alpha for one in path[k - len(states) : k + 1]])
            if _has_large_faces(omega, moments):
                here, certificate, n_iter, converged = _in_turns(fit, member, moments, c, tol, max_iter, starts)
            else:
                here, certificate, n_iter, converged = fit.run(max_iter, *starts)
            states = [*states[-2:], here]
            descent = fit.descent
        yield solution_of(moments, here.W.T, certificate, n_iter=n_iter, converged=converged)


def _has_large_faces(omega, moments):
    """Whether most weights may be the largest of their features: under the maximum norm, of tasks with few rows."""
    return omega.infinite and len(moments.full) < moments.n_tasks and not (omega.lam == 0.0).any()


def _in_turns(fit, member, moments, c, tol, max_iter, starts):
    """As `_Fit.run`: some epochs; if these are not enough, iterations of the splitting; and then epochs again."""
    state, certificate, n_iter, converged = fit.run(min(_BRIEF, max_iter), *starts)
    n_used, n_features = np.count_nonzero(state.W.any(axis=1)), moments.n_features
    few = n_used <= _CROWD * n_features and n_features > _WIDE * moments.n_rows.max()
    if few and not converged and n_iter < min(_LONG, max_iter):
        state, certificate, more, converged = fit.run(min(_LONG, max_iter) - n_iter, state)
        n_iter += more
    if converged or n_iter >= max_iter:
        return state, certificate, n_iter, converged
    patience = _PATIENCE if n_features < MANY else max_iter
    how = {"tol": tol, "max_iter": min(patience, max_iter - n_iter), "init": state.W.T}
    solution = next(solve_by_splitting(member, [member], moments, c, **how))
    n_iter, W = n_iter + solution.n_iter, np.where(fit.columns.curved, solution.W.T, 0.0)
    other = _State(W, fit.columns.residual_products(W))
    if solution.converged:
        return other, Certificate(solution.objective, solution.dual_gap, None), n_iter, True
    state, certificate, more, converged = fit.run(max_iter - n_iter, state, other)
    return state, certificate, n_iter + more, converged


def _worth_a_gram(moments, n_alphas):
    """Moments with the Gram matrix of shared rows, where a path needs so many products that it pays."""
    (n_tasks, n_features), n_rows = moments.xy.shape, moments.n_rows.max(initial=0)
    if not moments.shared or len(moments.gram) or n_rows < n_features or n_features > 4 * n_tasks * n_alphas:
        return moments
    if n_features**2 > LARGEST:
        return moments
    return replace(moments, gram=moments.rows[0].cross(moments.rows[0]), full=np.arange(n_tasks), rows=())


class _State(NamedTuple):
    """Weights W (n_features, n_tasks) and H, ``q_t - G_t w_t``, of the same shape."""

    W: np.ndarray
    H: np.ndarray


def _ahead(states, alphas):
    """Where the line or parabola through two or three solutions of a path leads at its next alpha, if anywhere.

    The `alphas` are those of the states, and the next one.
    """
    if len(states) < 2 or (np.diff(alphas) >= 0.0).any():
        return []
    *known, wanted = alphas
    shares = [np.prod([(wanted - other) / (alpha - other) for other in known if other != alpha]) for alpha in known]
    W, H = (sum(f * part for f, part in zip(shares, parts, strict=True)) for parts in zip(*states, strict=True))
    return [_State(W, H)]


@dataclass
class _Turns:
    """What decides whose turn it is, epochs or Newton steps: multiplications so far, and how the last step went."""

    spent: float = 0.0  # multiplications of epochs and truncated steps, in all
    since_exact: float = 0.0  # multiplications of epochs since the last exact step
    many: bool = False  # whether weights are so many that truncated steps are cheaper than exact ones
    failed: bool = False  # whether the last step failed to lower the objective

    @property
    def brief(self):
        """Whether a few epochs are enough before the next step."""
        return self.many and not self.failed

    def add(self, work):
        """Multiplications in epochs."""
        self.spent += work
        self.since_exact += work


@dataclass(eq=False)
class _Fit:
    """The minimisation for one penalty, to a gap of at most `goal`; `descent` serves again if its features do."""

    columns: Columns
    omega: Separable
    goal: float
    descent: Descent | None = None

    @property
    def rounding(self):
        """A gap below which rounding is to blame if there is no more progress."""
        return 1e-10 * loss_at_zero(self.columns.moments, self.columns.c)

    def run(self, max_iter, *starts):
        """Rounds of working sets from the best of some states on.

        Returns
        -------
        The last state, its certificate, how many epochs, and whether the goal is met.
        """
        omega, columns = self.omega, self.columns
        state = min(starts, key=lambda state: columns.loss(state.W, state.H) + omega.value(state.W))
        if omega.positive and (state.W < 0).any():
            W = np.maximum(state.W, 0.0)
            state = _State(W, columns.residual_products(W))
        alive = columns.curved.any(axis=1)
        epochs, best, idle = 0, np.inf, 0
        while True:
            state, dual_H, dual_W = self._refitted(state)
            objective = columns.loss(state.W, state.H) + omega.value(state.W)
            bound, s, lengths, outside = self._bound(dual_W, dual_H, columns.q, omega)
            gap = max(objective - bound, 0.0)
            idle = idle + 1 if gap > 0.5 * best else 0
            best = min(best, gap)
            used = state.W.any(axis=1)
            done = gap <= self.goal and used.any()  # zero is not the minimum, however near
            if (done and epochs) or epochs >= max_iter or (idle >= 3 and gap <= self.rounding) or idle >= 20:
                break
            alive &= self._may_be_used(lengths, s, gap) | used
            wanted = outside & ~used
            at = self._working_set(state, used, wanted, lengths, s, alive, widen=2**idle)
            self._cover(at, wanted | used, anew=idle > 1)
            alone = np.count_nonzero(alive[self.descent.at]) == np.count_nonzero(alive)  # nothing else to look for
            enough = (_ENOUGH if s == 0 or wanted.any() else _ENOUGH_ALONE) * gap * 0.1 ** min(idle, 3)
            enough = 0.0 if alone else enough
            self.descent.begin(omega, state.W, state.H)
            epochs += self._descend(enough, max_iter - epochs)
            self.descent.without_dust()
            W = np.zeros_like(state.W)
            W[self.descent.at] = self.descent.W
            state = _State(W, self.descent.products())
        converged = gap <= max(self.goal, 1e-4 * self.rounding)
        return state, Certificate(objective, gap, None), epochs, bool(converged)

    def without_norm(self):
        """The state and its certificate where nothing but squares is penalised."""
        columns, ridge = self.columns, self.omega.ridge
        if ridge:
            solution = solve_one(Ridge(ridge), columns.moments, columns.c)
            W = np.where(columns.curved, solution.W.T, 0.0)
        else:
            W = least_squares(columns)
        state = _State(W, columns.residual_products(W))
        objective = columns.loss(W, state.H) + self.omega.value(W)
        bound = self._bound(W, state.H, columns.q, self.omega)[0]
        return state, Certificate(objective, max(objective - bound, 0.0), None)

    def _bound(self, W, H, q, omega):
        """A lower bound of the minimum over the features that have these q.

        Returns
        -------
        The bound, its scale s, the lengths of s Z, and a mask of the features for which Z itself is too long.
        """
        columns = self.columns
        Z, free, square = H * columns.c, omega.free, 0.0
        if omega.ridge:
            Z -= omega.ridge * W
            square = omega.ridge * np.einsum("jt,jt->", W, W)
        if free.any():
            left = np.maximum(Z[free], 0.0) if omega.positive else Z[free]
            if omega.ridge:  # any V with ridge V_j = c X_j'r serves instead of W_j
                V = left / omega.ridge + W[free]
                square += omega.ridge * (np.vdot(V, V) - np.vdot(W[free], W[free]))
            elif omega.positive and left.max() > 1e-10 * np.abs(q[free] * columns.c).max():
                return 0.0, 0.0, np.zeros(len(free)), np.ones(len(free), dtype=bool)
            Z[free] = 0.0
        qw, hw = np.einsum("jt,jt->t", q, W), np.einsum("jt,jt->t", H, W)
        yy = columns.moments.yy
        a, b = columns.c @ (yy - qw), columns.c @ np.maximum(yy - qw - hw, 0.0) + square
        lengths = omega.lengths(Z)
        outside = lengths > omega.lam
        s = max(min(float(a / b) if b > 0 else 1.0, omega.largest_scale(Z, lengths)), 0.0)
        lengths = omega.lengths(s * Z) if omega.mu and s != 1.0 else s * lengths
        return s * a - 0.5 * s**2 * b, s, lengths, outside

    def _left_over(self, descent):
        """What the slope along free features may add to the gap; `_refitted` has none, and then this is zero."""
        omega = descent.omega
        free = np.flatnonzero(omega.free)
        if not len(free):
            return 0.0
        W, Z = descent.W[free], self.columns.c * descent.H[free] - omega.ridge * descent.W[free]
        if omega.positive:
            Z = np.where(W > 0, Z, np.maximum(Z, 0.0))
        roots = np.sqrt(descent.curvature[free] + omega.ridge)
        return float(np.linalg.norm(over(Z, roots)) * np.sqrt(self.columns.c @ self.columns.moments.yy))

    def _refitted(self, state):
        """The state with free features at their exact optimum, and the (H, W) of the dual point, which needs that."""
        free = np.flatnonzero(self.omega.free)
        if not len(free):
            return state, state.H, state.W
        columns, omega, W, H = self.columns, self.omega, state.W.copy(), state.H
        G, ridge = np.moveaxis(columns.with_grams(free), 2, 0), over(omega.ridge, columns.c)
        use = columns.curved[free]
        for _ in range(2):
            if omega.positive:
                use = columns.curved[free] & ((W[free] > 0) | (H[free] > 0))
            R = np.where(use, H[free] - ridge * W[free], 0.0)
            if columns.alike and use.all():  # one equation for all tasks
                step = smallest_solution(plus_diagonal(G.copy(), ridge[0]), R, _ALIKE)[0]
            else:
                S = np.where(use.T[:, :, None] & use.T[:, None, :], G, 0.0)
                step = smallest_solution(plus_diagonal(S, ridge[:, None]), R.T[:, :, None], _ALIKE)[:, :, 0].T
            W[free] += np.where(use, step, 0.0)  # eigenvectors are not zero to the last digit
            H = columns.residual_products(W)
        if not omega.positive or (W >= 0).all():
            state = _State(W, H)
        return state, H, W

    def _may_be_used(self, lengths, s, gap):
        """The features that the gap does not prove to be zero, bool (n_features,).

        The dual optimum is within sqrt(2 gap) of the dual point, a ball in which their lengths may reach lam.
        """
        columns, omega = self.columns, self.omega
        if s == 0.0:
            return np.ones(len(lengths), dtype=bool)
        size = columns.sums + len(columns.c) * omega.ridge if omega.infinite else columns.largest + omega.ridge
        reach = np.sqrt(2.0 * gap * size)
        return lengths + reach >= omega.lam * (1.0 - 1e-9)

    def _working_set(self, state, used, wanted, lengths, s, alive, widen):
        """The positions of the features in use, then of those nearest to being used."""
        columns, omega, W = self.columns, self.omega, state.W
        used = used | omega.free & columns.curved.any(axis=1)
        n_used = int(used.sum())
        more = int(joining(np.sum(wanted & ~used), n_used, widen)) if s > 0 else len(W)
        size = n_used + more
        far = omega.room(s * (columns.c * state.H - omega.ridge * W), lengths)
        reach = np.sqrt(columns.largest)
        far = np.where(alive, far / np.where(reach > 0, reach, 1.0), np.inf)
        far[used] = -np.inf
        size = min(size, int(np.sum(far < np.inf)))
        at = np.sort(np.argpartition(far, size - 1)[:size])
        return at[np.argsort(~used[at], kind="stable")]

    def _cover(self, at, needed, anew):
        """Have a descent over the features at `at`; the last one serves if it has the `needed` ones and few others."""
        if anew or self.descent is None or len(self.descent.at) > 2 * len(at) or not _holds(self.descent.at, needed):
            self.descent = _descent_over(self.columns, at)

    def _descend(self, enough, budget):
        """Epochs and Newton steps over the working set, at most `budget` epochs; how many epochs it took.

        They end when the gap of the working set meets the goal; or when it is `enough`, but not before they have cost a
        fifth of the product with all features that comes next.
        """
        descent, turns = self.descent, _Turns()
        n, best, stuck = 0, np.inf, 0
        while n < budget:
            n_epochs = min(_FIRST if n == 0 or turns.brief else MEMORY, budget - n)
            now, settled = self._epochs(n_epochs)
            n += n_epochs
            now = self._newton_steps(turns, n_epochs, now, settled)
            gap = now - self._bound(descent.W, descent.H, descent.q, descent.omega)[0] + self._left_over(descent)
            stuck = stuck + 1 if gap > 0.9 * best else 0
            best = min(best, gap)
            if gap <= (_SURE if enough else 1.0) * self.goal or (stuck >= 6 and gap <= self.rounding):
                break
            if gap <= enough and turns.spent > 0.2 * self.columns.price:
                break
        return n

    def _epochs(self, n):
        """Some epochs, and their extrapolation if it is better.

        Returns the objective, and whether the same weights were in use after the last two epochs.
        """
        descent = self.descent
        iterates = [descent.copy()]
        for _ in range(n):
            descent.epoch()
            iterates.append(descent.copy())
        settled = ((iterates[-1][0] != 0) == (iterates[-2][0] != 0)).all()
        return self._improve(descent, descent.objective(), extrapolated(iterates)), settled

    def _newton_steps(self, turns, n_epochs, now, settled):
        """Newton steps, if it is their turn, from the objective `now`; the objective after them.

        Where weights are many, it is the turn of a truncated step after each few epochs.  Else, or where that fails,
        exact ones come once epochs have cost as much since the last, or three times that while the weights in use
        still change.
        """
        descent = self.descent
        turns.add(descent.epoch_price * n_epochs)
        turns.many = support.truncated_price(descent) < support.exact_price(descent)
        if turns.many:
            turns.failed, now = self._newton(descent, now, support.truncated_step)
            turns.spent += support.truncated_price(descent)
        price = support.exact_price(descent) * (1.0 if settled else 3.0)
        if (turns.failed or not turns.many) and turns.since_exact >= price:
            turns.since_exact = 0.0
            for _ in range(_FACES if self.omega.infinite else 1):
                before = descent.W
                turns.failed, now = self._newton(descent, now, support.exact_step)
                if descent.W is before:  # a step of no gain may still end on another face
                    break
        return now

    def _newton(self, descent, now, newton_step):
        """Whether a Newton step fails to make the objective smaller than `now`, and the objective after it."""
        step = newton_step(descent)
        if step is None or not np.isfinite(step).all():
            return True, now
        for share, to_boundary in _TRIALS:
            W = support.stepped(descent, share * step, to_boundary)
            trial = descent.at_weights(np.maximum(W, 0.0) if self.omega.positive else W)
            at_trial = descent.objective(trial)
            if at_trial < now:
                break
        descent.shortened = 0 if share == 1.0 and not to_boundary else descent.shortened + 1
        if at_trial >= now:
            return True, now
        descent.move_to(trial)
        return False, at_trial

    def _improve(self, descent, now, trial):
        """Move the descent to the trial state if its objective is smaller than `now`; the objective."""
        if trial is None:
            return now
        if self.omega.positive and (trial[0] < 0.0).any():
            trial = descent.at_weights(np.maximum(trial[0], 0.0))
        for _ in range(4):
            at_trial = descent.objective(trial)
            if at_trial <= now + 1e-6 * self.rounding:
                descent.move_to(trial)
                return at_trial
            trial = [0.5 * (a + b) for a, b in zip(descent.state, trial, strict=True)]
        return now


def _holds(at, needed):
    """Whether the features at positions `at` are all that the mask `needed` wants."""
    return np.count_nonzero(needed[at]) == np.count_nonzero(needed)


def _descent_over(columns, at):
    """A descent over the features at positions `at`, those in use first; on Gram matrices, perhaps over more."""
    if columns.prefers_gram(len(at)):
        many = columns.shared and len(at) > 2 * OnLargeGram.block
        return OnLargeGram(columns, at) if many else OnGram(columns, at)
    if columns.sparse:
        return OnSparseRows(columns, at)
    return OnSharedRows(columns, at) if columns.shared else OnOwnRows(columns, at)
