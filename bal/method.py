"""A method is a value: what a factory returns knows its name and settings, and two made alike are equal.

>>> @method
... def power(exponent=1.0):
...     return lambda x: x**exponent
>>> power(2.0), power(2.0) == power(exponent=2.0), power(2.0) == power(3.0), power(2.0)(3.0)
(power(exponent=2.0), True, False, 9.0)

So `jax.jit` compiles once for both, a dictionary holds one, and a log says what ran. Equal means: made by the same
factory with equal settings. Numbers, texts, tuples, other methods and arrays (by their bytes) are equal by value and
type; lists, dictionaries and numpy arrays are copied when they are handed in. All else, functions above all, is equal
to nothing but itself.
"""

import dataclasses
import functools
import hashlib
import importlib
import inspect
import types
from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar

import jax
import numpy as np
from jax.core import Tracer

Factory = TypeVar("Factory", bound=Callable)


class Made:
    """One call of a factory: which, with what settings (defaults included), and what it returned.

    make: the factory as it is called, of which `factory` is the plain function.
    """

    def __init__(self, make: Callable, factory: Callable, settings: dict[str, Any]):
        self.make, self.factory, self.settings, self.result = make, factory, settings, None

    @functools.cached_property
    def key(self) -> Hashable:
        """What two calls alike have in common; read at the first comparison, since arrays are digested."""
        return self.factory, tuple(_key(value) for value in self.settings.values())

    @functools.cached_property
    def hashed(self) -> int:
        """Hash of the key, found once."""
        return hash(self.key)

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, Made):
            return False
        if self is not other and self.key is not other.key:
            if self.hashed != other.hashed or self.key != other.key:
                return False
            other.key = self.key  # compared once
        return True

    def __hash__(self) -> int:
        return self.hashed

    def __reduce__(self) -> tuple:
        """The call, made anew in another process: defaults, closures, caches and hashes do not travel."""
        parameters = inspect.signature(self.factory).parameters
        chosen = {name: value for name, value in self.settings.items() if value is not parameters[name].default}
        return _called, (
            self.make,
            {name: _Named(value) if _is_named(value) else value for name, value in chosen.items()},
        )

    def __repr__(self) -> str:
        parameters = inspect.signature(self.factory).parameters
        with_rest = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters.values())
        shown, named = [], False
        for name, parameter in parameters.items():
            value, needed = self.settings[name], parameter.default is parameter.empty
            if parameter.kind is parameter.VAR_POSITIONAL:
                shown += map(brief, value)
            elif parameter.kind is parameter.VAR_KEYWORD:
                shown += [f"{key}={brief(part)}" for key, part in value.items()]
            elif (
                needed
                and not named
                and parameter.kind is not parameter.KEYWORD_ONLY
                and (with_rest or _is_method(value))
            ):
                shown.append(brief(value))
            elif needed or value is not parameter.default or not (value is None or value is False):
                named = True
                shown.append(f"{name}={brief(value)}")
        return f"{self.factory.__name__}({', '.join(shown)})"


