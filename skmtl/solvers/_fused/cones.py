"""Second-order cones in pairs: what an interior-point method has to know of them.

Points are pairs (a0, a1), inside where ``a0 > |a1|``.  In arrays a0 (n, m) and a1 (n, m w), a row holds m cones, and a
cone w numbers of a1: one cone a row, or for the 1-norm one a number.  Products are those of Jordan,
``a o b = (a0 b0 + a1'b1, a0 b1 + b0 a1)``.  Each kernel is one pass: NumPy would make a dozen arrays of all cones.
"""

import numpy as np

from skmtl._numba import kernel, read_only

__all__ = ["Scaling", "way_to_boundary"]

_LEAST = 1e-16  # share of a0 that the distance to the boundary counts as at least, in spite of rounding


class Scaling:
    r"""Nesterov and Todd's scaling of the points x = (t, z) and s = (tau, -p): a matrix V with ``V x = V^-1 s``.

    ``V^2 = k (2 w w' - J)`` with ``J = diag(1, -1, ..., -1)`` and ``w0^2 - |w1|^2 = 1``.  What a step asks of a cone,
    ``V^2 dx + ds = c`` where ds = (0, -dp), is after elimination of dt

        dp = (k I - u u') dz + h

    Attributes
    ----------
    k : array of shape (n, m)
    u : array of shape (n, m w)
    """

    def __init__(self, t, z, tau, p):
        self.k, self.u = np.empty_like(t), np.empty_like(z)
        self._w, self._middle = (np.empty_like(t), np.empty_like(z)), (np.empty_like(t), np.empty_like(z))
        scale(*map(read_only, (t, z, tau, p)), self.k, self.u, *self._w, *self._middle)

    def target(self, mu, dz, dt, dp):
        """``c + s`` for products mu, corrected for the product of the changes dz, dt and dp that a first step found."""
        c = np.empty_like(dt), np.empty_like(dz)
        inputs = self.k, *self._w, *self._middle, np.full(1, mu), dt, dz, dp
        aim(*map(read_only, inputs), *c)
        return c

    def offset(self, c):
        """The vector h for c."""
        return self.change(c, np.zeros_like(self.u))[1]

    def change(self, c, dz):
        """The changes dt and dp for c and dz."""
        dt, dp = np.empty_like(self.k), np.empty_like(dz)
        follow(*map(read_only, (self.k, self.u, *self._w, *c, dz)), dt, dp)
        return dt, dp


def way_to_boundary(a0, a1, d0, d1):
    """The largest step for which ``a + step d`` is in all cones; infinite if there is none."""
    step = np.full(1, np.inf)
    shorten(*map(read_only, (a0, a1, d0, d1)), step)
    return float(step[0])


@kernel
def scale(t, z, tau, p, k, u, w0, w1, m0, m1):
    r"""Fill what `Scaling` knows: k, u, the vector w, and the middle ``m = V x = V^-1 s``.

    t, tau, k, w0, m0 : float64 (n, m).  z, p, u, w1, m1 : float64 (n, m w).  The first four are inputs.
    NumPy twin for one cone: ``x, s = sqrt(t**2 - z @ z), sqrt(tau**2 - p @ p); g = sqrt((1 + (t * tau - z @ p) / (x *
    s)) / 2); w0, w1 = (tau / s + t / x) / (2 * g), -(p / s + z / x) / (2 * g); k = s / x; u = sqrt(2 * k / (1 + 2 * w1
    @ w1)) * w1``.
    """
    width = z.shape[1] // t.shape[1]
    for e in range(t.shape[0]):
        for i in range(t.shape[1]):
            first, last = i * width, (i + 1) * width
            zz, pp, zp = 0.0, 0.0, 0.0
            for j in range(first, last):
                zz += z[e, j] * z[e, j]
                pp += p[e, j] * p[e, j]
                zp += z[e, j] * p[e, j]
            x, s = depth(t[e, i], np.sqrt(zz)), depth(tau[e, i], np.sqrt(pp))
            half = 0.5 / np.sqrt(0.5 * (1.0 + (t[e, i] * tau[e, i] - zp) / (x * s)))
            k[e, i], w0[e, i] = s / x, half * (tau[e, i] / s + t[e, i] / x)
            ww, wz = 0.0, 0.0
            for j in range(first, last):
                w1[e, j] = -half * (p[e, j] / s + z[e, j] / x)
                ww += w1[e, j] * w1[e, j]
                wz += w1[e, j] * z[e, j]
            root, share = np.sqrt(k[e, i]), t[e, i] + wz / (1.0 + w0[e, i])
            m0[e, i] = root * (w0[e, i] * t[e, i] + wz)
            of_w = np.sqrt(2.0 * k[e, i] / (1.0 + 2.0 * ww))
            for j in range(first, last):
                u[e, j] = of_w * w1[e, j]
                m1[e, j] = root * (z[e, j] + share * w1[e, j])


