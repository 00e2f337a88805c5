from rich.console import Console

from adframe.reporting import notes


def test_in_a_terminal_lines_break_between_words_and_paths_stay_whole(monkeypatch, capsys):
    terminal = Console(width=30, force_terminal=True, highlight=False, markup=False)
    monkeypatch.setattr(notes, "Console", lambda **_: terminal)
    path = "/a/path/that/is/longer/than/a/line.html"
    notes.say(f"false alarms on [3] of 24 normal images: {path}")
    assert capsys.readouterr().out == f"false alarms on [3] of 24\nnormal images:\n{path}\n"


def test_in_a_file_a_line_stays_one_line(capsys):
    notes.say("word " * 40)
    assert capsys.readouterr().out.count("\n") == 1
