"""transferscope demo: the newcomer's first minutes."""

from transferscope.cli import compare, report, run

HELP = """
usage: transferscope demo [key=value ...]

A sweep, its verdicts and its report on data that ships with the dependencies: handwritten digits learnt from
printed digits, from printed letters, from altered handwriting, and from a source whose labels were shuffled.
The grid is conf/experiment/demo.yaml. Runs that are there already are not run again.

  transferscope demo                    two to five minutes on two cores
                                        (records in runs/, the page in report.html)
  transferscope demo seed=0,1           fewer seeds
  transferscope demo store=FOLDER       records and page go there
  transferscope demo trainer.optimizer.lr=0.0006,0.002,0.006
                                        at three learning rates: does what hurts at one hurt at all of them?
"""


def main(argv: list[str]) -> int:
    # `compare` shows the verdicts below
    status = run.main(["experiment=demo", "hydra.sweeper.verdicts=false", *argv])
    if status > 1:
        return status
    store = next((word.removeprefix("store=") for word in argv if word.startswith("store=")), None)
    compare.main([store or "runs"])
    report.main([store or "runs", "-o", f"{store}/report.html" if store else "report.html"])
    return status
