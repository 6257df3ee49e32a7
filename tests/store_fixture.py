"""Synthetic run stores in the real format: whole runs of known skill in milliseconds, without training.

`write_store(path)` writes a store that shows every kind of row once; `write_run` and `write_plan` build
special cases. Latent model: a run gets item i right where skill + difficulty[i] + effects of subset, run and
item is positive."""

import hashlib
import json
from pathlib import Path

import numpy as np

SEES = {
    "scratch": ["target_labels"],
    "target_only": ["target_labels"],
    "target_ssl": ["target_inputs", "target_labels"],
    "source_only": ["source_inputs", "source_labels"],
    "source_nearest_neighbour": ["source_inputs", "source_labels"],
    "source_svm": ["source_inputs", "source_labels"],
    "fine_tuning": ["source_inputs", "source_labels", "target_labels"],
    "linear_probe": ["source_inputs", "source_labels", "target_labels"],
    "dann": ["source_inputs", "source_labels", "target_inputs", "target_labels"],
}
CLASSES = 10
STEPS = (0, 100, 200, 300)


def write_run(
    store: Path,
    strategy: str,
    seed: int,
    skill: float,
    *,
    source: str | None = "printed",
    target: str = "handwritten",
    label_budget: int | str | None = 10,
    backbone: str = "small_cnn",
    initialisation: str = "random",
    protocol: str = "inductive",
    status: str = "done",
    reason: str = "",
    role: str = "run",
    n: int = 300,
    classes: int = CLASSES,
    group_size: int | None = None,
    item_effect: float = 0.3,
    seed_effect: float = 0.1,
    steps: tuple[int, ...] = STEPS,
    peak: int | None = None,
    settled: float = 2 / 3,
    rate: float | None = None,
    consumed: dict | None = None,
    split_seed: int = 0,
    deterministic: bool = False,
    flags: tuple[str, ...] = (),
    class_counts: dict | None = None,
    versions: dict | None = None,
    revision: str = "abc1234",
) -> dict:
    """Writes one run; returns its job for `write_plan`. `skill` 0 is about half right, 2 about 95 %.

    peak: the step after which skill falls again. settled: share of the steps after which it no longer rises.
    rate: it approaches `skill` as 1 − exp(−rate · share of the steps) instead. consumed: nested overrides,
    e.g. {"trainer": {"steps": 600}}. class_counts: of the labelled items; None: a record of an earlier
    version. deterministic: no draw of its own, only that of the labelled subset. A `collapsed` run predicts
    one class, a `diverged` one ends in NaN, a `failed` one has no evaluations."""
    sees = SEES.get(strategy, SEES["fine_tuning"])
    if "source_labels" not in sees:
        source = None
    if "target_labels" not in sees:
        label_budget = None
    cell = {
        "source": source,
        "target": target,
        "label_budget": label_budget,
        "backbone": backbone,
        "initialisation": initialisation,
        "strategy": strategy,
        "protocol": protocol,
    }
    eaten = {
        **{k: v for k, v in cell.items() if k not in ("source", "target", "strategy", "backbone")},
        "target": {"name": target, "digest": _hash(target, n)},
        "sources": [{"name": name, "digest": _hash(name)} for name in (source or "").split("+") if name],
        "strategy": {"_target_": f"transferscope.strategies.{strategy}", "version": 1, "name": strategy},
        "backbone": {
            "name": backbone,
            "width": 16,
            "weights": "pretrained" if initialisation == "pretrained" else "random",
        },
        "trainer": {"steps": steps[-1], "batch_size": 32, "optimizer": {"lr": 0.001}},
        "source_label_noise": 0.0,
        "seed": seed,
        "split_seed": split_seed,
        "device": "cpu",
        "precision": "32-true",
    }
    _merge(eaten, consumed or {})
    fingerprint = _hash(json.dumps([cell, eaten], sort_keys=True))
    folder = store / fingerprint
    folder.mkdir(parents=True, exist_ok=True)
    accuracy: dict[str, list[float]] = {}
    if status not in ("failed", "crashed", "not_applicable"):
        sets = {f"{target}/test": n}
        if label_budget == "full" or isinstance(label_budget, int) and label_budget >= 5:
            sets[f"{target}/val"] = 50
        if source:
            sets |= {f"{name}/val": 60 for name in source.split("+")}
        if rate is not None:
            shares = [1 - float(np.exp(-rate * step / steps[-1])) for step in steps]
        elif peak is None:
            shares = [min(1.0, step / (settled * steps[-1])) for step in steps]
        else:
            shares = [min(step, 2 * peak - step) / steps[-1] for step in steps]
        members, accuracy = {}, {}
        for prefix, count in sets.items():
            subset = (
                target,
                label_budget,
                seed if label_budget not in (None, "full") or not deterministic else 0,
                split_seed,
            )
            own = strategy if deterministic else fingerprint
            evaluated = _evaluated(
                prefix, count, classes, own, subset, skill, shares, status, item_effect, seed_effect
            )
            members |= {
                f"{prefix}/ids": evaluated["ids"],
                f"{prefix}/labels": evaluated["labels"],
                f"{prefix}/classes": evaluated["classes"],
            }
            if group_size and prefix == f"{target}/test":
                members[f"{prefix}/groups"] = np.array([f"writer{i // group_size}" for i in range(count)])
            for step, probabilities in zip(steps, evaluated["probabilities"], strict=True):
                members[f"{prefix}/probabilities/{step:06d}"] = probabilities
            accuracy[f"{prefix}/accuracy"] = [
                float((p.argmax(1) == evaluated["labels"]).mean()) for p in evaluated["probabilities"]
            ]
        np.savez(folder / "evaluations.npz", **members)
        _write_history(folder / "history.csv", steps, accuracy)
    record = {
        "schema": 1,
        "fingerprint": fingerprint,
        "status": status,
        "reason": reason,
        "traceback": f"Traceback (most recent call last):\n{reason}\n"
        if status in ("failed", "crashed")
        else None,
        "cell": cell,
        "seed": seed,
        "role": role,
        "sees": sees,
        "subset": _hash(target, label_budget, seed, split_seed) if label_budget is not None else None,
        "consumed": eaten,
        "config": {**eaten, "store": "runs"},
        "conditional_on": ["target_pool", "splits", "hyper_parameters"],
        "result": {
            "metrics": {key: values[-1] for key, values in accuracy.items()},
            "samples": {
                "source": 500 if source else 0,
                "target_labelled": 80,
                "target_val": 20,
                "target_unlabelled": 270,
            },
            "steps": {
                "target": steps[-1] if label_budget is not None else 0,
                "source": steps[-1] if source else 0,
            },
            "evaluations": list(steps),
            "flags": list(flags),
            **({"class_counts": class_counts} if class_counts else {}),
        }
        if accuracy
        else {},
        "timings": {
            "started": f"2025-01-01T00:00:{seed % 60:02d}+00:00",
            "fit_seconds": 2.0 + seed,
            "source_seconds": 1.0 if source else 0.0,
            "wall_seconds": 4.0 + seed,
        },
        "host": "testhost",
        "versions": versions or {"torch": "2.0", "transferscope": "0.1.0"},
        "git": {"revision": revision, "dirty": False},
        "device": "cpu",
        **({"deterministic": True} if deterministic else {}),
    }
    (folder / "record.json").write_text(json.dumps(record, indent=1))
    noise = eaten["source_label_noise"]
    return {
        "fingerprint": fingerprint,
        "cell": cell,
        "seed": seed,
        "role": role,
        "variant": {"source_label_noise": noise} if noise else {},
        "status": "planned",
        "reason": "",
        "overrides": " ".join([f"strategy={strategy} seed={seed}", *_overrides(consumed or {})]),
    }