class Method:
    """A function that a factory made: called as that function, equal to another of the same factory and settings.

    made: the call of the factory; part: which function of the tuple that it returned, as ``.fit``; empty if it is all.
    """

    __slots__ = ("__dict__", "__weakref__", "made", "part")
    __wrapped__: Callable

    def __init__(self, function: Callable, made: Made, part: str):
        object.__setattr__(self, "made", made)
        object.__setattr__(self, "part", part)
        functools.update_wrapper(self, function, updated=())

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("made", "part"):
            raise AttributeError(f"a method is a value, its {name} cannot be set; make another one")
        object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple:
        return _part_of, (self.made, self.part)

    def __copy__(self) -> "Method":
        return self

    def __deepcopy__(self, memo: dict) -> "Method":
        return self  # a value, as functions are

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the function returns."""
        return self.__wrapped__(*args, **kwargs)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Method) and self.part == other.part and self.made == other.made

    def __hash__(self) -> int:
        return hash((self.made, self.part))

    def __repr__(self) -> str:
        return f"{self.made}{self.part}"


def method(factory: Factory) -> Factory:
    """Let a factory of functions, or of tuples of functions, return methods: see the module.

    `repr` prints the settings, defaults included; those left at None or False are left out. What the factory got as an
    argument is returned as it is; of factories that call each other the outermost gives the name.
    """
    signature = inspect.signature(factory)

    @functools.wraps(factory)
    def make(*args: Any, **kwargs: Any) -> Any:
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError:
            return factory(*args, **kwargs)  # has a better message
        given.apply_defaults()
        given.arguments = {name: _held(value) for name, value in given.arguments.items()}
        made = Made(make, factory, given.arguments)
        foreign = {id(leaf) for value in given.arguments.values() for leaf in _leaves(value)}
        made.result = _as_methods(factory(*given.args, **given.kwargs), made, "", foreign)
        return made.result

    return make  # pyright: ignore[reportReturnType]


def _as_methods(value: Any, made: Made, part: str, foreign: set[int]) -> Any:
    """The same, with every function that this call made wrapped; module-level functions are values as they are."""
    if isinstance(value, tuple):
        fields = getattr(value, "_fields", None)
        names = (f".{fields[number]}" if fields else f"[{number}]" for number in range(len(value)))
        return _rebuilt(value, [_as_methods(leaf, made, part + name, foreign) for name, leaf in zip(names, value)])
    if id(value) in foreign or isinstance(value, type) or not callable(value):
        return value
    if isinstance(value, Method):
        return Method(value.__wrapped__, made, part)
    is_new = isinstance(value, functools.partial) or "<locals>" in getattr(value, "__qualname__", "")
    return Method(value, made, part) if is_new else value


def _called(make: Callable, settings: dict[str, Any]) -> Made:
    """The call of a factory with these settings."""
    given = inspect.BoundArguments(inspect.signature(make), settings)  # pyright: ignore[reportArgumentType]
    given.apply_defaults()
    result = make(*given.args, **given.kwargs)
    return next(leaf.made for leaf in _leaves(result) if isinstance(leaf, Method))


class _Named:
    """A function that is found under its name, compiled ones of jax too, which pickles cannot tell."""

    def __init__(self, function: Callable):
        self.function = function

    def __reduce__(self) -> tuple:
        return _found, (self.function.__module__, self.function.__qualname__)


def _found(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name, None)


def _is_named(value: Any) -> bool:
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    return callable(value) and isinstance(module, str) and isinstance(name, str) and _found(module, name) is value


def _part_of(made: Made, part: str) -> Method:
    return next(leaf for leaf in _leaves(made.result) if isinstance(leaf, Method) and leaf.part == part)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple):
        for part in value:
            yield from _leaves(part)
    else:
        yield value


def _rebuilt(value: tuple, parts: list) -> tuple:
    if all(new is old for new, old in zip(parts, value)):
        return value
    return getattr(value, "_make", type(value))(parts)


def _held(value: Any) -> Any:
    """A setting that nobody else can change: copies of lists, dictionaries, sets and arrays in memory."""
    if isinstance(value, tuple):
        return _rebuilt(value, [_held(part) for part in value])
    if type(value) in (list, set):
        return type(value)(_held(part) for part in value)
    if type(value) is dict:
        return {key: _held(part) for key, part in value.items()}
    if type(value) is functools.partial:
        return functools.partial(value.func, *map(_held, value.args), **_held(value.keywords))
    if type(value) is np.ndarray:
        value = value.copy()
        value.flags.writeable = False
    return value


class _Itself:
    """An object that is equal to nothing but itself."""

    def __init__(self, value: Any):
        self.value = value

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, _Itself) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def _key(value: Any, held: bool = True) -> Hashable:
    """What equal settings have in common. `held`: nobody else can change a list or array in it."""
    kind = type(value)
    key = functools.partial(_key, held=held)
    if isinstance(value, Method | type | types.NoneType | types.EllipsisType | np.dtype):
        return value
    if kind in (bool, int, float, complex, str, bytes, range):
        return kind, repr(value)  # 0.0 is not -0.0, and NaN is NaN
    if kind is slice:
        return kind, *map(key, (value.start, value.stop, value.step))
    if isinstance(value, tuple):
        return kind, *map(key, value)
    if held and kind is list:
        return kind, *map(key, value)
    if held and kind is dict:
        return kind, *map(key, value.items())
    if kind is frozenset or (held and kind is set):
        return kind, frozenset(map(key, value))
    if held and kind is functools.partial:
        return kind, key(value.func), key(value.args), key(value.keywords)
    if isinstance(value, np.generic) or (held and kind is np.ndarray):
        return _Itself(value) if value.dtype.hasobject else (kind, *_digest(value))
    if isinstance(value, jax.Array) and not isinstance(value, Tracer) and value.is_fully_addressable:
        is_key = jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key)
        return str(value.aval), value.sharding, *_digest(jax.random.key_data(value) if is_key else value)
    if isinstance(value, types.MethodType):
        return kind, _Itself(value.__self__), value.__func__
    if isinstance(value, types.FunctionType) and "<locals>" in value.__qualname__ and _is_of("optax", value):
        inside = _closure(value)  # pure, as all of optax
        if any(part is value for part in inside):
            return _Itself(value)
        parts = (inside, value.__defaults__, *(value.__kwdefaults__ or {}).items())
        return kind, value.__qualname__, value.__code__, _key(parts, held=False)
    if _is_frozen(value):
        return kind, *(_key(part, held=False) for part in _fields(value).values())
    return _Itself(value)


def _closure(function: types.FunctionType) -> tuple:
    """What the closure of a function holds; the function itself where some of it is not there yet."""
    try:
        return tuple(cell.cell_contents for cell in function.__closure__ or ())
    except ValueError:
        return (function,)


def _is_frozen(value: Any) -> bool:
    """Whether an object is its class and fields: frozen dataclasses, and modules of equinox such as gpjax's kernels."""
    parameters = getattr(type(value), "__dataclass_params__", None)
    if parameters is None or not (parameters.frozen or any(_is_of("equinox", base) for base in type(value).__mro__)):
        return False
    return {field.name for field in dataclasses.fields(value)} == getattr(value, "__dict__", {}).keys()


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def _is_of(package: str, value: Any) -> bool:
    return value.__module__.split(".")[0] == package


