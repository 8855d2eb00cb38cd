"""Task weights: every rule against its definition, solved in NumPy and SciPy from the gradients themselves."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize, nnls

from skmtl.neural._arrays import Data, Training, pack
from skmtl.neural._conflicts import kernels_of
from skmtl.neural._jit import address
from skmtl.neural._weighting import FIXED, FROM_GRADIENTS, FROM_LOSSES, Weighting

SEED = 88172645463325252


def weigh(weighting, losses, seen, rate=None, n=1, random=None):
    """The weights that a rule's kernel makes of a batch."""
    T = len(weighting.weight)
    known = dict.fromkeys(Data._fields), dict.fromkeys(Training._fields)
    losses, seen = (np.asarray(values, dtype=float) for values in (losses, seen))
    rate, random = np.ones(T) if rate is None else rate, np.array([SEED], dtype=np.uint64) if random is None else random
    packed = pack(
        Data(**known[0] | {"rate": rate}),
        Training(**known[1] | {"losses": losses, "seen": seen, "random": random, "weight": weighting.weight}),
        weighting.balance,
    )
    theta, (_, direct, rule, solve, share, _) = np.zeros(1), kernels_of(weighting.rule)
    if direct is None:
        rule(packed, theta, weighting.code, n)
        return weighting.weight.copy()
    direct(packed, theta)
    rule(packed, theta, weighting.code, n, 0 if solve is None else address(solve, theta))
    if share is not None:
        share(packed, theta)
    return weighting.weight.copy()


def from_gram(rule, gram, importance=None, losses=None, weighting=None, random=None):
    """The weights of a batch with this Gram matrix."""
    T = len(gram)
    weighting = weighting or Weighting(rule, np.ones(T) if importance is None else importance)
    weighting.balance.gram[:] = gram
    return weigh(weighting, np.ones(T) if losses is None else losses, np.ones(T), random=random)


def from_losses(rule, losses, importance=None, seen=None, weighting=None, random=None):
    """The weights of a batch with these mean losses; a task that is not seen is absent."""
    T = len(losses)
    weighting = weighting or Weighting(rule, np.ones(T) if importance is None else importance)
    seen = np.ones(T) if seen is None else np.asarray(seen, dtype=float)
    return weigh(weighting, np.asarray(losses, dtype=float) * seen, seen, random=random)


def sum_to(total, w):
    return w * (total / np.sum(w))


# ------------------------------------------------------------------------------------------------------- definitions


def pcgrad(J, numbers):
    """Yu et al. (2020), algorithm 1, on the gradients; the coefficients of their sum."""
    T = len(J)
    order, total = list(range(T)), np.zeros(T)
    for i in range(T):
        for k in range(T - 1, 0, -1):
            swap = int(next(numbers) * (k + 1))
            order[k], order[swap] = order[swap], order[k]
        c = np.eye(T)[i]
        for j in order:
            inner = J[j] @ (c @ J)
            if j != i and inner < 0:
                c[j] -= inner / (J[j] @ J[j])
        total += c
    return total


def upgrad(J):
    """The gradients' projections on the cone of what harms no task, by Moreau's decomposition; summed."""
    return 1.0 + sum(nnls(J.T, -g)[0] for g in J)


