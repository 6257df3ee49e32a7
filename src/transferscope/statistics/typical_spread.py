"""How much differences of accuracy varied in real experiments: what a plan starts from before there is a
pilot. `experiments/planning` says where from; a test makes these numbers again from its tables."""

from transferscope.statistics.planning import Spread

SOURCE = "5 experiments"
TYPICAL_SPREAD = {
    "lowest": Spread(0.01**2, 0.2**2, 0.1**2, 0.02, 0.01),
    "typical": Spread(0.02**2, 0.2**2, 0.1**2, 0.02, 0.01),
    "highest": Spread(0.05**2, 0.2**2, 0.1**2, 0.02, 0.01),
}
