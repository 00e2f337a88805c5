"""Names that look like numbers, truth values or null, and paths with special characters."""

import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException

from adframe.config.literal_overrides import has_special_characters, quote_names, quote_override
from adframe.config.messages import one_line


def read(argument: str) -> object:
    return OverridesParser.create().parse_override(argument).value()


@pytest.mark.parametrize(
    "name", ["1", "1e3", "true", "False", "-5", "null", "nan", ".5", "1_000", "007", "screw"]
)
def test_a_category_is_read_as_it_is_typed(name: str) -> None:
    assert read(*quote_names([f"category={name}"])) == name
    assert read(*quote_names([f"category=[{name},a]"])) == [name, "a"]
    assert read(*quote_names([f"dataset.normal=[{name}]"])) == [name]


def test_a_sweep_over_names_stays_one() -> None:
    (argument,) = quote_names(["category=1,true"])
    sweep = OverridesParser.create().parse_override(argument)
    assert list(sweep.sweep_string_iterator()) == ["'1'", "'true'"]


@pytest.mark.parametrize(
    "argument",
    [
        "coreset=0.1",
        "seed=0,1",
        "category='1'",
        'category=["1",a]',
        "dataset.masks=null",
        "-m",
        "dataset.bits=12",
    ],
)
def test_all_else_stays_as_it_is(argument: str) -> None:
    assert quote_names([argument]) == [argument]


def test_null_is_no_category_where_a_key_may_be_left_out() -> None:
    assert quote_names(["category=null"], named=()) == ["category=null"]
    assert read(*quote_names(["category=null"])) == "null"


@pytest.mark.parametrize(
    "path",
    [
        "/a=b/c",
        "/a,b",
        "/with space/[x]",
        "it's",
        'say "x"',
        "back\\slash\\",
        "a:b",
        "/a[1]",
        "/\u00e4",
        "/#a",
        "~/a",
    ],
)
def test_the_quotes_that_are_shown_work(path: str) -> None:
    assert has_special_characters(f"dataset.root={path}")
    (argument,) = shlex.split(quote_override(f"dataset.root={path}"))
    assert read(argument) == path


def test_what_cannot_be_read_shows_how_to_type_it() -> None:
    with pytest.raises(Exception, match=r"extraneous|mismatched|no viable") as error:
        OverridesParser.create().parse_overrides(["dataset.root=/a=b"])
    assert one_line(error.value).endswith("is typed as 'dataset.root=\"/a=b\"'")


def test_a_path_with_brackets_is_shown_as_it_was_typed() -> None:
    (argument,) = quote_names(["dataset.root=/set[1]"])
    with pytest.raises(OverrideParseException) as error:
        OverridesParser.create().parse_overrides([argument])
    assert one_line(error.value).endswith("is typed as 'dataset.root=\"/set[1]\"'")
