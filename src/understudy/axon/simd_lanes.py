"""Eight float64 lanes as one value inside numba kernels, and 4 x 4 tiles of such lanes.

LLVM's loop vectoriser does not find the vector over cases that the axon kernel needs, so the kernel says it: a
`Lanes` value is LLVM's ``<8 x double>`` (one AVX-512 register, two AVX2 registers, four of SSE2). Every lane is
computed from its own numbers alone, so that the bits of a case do not depend on the cases in the other lanes.

Arrays are flat float64 with the lanes innermost; an index counts lanes values, that is 8 float64 each. A tile is 16
consecutive lanes values, a 4 x 4 matrix in row order.
"""

from __future__ import annotations

import math
import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

LANES = 8
_TILE = 4

_F64 = ir.DoubleType()
_I32 = ir.IntType(32)
_I64 = ir.IntType(64)
_VEC = ir.VectorType(_F64, LANES)
_VEC_I64 = ir.VectorType(_I64, LANES)


class LanesType(types.Type):
    """Numba type of eight float64 lanes."""

    def __init__(self):
        super().__init__(name=f"Lanes{LANES}")


lanes_type = LanesType()


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, _VEC)


def _pointer(context, builder, array_type, array, index):
    """Pointer to lanes value ``index`` of a flat float64 array."""
    data = context.make_array(array_type)(context, builder, array).data
    element = builder.gep(data, [builder.mul(index, ir.Constant(_I64, LANES))], inbounds=True)
    return builder.bitcast(element, ir.PointerType(_VEC))


def _read(builder, pointer, k=0):
    place = builder.gep(pointer, [ir.Constant(_I64, k)], inbounds=True) if k else pointer
    return builder.load(place, align=8)


def _write(builder, value, pointer, k=0):
    place = builder.gep(pointer, [ir.Constant(_I64, k)], inbounds=True) if k else pointer
    builder.store(value, place, align=8)


def _call(builder, name, arguments):
    """Call an LLVM intrinsic that acts on each lane."""
    signature = ir.FunctionType(_VEC, [_VEC] * len(arguments))
    function = cgutils.get_or_insert_function(builder.module, signature, f"llvm.{name}.v{LANES}f64")
    return builder.call(function, arguments)


def _fma(builder, a, b, c):
    """a b + c, fused where the processor has it."""
    return _call(builder, "fmuladd", [a, b, c])


def _constant(x):
    return ir.Constant(_VEC, [ir.Constant(_F64, float(x))] * LANES)


def _is_flat(array):
    return isinstance(array, types.Array) and array.dtype == types.float64 and array.ndim == 1


@intrinsic
def load(typingctx, array, index):
    """Lanes value ``index`` of a flat float64 array."""
    if not (_is_flat(array) and isinstance(index, types.Integer)):
        return None

    def codegen(context, builder, signature, args):
        index64 = context.cast(builder, args[1], signature.args[1], types.int64)
        return _read(builder, _pointer(context, builder, signature.args[0], args[0], index64))

    return lanes_type(array, index), codegen


@intrinsic
def store(typingctx, array, index, value):
    """Write lanes value ``index`` of a flat float64 array."""
    if not (_is_flat(array) and isinstance(index, types.Integer) and value == lanes_type):
        return None

    def codegen(context, builder, signature, args):
        index64 = context.cast(builder, args[1], signature.args[1], types.int64)
        _write(builder, args[2], _pointer(context, builder, signature.args[0], args[0], index64))
        return context.get_dummy_value()

    return types.void(array, index, value), codegen


@intrinsic
def splat(typingctx, x):
    """All lanes equal to one number."""

    def codegen(context, builder, signature, args):
        scalar = context.cast(builder, args[0], signature.args[0], types.float64)
        first = builder.insert_element(ir.Constant(_VEC, ir.Undefined), scalar, ir.Constant(_I32, 0))
        mask = ir.Constant(ir.VectorType(_I32, LANES), [0] * LANES)
        return builder.shuffle_vector(first, ir.Constant(_VEC, ir.Undefined), mask)

    return lanes_type(x), codegen


def _binary(method):
    @intrinsic
    def operation(typingctx, a, b):
        def codegen(context, builder, signature, args):
            return getattr(builder, method)(args[0], args[1])

        return lanes_type(a, b), codegen

    return operation


_add, _sub, _mul, _div = _binary("fadd"), _binary("fsub"), _binary("fmul"), _binary("fdiv")


@overload(operator.add)
def _overload_add(a, b):
    if a == lanes_type and b == lanes_type:
        return lambda a, b: _add(a, b)
    return None


@overload(operator.sub)
def _overload_sub(a, b):
    if a == lanes_type and b == lanes_type:
        return lambda a, b: _sub(a, b)
    return None


@overload(operator.mul)
def _overload_mul(a, b):
    if a == lanes_type and b == lanes_type:
        return lambda a, b: _mul(a, b)
    return None


