"""Sixteen stimuli side by side as one value inside numba kernels, and tables looked up for each of them.

LLVM's loop vectoriser does not see the vector over stimuli, so the kernels say it: a lanes value is LLVM's
``<16 x double>`` or ``<16 x float>`` (two or one AVX-512 registers). Every lane is computed from its own numbers
alone: the bits of a case depend neither on its neighbours nor on its place.

Arrays are flat with the lanes innermost; an index counts lanes values, that is 16 numbers each.
"""

from __future__ import annotations

import operator

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

LANES = 16
_ROWS = 8

_I32 = ir.IntType(32)
_I64 = ir.IntType(64)


class LanesType(types.Type):
    """Numba type of sixteen numbers of one precision."""

    def __init__(self, scalar):
        self.scalar = scalar
        super().__init__(name=f"Lanes{LANES}_{scalar}")


_TYPES = {types.float64: LanesType(types.float64), types.float32: LanesType(types.float32)}


def _element(scalar):
    return ir.DoubleType() if scalar == types.float64 else ir.FloatType()


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, ir.VectorType(_element(fe_type.scalar), LANES))


def _is_flat(array):
    return isinstance(array, types.Array) and array.dtype in _TYPES and array.ndim == 1


def _place(context, builder, array_type, array, offset, count):
    """Pointer to ``count`` consecutive elements from element ``offset`` on."""
    data = context.make_array(array_type)(context, builder, array).data
    element = context.get_data_type(array_type.dtype)
    place = builder.gep(data, [offset], inbounds=True)
    return builder.bitcast(place, ir.PointerType(ir.VectorType(element, count)))


def _lanes_place(context, builder, array_type, array, index):
    return _place(context, builder, array_type, array, builder.mul(index, ir.Constant(_I64, LANES)), LANES)


def _align(scalar):
    return 8 if scalar == types.float64 else 4


def _index(context, builder, signature, args, k):
    return context.cast(builder, args[k], signature.args[k], types.int64)


@intrinsic
def load(typingctx, array, index):
    """Lanes value ``index`` of a flat array."""
    if not (_is_flat(array) and isinstance(index, types.Integer)):
        return None

    def codegen(context, builder, signature, args):
        place = _lanes_place(context, builder, signature.args[0], args[0], _index(context, builder, signature, args, 1))
        return builder.load(place, align=_align(signature.args[0].dtype))

    return _TYPES[array.dtype](array, index), codegen


@intrinsic
def store(typingctx, array, index, value):
    """Write lanes value ``index`` of a flat array."""
    if not (_is_flat(array) and isinstance(index, types.Integer) and value == _TYPES[array.dtype]):
        return None

    def codegen(context, builder, signature, args):
        place = _lanes_place(context, builder, signature.args[0], args[0], _index(context, builder, signature, args, 1))
        builder.store(args[2], place, align=_align(signature.args[0].dtype))
        return context.get_dummy_value()

    return types.void(array, index, value), codegen


def _splat(builder, scalar, count=LANES):
    vector = ir.VectorType(scalar.type, count)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(_I32, 0))
    mask = ir.Constant(ir.VectorType(_I32, count), [0] * count)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), mask)


@intrinsic
def splat(typingctx, x):
    """All lanes equal to one number of the precision wanted."""
    if x not in _TYPES:
        return None

    def codegen(context, builder, signature, args):
        return _splat(builder, args[0])

    return _TYPES[x](x), codegen


def _binary(method):
    @intrinsic
    def operation(typingctx, a, b):
        def codegen(context, builder, signature, args):
            return getattr(builder, method)(args[0], args[1])

        return a(a, b), codegen

    return operation


_add, _sub, _mul, _div = _binary("fadd"), _binary("fsub"), _binary("fmul"), _binary("fdiv")


@overload(operator.add)
def _overload_add(a, b):
    if isinstance(a, LanesType) and a == b:
        return lambda a, b: _add(a, b)
    return None


@overload(operator.sub)
def _overload_sub(a, b):
    if isinstance(a, LanesType) and a == b:
        return lambda a, b: _sub(a, b)
    return None