def _digest(value: Any) -> tuple:
    array = np.asarray(value)
    return array.dtype, array.shape, hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _is_method(value: Any) -> bool:
    return callable(value) or (isinstance(value, tuple) and any(map(callable, _leaves(value))))


def made_by(value: Any) -> Made | None:
    """The call of a factory that returned a method, or a tuple of methods; None if there is none."""
    for leaf in _leaves(value):
        if isinstance(leaf, Method) and _is_same(leaf.made.result, value):
            return leaf.made
    return None


def _is_same(one: Any, two: Any) -> bool:
    if one is two or type(one) is not type(two):
        return one is two
    leaves = [*_leaves(one)], [*_leaves(two)]
    same = lambda a, b: a is b or (isinstance(a, int | float | str) and _key(a) == _key(b))
    return len(leaves[0]) == len(leaves[1]) and all(map(same, *leaves))


def brief(value: Any) -> str:
    """A method, or any setting of one, as one would write it: functions by name, arrays by type and shape.

    >>> brief((brief, 1.0, {"a": np.ones((2, 3))}))
    "(brief, 1.0, {'a': float64[2,3]})"
    """
    if isinstance(value, tuple):
        return _brief_tuple(value)
    if isinstance(value, list):
        return f"[{', '.join(map(brief, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{brief(key)}: {brief(part)}' for key, part in value.items())}}}"
    if isinstance(value, functools.partial):
        named = [f"{name}={brief(part)}" for name, part in value.keywords.items()]
        return f"partial({', '.join([brief(value.func), *map(brief, value.args), *named])})"
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return _brief_array(value)
    if _is_frozen(value):
        is_number = lambda leaf: isinstance(leaf, int | float) or hasattr(leaf, "dtype")
        said = {name: part for name, part in _fields(value).items() if any(map(is_number, jax.tree.leaves(part)))}
        return f"{type(value).__name__}({', '.join(f'{name}={brief(part)}' for name, part in said.items())})"
    text = repr(value) if isinstance(value, Method) else getattr(value, "__name__", None) or repr(value)
    return f"{type(value).__name__}(...)" if "\n" in text or " at 0x" in text else text


def brief_repr(self: Any) -> str:
    """`brief` as the ``__repr__`` of a tuple of functions."""
    return brief(self)


def _brief_array(value: Any) -> str:
    is_number = value.shape == () and not isinstance(value, Tracer) and np.issubdtype(value.dtype, np.number)
    return f"{value.item():.6g}" if is_number else f"{value.dtype}[{','.join(map(str, value.shape))}]"


def _brief_tuple(value: tuple) -> str:
    made = made_by(value)
    if made is not None:
        return repr(made)
    parts = list(value)
    if not hasattr(value, "_fields"):
        return f"({', '.join(map(brief, parts))}{',' * (len(parts) == 1)})"
    while parts and (parts[-1] is None or parts[-1] is False):
        parts.pop()
    return f"{type(value).__name__}({', '.join(map(brief, parts))})"
