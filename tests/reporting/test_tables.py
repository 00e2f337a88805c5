import csv
import io

import pytest
from rich.console import Console

from adframe.reporting.tables import DASH, HEADLINE, Table, metrics_table, shown, table_of

METRICS = {
    "mean": {"image/auroc": 0.95, "pixel/aupro_0.3": 0.9},
    "bottle": {"image/auroc": 0.9871, "pixel/aupro_0.3": float("nan"), "image/f1": 0.5},
    "tray": {"image/auroc": None, "pixel/aupro_0.3": 0.9},
}


def test_categories_come_first_then_the_mean_and_gaps_are_dashes():
    table = metrics_table(METRICS)
    assert table.header == ("category", "image AUROC", "AU-PRO 0.3")
    assert table.shown == (("bottle", "98.7", DASH), ("tray", DASH, "90.0"), ("mean", "95.0", "90.0"))


def test_csv_holds_raw_values_under_full_names():
    lines = list(csv.reader(io.StringIO(metrics_table(METRICS).to_csv())))
    assert lines[:2] == [["category", "image/auroc", "pixel/aupro_0.3"], ["bottle", "0.9871", ""]]


def test_markdown_survives_a_name_with_a_bar():
    text = metrics_table({"a|b": {"image/auroc": 0.5}}).to_markdown()
    assert text == "| category | image AUROC |\n| :--- | ---: |\n| a\\|b | 50.0 |\n"


def test_markdown_of_a_name_that_ends_in_a_backslash_keeps_its_cells():
    assert "| a\\\\ | 50.0 |" in metrics_table({"a\\": {"image/auroc": 0.5}}).to_markdown()


def test_latex_is_booktabs_with_percentages_and_a_bold_mean():
    assert metrics_table(METRICS).to_latex() == (
        "\\begin{tabular}{lrr}\n\\toprule\n"
        "category & image AUROC & AU-PRO 0.3 \\\\\n\\midrule\n"
        "bottle & 98.7 & -- \\\\\ntray & -- & 90.0 \\\\\n\\midrule\n"
        "\\textbf{mean} & \\textbf{95.0} & \\textbf{90.0} \\\\\n"
        "\\bottomrule\n\\end{tabular}\n"
    )


def test_latex_survives_every_special_letter():
    row = table_of([{"a_b": r"50% & {x} $y #1 ^~\\z <0.1", "n": -0.25}]).to_latex().splitlines()[4]
    assert row == (
        r"50\% \& \{x\} \$y \#1 \textasciicircum{}\textasciitilde{}"
        r"\textbackslash{}\textbackslash{}z \textless{}0.1 & $-$0.25 \\"
    )


def test_latex_keeps_a_category_in_brackets_apart_from_the_line_break_before_it():
    assert "\n{}[x] & 50.0 " in metrics_table({"[x]": {"image/auroc": 0.5}}).to_latex()


@pytest.mark.parametrize("width", [60, 100])
def test_the_terminal_table_fits_and_cuts_no_number(width):
    table = metrics_table({"a_very_long_category_name_" * 3: dict.fromkeys(HEADLINE, 1.0)})
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(table.to_rich(width=width))
    text = console.export_text()
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert "100.0" in text
    assert "…" not in text


def test_a_category_named_like_markup_is_printed_as_it_is():
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(metrics_table({"[red]x[/red]": {"image/auroc": 0.5}}).to_rich())
    assert "[red]x[/red]" in console.export_text()


def test_a_leaderboard_takes_its_columns_from_all_rows():
    table = table_of([{"coreset": 0.1, "image/auroc": 0.9}, {"coreset": 0.05, "seconds": 3}])
    assert table.shown == (("0.1", "90.0", DASH), ("0.05", DASH, "3"))
    assert table_of([{"a": 1, "b": 2}], keys=["b"]).rows == ((2,),)
    assert isinstance(table_of([]), Table)


@pytest.mark.parametrize(
    ("value", "text"), [(None, DASH), (float("inf"), DASH), (0, "0"), (True, "True"), (1.0, "1")]
)
def test_shown(value, text):
    assert shown(value) == text


def test_metrics_beside_the_headline_have_names_but_no_column_among_the_categories():
    known = {"image/class_f1": 0.9, "image/ece": 0.05, "image/brier": 0.08}
    table = table_of([known])
    assert table.header == ("class F1", "ECE", "Brier score")
    assert table.shown == (("90.0", "5.0", "0.08"),)
    assert metrics_table({"bolt": known}).header == ("category",)


def test_words_begin_at_the_left_and_numbers_with_their_units_do_not():
    texts = (
        "86.0 to 94.4",
        "+1.2 (+0.3 to +2.1)",
        "3 min 05 s",
        "2026-11-27 10:00",
        "000.png",
        "6,144 patches",
    )
    words = [text for text in texts if table_of([{"name": "a", "value": text}]).word_columns == {0, 1}]
    assert words == ["000.png", "6,144 patches"]
    assert table_of([{"name": "a", "value": "b"}]).to_markdown().splitlines()[1] == "| :--- | :--- |"
