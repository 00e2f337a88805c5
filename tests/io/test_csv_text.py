import csv
import io

import pytest

from adframe.io.csv_text import csv_text


@pytest.mark.parametrize("text", ["=1+1", "=cmd|' /C calc'!A0", "+x", "-x", "@SUM(A1)", "\tx", "- 5"])
def test_a_text_that_would_be_a_formula_is_quoted(text: str) -> None:
    ((head, cell),) = csv.reader(io.StringIO(csv_text([text, "b" + text], []), newline=""))
    assert (head, cell) == (f"'{text}", f"b{text}")


def test_numbers_stay_numbers_and_what_is_missing_is_empty() -> None:
    row = [-1, -0.5, float("-inf"), "-5", "+1e-3", None, True, "plain, with comma"]
    assert csv_text(["a"], [row]) == 'a\n-1,-0.5,-inf,-5,+1e-3,,True,"plain, with comma"\n'


def test_a_carriage_return_begins_neither_a_formula_nor_a_row() -> None:
    assert csv_text(["a"], [["\r=1+1"]]) == "a\n' =1+1\n"