@overload(operator.mul)
def _overload_mul(a, b):
    if isinstance(a, LanesType) and a == b:
        return lambda a, b: _mul(a, b)
    return None


@overload(operator.truediv)
def _overload_div(a, b):
    if isinstance(a, LanesType) and a == b:
        return lambda a, b: _div(a, b)
    return None


def _fma(builder, a, b, c):
    width = {ir.DoubleType(): "f64", ir.FloatType(): "f32"}[a.type.element]
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(a.type, [a.type] * 3), f"llvm.fma.v{a.type.count}{width}"
    )
    return builder.call(function, [a, b, c])


@intrinsic
def multiply_add(typingctx, a, b, c):
    """a b + c in each lane, rounded once."""

    def codegen(context, builder, signature, args):
        return _fma(builder, *args)

    return a(a, b, c), codegen


@intrinsic
def crossing_bits(typingctx, before, after):
    """Integer whose bit l says whether lane l passes 0 upwards: before < 0 <= after."""

    def codegen(context, builder, signature, args):
        zero = ir.Constant(args[0].type, [ir.Constant(args[0].type.element, 0.0)] * LANES)
        below = builder.fcmp_ordered("<", args[0], zero)
        above = builder.fcmp_ordered(">=", args[1], zero)
        return builder.zext(builder.bitcast(builder.and_(below, above), ir.IntType(LANES)), _I64)

    return types.int64(before, after), codegen


@intrinsic
def table_place(typingctx, v, low, per_mV, last, stride, row, fraction):
    """Where each lane's v lies in a table: element of its row (``row``, (16,) int32) and the ``fraction`` of the step.

    ``low`` voltage of the first row, ``per_mV`` rows per mV, ``last`` the largest place (just below the last row),
    ``stride`` elements per row. Voltages outside are held at the ends; so is a NaN.
    """

    def codegen(context, builder, signature, args):
        v, low, per_mV, last, stride = args[:5]
        vector = v.type
        zero = ir.Constant(vector, [ir.Constant(vector.element, 0.0)] * LANES)
        place = builder.fmul(builder.fsub(v, _splat(builder, low)), _splat(builder, per_mV))
        place = builder.select(builder.fcmp_ordered(">", place, zero), place, zero)
        top = _splat(builder, last)
        place = builder.select(builder.fcmp_ordered("<", place, top), place, top)
        whole = builder.fptosi(place, ir.VectorType(_I32, LANES))
        part = builder.fsub(place, builder.sitofp(whole, vector))
        stride32 = context.cast(builder, stride, signature.args[4], types.int32)
        zero64 = ir.Constant(_I64, 0)
        rows = _place(context, builder, signature.args[5], args[5], zero64, LANES)
        builder.store(builder.mul(whole, _splat(builder, stride32)), rows, align=4)
        parts = _place(context, builder, signature.args[6], args[6], zero64, LANES)
        builder.store(part, parts, align=_align(v_type.scalar))
        return context.get_dummy_value()

    v_type = v
    return types.void(v, low, per_mV, last, stride, row, fraction), codegen


def _interpolated_row(builder, table, start, stride, fraction, width):
    """``width`` columns of one lane, linear between its row and the next."""
    element = table.type.pointee
    pointer = ir.PointerType(ir.VectorType(element, width))
    align = 8 if isinstance(element, ir.DoubleType) else 4
    here = builder.load(builder.bitcast(builder.gep(table, [start], inbounds=True), pointer), align=align)
    above = builder.gep(table, [builder.add(start, stride)], inbounds=True)
    there = builder.load(builder.bitcast(above, pointer), align=align)
    return _fma(builder, _splat(builder, fraction, width), builder.fsub(there, here), here)


def _shuffle(builder, a, b, order):
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_I32, len(order)), order))


_LOW = [0, 8, 2, 10, 4, 12, 6, 14]
_HIGH = [1, 9, 3, 11, 5, 13, 7, 15]


