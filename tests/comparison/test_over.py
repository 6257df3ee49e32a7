"""`compare --over` and `Comparison.over`: which cells make a question, and what is said of it."""

import csv
import io
import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from store_fixture import write_runs
from transferscope.cli.main import main
from transferscope.comparison.compare import compare
from transferscope.comparison.comparison import Comparison
from transferscope.errors import RequestError
from transferscope.external.results import Results

ITEMS, SEEDS = 20, 2


def table(effects: dict[tuple[str, str | None, str], float], **more: object) -> dict[str, list]:
    """Results as columns. effects: Δ to scratch by (strategy, source, target), the same in each seed and item
    but for a sway of the items that cancels out."""
    arms = [("scratch", None, target) for target in dict.fromkeys(target for *_, target in effects)]
    columns: dict[str, list] = {
        name: [] for name in ("item", "seed", "strategy", "source", "target", "score")
    }
    for strategy, source, target in [*arms, *effects]:
        delta = effects.get((strategy, source, target), 0.0)
        for seed in range(SEEDS):
            for item in range(ITEMS):
                sway = 0.0 if strategy == "scratch" else 0.01 * (-1) ** (item + seed)
                values = (f"{target}{item}", seed, strategy, source or "", target, 0.5 + delta + sway)
                for column, value in zip(columns.values(), values, strict=True):
                    column.append(value)
    return columns | {name: [value] * len(columns["item"]) for name, value in more.items()}


def over_targets(**strategies: list[float]) -> dict[str, list]:
    """One source, an effect a target."""
    return table(
        {
            (name, "photos", f"t{k}"): effect
            for name, found in strategies.items()
            for k, effect in enumerate(found)
        }
    )


def compared(columns: dict[str, list], **more: object) -> Comparison:
    return compare(Results(columns), baseline="scratch", **more)


GAIN = [0.06, -0.03, 0.09, 0.08, 0.02, 0.07]


@pytest.fixture(scope="module")
def two() -> Comparison:
    return compared(over_targets(tuned=GAIN, probed=[-value for value in GAIN[:5]], few=GAIN[:3]))


def test_a_claim_is_the_t_interval_over_targets(two):
    over = two.over("targets")
    probed, tuned = over.claims
    assert (probed.strategy, probed.domains, tuned.domains) == ("probed", 5, 6)
    assert tuned.delta == pytest.approx(np.mean(GAIN))
    theirs = stats.ttest_1samp(GAIN, 0.0)
    alone, both = (theirs.confidence_interval(1 - alpha) for alpha in (0.05, 0.05 / 2))
    assert tuned.ci == pytest.approx((alone.low, alone.high))
    assert tuned.p_difference == pytest.approx(2 * theirs.pvalue) and tuned.family_size == 2
    assert tuned.ci_simultaneous == pytest.approx((both.low, both.high)) and tuned.verdict == "undecided"
    half = stats.t.ppf(0.975, 5) * np.std(GAIN, ddof=1) * math.sqrt(1 + 1 / 6)
    assert tuned.new_domain == pytest.approx((tuned.delta - half, tuned.delta + half))
    assert tuned.effects == pytest.approx({f"t{k}": effect for k, effect in enumerate(GAIN)})
    assert tuned.margin == 0.01 and tuned.reason.startswith("more targets: about")


def test_too_few_targets_are_listed_and_make_no_claim(two):
    over = two.over("targets")
    ((row),) = over.not_claimed
    assert (row["strategy"], row["domains"]) == ("few", 3)
    assert row["reason"] == "only 3 targets, 5 are needed"
    assert row["reason"] in over.to_table(100) and row["reason"] in over.to_markdown()


