"""What compared runs decide, in one sentence."""

from __future__ import annotations

from adframe.analysis.compared_runs import ComparedRun, fused, read_compared_run
from adframe.analysis.decision_sentences import decision_sentences
from tests.fakes.run_folder import write_run


def test_every_run_with_decisions_is_counted(tmp_path):
    runs = [read_compared_run(name, write_run(tmp_path / name, pictures=0)) for name in "AB"]
    rows = list(runs[0].images.values())
    found, alarms = (sum(row["decision"] for row in rows if row["label"] == label) for label in (1, 0))
    each = f"found {found} of 84 defects, false alarms on {alarms} of 60 normal images"
    assert decision_sentences(runs) == [f"Decisions at the own threshold: A {each}; B {each}."]
    undecided = {key: row | {"decision": None} for key, row in runs[0].images.items()}
    assert decision_sentences([ComparedRun("A", runs[0].run, undecided)]) == []
    assert fused(runs).name not in decision_sentences([*runs])[0]