def _transposed8(builder, rows):
    """Columns of an 8 x 8 block given by its rows."""
    low = [_shuffle(builder, rows[k], rows[k + 1], _LOW) for k in (0, 2, 4, 6)]
    high = [_shuffle(builder, rows[k], rows[k + 1], _HIGH) for k in (0, 2, 4, 6)]
    columns = [None] * 8
    for parity, part in ((0, low), (1, high)):
        # Now 4 x 4 blocks of pairs: pair p of part[q] holds column 2 p + parity of lanes 2 q, 2 q + 1.
        a = _shuffle(builder, part[0], part[1], [0, 1, 4, 5, 8, 9, 12, 13])
        b = _shuffle(builder, part[0], part[1], [2, 3, 6, 7, 10, 11, 14, 15])
        c = _shuffle(builder, part[2], part[3], [0, 1, 4, 5, 8, 9, 12, 13])
        d = _shuffle(builder, part[2], part[3], [2, 3, 6, 7, 10, 11, 14, 15])
        columns[parity] = _shuffle(builder, a, c, [0, 1, 4, 5, 8, 9, 12, 13])
        columns[4 + parity] = _shuffle(builder, a, c, [2, 3, 6, 7, 10, 11, 14, 15])
        columns[2 + parity] = _shuffle(builder, b, d, [0, 1, 4, 5, 8, 9, 12, 13])
        columns[6 + parity] = _shuffle(builder, b, d, [2, 3, 6, 7, 10, 11, 14, 15])
    return columns


def _transposed4(builder, rows):
    """The four columns of an 8 x 4 block given by its rows."""
    joined = [_shuffle(builder, rows[k], rows[k + 4], list(range(8))) for k in range(4)]
    low = [_shuffle(builder, joined[k], joined[k + 1], _LOW) for k in (0, 2)]
    high = [_shuffle(builder, joined[k], joined[k + 1], _HIGH) for k in (0, 2)]
    columns = [None] * 4
    for parity, part in ((0, low), (1, high)):
        columns[parity] = _shuffle(builder, part[0], part[1], [0, 1, 8, 9, 4, 5, 12, 13])
        columns[2 + parity] = _shuffle(builder, part[0], part[1], [2, 3, 10, 11, 6, 7, 14, 15])
    return columns


def _lookup(width, transposed):
    @intrinsic
    def lookup(typingctx, table, start, stride, row, fraction, out, column):
        """Interpolate columns of a flat table for each lane and write them as lanes values ``column``... of ``out``.

        ``start`` element of the first row's first column wanted, ``stride`` elements per row; ``row`` and ``fraction``
        as `table_place` wrote them.
        """

        def codegen(context, builder, signature, args):
            data = [context.make_array(signature.args[k])(context, builder, args[k]).data for k in (0, 3, 4, 5)]
            table, row, fraction, out = data
            start, stride, column = (_index(context, builder, signature, args, k) for k in (1, 2, 6))
            first = builder.gep(table, [start], inbounds=True)
            pointer = ir.PointerType(ir.VectorType(table.type.pointee, _ROWS))
            align = _align(signature.args[0].dtype)
            target = builder.mul(column, ir.Constant(_I64, LANES))
            for half in range(LANES // _ROWS):
                rows = []
                for lane in range(half * _ROWS, (half + 1) * _ROWS):
                    k = ir.Constant(_I64, lane)
                    where = builder.sext(builder.load(builder.gep(row, [k], inbounds=True)), _I64)
                    part = builder.load(builder.gep(fraction, [k], inbounds=True))
                    rows.append(_interpolated_row(builder, first, where, stride, part, width))
                for c, value in enumerate(transposed(builder, rows)):
                    offset = builder.add(target, ir.Constant(_I64, c * LANES + half * _ROWS))
                    place = builder.bitcast(builder.gep(out, [offset], inbounds=True), pointer)
                    builder.store(value, place, align=align)
            return context.get_dummy_value()

        return types.void(table, start, stride, row, fraction, out, column), codegen

    return lookup


lookup8, lookup4 = _lookup(8, _transposed8), _lookup(4, _transposed4)


def lanes_array(count: int, dtype: type) -> np.ndarray:
    """Flat zeros of ``count`` lanes values that begin on a cache line."""
    size = np.dtype(dtype).itemsize
    spare = 64 // size
    raw = np.zeros(count * LANES + spare, dtype=dtype)
    start = (-raw.ctypes.data // size) % spare
    return raw[start : start + count * LANES]