def test_signs_are_counted_by_the_cells_own_intervals(two):
    """Items sway by one point and Δ are several: every cell is sure of its sign where no rule bars it."""
    tuned = two.over("targets").claims[1]
    assert (tuned.counted, tuned.below) == (6, 1)
    wide = replace(two, cells=[replace(cell, ci_simultaneous=(-1.0, 1.0)) for cell in two])
    narrow = replace(
        two, cells=[replace(cell, ci_simultaneous=(cell.delta - 0.01, cell.delta + 0.01)) for cell in two]
    )
    barred = replace(narrow, cells=[replace(cell, overruled="collapse") for cell in narrow])
    for comparison, sure in ((wide, (0, 0)), (narrow, (1, 5)), (barred, (0, 0))):
        claim = comparison.over("targets").claims[1]
        assert (claim.surely_below, claim.surely_not_below) == sure
    assert "In 1 of 6 targets Δ < 0, 1 surely, 5 surely not" in narrow.over("targets").to_table(200)


def test_sources_of_a_target_are_averaged_first():
    effects = {
        ("tuned", source, f"t{k}"): gain + add
        for k, gain in enumerate(GAIN)
        for source, add in (("near", 0.02), ("far", -0.01))
    }
    (claim,) = compared(table(effects)).over("targets")
    assert (claim.domains, claim.sources, claim.cells) == (6, 2, 12)
    assert claim.effects["t0"] == pytest.approx(0.065)
    assert claim.ci == pytest.approx(
        tuple(stats.ttest_1samp(np.array(GAIN) + 0.005, 0).confidence_interval())
    )
    (turned,) = compared(table({(s, t, f): e for (s, f, t), e in effects.items()})).over("sources")
    assert turned.ci == pytest.approx(claim.ci) and turned.over == "sources"
    lost = {key: effect for key, effect in effects.items() if key[1:] != ("far", "t2")}
    (claim,) = compared(table(lost)).over("targets")
    assert "not all targets have the same sources" in claim.flags


def test_pairs_of_domains_that_are_both_are_a_jackknife_over_domains():
    names, rng = [f"d{k}" for k in range(6)], np.random.default_rng(0)
    add = {name: rng.normal(0.02, 0.03) for name in names}
    effects = {("tuned", s, t): add[s] + add[t] for s in names for t in names if s != t}
    (claim,) = compared(table(effects)).over("pairs")
    # what a domain contributes to a sum over its roles is 2 add
    interval = stats.ttest_1samp([2 * value for value in add.values()], 0).confidence_interval()
    assert claim.ci == pytest.approx((interval.low, interval.high))
    assert (claim.domains, claim.sources, claim.targets, claim.counted) == (6, 6, 6, 30)
    assert claim.method.startswith("jackknife") and claim.new_domain is None
    effects.pop(("tuned", "d0", "d1"))
    (claim,) = compared(table(effects)).over("pairs")
    assert "1 of 30 pairs are missing" in claim.flags
    (claim,) = compared(table(effects)).over("targets")
    assert any("--over pairs speaks of other sources too" in flag for flag in claim.flags)


def test_pairs_of_domains_with_one_role_are_sources_by_targets():
    sources, targets = {f"s{k}": k / 100 for k in range(5)}, {f"t{k}": (k % 2) / 20 for k in range(6)}
    effects = {("tuned", s, t): sources[s] + targets[t] for s in sources for t in targets}
    (claim,) = compared(table(effects)).over("pairs")
    spread = [np.std([*part.values()], ddof=1) / len(part) ** 0.5 for part in (sources, targets)]
    half = math.hypot(stats.t.ppf(0.975, 4) * spread[0], stats.t.ppf(0.975, 5) * spread[1])
    assert claim.ci == pytest.approx((claim.delta - half, claim.delta + half))
    assert claim.method.startswith("sources × targets") and (claim.sources, claim.targets) == (5, 6)
    over = compared(table({key: e for key, e in effects.items() if key[1] != "s4"})).over("pairs")
    assert over.not_claimed[0]["reason"] == "only 4 sources, 5 are needed"


def test_one_domain_in_every_pair_is_listed():
    effects = {("tuned", "hub", f"d{k}"): 0.02 for k in range(5)} | {
        ("tuned", f"d{k}", "hub"): 0.03 for k in range(5)
    }
    over = compared(table(effects)).over("pairs")
    assert not over.claims
    assert repr(over) == "No claim over pairs: one domain is in every pair, without it nothing is left."


