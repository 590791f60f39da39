"""Floating-point operations of any function of JAX, counted from its program, loops and all."""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr


class Flops(NamedTuple):
    """How many, of matrix products and what is made of them; and the loops of unknown length, counted as one pass."""

    count: float
    unknown_loops: int = 0

    def __add__(self, other: Any) -> "Flops":
        return Flops(self.count + other.count, self.unknown_loops + other.unknown_loops)

    def times(self, number: int | float) -> "Flops":
        """Of so many passes."""
        return Flops(number * self.count, self.unknown_loops)


def flops(function: Callable, *args: Any) -> Flops:
    """Floating-point operations of ``function(*args)``: two for each multiply-add of its products.

    Matrix products, convolutions, Cholesky factors (n³ / 3) and triangular solves (n²) are counted; what is done to
    single entries is not, nor are eigenvalues and singular values. A loop of known length counts its body as often
    (a training of 100 steps counts 100), of two branches the dearer one counts. How often a ``while`` runs cannot be
    known: its body counts once, and is named in `unknown_loops`, so the count is then a lower bound. What the result
    does not need is left out, as the compiler does.

    Nothing runs: the function is traced, on shapes (`jax.ShapeDtypeStruct`) or arrays.

    Use it to say what a strategy costs where seconds would say how busy the machine was.

    >>> import jax.numpy as jnp
    >>> flops(lambda a, b: a @ b, jnp.ones((3, 4)), jnp.ones((4, 5))).count
    120.0
    >>> step = lambda x, _: (x @ x, None)
    >>> flops(lambda x: jax.lax.scan(step, x, length=10)[0], jnp.ones((4, 4))).count
    1280.0
    """
    return _of_program(jax.make_jaxpr(function)(*args).jaxpr)


def _of_program(program: Jaxpr) -> Flops:
    total, needed = Flops(0.0), {id(variable) for variable in program.outvars}
    for equation in reversed(program.eqns):
        if equation.effects or any(id(variable) in needed for variable in equation.outvars):
            needed |= {id(variable) for variable in equation.invars}
            total += _of_equation(equation)
    return total


def _of_equation(equation: Any) -> Flops:
    name, params = equation.primitive.name, equation.params
    shapes: list[Any] = [getattr(variable.aval, "shape", ()) for variable in equation.invars]
    out: Any = math.prod(getattr(equation.outvars[0].aval, "shape", ())) if equation.outvars else 0
    if name == "dot_general":
        contracted = params["dimension_numbers"][0][0]
        return Flops(2.0 * out * math.prod(shapes[0][axis] for axis in contracted))
    if name == "conv_general_dilated":
        kernel, numbers = shapes[1], params["dimension_numbers"]
        return Flops(2.0 * out * math.prod(kernel) / kernel[numbers.rhs_spec[0]])
    if name == "cholesky":
        return Flops(math.prod(shapes[0]) * shapes[0][-1] / 3)
    if name == "triangular_solve":
        return Flops(float(math.prod(shapes[1]) * shapes[0][-1]))
    inside = [_of_program(program) for program in _programs(params)]
    if name == "cond":
        return max(inside)
    total = sum(inside, Flops(0.0))
    if name == "scan":
        return total.times(params["length"])
    if name == "while":
        return total._replace(unknown_loops=total.unknown_loops + 1)
    return total


def _programs(params: dict[str, Any]) -> Iterator[Jaxpr]:
    for value in params.values():
        for part in value if isinstance(value, tuple | list) else (value,):
            if isinstance(part, ClosedJaxpr):
                yield part.jaxpr
            elif isinstance(part, Jaxpr):
                yield part
