"""Operations of kernels in LLVM's words: matrix products, and the exponential that loops can vectorise."""

import math
from fractions import Fraction

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np import arrayobj

from skmtl.neural._jit import entry, helper

__all__ = ["exp", "multiply", "prefetch"]


def _plain_product(left, right, m, n, k, A, a, a_step, B, b, b_step, beta, C, c, c_step):
    def places(start, n_rows, n_columns, step):
        return start + step * np.arange(n_rows)[:, None] + np.arange(n_columns)

    P = A[places(a, k, m, a_step)].T if left else A[places(a, m, k, a_step)]
    Q = B[places(b, n, k, b_step)].T if right else B[places(b, k, n, b_step)]
    out = places(c, m, n, c_step)
    C[out] = (P @ Q + beta * C[out] if beta else P @ Q).astype(C.dtype)


@intrinsic
def _product(typing_context, left, right, m, n, k, A, a, a_step, B, b, b_step, beta, C, c, c_step):
    """BLAS's ``C = op(A) op(B) + beta C``, (m, n) = (m, k) (k, n); op transposes if `left`, or `right`, is not 0.

    The matrices stand row by row in flat arrays, from element a, b or c on, rows `a_step`, ... elements apart. This is
    what `np.dot` calls, too; with less to compile, no views, and the sum that beta = 1 makes.
    """
    flag, size = types.intp, types.intp
    scalar = A.dtype

    def generate(context, builder, signature, args):
        left, right, m, n, k, _, a, a_step, _, b, b_step, beta, _, c, c_step = args
        char = ir.IntType(8)

        def pointer(place, start):
            array = arrayobj.make_array(signature.args[place])(context, builder, args[place])
            return builder.gep(array.data, [start])

        def operation(flag):
            return builder.select(cgutils.is_true(builder, flag), char(ord("t")), char(ord("n")))

        one, beta = (cgutils.alloca_once_value(builder, value) for value in (ir.Constant(beta.type, 1.0), beta))
        # columns first is how BLAS reads: it makes C' = op(B)' op(A)'
        values = [char(ord("d" if scalar == types.float64 else "s")), operation(right), operation(left), n, m, k, one]
        values += [pointer(8, b), b_step, pointer(5, a), a_step, beta, pointer(12, c), c_step]
        kind = ir.FunctionType(ir.IntType(32), [value.type for value in values])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "numba_xxgemm"), values)
        return context.get_dummy_value()

    arguments = (flag, flag, size, size, size, A, size, size, B, size, size, scalar, C, size, size)
    return types.void(*arguments), generate


product = _plain_product if config.DISABLE_JIT else _product

_FIRST_CACHE = 32 * 1024  # bytes


@entry
def multiply(small, left, right, m, n, k, A, a, a_step, B, b, b_step, kept, C, c, c_step):
    """`product` with beta = `kept`, in blocks of rows of C and of terms of its sums where small products are quicker.

    small : the most multiplications of a small product, see `small_product`.
    """
    rows, terms = _block(small, left, right, m, n, k, C.itemsize)
    for i in range(0, m, rows):
        for q in range(0, max(k, 1), terms):
            at = a + (i + q * a_step if left else i * a_step + q)
            height, depth, beta = min(rows, m - i), min(terms, k - q), C.dtype.type(kept if q == 0 else 1.0)
            product(
                left, right, height, n, depth, A, at, a_step, B, b + q * b_step, b_step, beta, C, c + i * c_step, c_step
            )