def missing_job(store: Path, strategy: str, seed: int, **choices) -> dict:
    """The plan's job of a run that never came."""
    job = write_run(store, strategy, seed, 0.0, **choices)
    for file in (store / job["fingerprint"]).iterdir():
        file.unlink()
    (store / job["fingerprint"]).rmdir()
    return job


def not_applicable_job(
    strategy: str, seed: int, reason: str, *, source: str | None = "printed", target: str = "handwritten"
) -> dict:
    """The plan's job of a combination that was ruled out before it had a fingerprint."""
    cell = {"source": source, "target": target, "label_budget": 10, "strategy": strategy}
    return {
        "fingerprint": None,
        "cell": cell,
        "seed": seed,
        "role": "run",
        "variant": {},
        "status": "not_applicable",
        "reason": reason,
        "overrides": f"source={source} target={target} strategy={strategy} label_budget=10 seed={seed}",
    }


def write_plan(store: Path, name: str, jobs: list[dict], created: str = "2025-01-01T00:00:00+00:00") -> Path:
    folder = store / "sweeps" / name
    folder.mkdir(parents=True, exist_ok=True)
    unique = list({job["fingerprint"] or job["overrides"]: job for job in jobs}.values())
    (folder / "plan.json").write_text(
        json.dumps({"schema": 1, "name": name, "created": created, "jobs": unique}, indent=1)
    )
    return folder


