import shutil
import subprocess

import pytest

from adframe.reporting.latex import PaperColumn, label_of, paper_table, study_of
from adframe.stats.estimates import UNKNOWN, Estimate

SEEDS = PaperColumn(
    "image AUROC",
    {"a_b": Estimate(0.9871, spread=0.0, seeds=2), "[c]": Estimate(0.9, spread=0.013, seeds=2), "d": UNKNOWN},
    alike=frozenset({"[c]"}),
)
SINGLE = PaperColumn("AU-PRO 0.3", {"a_b": Estimate(1.0), "[c]": Estimate(0.9999)})
TABLE = paper_table(
    "setting", ["a_b", "[c]", "d"], [SEEDS, SINGLE], caption="On 50 % of it.", label=label_of("s", "t")
)


def rows(text):
    return text.split("\\midrule\n")[1].split("\\bottomrule")[0].splitlines()


def test_the_best_is_bold_and_its_equals_are_marked():
    assert rows(TABLE) == [
        r"a\_b & \bfseries 98.7 & \bfseries 0.0 & \bfseries 100.0 \\",
        r"{}[c] & 90.0 & 1.3{$^{*}$} & \bfseries 100.0 \\",  # as printed, both are the best
        r"d & \multicolumn{2}{c}{--} & {--} \\",
    ]
    assert "*: not significantly different from the best (tested for image AUROC)." in TABLE


def test_where_low_is_good_the_lowest_is_bold_and_one_row_is_not_the_best():
    values = {"a": Estimate(0.1), "b": Estimate(0.2)}
    assert PaperColumn("ECE", values, lowest=True).best == ["a"]
    assert "bf" not in paper_table("x", ["a"], [PaperColumn("ECE", values)], caption="", label="l")


@pytest.mark.parametrize(
    ("command", "study"),
    [
        ("python sweep.py experiment=memory dataset=mvtec_ad", "memory"),
        ("adframe sweep -m model.coreset=0.1,0.2 'seed=0,1' category=[a,b]", "coreset-seed"),
        ("python sweep.py", "study"),
    ],
)
def test_a_label_names_study_and_table(command, study):
    assert label_of(study_of(command, default="study"), "by_defect") == f"tab:{study}:by-defect"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles_it(tmp_path):
    head = "\\documentclass{article}\n\\usepackage{booktabs,siunitx}\n\\begin{document}\n"
    (tmp_path / "paper.tex").write_text(f"{head}{TABLE}\\end{{document}}\n")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=60, check=False,
    )  # fmt: skip
    if "File `siunitx.sty' not found" in done.stdout:
        pytest.skip("needs the LaTeX package siunitx")
    assert done.returncode == 0, done.stdout[-2000:]
