"""Several beliefs at once, as a sum."""

import numpy as np

from skmtl.penalties.base import Chain, Norm, Penalty, Square
from skmtl.penalties.nonconvex import AdaptiveJointFeature, LatentBasis, ReducedRank
from skmtl.penalties.shared import Ridge, SharedPlusSpecific
from skmtl.penalties.sparse import L1

__all__ = ["OfClasses", "Sum"]


class Sum(Penalty):
    r"""Two beliefs at once: ``a + b``.

    .. math:: \Omega(W) = \alpha \, (\Omega_a(W) + \Omega_b(W))

    Parameters
    ----------
    a, b : Penalty
        Each with its own strengths, tuned as ``penalty__a__alpha``. No decompositions, which are functions of two
        arrays, and none that is not convex.
    alpha : float, default=1.0
        A factor of both, >= 0: what `path` varies.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import L1, TraceNorm
    >>> both = TraceNorm(alpha=2.0) + L1(alpha=1.0)
    >>> both
    Sum(a=TraceNorm(alpha=2.0), b=L1(alpha=1.0))
    >>> round(both.value(np.array([[3.0, 4.0]])), 12)
    17.0
    """

    def __init__(self, a, b, alpha=1.0):
        self.a = a
        self.b = b
        self.alpha = alpha

    @property
    def ridge(self):
        return self.alpha * (self.a.ridge + self.b.ridge)

    @property
    def rotation_invariant(self):
        """True if both are."""
        return self.a.rotation_invariant and self.b.rotation_invariant

    @property
    def unfolds(self):
        """True if one part does; see `of_classes` for the other."""
        return self.a.unfolds or self.b.unfolds

    def of_classes(self, n_classes):
        """The sum as a function of one W: a part that sees W by class becomes an `OfClasses` if the other does not."""
        if n_classes == 1 or not self.unfolds:
            return self
        a, b = (part.of_classes(n_classes) if part.unfolds else OfClasses(part, n_classes) for part in (self.a, self.b))
        return self if a is self.a and b is self.b else Sum(a, b, self.alpha)

    @property
    def has_nodes(self):
        return self.a.has_nodes or self.b.has_nodes

    @property
    def alpha_intercept(self):
        """Strength on the intercepts of both; infinite, whatever the factor, if one allows but a single intercept."""
        total = self.a.alpha_intercept + self.b.alpha_intercept
        return total if np.isinf(total) else self.alpha * total

    def shared(self, W):
        """As the first part has it that knows shared weights; else the mean."""
        knowing = [part for part, _ in self._parts() if isinstance(part, SharedPlusSpecific)]
        return knowing[0].shared(W) if knowing else super().shared(W)

    def value(self, W, tasks=None):
        """Omega(W); `tasks` (n_tasks,) are the ids of the rows of W, 0, 1, ... by default."""
        tasks = np.arange(len(W)) if tasks is None else tasks
        return sum(term.value(W) for term in self.terms(tasks)) + 0.5 * self.ridge * float(np.vdot(W, W))

    def all_tasks(self, tasks):
        return self.b.all_tasks(self.a.all_tasks(tasks))

    def placed(self, nodes, kept):
        return Sum(self.a.placed(nodes, kept), self.b.placed(nodes, kept), self.alpha)

    def adjacency(self, tasks):
        """The edges of all beliefs that have nodes."""
        first, *others = [part.adjacency(tasks) for part in (self.a, self.b) if part.has_nodes]
        return sum(others, start=first)

    def terms(self, tasks):
        parts = [part.scaled(self.alpha) for part in (self.a, self.b)]
        if any(part.decomposition for part in parts):
            raise TypeError(f"A decomposition W = P + Q cannot be added to another penalty. Got {self!r}.")
        for part in parts:
            if isinstance(part, AdaptiveJointFeature | LatentBasis | ReducedRank):
                name = type(part).__name__
                raise TypeError(f"{name} is not convex and cannot be added to another penalty. Got {self!r}.")
        return tuple(term for part in parts for term in part.terms(tasks))

    def alpha_max(self, gradient):
        raise ValueError("Sum has no alpha_max: no formula is known for the dual norm of a sum, even of norms.")

    def merged(self):
        """The one penalty that it amounts to, which may have a solver of its own; None if there is no such.

        `L1` and `Ridge` are absorbed by a part that has the parameters `alpha_l1` or `alpha_ridge`.
        """
        parts = [part.scaled(factor) for part, factor in self._parts()]
        for extra in [part for part in parts if type(part) in (L1, Ridge)]:
            strengths = {"alpha_ridge": extra.ridge, "alpha_l1": extra.alpha if isinstance(extra, L1) else 0.0}
            strengths = {name: strength for name, strength in strengths.items() if strength}
            others = [part for part in parts if part is not extra]
            host = next((part for part in others if _takes(part, strengths)), None)
            if host is not None:
                for name, strength in strengths.items():
                    setattr(host, name, getattr(host, name) + strength)
                parts = others
        return parts[0] if len(parts) == 1 else None

    def _parts(self, factor=1.0):
        """What is added up, sums among it taken apart, and the factor of each."""
        for part in (self.a, self.b):
            if isinstance(part, Sum):
                yield from part._parts(factor * self.alpha)
            else:
                yield part, factor * self.alpha

    def fitted_attributes(self, W, parts, tasks, seen):
        return self.a.fitted_attributes(W, parts, tasks, seen) | self.b.fitted_attributes(W, parts, tasks, seen)