@overload(operator.truediv)
def _overload_div(a, b):
    if a == lanes_type and b == lanes_type:
        return lambda a, b: _div(a, b)
    return None


@intrinsic
def multiply_add(typingctx, a, b, c):
    """a b + c in each lane."""

    def codegen(context, builder, signature, args):
        return _fma(builder, *args)

    return lanes_type(a, b, c), codegen


@intrinsic
def where_greater(typingctx, a, b, x, y):
    """x where a > b, else y, in each lane."""

    def codegen(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered(">", args[0], args[1]), args[2], args[3])

    return lanes_type(a, b, x, y), codegen


@intrinsic
def greater_bits(typingctx, a, b):
    """Integer whose bit l says whether a > b in lane l."""

    def codegen(context, builder, signature, args):
        bits = builder.bitcast(builder.fcmp_ordered(">", args[0], args[1]), ir.IntType(LANES))
        return builder.zext(bits, _I64)

    return types.int64(a, b), codegen


@intrinsic
def magnitude(typingctx, a):
    """Absolute value in each lane."""

    def codegen(context, builder, signature, args):
        return _call(builder, "fabs", [args[0]])

    return lanes_type(a), codegen


@intrinsic
def exponential(typingctx, a):
    """exp(a) in each lane for 0 <= a <= 700, relative error below 1e-13 (2^n times a polynomial of degree 12)."""

    def codegen(context, builder, signature, args):
        x = args[0]
        n = builder.fptosi(_fma(builder, x, _constant(1 / math.log(2)), _constant(0.5)), _VEC_I64)
        whole = builder.sitofp(n, _VEC)
        r = _fma(builder, whole, _constant(-0.6931471803691238), x)
        r = _fma(builder, whole, _constant(-1.9082149292705877e-10), r)
        poly = _constant(1 / math.factorial(12))
        for degree in range(11, -1, -1):
            poly = _fma(builder, poly, r, _constant(1 / math.factorial(degree)))
        bias = ir.Constant(_VEC_I64, [ir.Constant(_I64, 1023)] * LANES)
        shift = ir.Constant(_VEC_I64, [ir.Constant(_I64, 52)] * LANES)
        scale = builder.bitcast(builder.shl(builder.add(n, bias), shift), _VEC)
        return builder.fmul(poly, scale)

    return lanes_type(a), codegen


def _tile_pointers(context, builder, signature, args):
    return [
        _pointer(context, builder, signature.args[k], args[k],
                 context.cast(builder, args[k + 1], signature.args[k + 1], types.int64))
        for k in range(0, len(args), 2)
    ]  # fmt: skip


def _matrix(builder, pointer):
    return [[_read(builder, pointer, _TILE * r + c) for c in range(_TILE)] for r in range(_TILE)]


@intrinsic
def tile_invert(typingctx, a, ia):
    """Replace a symmetric positive definite tile by its negative inverse (Gauss-Jordan, no pivoting needed)."""

    def codegen(context, builder, signature, args):
        (pointer,) = _tile_pointers(context, builder, signature, args)
        m = _matrix(builder, pointer)
        one = _constant(1.0)
        for k in range(_TILE):
            inverse = builder.fdiv(one, m[k][k])
            column = [m[max(r, k)][min(r, k)] for r in range(_TILE)]
            scaled = [builder.fmul(column[r], inverse) for r in range(_TILE)]
            for r in range(_TILE):
                for c in range(r + 1):
                    if r == k and c == k:
                        m[r][c] = builder.fneg(inverse)
                    elif r == k:
                        m[r][c] = scaled[c]
                    elif c == k:
                        m[r][c] = scaled[r]
                    else:
                        m[r][c] = _fma(builder, builder.fneg(scaled[r]), column[c], m[r][c])
        for r in range(_TILE):
            for c in range(_TILE):
                _write(builder, m[max(r, c)][min(r, c)], pointer, _TILE * r + c)
        return context.get_dummy_value()

    return types.void(a, ia), codegen


@intrinsic
def tile_product(typingctx, a, ia, b, ib, c, ic):
    """Tile a = -b c with c symmetric."""

    def codegen(context, builder, signature, args):
        pa, pb, pc = _tile_pointers(context, builder, signature, args)
        right = _matrix(builder, pc)
        for r in range(_TILE):
            left = [builder.fneg(_read(builder, pb, _TILE * r + k)) for k in range(_TILE)]
            for col in range(_TILE):
                total = builder.fmul(left[0], right[0][col])
                for k in range(1, _TILE):
                    total = _fma(builder, left[k], right[k][col], total)
                _write(builder, total, pa, _TILE * r + col)
        return context.get_dummy_value()

    return types.void(a, ia, b, ib, c, ic), codegen


