# SPDX-License-Identifier: Apache-2.0
"""Tables and figures for a paper."""

from __future__ import annotations

import csv
from pathlib import Path

from ptr_policy.publishing import Bar, success_figure, write_table


def test_a_table_is_the_same_as_csv_and_latex(tmp_path: Path) -> None:
    head, rows = ("method", "all", "95 %"), [("R3M & BC_1", 3, None), ('with "help", a bit', 10, "72-100 %")]
    paths = write_table(tmp_path / "table", head, rows)
    assert [path.name for path in paths] == ["table.csv", "table.tex"]
    with paths[0].open(newline="") as stream:
        lines = list(csv.reader(stream))
    assert lines == [list(head), ["R3M & BC_1", "3", ""], ['with "help", a bit', "10", "72-100 %"]]
    assert paths[1].read_text() == (
        "\\begin{tabular}{lrr}\n\\toprule\nmethod & all & 95 \\% \\\\\n\\midrule\n"
        "R3M \\& BC\\_1 & 3 &  \\\\\n"
        'with "help", a bit & 10 & 72-100 \\% \\\\\n\\bottomrule\n\\end{tabular}\n'
    )


def test_what_latex_would_read_as_commands_is_text(tmp_path: Path) -> None:
    _, path = write_table(tmp_path / "table", ("name",), [(r"\input{/etc/passwd} ~^#$<>",)])
    line = path.read_text().splitlines()[4]
    assert line == (
        r"\textbackslash{}input\{/etc/passwd\} \textasciitilde{}\textasciicircum{}\#\$\textless{}\textgreater{} \\"
    )


def test_the_first_bar_is_on_top_and_a_ring_only_where_there_is_one() -> None:
    figure = success_figure([Bar("a", 0.9, (0.6, 1.0)), Bar("b", 0.2, (0.1, 0.4), other=0.46)], "success")
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["b", "a"]
    rings = [line for line in axis.lines if line.get_marker() == "o"]
    assert [line.get_xydata().tolist() for line in rings] == [[[0.46, 0.0]]]