def write_store(store: Path, seeds: int = 5, n: int = 300, plan: str = "demo") -> Path:
    """A store with one plan: strategies that help, harm, do nothing, collapse; a shuffled source; a failed, a
    missing, a ruled-out run."""
    jobs = []
    for budget, base in ((2, 0.3), (10, 1.2)):
        for seed in range(seeds):
            here = {"label_budget": budget, "n": n}
            jobs.append(write_run(store, "scratch", seed, base, **here))
            jobs.append(
                write_run(store, "target_only", seed, base + 0.5, initialisation="pretrained", **here)
            )
            jobs.append(write_run(store, "fine_tuning", seed, base + 0.8, initialisation="source", **here))
            jobs.append(
                write_run(
                    store,
                    "fine_tuning",
                    seed,
                    base,
                    initialisation="source",
                    consumed={"source_label_noise": 1.0},
                    **here,
                )
            )
            jobs.append(
                write_run(
                    store,
                    "fine_tuning",
                    seed,
                    base + 0.4,
                    initialisation="source",
                    source="printed+letters",
                    **here,
                )
            )
            jobs.append(
                write_run(store, "linear_probe", seed, base, initialisation="source", item_effect=0.2, **here)
            )
            collapses = budget == 2 and seed == 1
            jobs.append(
                write_run(
                    store,
                    "dann",
                    seed,
                    base - 0.6,
                    status="collapsed" if collapses else "done",
                    peak=200,
                    **here,
                )
            )
    for seed in range(seeds):
        jobs.append(write_run(store, "source_only", seed, 0.2, n=n))
    lost = {"source": "letters", "initialisation": "source", "n": n}
    for seed in range(seeds - 2):
        jobs.append(write_run(store, "fine_tuning", seed, 1.3, **lost))
    jobs.append(
        write_run(
            store,
            "fine_tuning",
            seeds - 2,
            1.3,
            status="failed",
            reason="RuntimeError: the disk is full",
            **lost,
        )
    )
    jobs.append(missing_job(store, "fine_tuning", seeds - 1, **lost))
    jobs.append(
        not_applicable_job(
            "dann", 0, "strategy=dann needs shared classes; source=letters shares none", source="letters"
        )
    )
    write_plan(store, plan, jobs)
    return store


def write_runs(store: Path, strategy: str, skill: float, seeds: int = 5, **choices) -> list[dict]:
    """One run a seed; their jobs."""
    return [write_run(store, strategy, seed, skill, **choices) for seed in range(seeds)]


def accuracy(store: Path, fingerprint: str, step: int = 300, prefix: str = "handwritten/test") -> float:
    """Of one stored evaluation, read without transferscope."""
    with np.load(store / fingerprint / "evaluations.npz") as members:
        return (members[f"{prefix}/probabilities/{step:06d}"].argmax(1) == members[f"{prefix}/labels"]).mean()


def edit(store: Path, fingerprint: str, change) -> None:
    """`change` the members of a run's evaluations."""
    path = store / fingerprint / "evaluations.npz"
    with np.load(path) as members:
        arrays = {name: members[name] for name in members.files}
    change(arrays)
    np.savez(path, **arrays)


def _evaluated(prefix, count, classes, own, subset, skill, shares, status, item_effect, seed_effect) -> dict:
    """ids, labels, classes and one [n, C] float32 of probabilities a share of training done."""
    items = _rng(prefix, count, subset[-1])  # the items of a domain are the same for all runs
    labels = items.permutation(np.arange(count) % classes)
    difficulty = items.normal(size=count)
    rival = (labels + items.integers(1, classes, count)) % classes
    arm, run = _rng(prefix, round(skill * 1000)), _rng(prefix, own)
    persistent = arm.normal(scale=item_effect, size=count)
    effect = _rng(*subset).normal(scale=2 * seed_effect) + run.normal(scale=seed_effect)
    noise = run.normal(scale=0.3, size=count)
    probabilities = []
    for k, share in enumerate(shares):
        logits = np.full((count, classes), -3.0)
        logits[np.arange(count), rival] = 0.0
        logits[np.arange(count), labels] = (skill + 1) * share - 1 + difficulty + persistent + effect + noise
        if status == "collapsed" and k > 0:
            logits = np.zeros((count, classes))
            logits[:, 0] = 5.0
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        if status == "diverged" and k == len(shares) - 1:
            p[:] = np.nan
        probabilities.append(p.astype(np.float32))
    return {
        "ids": np.array([f"{prefix.split('/')[0]}-{subset[-1]}-{i:05d}" for i in range(count)]),
        "labels": labels.astype(np.int64),
        "classes": np.array([f"class{c}" for c in range(classes)]),
        "probabilities": probabilities,
    }


def _write_history(path: Path, steps: tuple[int, ...], accuracy: dict[str, list[float]]) -> None:
    lines = [",".join(["step", "seconds", "loss/target", *accuracy])]
    for k, step in enumerate(steps):
        loss = "" if k == 0 else f"{1 / (1 + k):.4f}"
        lines.append(
            ",".join(
                [str(step), f"{0.5 * k:.2f}", loss, *(f"{values[k]:.6f}" for values in accuracy.values())]
            )
        )
    path.write_text("\n".join(lines) + "\n")


def _overrides(nested: dict, prefix: str = "") -> list[str]:
    texts = [
        _overrides(v, f"{prefix}{k}.") if isinstance(v, dict) else [f"{prefix}{k}={v}"]
        for k, v in nested.items()
    ]
    return [text for some in texts for text in some]


def _merge(base: dict, over: dict) -> None:
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value


def _hash(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def _rng(*parts: object) -> np.random.Generator:
    return np.random.default_rng(int(_hash(*parts), 16))
