"""Runs of somebody else's project, as its scripts would log them: a table of predictions, a row an item."""

import wandb

PREDICTIONS = {  # of items a to d, whose labels are x, x, y, y
    ("scratch", 0): "xxxx",
    ("scratch", 1): "yxxx",
    ("tuned", 0): "xxyy",
    ("tuned", 1): "xyyy",
}


def log_all(project: str) -> None:
    for (model, seed), predicted in PREDICTIONS.items():
        run = wandb.init(
            project=project,
            name=f"{model}-{seed}",
            config={"model": {"name": model}, "seed": seed},
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True, x_disable_meta=True),
        )
        rows = [[*row] for row in zip("abcd", "xxyy", predicted, strict=True)]
        early = wandb.Table(columns=["image", "gold", "answer"], data=[[*"abx"]])
        run.log({"test/answers": early})
        run.log({"test/answers": wandb.Table(columns=["image", "gold", "answer"], data=rows)})
        if project == "several":
            run.log({"other": wandb.Table(columns=["image"], data=[["a"]])})
        run.finish()


if __name__ == "__main__":
    for name in ("answers", "several"):
        log_all(name)
