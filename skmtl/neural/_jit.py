"""How the kernels of the network are compiled, and how one calls another.

A helper is compiled into every kernel that calls it, anew each time.  An entry is compiled once and kept on disk; other
kernels call it by the address of its machine code, so that a fit compiles the passes and the losses that it takes, and
nothing twice.  Kernels here call helpers of other files, too: the cache of an entry is stamped with the sources of all
files of this folder that hold kernels.
"""

import hashlib
import inspect
from functools import cache
from pathlib import Path

from numba import config, njit, typeof, types
from numba.core import cgutils
from numba.core.caching import IndexDataCacheFile
from numba.core.errors import TypingError
from numba.extending import intrinsic, models, register_model
from numba.np import arrayobj

from skmtl._numba import kernel

__all__ = ["Borrowed", "address", "borrow", "call", "entry", "fields", "helper", "part"]

# Sums may be reordered, so that they vectorise; NaN keeps its meaning, which is a missing label.
_FLAGS = {"reassoc", "contract", "nsz", "arcp"}


def helper(function):
    """Compile `function` into the kernels that call it."""
    return njit(nogil=True, error_model="numpy", fastmath=_FLAGS, no_cpython_wrapper=True, no_cfunc_wrapper=True)(
        function
    )


def entry(function):
    """Compile `function` on its own; the machine code is kept until a file with kernels changes."""
    jitted = kernel(function, fastmath=_FLAGS, no_cfunc_wrapper=True)
    files = getattr(jitted, "_cache", None)
    if hasattr(files, "_cache_file"):
        files._cache_file = IndexDataCacheFile(files._cache_path, files._impl.filename_base, _stamp())
    return jitted


@cache
def _stamp():
    """A hash of the files that hold kernels."""
    sources = [source.read_bytes() for source in sorted(Path(__file__).parent.glob("*.py"))]
    return hashlib.sha256(b"".join(text for text in sources if b"numba" in text or b"_jit" in text)).hexdigest()


# ----------------------------------------------------------------------------------------------- calls by address

_functions: list = []  # without compilation, an address is a place in this list
_addresses: dict = {}
_compiled: dict = {}  # {names of parameters and the network's type: the types they were compiled for}


def address(jitted, theta):
    """Where the machine code of an entry begins, compiled for a network with parameters like `theta`."""
    known = _addresses.get((jitted, theta.dtype))
    if known is None:
        known = _addresses[jitted, theta.dtype] = _compile(jitted, theta)
    return known


def _compile(jitted, theta):
    """Parameters have the same type by name everywhere: those of the dict below, others are integers."""
    if config.DISABLE_JIT:
        _functions.append(jitted)
        return len(_functions)  # 0 is none
    whole = typeof(theta)
    scope = {"kernels": types.int64[::1], "packed": types.int64[::1], "theta": whole, "kept": types.float64}
    scope |= dict.fromkeys(["Z", "D", "H", "bias", "grad", "A", "B", "C"], Borrowed(whole.dtype))
    names = tuple(inspect.signature(jitted.py_func).parameters)
    kinds = tuple(scope.get(name, types.int64) for name in names)
    jitted.compile(kinds)
    _compiled.setdefault((names, _float_of(kinds)), set()).add(kinds)
    code = jitted.overloads[kinds]
    return code.library.get_pointer_to_function(code.fndesc.llvm_func_name)


def _float_of(kinds):
    """The network's type: that of the floats."""
    return next(kind.dtype for kind in kinds if isinstance(kind, types.Array) and isinstance(kind.dtype, types.Float))


def _plain_call(like, where, arguments):
    return _functions[where - 1](*arguments)


@intrinsic
def _call(typing_context, like, where, arguments):
    """Call the entry at address `where` with a tuple of arguments; it returns nothing.

    like : the entry, or one with the same parameters. That such are compiled for these arguments is checked where the
    caller is compiled, if any was compiled before.
    """
    names, kinds = tuple(inspect.signature(like.dispatcher.py_func).parameters), tuple(arguments)
    known = _compiled.get((names, _float_of(kinds)), {kinds})
    if len(names) != len(kinds) or kinds not in known:
        raise TypingError(f"{like} is called with {kinds}, but was compiled for {known}")

    def generate(context, builder, signature, values):
        callee = builder.inttoptr(values[1], context.call_conv.get_function_type(types.none, kinds).as_pointer())
        unpacked = cgutils.unpack_tuple(builder, values[2])
        status, answer = context.call_conv.call_function(builder, callee, types.none, kinds, unpacked)
        with cgutils.if_unlikely(builder, status.is_error):
            context.call_conv.return_status_propagate(builder, status)
        return answer

    return types.none(like, types.intp, arguments), generate


call = _plain_call if config.DISABLE_JIT else _call


# ------------------------------------------------------------------------------------------------ parts of arrays


class Borrowed(types.Array):
    """An array whose memory whoever calls keeps alive: with no references to count, a third less to compile."""

    def __init__(self, dtype, ndim=1, readonly=False):
        super().__init__(dtype, ndim, "C", readonly=readonly, name=f"borrowed({dtype}, {ndim}, {readonly})")


@register_model(Borrowed)
class BorrowedModel(models.ArrayModel):
    """As any array's, but not counted."""

    def has_nrt_meminfo(self):
        return False

    def get_nrt_meminfo(self, builder, value):
        return None


def _plain_part(buffer, start, n):
    return buffer.reshape(-1)[start : start + n]


@intrinsic
def _part(typing_context, buffer, start, n):
    """``buffer[start : start + n]`` of an array's numbers in a row, whatever its shape; borrowed."""
    vector = Borrowed(buffer.dtype, readonly=not buffer.mutable)

    def generate(context, builder, signature, args):
        source = arrayobj.make_array(signature.args[0])(context, builder, args[0])
        return borrow(context, builder, vector, builder.gep(source.data, [args[1]]), [args[2]])

    return vector(buffer, types.intp, types.intp), generate


def _plain_fields(table, i, n):
    return tuple(table.reshape(-1, n)[i].tolist())


@intrinsic
def _fields(typing_context, table, i, n):
    """Row i of a table with n columns, a literal, as a tuple: less to compile than n subscripts."""
    if not isinstance(n, types.IntegerLiteral):
        return None
    kind = types.UniTuple(table.dtype, n.literal_value)

    def generate(context, builder, signature, args):
        data = arrayobj.make_array(signature.args[0])(context, builder, args[0]).data
        start = builder.gep(data, [builder.mul(args[1], args[1].type(n.literal_value))])
        numbers = [builder.load(builder.gep(start, [args[1].type(k)])) for k in range(n.literal_value)]
        return context.make_tuple(builder, kind, numbers)

    return kind(table, types.intp, n), generate


def borrow(context, builder, kind, data, shape):
    """For intrinsics: the array of a kind of Borrowed that begins where `data` points."""
    array = arrayobj.make_array(kind)(context, builder)
    size = context.get_constant(types.intp, context.get_abi_sizeof(array.data.type.pointee))
    strides = [size]
    for length in shape[:0:-1]:
        strides.insert(0, builder.mul(strides[0], length))
    arrayobj.populate_array(array, data, shape=shape, strides=strides, itemsize=size, meminfo=None)
    return array._getvalue()


part, fields = (_plain_part, _plain_fields) if config.DISABLE_JIT else (_part, _fields)
