"""Second-order cones in pairs: what an interior-point method has to know of them.

Points are pairs (a0, a1), inside where ``a0 > |a1|``.  All arrays hold one cone in each row or, for the 1-norm, one in
each number.  Products are those of Jordan, ``a o b = (a0 b0 + a1'b1, a0 b1 + b0 a1)``.
"""

import numpy as np

from skmtl._numba import kernel, read_only

__all__ = ["Scaling", "dot_rows", "dot_values", "way_to_boundary"]


def dot_rows(a, b):
    """Inner products of the rows of a and b, (n, 1)."""
    return np.einsum("ej,ej->e", a, b)[:, None]


dot_values = np.multiply  # where every number is a cone's


class Scaling:
    r"""Nesterov and Todd's scaling of the points x = (t, z) and s = (tau, -p): a matrix V with ``V x = V^-1 s``.

    ``V^2 = k (2 w w' - J)`` with ``J = diag(1, -1, ..., -1)`` and ``w0^2 - |w1|^2 = 1``.  What a step asks of a cone,
    ``V^2 dx + ds = c`` where ds = (0, -dp), is after elimination of dt

        dp = (k I - u u') dz + h

    Attributes
    ----------
    k : array of shape (n, 1) or (n, d)
    u : array of shape (n, d)
    """

    def __init__(self, t, z, tau, p, dot):
        self._dot = dot
        x, s = _depth(t, np.sqrt(dot(z, z))), _depth(tau, np.sqrt(dot(p, p)))
        gamma = np.sqrt(0.5 * (1.0 + (t * tau - dot(z, p)) / (x * s)))
        self._w0, self._w1 = 0.5 * (tau / s + t / x) / gamma, -0.5 * (p / s + z / x) / gamma
        self._size = 1.0 + 2.0 * dot(self._w1, self._w1)
        self.k = s / x
        self.u = np.sqrt(2.0 * self.k / self._size) * self._w1
        self._middle = self._apply(t, z)  # V x = V^-1 s

    def _apply(self, a0, a1):
        """V a."""
        inner, root = self._dot(self._w1, a1), np.sqrt(self.k)
        return root * (self._w0 * a0 + inner), root * (a1 + self._w1 * (a0 + inner / (1.0 + self._w0)))

    def _undo(self, a0, a1):
        """V^-1 a."""
        inner, root = self._dot(self._w1, a1), np.sqrt(self.k)
        return (self._w0 * a0 - inner) / root, (a1 + self._w1 * (inner / (1.0 + self._w0) - a0)) / root

    def target(self, mu, dz, dt, dp):
        """``c + s`` for products mu, corrected for the product of the changes dz, dt and dp that a first step found."""
        (a0, a1), (b0, b1) = self._apply(dt, dz), self._undo(np.zeros_like(dt), -dp)
        r0, r1 = mu - a0 * b0 - self._dot(a1, b1), -a0 * b1 - b0 * a1
        m0, m1 = self._middle
        y0 = (m0 * r0 - self._dot(m1, r1)) / _depth(m0, np.sqrt(self._dot(m1, m1))) ** 2
        return self._apply(y0, (r1 - y0 * m1) / m0)

    def offset(self, c):
        """The vector h for c."""
        return 2.0 * self._w0 / self._size * c[0] * self._w1 - c[1]

    def change(self, c, dz):
        """The changes dt and dp for c and dz."""
        dt = (c[0] / self.k - 2.0 * self._w0 * self._dot(self._w1, dz)) / self._size
        return dt, self.k * dz - self.u * self._dot(self.u, dz) + self.offset(c)


def way_to_boundary(a0, a1, d0, d1):
    """The largest step for which ``a + step d`` is in all cones; infinite if there is none."""
    step = np.full(1, np.inf)
    shorten(*map(read_only, (a0, a1, d0, d1)), step)
    return float(step[0])


def _depth(a0, length):
    """``sqrt(a0^2 - |a1|^2)``, positive in spite of rounding."""
    return np.sqrt(np.maximum(a0 - length, 1e-16 * a0) * (a0 + length))


@kernel
def shorten(a0, a1, d0, d1, step):
    r"""Lower step (1,) to what keeps ``a + step d`` in all cones, in one pass: NumPy's arrays take four times as long.

    a0, d0 : float64 (n, m), a1, d1 : float64 (n, m w): a row holds m cones of w numbers and one.
    A cone's way ends at the first root of ``A step^2 + 2 B step + C``, the square of its depth.
    """
    width = a1.shape[1] // a0.shape[1]
    for e in range(a0.shape[0]):
        for i in range(a0.shape[1]):
            aa, ad, dd = 0.0, 0.0, 0.0
            for j in range(i * width, (i + 1) * width):
                aa += a1[e, j] * a1[e, j]
                ad += a1[e, j] * d1[e, j]
                dd += d1[e, j] * d1[e, j]
            length = np.sqrt(aa)
            A, B = d0[e, i] * d0[e, i] - dd, a0[e, i] * d0[e, i] - ad
            C = (a0[e, i] - length) * (a0[e, i] + length)
            if B < 0.0 and B * B >= A * C:
                step[0] = min(step[0], C / (np.sqrt(B * B - A * C) - B))
            elif B >= 0.0 and A < 0.0:
                step[0] = min(step[0], (-B - np.sqrt(max(B * B - A * C, 0.0))) / A)
