"""The options of `run_grid` and `open_cells`, as editors complete them, are those of `bench run`."""

import inspect
import typing

import bench
from bench.grid.given import Given, Words
from bench.grid.options import LISTS, GridOptions


def test_given_has_every_option_and_no_other():
    assert list(Given.__annotations__) == list(GridOptions.model_fields)


def test_given_takes_lists_where_a_grid_has_lists():
    hints = typing.get_type_hints(Given)
    assert {name for name, hint in hints.items() if hint == Words} == LISTS - {"seeds"}
    for name, field in GridOptions.model_fields.items():
        if typing.get_origin(field.annotation) is typing.Literal:
            assert hints[name] == field.annotation


def test_both_functions_take_them():
    for function in (bench.run_grid, bench.open_cells):
        options = [each for each in inspect.signature(function).parameters.values() if each.kind is each.VAR_KEYWORD]
        assert [each.annotation for each in options] == ["Unpack[Given]"]