@intrinsic
def tile_subtract_outer(typingctx, a, ia, b, ib, c, ic):
    """Tile a -= b c^T."""

    def codegen(context, builder, signature, args):
        pa, pb, pc = _tile_pointers(context, builder, signature, args)
        right = _matrix(builder, pc)
        for r in range(_TILE):
            left = [builder.fneg(_read(builder, pb, _TILE * r + k)) for k in range(_TILE)]
            for col in range(_TILE):
                total = _read(builder, pa, _TILE * r + col)
                for k in range(_TILE):
                    total = _fma(builder, left[k], right[col][k], total)
                _write(builder, total, pa, _TILE * r + col)
        return context.get_dummy_value()

    return types.void(a, ia, b, ib, c, ic), codegen


@intrinsic
def tile_subtract_outer_symmetric(typingctx, a, ia, b, ib, c, ic):
    """Symmetric tile a -= b c^T where that product is symmetric; the upper half is a copy of the lower."""

    def codegen(context, builder, signature, args):
        pa, pb, pc = _tile_pointers(context, builder, signature, args)
        right = _matrix(builder, pc)
        for r in range(_TILE):
            left = [builder.fneg(_read(builder, pb, _TILE * r + k)) for k in range(_TILE)]
            for col in range(r + 1):
                total = _read(builder, pa, _TILE * r + col)
                for k in range(_TILE):
                    total = _fma(builder, left[k], right[col][k], total)
                _write(builder, total, pa, _TILE * r + col)
                if col < r:
                    _write(builder, total, pa, _TILE * col + r)
        return context.get_dummy_value()

    return types.void(a, ia, b, ib, c, ic), codegen


@intrinsic
def tile_copy(typingctx, a, ia, b, ib):
    """Tile a = b."""

    def codegen(context, builder, signature, args):
        pa, pb = _tile_pointers(context, builder, signature, args)
        for k in range(_TILE * _TILE):
            _write(builder, _read(builder, pb, k), pa, k)
        return context.get_dummy_value()

    return types.void(a, ia, b, ib), codegen


@intrinsic
def tile_transpose(typingctx, a, ia, b, ib):
    """Tile a = b^T."""

    def codegen(context, builder, signature, args):
        pa, pb = _tile_pointers(context, builder, signature, args)
        for r in range(_TILE):
            for c in range(_TILE):
                _write(builder, _read(builder, pb, _TILE * r + c), pa, _TILE * c + r)
        return context.get_dummy_value()

    return types.void(a, ia, b, ib), codegen


@intrinsic
def tile_congruence(typingctx, a, ia, b, ib, x, ix, y, iy):
    """Tile a = diag(x) b diag(y), x and y four consecutive lanes values."""

    def codegen(context, builder, signature, args):
        pa, pb, px, py = _tile_pointers(context, builder, signature, args)
        right = [_read(builder, py, c) for c in range(_TILE)]
        for r in range(_TILE):
            left = _read(builder, px, r)
            for c in range(_TILE):
                value = builder.fmul(builder.fmul(left, right[c]), _read(builder, pb, _TILE * r + c))
                _write(builder, value, pa, _TILE * r + c)
        return context.get_dummy_value()

    return types.void(a, ia, b, ib, x, ix, y, iy), codegen


@intrinsic
def tile_subtract_apply(typingctx, y, iy, a, ia, x, ix):
    """y -= a x for a tile a and four lanes values x."""

    def codegen(context, builder, signature, args):
        py, pa, px = _tile_pointers(context, builder, signature, args)
        vector = [builder.fneg(_read(builder, px, c)) for c in range(_TILE)]
        for r in range(_TILE):
            total = _read(builder, py, r)
            for c in range(_TILE):
                total = _fma(builder, _read(builder, pa, _TILE * r + c), vector[c], total)
            _write(builder, total, py, r)
        return context.get_dummy_value()

    return types.void(y, iy, a, ia, x, ix), codegen


@intrinsic
def tile_subtract_apply_both(typingctx, y, iy, jy, a, ia, x, ix, jx):
    """y[iy:] -= a x[jx:] and y[jy:] -= a^T x[ix:], an off-diagonal tile of a symmetric matrix."""

    def codegen(context, builder, signature, args):
        def pointer(array, index):
            index64 = context.cast(builder, args[index], signature.args[index], types.int64)
            return _pointer(context, builder, signature.args[array], args[array], index64)

        pyi, pyj, pa, pxi, pxj = pointer(0, 1), pointer(0, 2), pointer(3, 4), pointer(5, 6), pointer(5, 7)
        right = [builder.fneg(_read(builder, pxj, c)) for c in range(_TILE)]
        column = [_read(builder, pyj, c) for c in range(_TILE)]
        for r in range(_TILE):
            total = _read(builder, pyi, r)
            left = builder.fneg(_read(builder, pxi, r))
            for c in range(_TILE):
                entry = _read(builder, pa, _TILE * r + c)
                total = _fma(builder, entry, right[c], total)
                column[c] = _fma(builder, entry, left, column[c])
            _write(builder, total, pyi, r)
        for c in range(_TILE):
            _write(builder, column[c], pyj, c)
        return context.get_dummy_value()

    return types.void(y, iy, jy, a, ia, x, ix, jx), codegen