def test_barred_cells_count_and_are_told(two):
    cells = [replace(cell, collapsed=1) if cell.target == "t0" else cell for cell in two]
    rising = [
        replace(cell, strategy_rise=cell.strategy_rise | {"is_rising": True}) if cell.target == "t1" else cell
        for cell in cells
    ]
    over = replace(two, cells=rising).over("targets")
    tuned = over.claims[1]
    assert tuned.delta == pytest.approx(np.mean(GAIN)) and (tuned.collapsed, tuned.unfinished) == (1, 1)
    text = " ".join(over.to_table(200).split())
    assert "1 of 6 cells with collapsed runs" in text and "training that had not finished" in text


def test_one_target_that_makes_the_spread_is_named():
    (claim,) = compared(over_targets(tuned=[0.0, 0.01, 0.0, 0.01, 0.3, 0.0])).over("targets")
    assert any(flag.startswith("strongly skewed effects of targets (skewness +1.") for flag in claim.flags)
    assert any(flag.startswith("t4 alone makes 83 %") for flag in claim.flags)


def test_equal_effects_leave_what_rounding_hides():
    (claim,) = compared(over_targets(tuned=[0.02] * 5)).over("targets")
    assert claim.ci[0] < 0.02 < claim.ci[1] and claim.verdict == "positive"


def test_one_target_of_few_items_does_not_hide_what_the_others_show():
    """Each effect's own rounding, in the mean over them; a seed each has its own."""
    columns = over_targets(tuned=[0.02] * 5)
    kept = [k for k, item in enumerate(columns["item"]) if item not in {f"t0{n}" for n in range(4, ITEMS)}]
    few = {name: [values[k] for k in kept] for name, values in columns.items()}
    claims = [compared(some).over("targets").claims[0] for some in (columns, few)]
    halves = [claim.ci[1] - claim.delta for claim in claims]
    hidden = [np.mean([1 / n**2 / 12 / SEEDS for n in [20] * 4 + [last]]) for last in (20, 4)]
    assert halves[1] / halves[0] == pytest.approx(math.sqrt(hidden[1] / hidden[0]), rel=1e-3)
    assert claims[0].delta == pytest.approx(claims[1].delta) and claims[1].domains == 5


def test_targets_without_a_result_are_named(two):
    row = {"source": "photos", "target": "t9", "label_budget": None, "strategy": "tuned", "variant": ""}
    row |= {key: getattr(two.cells[0], key) for key in ("backbone", "initialisation", "protocol")}
    over = replace(two, missing=[row | {"seed": 0, "reason": "no run yet"}]).over("targets")
    assert "without a result: t9" in over.claims[1].flags and not any(
        "result" in flag for flag in over.claims[0].flags
    )


def test_controls_are_left_out_and_budgets_are_apart(two):
    controls = replace(two, cells=[replace(cell, family=f"{cell.family}/controls") for cell in two])
    assert not controls.over("targets").claims and not controls.over("targets").not_claimed
    apart = [replace(c, label_budget=b) for b in (5, 2, "full") for c in two if c.strategy == "tuned"]
    claims = replace(two, cells=apart).over("targets").claims
    assert [claim.label_budget for claim in claims] == [2, 5, "full"]
    assert {claim.family_size for claim in claims} == {3}