def _takes(penalty, strengths):
    """Whether a convex penalty of W has parameters for all of the `strengths`."""
    convex = type(penalty).terms is not Penalty.terms
    return convex and not penalty.decomposition and set(strengths) <= set(penalty.get_params(deep=False))


class OfClasses(Penalty):
    """A belief about W by class, (n_tasks * n_classes, n_features), for W by task, (n_tasks, n_classes * n_features).

    Its sum with a belief that `unfolds` is a function of W by task, and so is Newton's model of several classes.

    Parameters
    ----------
    part : Penalty
    n_classes : int
    seen : bool array, or None
        A mask of the features whose weights W by task holds; those of the others are zero.  None is all.
    """

    def __init__(self, part, n_classes, seen=None):
        self.part = part
        self.n_classes = n_classes
        self.seen = seen
        self.decomposition = part.decomposition

    @property
    def ridge(self):
        return self.part.ridge

    def value(self, W):
        return self.part.value(self.by_class(W))

    def scaled(self, factor):
        return OfClasses(self.part.scaled(factor), self.n_classes, self.seen)

    @classmethod
    def suits(cls, part, tasks):
        """Whether a belief is made of norms alone."""
        return all(isinstance(norm, Norm) for term in part.terms(tasks) for norm in term.norms)

    def terms(self, tasks):
        return tuple(self._of_classes(term) for term in self.part.terms(tasks))

    def of_part(self, norm, U):
        """A norm of a term and its subgradient, as the belief about W by class has them."""
        return norm.term, self.by_class(U)

    def by_class(self, W):
        """W by class, for W by task."""
        W = W.reshape(len(W) * self.n_classes, -1)
        if self.seen is None:
            return W
        all_features = np.zeros((len(W), len(self.seen)))
        all_features[:, self.seen] = W
        return all_features

    def by_task(self, W):
        """W by task, for W by class."""
        W = W if self.seen is None else W[:, self.seen]
        return W.reshape(len(W) // self.n_classes, -1)

    def _of_classes(self, term):
        if isinstance(term, Chain):
            return Chain(*map(self._of_classes, term.norms))
        return _SquareOfClasses(term, self) if isinstance(term, Square) else _NormOfClasses(term, self)


class _TermOfClasses:
    """A term of W by class as one of W by task.

    Parameters
    ----------
    term : Norm or Square
    whole : OfClasses
        The belief that it is a term of.
    """

    def __init__(self, term, whole):
        self.term = term
        self.whole = whole
        self.alpha = term.alpha
        self.constrains = term.constrains

    def value(self, W):
        return self.term.value(self.whole.by_class(W))

    def prox(self, V, step):
        return self.whole.by_task(self.term.prox(self.whole.by_class(V), step))


class _NormOfClasses(_TermOfClasses, Norm):
    def dual_norm(self, Z):
        return self.term.dual_norm(self.whole.by_class(Z))


class _SquareOfClasses(_TermOfClasses, Square):
    def conjugate(self, U):
        return self.term.conjugate(self.whole.by_class(U))
