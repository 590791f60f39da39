"""Cells: every combination once, every value of its kind, and the same again from plain values."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from bal.sweep import grid
from bal.sweep.cells import as_values, of_values
from bal.sweep.store import place


@dataclass(frozen=True)
class Network:
    width: int = 8


@dataclass(frozen=True)
class Line:
    slope: float = 1.0


@dataclass(frozen=True)
class Config:
    data: Literal["iris", "wine"] = "iris"
    rate: float = 0.1
    seeds: int = 5
    names: tuple[str, ...] = ()
    pair: tuple[int, float] = (1, 2.0)
    limit: int | None = None
    folder: Path = Path("a")
    fast: bool = False
    model: Network | Line = Network()


def test_the_last_field_varies_fastest():
    cells = grid(Config(seeds=7), data=["iris", "wine"], rate=[0.1, 1])
    assert [(cell.data, cell.rate) for cell in cells] == [("iris", 0.1), ("iris", 1.0), ("wine", 0.1), ("wine", 1.0)]
    assert {cell.seeds for cell in cells} == {7}
    assert all(type(cell.rate) is float for cell in cells)
    assert grid(Config()) == [Config()]


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"sedes": [1]}, ValueError, "has no field 'sedes'; its fields are data, rate"),
        ({"seeds": []}, ValueError, "seeds: expected at least one value"),
        ({"seeds": [1, 2, 1]}, ValueError, "seeds: 1 is there twice"),
        ({"seeds": 3}, TypeError, "seeds: expected a list of values, got 3"),
        ({"data": "iris"}, TypeError, "data: expected a list of values"),
        ({"seeds": [3.7]}, TypeError, "seeds: expected int, got 3.7"),
        ({"seeds": [True]}, TypeError, "seeds: expected int, got True"),
        ({"seeds": ["3"]}, TypeError, "seeds: expected int, got '3'"),
        ({"rate": [True]}, TypeError, "rate: expected float, got True"),
        ({"fast": [1]}, TypeError, "fast: expected bool, got 1"),
        ({"data": ["irish"]}, TypeError, "data: expected one of 'iris', 'wine', got 'irish'"),
        ({"names": ["ab"]}, TypeError, "names: expected"),
        ({"names": [("a", 1)]}, TypeError, r"names\[1\]: expected str, got 1"),
        ({"pair": [(1, 2, 3)]}, TypeError, "pair: expected"),
        ({"limit": ["no"]}, TypeError, "limit: expected int, got 'no'; or limit: expected NoneType"),
        ({"model": [{"class": "Line", "slop": 1}]}, TypeError, "has no field 'model.slop'"),
    ],
)
def test_what_is_no_value_of_its_field_is_refused(fields, error, message):
    with pytest.raises(error, match=message):
        grid(Config(), **fields)


def test_only_frozen_dataclasses_are_cells():
    @dataclass
    class Melts:
        a: int = 1

    with pytest.raises(TypeError, match="expected a frozen dataclass, got Melts"):
        grid(Melts())
    with pytest.raises(TypeError, match="expected a frozen dataclass, got dict"):
        grid({"a": 1})


def test_plain_values_give_the_cell_back():
    cells = grid(
        Config(), names=[("a", "b"), ()], limit=[None, 3], folder=[Path("a/b")], model=[Network(3), Line()], fast=[True]
    )
    assert len(cells) == 8
    assert [of_values(Config, as_values(cell)) for cell in cells] == cells
    assert len({place("root", "m:f", as_values(cell)).path for cell in cells}) == 8
    assert grid(Config(), seeds=np.arange(2)) == grid(Config(), seeds=[0, 1])


def test_the_place_of_a_cell_is_that_of_its_function_and_settings():
    one, same = as_values(Config(rate=1)), as_values(grid(Config(), rate=[1.0])[0])
    assert place("root", "m:f", one).path == place("root", "m:f", same).path
    assert place("root", "m:g", same).path != place("root", "m:f", same).path

    @dataclass(frozen=True)
    class Grows:
        number: int = 1

        def __post_init__(self):
            object.__setattr__(self, "number", self.number + 1)

    with pytest.raises(TypeError, match="does not come back from its fields"):
        as_values(Grows())


def test_values_that_are_missing_or_of_another_kind_are_refused():
    @dataclass(frozen=True)
    class Needs:
        number: int
        thing: object = None

    with pytest.raises(ValueError, match="needs a value for 'number', which has no default"):
        of_values(Needs, {})
    with pytest.raises(TypeError, match="thing: fields may be bool, int"):
        of_values(Needs, {"number": 1, "thing": 2})
