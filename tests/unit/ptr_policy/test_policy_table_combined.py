# SPDX-License-Identifier: Apache-2.0
"""One table from the results of several."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ptr_models.cli import main
from ptr_models.common.errors import PtrError
from ptr_policy.publishing import markdown_table
from ptr_policy.table.combined import combined_lines, leads, read_results

PLATE, POT = "put_carrot_on_plate", "put_corn_in_pot"


def entry(method: str, seed: int, successes: int, task: str = PLATE, **values: Any) -> dict[str, Any]:
    usual = {"trials": 20, "decoding": "mode", "best_in_validation": True, "settings": {"pretraining": 9000}}
    return {"method": method, "task": task, "seed": seed, "successes": successes} | usual | values


def written(folder: Path, *entries: dict[str, Any], name: str = "results.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(entries))
    return folder / name


def test_methods_are_compared_over_the_seeds_that_both_have(tmp_path: Path) -> None:
    ours = [entry("ptr", seed, 20) for seed in (0, 1, 2, 3)]
    bc = [entry("bc", seed, successes) for seed, successes in ((0, 18), (1, 16), (2, 14))]
    rows, differing = read_results([written(tmp_path / "a", *ours), written(tmp_path / "b", *bc)])
    assert [row.method.name for row in rows] == ["ptr", "bc"] and differing == []
    lead = leads(rows)["bc"]
    # Differences 0.1, 0.2, 0.3: t = 2 * sqrt(3) with two degrees of freedom, whose 97.5 % quantile is 4.303.
    assert lead.points == pytest.approx(0.2)
    assert lead.interval == pytest.approx((0.2 - 4.303 * 0.1 / 3**0.5, 0.2 + 4.303 * 0.1 / 3**0.5), abs=1e-4)
    assert lead.p == pytest.approx(0.0742, abs=1e-4)
    assert str(lead) == "+20 (-5 to +45), p = 0.074"


def test_p_is_adjusted_for_the_number_of_comparisons(tmp_path: Path) -> None:
    three = [entry("ptr", seed, 20) for seed in (0, 1, 2)]
    three += [entry("bc", seed, successes) for seed, successes in ((0, 18), (1, 16), (2, 14))]
    three += [entry("bet", seed, successes) for seed, successes in ((0, 19), (1, 20), (2, 18))]
    rows, _ = read_results([written(tmp_path, *three)])
    found = leads(rows)
    assert found["bc"].p == pytest.approx(2 * 0.0742, abs=2e-4)
    alone, _ = read_results([written(tmp_path / "alone", *(item for item in three if item["method"] != "bc"))])
    assert found["bet"].p == pytest.approx(max(leads(alone)["bet"].p or 0.0, 2 * 0.0742), abs=2e-4)


def test_equal_or_single_runs_have_no_interval(tmp_path: Path) -> None:
    same = [entry(method, seed, 20) for method in ("ptr", "awr") for seed in (0, 1)] + [entry("bet", 0, 10)]
    found = leads(read_results([written(tmp_path, *same)])[0])
    assert (str(found["awr"]), str(found["bet"])) == ("+0", "+50")


def test_a_cell_counts_with_its_best_decoding_and_the_mode_has_a_column(tmp_path: Path) -> None:
    entries = [
        entry("bc", 0, 2, best_in_validation=False),
        entry("bc", 0, 15, decoding="sample_gripper"),
        entry("bc", 0, 10, POT),
    ]
    rows, _ = read_results([written(tmp_path, *entries)])
    head, line = combined_lines(rows, leads(rows))
    assert dict(zip(head, line, strict=True)) == {
        "method": "BC (fine-tune)",
        "put carrot on plate": "15/20",
        "put corn in pot": "10/20",
        "runs": "1",
        "mean": "62 %",
        "95 %": "47-76 %",  # Wilson, 25 of 40
        "by the mode": "30 %",
        "lead of BC (fine-tune) in points": "",
    }


def test_the_command_writes_the_files_of_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = written(tmp_path / "a", entry("ptr", 0, 20), entry("bc", 0, 5))
    other = written(tmp_path / "b", entry("my_policy", 0, 7, settings={"pretraining": 500}))
    assert main(["table", "--results", str(one), str(other), "--out", str(tmp_path / "both")]) == 0
    assert "The results differ: pretraining is 500 or 9000." in capsys.readouterr().out
    names = {"table.md", "table.csv", "table.tex", "table.png", "table.pdf", "table.svg", "table.json"}
    assert {path.name for path in (tmp_path / "both").iterdir()} == names
    assert "| my_policy | 7/20 | 1 | 35 % |" in (tmp_path / "both" / "table.md").read_text()
    assert main(["table", "--results", str(one), "--seed", "3", "--out", str(tmp_path / "both")]) == 2
    assert "--results shows all of its files and trains nothing; leave out --seed" in capsys.readouterr().err
    (tmp_path / "a" / "plan.json").write_text("{}")
    assert main(["table", "--results", str(other), "--out", str(tmp_path / "a")]) == 2
    assert "holds a table; choose another --out" in capsys.readouterr().err


def test_methods_without_a_common_seed_have_no_lead(tmp_path: Path) -> None:
    rows, _ = read_results([written(tmp_path, entry("ptr", 1, 20), entry("bc", 2, 10))])
    assert leads(rows) == {}


def test_differences_that_are_equal_up_to_rounding_prove_nothing(tmp_path: Path) -> None:
    counts = (("ptr", 1, 3), ("ptr", 2, 2), ("bc", 1, 2), ("bc", 2, 1))
    entries = [entry(method, seed, successes, trials=10) for method, seed, successes in counts]
    assert str(leads(read_results([written(tmp_path, *entries)])[0])["bc"]) == "+10"


def test_a_small_p_is_a_bound(tmp_path: Path) -> None:
    counts = [entry("ptr", seed, 20) for seed in range(5)] + [entry("bc", seed, seed % 2) for seed in range(5)]
    assert str(leads(read_results([written(tmp_path, *counts)])[0])["bc"]).endswith("), p < 0.001")


def test_what_differs_beside_the_method_is_named(tmp_path: Path) -> None:
    one = entry("ptr", 0, 20, settings={"kitchen": "toykitchen1", "set": [], "cameras": ["wrist"]}, judge="person")
    other = entry("bc", 0, 20, settings={"kitchen": "toykitchen2", "set": ["batch_size=8"], "policy": "elsewhere"})
    _, differing = read_results([written(tmp_path, one, other | {"judge": "simulator"}, entry("bc", 0, 1, POT))])
    assert "judge is person or simulator" in differing and "set is ['batch_size=8'] or []" in differing
    assert f"kitchen of {PLATE} is toykitchen1 or toykitchen2" in differing
    assert f"PTR, seed 0 lacks {POT}" in differing
    assert not any("policy" in item or "cameras" in item for item in differing)


def test_a_cell_has_one_best_decoding(tmp_path: Path) -> None:
    files = [
        written(tmp_path / str(index), entry("ptr", 0, 20, decoding=decoding))
        for index, decoding in enumerate(("mode", "argmax_q"))
    ]
    with pytest.raises(PtrError, match="another best decoding of ptr, put_carrot_on_plate, seed 0"):
        read_results(files)


def test_the_same_trials_are_not_counted_twice(tmp_path: Path) -> None:
    one = written(tmp_path, entry("ptr", 0, 20))
    with pytest.raises(PtrError, match="repeats ptr, put_carrot_on_plate, seed 0, mode; give each result once"):
        read_results([one, one])


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ([], "is not a list of results"),
        ({"rows": []}, "is not a list of results"),
        ([entry("ptr", 0, 21)], "entry 0: successes is 21; it must be from 0 to 20"),
        ([entry("ptr", 0, 0, trials=0)], "entry 0: trials is 0"),
        ([entry("ptr", 0, 1), entry("bc", "1", 1)], "entry 1: seed is '1'"),  # type: ignore[arg-type]
        ([{"method": "ptr"}], "entry 0 has no 'task'"),
    ],
)
def test_what_are_no_results_is_refused_with_the_place(tmp_path: Path, found: Any, sentence: str) -> None:
    (tmp_path / "results.json").write_text(json.dumps(found))
    with pytest.raises(PtrError, match=sentence):
        read_results([tmp_path / "results.json"])


def test_the_table_of_the_results_page_is_that_of_the_committed_results() -> None:
    root = Path(__file__).parents[3]
    rows, _ = read_results([root / "docs" / "results" / "table_low_dim.json"])
    page = (root / "docs" / "explanation" / "results.md").read_text(encoding="utf-8")
    head, *lines = combined_lines(rows, leads(rows))
    assert markdown_table(head, lines) in page