def test_formats_tell_the_same(two):
    over = two.over("targets")
    answer = json.loads(over.to_json(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert [row["delta"] for row in answer["claims"]] == [claim.delta for claim in over]
    assert answer["settings"]["over"] == "targets" and len(answer["not_claimed"]) == 1
    rows = list(csv.DictReader(io.StringIO(over.to_csv())))
    assert [float(row["ci_low"]) for row in rows] == pytest.approx([100 * c.ci[0] for c in over], abs=1e-3)
    assert {row["unit"] for row in rows} == {"points"} and "t0: 6" in rows[1]["effects"]
    tuned = "+4.8 [−1.0, +10.7]"
    for text in (over.to_table(150), over.to_markdown(), repr(over)):
        assert tuned in text.replace(" points", ""), text
    assert r"\toprule" in over.to_latex()
    assert "+4.8 [$-$1.0, +10.7]" in over.to_latex()


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_table_fits_its_terminal(two, width):
    lines = two.over("targets").to_table(width).splitlines()
    assert max(map(len, lines)) <= width


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    made = {}
    for name, columns in {
        "six": over_targets(harmed=[-value for value in (0.06, 0.05, 0.09, 0.08, 0.02, 0.07)]),
        "three": over_targets(tuned=GAIN[:3]),
    }.items():
        made[name] = tmp_path_factory.mktemp("over") / f"{name}.csv"
        with open(made[name], "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
    return made


def told(capsys, *words: object) -> tuple[int, str, str]:
    code = main(["compare", *map(str, words), "--baseline", "scratch"])
    return code, *capsys.readouterr()


def test_the_command_tells_claims_and_the_gate_is_of_these(files, capsys):
    code, out, err = told(capsys, files["six"], "--over", "targets", "--fail-on", "negative")
    assert code == 3 and "1 of 1 claims: harmed over 6 targets" in err
    assert "harmed, over 6 targets: Δ −6.2 points" in out and "surely" in out
    code, out, _ = told(capsys, files["six"], "--over", "targets", "--format", "json")
    assert code == 0 and json.loads(out)["claims"][0]["verdict"] == "negative"


def test_where_nothing_has_five_domains_that_is_said(files, capsys):
    code, out, _ = told(capsys, files["three"], "--over", "targets")
    assert code == 0 and "No claim over targets: only 3 targets, 5 are needed." in out
    code, _, err = told(capsys, files["three"], "--over", "targets", "--fail-on", "negative")
    assert code == 3 and "nothing could be compared" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--over", "target"], "--over target: not one of targets, sources, pairs; did you mean 'targets'?"),
        (["--over", "targets", "--format", "predictions"], "--format predictions: not one of table, json"),
    ],
)
def test_refused_in_one_line(files, capsys, words, said):
    code, out, err = told(capsys, files["three"], *words)
    assert code == 2 and not out and said in err and err.count("\n") == 1


def test_targets_of_one_domains_items_are_refused_before_anything_is_read(tmp_path, capsys):
    for strategy, skill in {"scratch": 1.0, "fine_tuning": 1.2}.items():
        write_runs(tmp_path, strategy, skill)
    before = {*tmp_path.rglob("*")}
    code, _, err = told(capsys, tmp_path, "--over", "targets", "--tested-on", "elsewhere")
    assert code == 2 and "every target is judged on the test items of elsewhere" in err
    assert {*tmp_path.rglob("*")} == before


def test_another_word_from_python(two):
    with pytest.raises(RequestError, match="--over domains: not one of targets, sources, pairs"):
        two.over("domains")


def test_sources_of_one_target_are_given_its_baseline_and_flagged_where_they_overlap():
    sources = ["z", "a+b", "b+c", "d", "e"]
    effects = {("tuned", source, "t0"): 0.01 * k for k, source in enumerate(sources)}
    (claim,) = compared(table(effects)).over("sources")
    assert claim.method.endswith("these runs of the baseline") and claim.domains == 5
    assert any("have a domain in common" in flag for flag in claim.flags)
    lone = {("tuned", s, t): 0.3 if s == "a" else 0.0 for s, t in [("z", "t0"), *((s, "t1") for s in "abcd")]}
    (claim,) = compared(table(lone)).over("sources")
    assert any(flag.startswith("a alone makes 80 %") for flag in claim.flags)


def test_targets_judged_on_one_domains_items_are_no_sample(two):
    away = replace(two, settings=two.settings | {"tested_on": "elsewhere"})
    for domains in ("targets", "pairs"):
        with pytest.raises(RequestError, match="the test items of elsewhere"):
            away.over(domains)
    assert away.over("sources").not_claimed


def test_equal_effects_of_scores_without_items_make_no_claim(tmp_path):
    """A matrix's Δ are all there is of it: equal ones tell nothing of how far they may be apart."""
    path = tmp_path / "matrix.csv"
    for gain in (0.0, 0.01, 0.1):
        lines = ["source," + ",".join(f"t{k}" for k in range(5))]
        scores = [0.6 + 0.05 * k for k in range(5)]
        lines.append("scratch," + ",".join(map(str, scores)))
        lines.append("photos," + ",".join(str(score + gain) for score in scores))
        path.write_text("\n".join(lines) + "\n")
        over = compare(Results(path, matrix=True)).over("targets")
        ((row),) = over.not_claimed
        assert not over.claims and row["reason"] == (
            "all effects are equal, and how finely scores are told is not known"
        )


def test_domains_in_combined_sources_count_once():
    """Six sources of two domains each are of four domains: two of these in common are no sample of six."""
    sources = [f"{a}+{b}" for a, b in itertools.combinations("abcd", 2)]
    effects = {("tuned", s, f"t{k}"): 0.01 * (n + k) for n, s in enumerate(sources) for k in range(5)}
    comparison = compared(table(effects))
    for over in ("sources", "pairs"):
        found = comparison.over(over)
        assert not found.claims
        assert found.not_claimed[0]["reason"] == "only 4 domains in 6 sources, 5 are needed"
        assert repr(found) == f"No claim over {over}: only 4 domains in 6 sources, 5 are needed."
    assert comparison.over("targets").claims


def test_what_is_wanted_more_of_is_the_role_with_fewer():
    names, rng = [f"d{k}" for k in range(12)], np.random.default_rng(3)
    effects = {("tuned", s, t): float(rng.normal(0.02, 0.05)) for s in names[:5] for t in names if s != t}
    (claim,) = compared(table(effects)).over("pairs")
    assert claim.verdict == "undecided" and claim.reason.startswith(("more sources: ", "budget: "))
    (claim,) = compared(table({("tuned", t, s): e for (_, s, t), e in effects.items()})).over("pairs")
    assert " targets" in claim.reason and "domains" not in claim.reason


def numbers(scales: list[float], **more: object) -> dict[str, list]:
    """Predicted numbers, a scale a target: `tuned` errs by a tenth of it less than `scratch`."""
    rng = np.random.default_rng(0)
    columns: dict[str, list] = {
        name: [] for name in ("item", "seed", "strategy", "source", "target", "truth", "prediction")
    }
    for k, scale in enumerate(scales):
        truths = scale * rng.random(ITEMS)
        for strategy, error in (("scratch", 0.3), ("tuned", 0.2)):
            for seed in range(SEEDS):
                for item, truth in enumerate(truths):
                    off = scale * (error + 0.01 * k) * (-1) ** (item + seed)
                    source = "" if strategy == "scratch" else "photos"
                    row = (f"t{k}-{item}", seed, strategy, source, f"t{k}", truth, truth + off)
                    for column, value in zip(columns.values(), row, strict=True):
                        column.append(value)
    return columns


def test_errors_without_a_unit_are_refused_where_targets_are_of_other_sizes():
    far = compared(numbers([1, 1, 1, 1, 10_000]))
    with pytest.raises(RequestError, match="unit of truth is not stated, and errors reach .* in t4; compare"):
        far.over("targets")
    (claim,) = compared(numbers([1, 2, 3, 1, 2])).over("targets")
    assert claim.verdict == "positive" and claim.unit == "truth"
    stated = [cell for cell in far if cell.target != "t4"]
    assert "only 4 targets" in replace(far, cells=stated).over("targets").not_claimed[0]["reason"]


def test_questions_that_differ_in_more_than_a_strategy_do_not_read_the_same(two):
    cells = [replace(cell, backbone=name) for cell in two for name in ("small", "large")]
    mixed = [replace(c, protocol="transductive") if c.strategy == "probed" else c for c in cells]
    lines = replace(two, cells=mixed).over("targets")
    said = repr(lines).splitlines()
    assert len({line.partition(",")[0] for line in said}) == len(said) == 4
    assert said[0].startswith("probed (backbone large; protocol transductive), over 5 targets")
    text = lines.to_table(200)
    assert "few (backbone small; protocol inductive)" in text and "(backbone" not in repr(two.over("targets"))