@helper
def _block(small, left, right, m, n, k, itemsize):
    """How many rows of C, and how many terms of its sums, are one block; blocks are nearly equal.

    Rows come by fours, which is how OpenBLAS takes them. All terms are taken if the right factor fits into the first
    cache. If not, OpenBLAS reads a strip of its columns again for every few rows of C, and that strip should stay in
    the cache, as one of 64 terms does. Fewer terms fit if its rows are a multiple of a large power of two apart, since
    they then compete for the same places; but 16 are always taken, for C is read and written once a block. More terms
    are taken if as many whole rows of the right factor fit, and the left one is not transposed.

    With the right factor transposed, products are small for OpenBLAS only up to 1200 numbers in C, each a sum of 32
    terms or more, and are quicker only where C is narrow.
    """
    rows, terms, step = small // max(n * k, 1), max(k, 1), n * itemsize
    if right:
        rows = min(rows, 1200 // n) if n <= 24 and k >= 32 else 0
    if rows < 4 or m == 0:
        return max(m, 1), terms
    if k * step > _FIRST_CACHE and not right:
        most = max(16, min(64, _FIRST_CACHE // (step & -step)))
        n_parts = -(-k // (most if left else max(most, _FIRST_CACHE // step)))
        terms = -(-k // n_parts)
        rows = small // (n * terms)
    n_parts = -(-m // (rows - rows % 4))
    return 4 * -(-m // (4 * n_parts)), terms


@intrinsic
def _prefetch(typing_context, array, place):
    """Have ``array[place]`` brought to the second cache, without waiting for it; the first is soon full."""

    def generate(context, builder, signature, args):
        data = arrayobj.make_array(array)(context, builder, args[0]).data
        pointer = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
        fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(fetch, [pointer, number(0), number(2), number(1)])  # to read, for a while, data
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


def _plain_prefetch(array, place):
    pass


prefetch = _plain_prefetch if config.DISABLE_JIT else _prefetch


_LOG_2 = Fraction("0.693147180559945309417232121458176568")
_FORMATS = {  # of a float: bits of the mantissa, bias of the exponent, an integer as long, degree, cut off at
    types.float64: (52, 1023, ir.IntType(64), 13, 708.0),
    types.float32: (23, 127, ir.IntType(32), 7, 87.0),
}


@intrinsic
def _exp(typing_context, x):
    r"""``exp(x)`` of a float32 or float64, to its last digits.

    Written in LLVM's words because a call of libm in a loop keeps it from vectorising: 14 times slower.

    x = k log 2 + r with k whole and |r| <= log(2) / 2: the Taylor polynomial of exp(r), times 2^k, whose bits are k
    shifted into the exponent.
    """
    if x not in _FORMATS:
        return None
    mantissa, bias, integer, degree, end = _FORMATS[x]
    high = math.ldexp(math.floor(math.ldexp(math.log(2.0), mantissa // 2)), -(mantissa // 2))  # k * high is exact
    low = float(_LOG_2 - Fraction(high))

    def generate(context, builder, signature, args):
        (value,) = args
        kind = value.type

        def number(c):
            return ir.Constant(kind, c)

        def multiply_add(a, b, c):
            shape = ir.FunctionType(kind, [kind] * 3)
            return builder.call(builder.module.declare_intrinsic("llvm.fmuladd", [kind], shape), [a, b, c])

        for compare, limit in ((">", end), ("<", -end)):
            beyond = builder.fcmp_ordered(compare, value, number(limit))
            value = builder.select(beyond, number(limit), value)
        scaled = builder.fmul(value, number(1.0 / math.log(2.0)))
        k = builder.call(builder.module.declare_intrinsic("llvm.rint", [kind]), [scaled])
        r = multiply_add(k, number(-low), multiply_add(k, number(-high), value))
        power = number(1.0 / math.factorial(degree))
        for n in range(degree - 1, -1, -1):
            power = multiply_add(power, r, number(1.0 / math.factorial(n)))
        # 1.5 * 2^mantissa + k + bias has k + bias in its lowest bits; not every processor converts vectors to integers
        shifted = builder.fadd(k, number(1.5 * 2.0**mantissa + bias))
        bits = builder.shl(builder.bitcast(shifted, integer), ir.Constant(integer, mantissa))
        return builder.fmul(power, builder.bitcast(bits, kind))

    return x(x), generate


def _plain_exp(x):
    return type(x)(math.exp(min(max(x, -708.0), 708.0)))


exp = _plain_exp if config.DISABLE_JIT else _exp
