"""How the kernels of the network are compiled, and the exponential that their loops can vectorise.

`entry` is for what Python calls: cached, one signature a dtype. `helper` is for what kernels call: compiled into its
callers, hence without wrappers and without a cache of its own. Kernels here do call kernels of other files of this
folder, so the cache of an entry is stamped with the sources of them all: an edit of any compiles anew.
"""

import hashlib
import math
from fractions import Fraction
from pathlib import Path

from llvmlite import ir
from numba import config, njit, types
from numba.core.caching import IndexDataCacheFile
from numba.extending import intrinsic
from numba.np import arrayobj

from skmtl._numba import kernel

__all__ = ["entry", "exp", "helper", "part", "stage", "view"]

# Sums may be reordered, so that they vectorise; NaN keeps its meaning, which is a missing label.
_FLAGS = {"reassoc", "contract", "nsz", "arcp"}


def helper(function):
    """Compile `function` into the kernels that call it."""
    return njit(nogil=True, error_model="numpy", fastmath=_FLAGS, no_cpython_wrapper=True, no_cfunc_wrapper=True)(
        function
    )


def stage(function):
    """Write `function` into the one place of a kernel that calls it: a fifth less to compile than a function apart."""
    return njit(nogil=True, error_model="numpy", inline="always", no_cpython_wrapper=True, no_cfunc_wrapper=True)(
        function
    )


def entry(function):
    """Compile `function` at its first call; the machine code is kept until a file with kernels changes."""
    jitted = kernel(function)
    cache = getattr(jitted, "_cache", None)
    if hasattr(cache, "_cache_file"):
        cache._cache_file = IndexDataCacheFile(cache._cache_path, cache._impl.filename_base, _stamp())
    return jitted


def _stamp():
    """A hash of the files that hold kernels."""
    sources = [source.read_bytes() for source in sorted(Path(__file__).parent.glob("*.py"))]
    return hashlib.sha256(b"".join(text for text in sources if b"_jit" in text)).hexdigest()


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


def _plain_view(buffer, start, n_rows, n_columns):
    return buffer[start : start + n_rows * n_columns].reshape(n_rows, n_columns)


def _plain_part(buffer, start, n):
    return buffer[start : start + n]


@intrinsic
def _view(typing_context, buffer, start, n_rows, n_columns):
    """``buffer[start : start + n_rows * n_columns].reshape(n_rows, n_columns)``.

    Without a reference to the buffer, which whoever calls keeps alive: half the time to compile, none to count.
    """
    matrix = types.Array(buffer.dtype, 2, "C", readonly=not buffer.mutable)

    def generate(context, builder, signature, args):
        return _borrow(context, builder, signature, args[0], args[1], args[2:])

    return matrix(buffer, types.intp, types.intp, types.intp), generate


@intrinsic
def _part(typing_context, buffer, start, n):
    """``buffer[start : start + n]``, likewise."""
    vector = types.Array(buffer.dtype, 1, "C", readonly=not buffer.mutable)

    def generate(context, builder, signature, args):
        return _borrow(context, builder, signature, args[0], args[1], args[2:])

    return vector(buffer, types.intp, types.intp), generate


def _borrow(context, builder, signature, buffer, start, shape):
    """The array of `shape` that begins at element `start` of `buffer`."""
    source = arrayobj.make_array(signature.args[0])(context, builder, buffer)
    out = arrayobj.make_array(signature.return_type)(context, builder)
    size = context.get_constant(types.intp, context.get_abi_sizeof(source.data.type.pointee))
    strides = [builder.mul(size, shape[1]), size] if len(shape) == 2 else [size]
    arrayobj.populate_array(
        out, builder.gep(source.data, [start]), shape=list(shape), strides=strides, itemsize=size, meminfo=None
    )
    return out._getvalue()


view = _plain_view if config.DISABLE_JIT else _view
part = _plain_part if config.DISABLE_JIT else _part
