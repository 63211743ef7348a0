"""Exponential, logarithm and choice for kernels whose values are a float64 or eight lanes.

Written out in arithmetic of `understudy.calcium.vector_lanes`, so that LLVM needs no vector library, and a lane's bits
do not depend on the lanes beside it.
"""

from __future__ import annotations

import math

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

from understudy.calcium.vector_lanes import LANES, larger, smaller, vector_type

_I64 = ir.IntType(64)
_F64 = ir.DoubleType()
_MANTISSA_BITS = 52
_BIAS = 1023


def _types(kind):
    if kind == vector_type:
        return ir.VectorType(_F64, LANES), ir.VectorType(_I64, LANES)
    return _F64, _I64


def _constant(kind, number: int):
    return ir.Constant(kind, [number] * LANES) if isinstance(kind, ir.VectorType) else ir.Constant(kind, number)


@intrinsic
def _times_power(typingctx, value, shifted):
    """``value * 2^k``; k stands in the low bits of ``shifted``, a whole number plus 1.5 * 2^52."""

    def codegen(context, builder, signature, args):
        floats, integers = _types(signature.args[0])
        power = builder.shl(builder.bitcast(args[1], integers), _constant(integers, _MANTISSA_BITS))
        return builder.bitcast(builder.add(builder.bitcast(args[0], integers), power), floats)

    return value(value, shifted), codegen


@intrinsic
def _exponent(typingctx, value):
    """Binary exponent of a positive normal number, as a float."""

    def codegen(context, builder, signature, args):
        floats, integers = _types(signature.args[0])
        bits = builder.lshr(builder.bitcast(args[0], integers), _constant(integers, _MANTISSA_BITS))
        return builder.sitofp(builder.sub(bits, _constant(integers, _BIAS)), floats)

    return value(value), codegen


@intrinsic
def _mantissa(typingctx, value):
    """Mantissa in [1, 2) of a positive normal number."""

    def codegen(context, builder, signature, args):
        floats, integers = _types(signature.args[0])
        bits = builder.and_(builder.bitcast(args[0], integers), _constant(integers, 2**_MANTISSA_BITS - 1))
        return builder.bitcast(builder.or_(bits, _constant(integers, _BIAS << _MANTISSA_BITS)), floats)

    return value(value), codegen


@intrinsic
def _choose(typingctx, a, b, x, y):
    def codegen(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered(">", args[0], args[1]), args[2], args[3])

    return a(a, b, x, y), codegen


def chosen(a, b, x, y):
    """``x`` in lanes where a > b, else ``y``; four values of one kind."""
    raise NotImplementedError("for compiled kernels only")


@overload(chosen)
def _overload_chosen(a, b, x, y):
    if a == vector_type or isinstance(a, types.Float):
        return lambda a, b, x, y: _choose(a, b, x, y)
    return None


_ROUNDING = 1.5 * 2.0**_MANTISSA_BITS
_LOG2E = 1.0 / math.log(2.0)
_LN2_HIGH = 6.93145751953125e-1
_LN2_LOW = 1.4286068203094172e-6
_SQRT2 = math.sqrt(2.0)

_compile = njit(cache=True, error_model="numpy", fastmath={"contract"})


@_compile
def exp_of(x):
    """Exponential, relative error below 1e-15; arguments are cut to [-700, 700]."""
    x = larger(smaller(x, x * 0.0 + 700.0), x * 0.0 - 700.0)
    shifted = x * _LOG2E + _ROUNDING
    k = shifted - _ROUNDING
    r = x - k * _LN2_HIGH - k * _LN2_LOW
    series = r * (1.0 / 479001600.0) + 1.0 / 39916800.0
    series = series * r + 1.0 / 3628800.0
    series = series * r + 1.0 / 362880.0
    series = series * r + 1.0 / 40320.0
    series = series * r + 1.0 / 5040.0
    series = series * r + 1.0 / 720.0
    series = series * r + 1.0 / 120.0
    series = series * r + 1.0 / 24.0
    series = series * r + 1.0 / 6.0
    series = series * r + 0.5
    series = series * r + 1.0
    return _times_power(series * r + 1.0, shifted)


@_compile
def log_of(x):
    """Natural logarithm of a positive normal number, absolute error below 1e-14."""
    m, k = _mantissa(x), _exponent(x)
    root = m * 0.0 + _SQRT2
    k = chosen(m, root, k + 1.0, k)
    m = chosen(m, root, m * 0.5, m)
    s = (m - 1.0) / (m + 1.0)
    q = s * s
    series = q * (1.0 / 19.0) + 1.0 / 17.0
    series = series * q + 1.0 / 15.0
    series = series * q + 1.0 / 13.0
    series = series * q + 1.0 / 11.0
    series = series * q + 1.0 / 9.0
    series = series * q + 1.0 / 7.0
    series = series * q + 1.0 / 5.0
    series = series * q + 1.0 / 3.0
    series = series * q + 1.0
    return k * math.log(2.0) + 2.0 * s * series
