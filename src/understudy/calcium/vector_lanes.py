"""Kernels over one cable or eight: a value is a float64, or eight float64 lanes in one vector.

LLVM's loop vectoriser does not find the vector over cables, so the kernels say it. A kernel is written once. Arrays of
shape (n,) make it a kernel of one cable, whose values are float64; arrays of shape (n, 8) one of eight cables, whose
values are LLVM's ``<8 x double>``. Every lane is computed from its own numbers alone, so that the bits of a cable
do not depend on the cables beside it.
"""

from __future__ import annotations

import math
import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

LANES = 8

_F64 = ir.DoubleType()
_I32 = ir.IntType(32)
_I64 = ir.IntType(64)
_VEC = ir.VectorType(_F64, LANES)


class VectorType(types.Type):
    """Numba type of eight float64 lanes."""

    def __init__(self):
        super().__init__(name=f"CableVector{LANES}")


vector_type = VectorType()


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, _VEC)


def _place(context, builder, signature, args):
    """Pointer to row ``args[1]`` of the (n, 8) array ``args[0]``."""
    data = context.make_array(signature.args[0])(context, builder, args[0]).data
    index = context.cast(builder, args[1], signature.args[1], types.int64)
    element = builder.gep(data, [builder.mul(index, ir.Constant(_I64, LANES))], inbounds=True)
    return builder.bitcast(element, ir.PointerType(_VEC))


@intrinsic
def _load_vector(typingctx, array, index):
    def codegen(context, builder, signature, args):
        return builder.load(_place(context, builder, signature, args), align=8)

    return vector_type(array, index), codegen


@intrinsic
def _store_vector(typingctx, array, index, value):
    def codegen(context, builder, signature, args):
        builder.store(args[2], _place(context, builder, signature, args), align=8)
        return context.get_dummy_value()

    return types.void(array, index, value), codegen


@intrinsic
def _splat(typingctx, x):
    def codegen(context, builder, signature, args):
        scalar = context.cast(builder, args[0], signature.args[0], types.float64)
        first = builder.insert_element(ir.Constant(_VEC, ir.Undefined), scalar, ir.Constant(_I32, 0))
        mask = ir.Constant(ir.VectorType(_I32, LANES), [0] * LANES)
        return builder.shuffle_vector(first, ir.Constant(_VEC, ir.Undefined), mask)

    return vector_type(x), codegen


@intrinsic
def _vector_greater_bits(typingctx, a, b):
    def codegen(context, builder, signature, args):
        bits = builder.bitcast(builder.fcmp_ordered(">", args[0], args[1]), ir.IntType(LANES))
        return builder.zext(bits, _I64)

    return types.int64(a, b), codegen


def _choose(comparison):
    @intrinsic
    def operation(typingctx, a, b):
        def codegen(context, builder, signature, args):
            return builder.select(builder.fcmp_ordered(comparison, args[0], args[1]), args[0], args[1])

        return vector_type(a, b), codegen

    return operation


_vector_smaller, _vector_larger = _choose("<"), _choose(">")


def _binary(method):
    @intrinsic
    def operation(typingctx, a, b):
        def codegen(context, builder, signature, args):
            return getattr(builder, method)(args[0], args[1], flags=("contract",))

        return vector_type(a, b), codegen

    return operation


_add, _sub, _mul, _div = _binary("fadd"), _binary("fsub"), _binary("fmul"), _binary("fdiv")


def _overload_operator(function, operation):
    @overload(function)
    def of_vectors(a, b):
        if a == vector_type and b == vector_type:
            return lambda a, b: operation(a, b)
        if a == vector_type and isinstance(b, types.Float | types.Integer):
            return lambda a, b: operation(a, _splat(b))
        if b == vector_type and isinstance(a, types.Float | types.Integer):
            return lambda a, b: operation(_splat(a), b)
        return None


_overload_operator(operator.add, _add)
_overload_operator(operator.sub, _sub)
_overload_operator(operator.mul, _mul)
_overload_operator(operator.truediv, _div)


def load(array, index):
    """Row ``index`` of an array, as float64 or vector."""
    raise NotImplementedError("for compiled kernels only")


@overload(load)
def _overload_load(array, index):
    if array.ndim == 1:
        return lambda array, index: array[index]
    return lambda array, index: _load_vector(array, index)


def store(array, index, value):
    """Write row ``index`` of an array."""
    raise NotImplementedError("for compiled kernels only")


@overload(store)
def _overload_store(array, index, value):
    if array.ndim == 1:

        def store_scalar(array, index, value):
            array[index] = value

        return store_scalar
    return lambda array, index, value: _store_vector(array, index, value)


def fill_like(array, x):
    """The value with the number ``x`` in every lane, as float64 or vector according to the array."""
    raise NotImplementedError("for compiled kernels only")


@overload(fill_like)
def _overload_fill_like(array, x):
    if array.ndim == 1:
        return lambda array, x: x
    return lambda array, x: _splat(x)


def greater_bits(a, b):
    """Integer whose bit l says whether a > b in lane l."""
    raise NotImplementedError("for compiled kernels only")


@overload(greater_bits)
def _overload_greater_bits(a, b):
    if a == vector_type:
        return lambda a, b: _vector_greater_bits(a, b)
    return lambda a, b: 1 if a > b else 0


def smaller(a, b):
    """The smaller in each lane."""
    raise NotImplementedError("for compiled kernels only")


@overload(smaller)
def _overload_smaller(a, b):
    if a == vector_type:
        return lambda a, b: _vector_smaller(a, b)
    return lambda a, b: a if a < b else b


def larger(a, b):
    """The larger in each lane."""
    raise NotImplementedError("for compiled kernels only")


@overload(larger)
def _overload_larger(a, b):
    if a == vector_type:
        return lambda a, b: _vector_larger(a, b)
    return lambda a, b: a if a > b else b


def pick(array, index, lane):
    """Number of one lane in row ``index``."""
    raise NotImplementedError("for compiled kernels only")


@overload(pick)
def _overload_pick(array, index, lane):
    if array.ndim == 1:
        return lambda array, index, lane: array[index]
    return lambda array, index, lane: array[index, lane]


def put(array, index, lane, x):
    """Write the number of one lane in row ``index``."""
    raise NotImplementedError("for compiled kernels only")


@overload(put)
def _overload_put(array, index, lane, x):
    if array.ndim == 1:

        def put_scalar(array, index, lane, x):
            array[index] = x

        return put_scalar

    def put_lane(array, index, lane, x):
        array[index, lane] = x

    return put_lane


@intrinsic
def _vector_root(typingctx, a):
    def codegen(context, builder, signature, args):
        name = f"llvm.sqrt.v{LANES}f64"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_VEC, [_VEC]), name)
        return builder.call(function, args)

    return vector_type(a), codegen


def root_of(a):
    """Square root in each lane."""
    raise NotImplementedError("for compiled kernels only")


@overload(root_of)
def _overload_root_of(a):
    if a == vector_type:
        return lambda a: _vector_root(a)
    return lambda a: math.sqrt(a)
