"""Joint feature selection on shared rows: `JointFeatureRegressor` against scikit-learn's `MultiTaskLasso`.

Both to the same duality gap, 1e-6 of the objective at W = 0, computed by one function for both: scikit-learn gets the
loosest of a list of tolerances that reaches it. celer and skglm are timed, too, where they are installed.

``python -m benchmarks.joint_feature [seed] [eps]``: data of the seed; paths down to eps times the largest strength, by
default 0.01. scikit-learn's own paths go down to 0.001, and its last fits there take minutes.
"""

import sys
import time
import warnings

import numpy as np
from sklearn.linear_model import MultiTaskLasso

from benchmarks.common import best_times, machine
from skmtl import JointFeatureRegressor

SHAPES = [(300, 5000, 50), (1000, 1000, 20), (20_000, 200, 20), (200, 20_000, 10), (5000, 500, 100)]
SHARES = [0.3, 0.1, 0.03]
GAP = 1e-6
TOLERANCES = [1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 3e-7, 1e-7, 1e-8]


def make(n, d, T, seed=0):
    """Rows with correlation 0.5 between neighbouring columns, of which 20 to 50 count, and noise of a third of Y."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    for j in range(1, d):
        X[:, j] = 0.5 * X[:, j - 1] + np.sqrt(0.75) * X[:, j]
    W, count = np.zeros((d, T)), rng.integers(20, 51)
    W[rng.choice(d, count, replace=False)] = rng.normal(size=(count, T))
    Y = X @ W
    return X, Y + Y.std() / 3 * rng.normal(size=Y.shape)


class Problem:
    """Centred data, and what of a solution is compared."""

    def __init__(self, X, Y):
        self.X, self.Y = X - X.mean(axis=0), Y - Y.mean(axis=0)
        self.alpha_max = np.linalg.norm(self.X.T @ self.Y, axis=1).max() / len(X)

    def gap(self, W, alpha):
        """The duality gap of W (n_tasks, n_features), as a share of the objective at W = 0."""
        n = len(self.X)
        R = self.Y - self.X @ W.T
        primal = 0.5 * np.vdot(R, R) / n + alpha * np.linalg.norm(W, axis=0).sum()
        s = min(1.0, alpha * n / np.linalg.norm(self.X.T @ R, axis=1).max())
        dual = (s * np.vdot(self.Y, R) - 0.5 * s**2 * np.vdot(R, R)) / n
        return (primal - dual) / (0.5 * np.vdot(self.Y, self.Y) / n)


def quietly(call):
    """What `call` returns, without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call()


def loosest(problem, alpha, fit):
    """The largest tolerance with which ``fit(tol)`` reaches the gap; None if none does."""
    for tol in TOLERANCES:
        if problem.gap(quietly(lambda tol=tol: fit(tol)), alpha) <= GAP:
            return tol
    return None


def lasso(X, Y, alpha, tol):
    """The weights of scikit-learn's solution."""
    return MultiTaskLasso(alpha, tol=tol, max_iter=10_000).fit(X, Y).coef_


def rivals():
    """``(X, Y, alpha, tol) -> weights`` of all other libraries that are installed."""
    found = {"scikit-learn": lasso}
    try:
        from celer.homotopy import mtl_path

        def celer(X, Y, alpha, tol):
            X, Y = np.asfortranarray(X - X.mean(axis=0)), np.asfortranarray(Y - Y.mean(axis=0))
            return mtl_path(X, Y, alphas=[alpha], tol=tol)[1][:, :, 0]

        found["celer"] = celer
    except ImportError:
        print("skipped: celer is not installed")
    try:
        from skglm import MultiTaskLasso as Skglm

        def skglm(X, Y, alpha, tol):
            return Skglm(alpha, tol=tol).fit(X, Y).coef_

        found["skglm"] = skglm
    except ImportError:
        print("skipped: skglm is not installed")
    return found


def one_fit(seed=0):
    """All shapes and strengths, a fit at a time."""
    others, ratios = rivals(), {}
    for n, d, T in SHAPES:
        X, Y = make(n, d, T, seed)
        problem = Problem(X, Y)
        for share in SHARES:
            alpha = share * problem.alpha_max
            model = JointFeatureRegressor(alpha)
            calls = {"skmtl": lambda model=model, X=X, Y=Y: model.fit(X, Y)}
            for name, rival in others.items():
                tol = loosest(problem, alpha, lambda tol, rival=rival, X=X, Y=Y, a=alpha: rival(X, Y, a, tol))
                if tol is None:
                    print(f"{name} does not reach the gap on {(n, d, T)} at {share:g}")
                    continue
                calls[name] = lambda rival=rival, X=X, Y=Y, a=alpha, tol=tol: quietly(lambda: rival(X, Y, a, tol))
            seconds = best_times(calls, repeats=3)
            row = f"{f'({n}, {d}, {T}), alpha_max x {share:g}':34} {1e3 * seconds['skmtl']:8.1f} ms"
            for name in calls:
                if name != "skmtl":
                    ratios.setdefault(name, []).append(seconds[name] / seconds["skmtl"])
                    row += f"   {name} {1e3 * seconds[name]:8.1f} ms {ratios[name][-1]:6.2f}x"
            gap = problem.gap(model.coef_, alpha)
            print(f"{row}   {np.count_nonzero(model.coef_.any(axis=0))} features, gap {gap:.0e}", flush=True)
    for name, values in ratios.items():
        print(f"{name}: geometric mean {np.exp(np.mean(np.log(values))):.2f}x, worst {min(values):.2f}x")
    print("goal: 4x, never below 1x, against scikit-learn")


def paths(seed=0, n_alphas=50, eps=1e-2):
    """A path against as many fits of scikit-learn, each started at the one before."""
    for n, d, T in SHAPES:
        X, Y = make(n, d, T, seed)
        problem = Problem(X, Y)
        alphas = problem.alpha_max * np.geomspace(1, eps, n_alphas)
        ours = best_times({"path": lambda X=X, Y=Y, a=alphas: JointFeatureRegressor().path(X, Y, alphas=a)}, repeats=2)
        tol = loosest(problem, alphas[-1], lambda tol, X=X, Y=Y, a=alphas[-1]: lasso(X, Y, a, tol))
        model = MultiTaskLasso(warm_start=True, tol=tol, max_iter=10_000)
        start = time.perf_counter()
        for alpha in alphas:
            quietly(model.set_params(alpha=alpha).fit(X, Y).get_params)
        theirs = time.perf_counter() - start
        print(
            f"{f'({n}, {d}, {T}), path of {n_alphas} to {eps:g}':34} {1e3 * ours['path']:8.1f} ms   "
            f"scikit-learn {1e3 * theirs:8.1f} ms {theirs / ours['path']:6.2f}x   goal: 10x",
            flush=True,
        )


def main():
    """Run all, on data of the seed that the command line gives."""
    seed = int(sys.argv[1]) if sys.argv[1:2] and sys.argv[1].isdecimal() else 0
    print(f"{machine()}; seed {seed}")
    one_fit(seed)
    paths(seed, eps=float(sys.argv[2]) if sys.argv[2:3] else 1e-2)


if __name__ == "__main__":
    main()