@kernel
def aim(k, w0, w1, m0, m1, mu, dt, dz, dp, c0, c1):
    r"""Fill ``c = V (m \ (mu (1, 0) - a o b))`` for ``a = V dx`` and ``b = V^-1 ds``, with m \ the division by m.

    k, w0, m0, dt, c0 : float64 (n, m).  w1, m1, dz, dp, c1 : float64 (n, m w).  mu : float64 (1,).
    """
    width = dz.shape[1] // dt.shape[1]
    for e in range(dt.shape[0]):
        for i in range(dt.shape[1]):
            first, last = i * width, (i + 1) * width
            root, more, wz, wp = np.sqrt(k[e, i]), 1.0 + w0[e, i], 0.0, 0.0
            for j in range(first, last):
                wz += w1[e, j] * dz[e, j]
                wp += w1[e, j] * dp[e, j]
            a0, b0 = root * (w0[e, i] * dt[e, i] + wz), wp / root
            r0, mr, mm = mu[0] - a0 * b0, 0.0, 0.0
            for j in range(first, last):
                a1 = root * (dz[e, j] + w1[e, j] * (dt[e, i] + wz / more))
                b1 = -(dp[e, j] + w1[e, j] * (wp / more)) / root
                r0 -= a1 * b1
                c1[e, j] = -a0 * b1 - b0 * a1
                mr += m1[e, j] * c1[e, j]
                mm += m1[e, j] * m1[e, j]
            y0 = (m0[e, i] * r0 - mr) / depth(m0[e, i], np.sqrt(mm)) ** 2
            wy = 0.0
            for j in range(first, last):
                c1[e, j] = (c1[e, j] - y0 * m1[e, j]) / m0[e, i]
                wy += w1[e, j] * c1[e, j]
            c0[e, i] = root * (w0[e, i] * y0 + wy)
            for j in range(first, last):
                c1[e, j] = root * (c1[e, j] + w1[e, j] * (y0 + wy / more))


@kernel
def follow(k, u, w0, w1, c0, c1, dz, dt, dp):
    r"""Fill dt and ``dp = (k I - u u') dz + h`` from dz and c.

    k, w0, c0, dt : float64 (n, m).  u, w1, c1, dz, dp : float64 (n, m w).
    NumPy twin for one cone: ``n = 1 + 2 * w1 @ w1; dt = (c0 / k - 2 * w0 * w1 @ dz) / n``, ``dp = k * dz - u * (u @ dz)
    + 2 * w0 / n * c0 * w1 - c1``.
    """
    width = dz.shape[1] // dt.shape[1]
    for e in range(dt.shape[0]):
        for i in range(dt.shape[1]):
            first, last = i * width, (i + 1) * width
            ww, wz, uz = 0.0, 0.0, 0.0
            for j in range(first, last):
                ww += w1[e, j] * w1[e, j]
                wz += w1[e, j] * dz[e, j]
                uz += u[e, j] * dz[e, j]
            size = 1.0 + 2.0 * ww
            dt[e, i] = (c0[e, i] / k[e, i] - 2.0 * w0[e, i] * wz) / size
            share = 2.0 * w0[e, i] / size * c0[e, i]
            for j in range(first, last):
                dp[e, j] = k[e, i] * dz[e, j] - u[e, j] * uz + share * w1[e, j] - c1[e, j]


@kernel
def shorten(a0, a1, d0, d1, step):
    r"""Lower step (1,) to what keeps ``a + step d`` in all cones; a0, d0 (n, m), a1, d1 (n, m w), all float64.

    On the way of a cone is the first root of ``A step^2 + 2 B step + C``, the square of its depth.
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


@kernel
def depth(a0, length):
    """``sqrt(a0^2 - length^2)``, positive in spite of rounding."""
    return np.sqrt(max(a0 - length, _LEAST * a0) * (a0 + length))