def cagrad(J, c=0.4):
    """Liu et al. (2021), equation 2 in its dual form."""
    T = len(J)
    M, b = J @ J.T, np.full(T, 1 / T)
    k = c * math.sqrt(b @ M @ b)

    def objective(w):
        length = math.sqrt(w @ M @ w)
        return w @ M @ b + k * length, M @ b + k * M @ w / length

    start = {"jac": True, "method": "SLSQP", "bounds": [(0, 1)] * T, "options": {"ftol": 1e-15, "maxiter": 1000}}
    sums = {"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(T)}
    w = minimize(objective, b, constraints=sums, **start).x
    return b + k / math.sqrt(w @ M @ w) * w


def imtl(J):
    U = J / np.linalg.norm(J, axis=1, keepdims=True)
    return np.linalg.pinv(U @ U.T) @ np.ones(len(J)) / np.linalg.norm(J, axis=1)


def mgda(J):
    """The shortest point in the hull of the directions: least squares whose last row asks for a sum of one."""
    norms = np.linalg.norm(J, axis=1)
    u, _ = nnls(np.vstack([(J / norms[:, None]).T, np.ones(len(J))]), np.append(np.zeros(J.shape[1]), 1.0))
    return u / norms


SOLVED = {"upgrad": upgrad, "cagrad": cagrad, "imtl": imtl, "mgda": mgda}
each_rule = pytest.mark.parametrize("rule", FROM_GRADIENTS)
each_size = pytest.mark.parametrize("T", [2, 3, 5, 9])


def uniform_numbers(state=SEED):
    """xorshift64 in Python's integers."""
    while True:
        state = (state ^ (state << 13)) % 2**64
        state ^= state >> 7
        state = (state ^ (state << 17)) % 2**64
        yield (state >> 11) / 2**53


def gradients(T, rng, lean=0.0):
    """T gradients of very different lengths, in conflict the more, the more they lean from each other."""
    J = rng.normal(size=(T, T + 2))
    J -= lean * J.mean(axis=0)
    return J * 10.0 ** rng.uniform(-1, 1, size=(T, 1))


# ---------------------------------------------------------------------------------------------------- from gradients


@each_size
@pytest.mark.parametrize("lean", [0.0, 0.9])
@pytest.mark.parametrize("rule", SOLVED)
def test_weights_are_those_of_the_definition(rule, lean, T, rng):
    for _ in range(5):
        J = gradients(T, rng, lean)
        expected = SOLVED[rule](J)
        if expected.sum() > 0.1 * np.abs(expected).sum():
            tolerance = {"rtol": 2e-4, "atol": 2e-5} if rule == "cagrad" else {"rtol": 1e-7, "atol": 1e-9}  # of SLSQP
            assert_allclose(from_gram(rule, J @ J.T), sum_to(T, expected), **tolerance)


@each_size
def test_pcgrad_projects_gradient_after_gradient_in_the_order_of_the_generator(T, rng):
    J = gradients(T, rng, 0.5)
    assert_allclose(from_gram("pcgrad", J @ J.T), sum_to(T, pcgrad(J, uniform_numbers())), rtol=1e-9)


@each_size
def test_importance_scales_gradients_or_multiplies_directions(T, rng):
    J, p = gradients(T, rng, 0.5), rng.uniform(0.5, 2, size=T)
    for rule, solve in SOLVED.items():
        scaled = rule in ("upgrad", "cagrad")
        expected = p * solve((p / p.mean())[:, None] * J if scaled else J)
        if expected.sum() > 0.1 * np.abs(expected).sum():
            assert_allclose(from_gram(rule, J @ J.T, p), sum_to(T, expected), rtol=2e-4, atol=2e-5)


@each_size
def test_upgrad_harms_no_task(T, rng):
    for _ in range(20):
        J = gradients(T, rng, 0.95)
        gain = J @ (from_gram("upgrad", J @ J.T) @ J)
        assert np.all(gain >= -1e-9 * np.linalg.norm(J, axis=1) * np.linalg.norm(J))


@each_size
def test_cagrad_has_the_largest_worst_gain_of_its_ball(T, rng):
    """Random directions in the ball around the mean gradient, 0.4 of its length wide, gain less for some task."""
    J = gradients(T, rng, 0.8)
    J /= np.linalg.norm(J, axis=1, keepdims=True)
    mean = J.mean(axis=0)
    d = from_gram("cagrad", J @ J.T) @ J
    # its length is that of the ball's surface in this direction, the far side if it gains for all
    a, b, c = d @ d, d @ mean, (1 - 0.4**2) * (mean @ mean)
    root = math.sqrt(max(b * b - a * c, 0.0))
    d *= (b + root if np.min(J @ d) > 0 else b - root) / a
    assert_allclose(np.linalg.norm(d - mean), 0.4 * np.linalg.norm(mean), rtol=1e-6)
    others = rng.normal(size=(2000, J.shape[1]))
    others *= 0.4 * np.linalg.norm(mean) / np.linalg.norm(others, axis=1, keepdims=True)
    assert np.max(np.min((mean + others) @ J.T, axis=1)) <= np.min(J @ d) + 1e-9


@each_size
def test_imtl_gains_the_same_along_every_gradient(T, rng):
    J = gradients(T, rng)
    gain = J @ (from_gram("imtl", J @ J.T) @ J) / np.linalg.norm(J, axis=1)
    assert_allclose(gain, gain[0], rtol=1e-7)
    assert gain[0] > 0


def test_imtl_keeps_weights_that_cancel_to_ten_times_their_share():
    lengths = np.array([1.0, 1.0, 0.25025])
    C = np.array([[1.0, 0.5, 0.8], [0.5, 1.0, 0.8], [0.8, 0.8, 1.0]])  # C^-1 1 is in proportion to 2, 2, -1
    w = from_gram("imtl", lengths[:, None] * C * lengths)
    assert np.abs(w).sum() == pytest.approx(30.0)
    assert_allclose(w * lengths / w[0], [1.0, 1.0, -0.5], rtol=1e-9)


def test_gradnorm_levels_the_lengths_of_weighted_gradients(rng):
    """With losses that fall alike, w_t |g_t| become equal; a task whose loss falls more slowly gets more."""
    J = gradients(3, rng) * [[1.0], [2.0], [0.5]]
    norms = np.linalg.norm(J, axis=1)
    norms /= norms.min()
    J = J / np.linalg.norm(J, axis=1, keepdims=True) * np.clip(norms, 1, 4)[:, None]
    norms = np.linalg.norm(J, axis=1)
    for losses in ([0.5, 1.0, 1.5], [0.9, 1.0, 1.5]):
        weighting = Weighting("gradnorm", np.ones(3))
        weighting.end_epoch([1.0, 2.0, 3.0])
        for _ in range(3000):
            w = from_gram("gradnorm", J @ J.T, losses=losses, weighting=weighting)
        relative = np.array(losses) / [1.0, 2.0, 3.0]
        expected = (relative / relative.mean()) ** 1.5
        assert_allclose(w * norms / np.mean(w * norms), expected / expected.mean(), rtol=0.1)


def test_gradnorm_takes_the_first_step_of_adam(rng):
    J = gradients(4, rng)
    norms = np.linalg.norm(J, axis=1)
    weighting = Weighting("gradnorm", np.ones(4))
    assert_array_equal(from_gram("gradnorm", J @ J.T, weighting=weighting), 1.0)  # before the first epoch is over
    weighting.end_epoch(np.ones(4))
    w = from_gram("gradnorm", J @ J.T, weighting=weighting)
    assert_allclose(w, sum_to(4, 1 - 0.025 * np.sign(norms - norms.mean())), rtol=1e-6)


def test_gradnorm_leaves_a_steep_task_a_weight():
    weighting = Weighting("gradnorm", np.ones(2))
    weighting.end_epoch(np.ones(2))
    for _ in range(200):  # level would be a weight of 2e-5, and a step of Adam is longer
        w = from_gram("gradnorm", np.diag([1e10, 1.0]), weighting=weighting)
    assert 0.95e-3 < w[0] < 1e-3


def test_gradnorm_learns_nothing_from_batches_of_one_task(rng):
    weighting = Weighting("gradnorm", np.ones(3))
    weighting.end_epoch(np.ones(3))
    for step in range(60):
        gram, task = np.zeros((3, 3)), step % 3
        gram[task, task] = rng.uniform(0.1, 10.0)
        from_gram("gradnorm", gram, losses=rng.uniform(0.1, 10.0, size=3), weighting=weighting)
    assert_array_equal(weighting.memory.learned[0], 1.0)


@each_rule
@pytest.mark.parametrize("T", [1, 2, 5])
def test_without_conflict_in_an_orthonormal_basis_all_weights_are_one(rule, T):
    assert_allclose(from_gram(rule, np.eye(T)), np.ones(T), rtol=1e-12)


@each_rule
def test_a_task_without_a_gradient_has_no_say(rule, rng):
    """The others have the weights they have alone; its own is its importance. In this order pcgrad draws alike."""
    J, p = gradients(2, rng, 0.9), np.array([1.0, 2.0, 1.5])
    J = np.vstack([J, np.zeros(J.shape[1])])
    w = from_gram(rule, J @ J.T, p)
    alone = from_gram(rule, J[:2] @ J[:2].T, p[:2])
    assert_allclose(w[:2], alone * (p[:2].sum() / p.sum()) * 1.5, rtol=1e-12)
    assert_allclose(w[2], p[2] / p.mean())


@each_rule
def test_no_gradient_at_all_leaves_the_importances(rule):
    assert_allclose(from_gram(rule, np.zeros((3, 3)), [1.0, 2.0, 3.0]), [0.5, 1.0, 1.5])


@each_rule
def test_an_importance_of_zero_is_no_say_and_no_weight(rule, rng):
    J = gradients(3, rng, 0.9)
    w = from_gram(rule, J @ J.T, [1.0, 1.0, 0.0])
    assert w[2] == 0
    assert_allclose(w[:2], 1.5 * from_gram(rule, J[:2] @ J[:2].T), rtol=1e-12)


HARD = {
    "the same three times": [[1.0, 2.0]] * 3,
    "opposed": [[1.0, 0.0], [-1.0, 0.0]],
    "opposed, other lengths": [[1e3, 0.0], [-1e-3, 0.0]],
    "mean zero": [[1.0, 0.0], [-0.5, math.sqrt(0.75)], [-0.5, -math.sqrt(0.75)]],
    "all but opposed": [[1.0, 1e-9], [-1.0, 1e-9]],
    "all but the same": [[1.0, 0.0], [1.0, 1e-9], [-1.0, 1e-3]],
    "more tasks than parameters": [[1.0, 0.1], [-1.0, 0.3], [0.2, -1.0], [0.5, 0.5], [-0.4, 0.2]],
    "one parameter": [[1.0], [-2.0], [3.0]],
    "lengths 1e-120 to 1e120": [[1e-120, 1e-120], [1e120, -1e119], [-1.0, 2.0]],
    "one alone": [[3.0]],
}


@each_rule
@pytest.mark.parametrize("case", HARD)
def test_weights_are_finite_and_sum_to_the_number_of_tasks(rule, case):
    J = np.array(HARD[case])
    with np.errstate(under="ignore"):
        gram = J @ J.T
    weighting = Weighting(rule, np.ones(len(J)))
    for losses in (np.ones(len(J)), np.arange(len(J)) / 2):
        w = from_gram(rule, gram, losses=losses, weighting=weighting)
        assert np.all(np.isfinite(w))
        if rule == "imtl" and np.any(w < 0):
            assert np.sum(np.abs(w)) <= 10.001 * len(J)
        else:
            assert np.all(w >= 0)
            assert_allclose(w.sum(), len(J), rtol=1e-9)
        weighting.end_epoch(np.ones(len(J)))


STATIONARY = ["mean zero", "more tasks than parameters", "one parameter", "opposed", "opposed, other lengths"]


@pytest.mark.parametrize("case", ["the same three times", *STATIONARY])
@pytest.mark.parametrize("rule", ["upgrad", "imtl", "mgda"])
def test_dependent_gradients_combine_to_the_same_direction(rule, case):
    """Weights are not unique then, what they make of the gradients is; nothing, where some combination is zero."""
    J = np.array(HARD[case])
    if rule == "imtl" and case in ("mean zero", "opposed", "opposed, other lengths"):  # C^+ 1 = 0
        assert_allclose(from_gram(rule, J @ J.T), 1.0)
        return
    ours, theirs = (w @ J / max(np.sum(np.abs(w)), 1e-300) for w in (from_gram(rule, J @ J.T), SOLVED[rule](J)))
    lengths = np.linalg.norm([ours, theirs], axis=1)
    if case == "mean zero" or lengths[1] < 1e-6 * np.abs(J).max():
        assert lengths[0] < 1e-6 * np.abs(J).max()
    else:
        assert_allclose(ours / lengths[0], theirs / lengths[1], atol=1e-6)


@pytest.mark.parametrize("J", [HARD["mean zero"], HARD["opposed"], [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]])
def test_cagrad_keeps_to_the_mean_where_no_direction_gains_more(J):
    J = np.array(J)
    assert_allclose(from_gram("cagrad", J @ J.T), 1.0, rtol=1e-6)


@pytest.mark.parametrize("case", ["more tasks than parameters", "opposed, other lengths"])
def test_cagrad_finds_the_best_direction_in_the_plane(case):
    J = np.array(HARD[case])
    mean, angle = J.mean(axis=0), np.linspace(0, 2 * np.pi, 100_001)
    ball = mean + 0.4 * np.linalg.norm(mean) * np.column_stack([np.cos(angle), np.sin(angle)])
    best, ours = ball[np.argmax(np.min(ball @ J.T, axis=1))], from_gram("cagrad", J @ J.T) @ J
    assert best @ ours > (1 - 1e-8) * np.linalg.norm(best) * np.linalg.norm(ours)


@each_rule
@pytest.mark.parametrize("scale", [1e-250, 1e-30, 1e30, 1e250])
def test_the_unit_of_the_loss_does_not_matter(rule, scale, rng):
    J = gradients(4, rng, 0.9)
    G = J @ J.T
    first = Weighting(rule, np.ones(4))
    first.end_epoch(np.ones(4))
    second = Weighting(rule, np.ones(4))
    second.end_epoch(np.ones(4))
    assert_allclose(
        from_gram(rule, G * scale, weighting=first), from_gram(rule, G, weighting=second), rtol=1e-8, atol=1e-10
    )


@pytest.mark.parametrize("rule", SOLVED)
def test_the_order_of_tasks_does_not_matter(rule, rng):
    J, order = gradients(6, rng, 0.9), rng.permutation(6)
    assert_allclose(
        from_gram(rule, (J @ J.T)[np.ix_(order, order)]), from_gram(rule, J @ J.T)[order], rtol=1e-6, atol=1e-8
    )


# ------------------------------------------------------------------------------------------------------- from losses


def test_geometric_weights_are_the_gradient_of_the_geometric_mean(rng):
    losses = rng.uniform(0.1, 5, size=4)
    assert_allclose(from_losses("geometric", losses), sum_to(4, 1 / losses), rtol=1e-12)


def test_stch_weights_are_the_gradient_of_the_smooth_maximum(rng):
    losses, first = rng.uniform(0.1, 5, size=4), rng.uniform(0.1, 5, size=4)
    weighting = Weighting("stch", np.ones(4))
    assert_allclose(from_losses("stch", losses, weighting=weighting), sum_to(4, 1 / losses), rtol=1e-12)
    weighting.end_epoch(first)
    weighting.end_epoch(losses)  # the first epoch stays the reference
    step = 1e-6 * np.eye(4)
    mu = 0.5

    def maximum(losses):
        return mu * np.log(np.sum(np.exp(np.log(losses / first) / mu)))

    slope = np.array([maximum(losses + s) - maximum(losses - s) for s in step])
    assert_allclose(from_losses("stch", losses, weighting=weighting), sum_to(4, slope), rtol=1e-5)


def test_uncertainty_finds_the_noise_of_every_task():
    """At rest e^s = 2 L, and so the weights are in proportion to 1 / L."""
    losses, weighting = np.array([0.1, 1.0, 10.0]), Weighting("uncertainty", np.ones(3))
    assert_array_equal(from_losses("uncertainty", losses, weighting=weighting), 1.0)
    expected = -0.01 * np.sign(losses - 0.5) * [-1, -1, -1]  # Adam's first step, against 1/2 - L
    assert_allclose(weighting.balance.learned[0], expected, rtol=1e-6)
    for _ in range(5000):
        w = from_losses("uncertainty", losses, weighting=weighting)
    assert_allclose(np.exp(weighting.balance.learned[0]), 2 * losses, rtol=1e-3)
    assert_allclose(w, sum_to(3, 1 / losses), rtol=1e-3)


def test_random_weights_are_a_softmax_of_normal_numbers():
    random = np.array([SEED], dtype=np.uint64)
    logs = np.log([from_losses("random", np.ones(2), random=random) for _ in range(4000)])
    difference = logs[:, 0] - logs[:, 1]
    assert abs(difference.mean()) < 4 * math.sqrt(2 / 4000)
    assert_allclose(difference.var(), 2.0, rtol=0.1)
    again = np.array([SEED], dtype=np.uint64)
    assert_array_equal(np.log([from_losses("random", np.ones(2), random=again) for _ in range(10)]), logs[:10])


@pytest.mark.parametrize("rule", FROM_LOSSES)
def test_an_absent_task_has_no_say(rule):
    w = from_losses(rule, [1.0, 0.25, 3.0], [1.0, 1.0, 2.0], seen=[1.0, 1.0, 0.0])
    assert_allclose(w[2], 1.5)
    assert_allclose(w[:2], from_losses(rule, [1.0, 0.25]) * 0.75, rtol=1e-12)
    assert_allclose(from_losses(rule, np.ones(3), seen=np.zeros(3)), 1.0)


def test_a_rare_task_is_judged_by_the_mean_of_its_labels():
    """10 items of which one half and one tenth should have a label: 1 has one of both, of loss 0.5 and 0.2."""
    weighting, rate, seen = Weighting("geometric", np.ones(2)), np.array([0.5, 0.1]), np.array([1.0, 1.0])
    losses = np.array([0.5, 0.2]) / (10 * rate)
    weigh(weighting, losses, seen, rate, 10)
    assert_allclose(weighting.weight, sum_to(2, 1 / np.array([0.5, 0.2])))


@pytest.mark.parametrize("rule", FROM_LOSSES)
@pytest.mark.parametrize("losses", [[0.0, 0.0], [0.0, 1.0], [1e-300, 1e300], [1e-200, 1e-250], [5.0, 1e150]])
def test_extreme_losses_give_finite_weights(rule, losses):
    weighting = Weighting(rule, np.ones(2))
    for _ in range(3):
        w = from_losses(rule, losses, weighting=weighting)
        assert np.all(np.isfinite(w))
        assert np.all(w >= 0)
        assert_allclose(w.sum(), 2.0)
        weighting.end_epoch(losses)


# ------------------------------------------------------------------------------------------------------- epoch by epoch


def test_dwa_weighs_by_how_slowly_losses_fall():
    weighting = Weighting("dwa", [1.0, 1.0, 2.0])
    for losses in ([4.0, 1.0, 0.0], [2.0, 1.0, 0.0]):
        assert_allclose(weighting.weight, [0.75, 0.75, 1.5])  # until there are two
        weighting.end_epoch(losses)
    assert_allclose(weighting.weight, sum_to(3, np.exp(np.array([0.5, 1.0, 1.0]) / 2) * [1, 1, 2]))


def test_dwa_remembers_the_loss_of_a_task_that_is_away_for_an_epoch():
    weighting = Weighting("dwa", np.ones(2))
    for losses in ([1.0, 2.0], [1.0, 0.0], [1.0, 1.0]):
        weighting.end_epoch(losses)
    assert_allclose(weighting.weight, sum_to(2, np.exp([0.5, 0.25])))


def test_priority_goes_to_the_task_with_the_worse_score():
    weighting = Weighting("priority", np.ones(3))
    weighting.end_epoch(np.ones(3), np.array([0.5, 0.9, np.nan]))
    urgency = -(1 - np.array([0.5, 0.9])) * np.log([0.5, 0.9])
    assert_allclose(weighting.weight, sum_to(3, np.append(urgency, urgency.mean())))
    weighting.end_epoch(np.ones(3), np.array([0.9, np.nan, np.nan]))
    score = np.array([0.5 + 0.3 * (0.9 - 0.5), 0.9])
    urgency = -(1 - score) * np.log(score)
    assert_allclose(weighting.weight, sum_to(3, np.append(urgency, urgency.mean())))
    for scores in ([-5.0, 1.0, 0.3], [1.0, 1.0, 1.0], [np.nan] * 3):
        weighting.end_epoch(np.ones(3), np.array(scores))
        assert np.all(np.isfinite(weighting.weight))
        assert_allclose(weighting.weight.sum(), 3.0)


def test_priority_takes_a_score_worse_than_none_for_one_in_a_thousand():
    weights = []
    for score in (-5.0, 0.0, 1e-3):
        weighting = Weighting("priority", np.ones(2))
        weighting.end_epoch(np.ones(2), np.array([score, 0.5]))
        weights.append(weighting.weight.copy())
    assert_array_equal(weights, weights[2:] * 3)


def test_every_rule_has_a_code_of_its_own_kind():
    for rules in (FIXED, FROM_LOSSES, FROM_GRADIENTS):
        for code, rule in enumerate(rules):
            weighting = Weighting(rule, [2.0, 6.0])
            assert weighting.code == code
            assert_allclose(weighting.weight, [0.5, 1.5])
