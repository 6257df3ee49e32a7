"""What is said of each baseline, by its name: the one place that terminal and page speak from."""

from dataclasses import dataclass

NEGATIVE_TRANSFER = "negative transfer"


@dataclass(frozen=True)
class Words:
    """isolates: what a difference to it tells. against: what it is. subject, gains, loses, same: "transfer
    helps in 3 cells, hurts in 2". negative_transfer: whether a loss against it may be called that."""

    isolates: str
    against: str
    subject: str
    gains: str = "helps"
    loses: str = "hurts"
    same: str = "makes no difference"
    negative_transfer: bool = False

    @property
    def harm(self) -> str:
        return NEGATIVE_TRANSFER if self.negative_transfer else "a loss"


WORDS = {
    "scratch": Words(
        isolates="what the source, and any weights it came with, are worth beside the target's labels alone",
        against="training from scratch",
        subject="transfer",
        negative_transfer=True,
    ),
    "target_only": Words(
        isolates="what the source domain is worth: the same start, labels and algorithm without it",
        against="the same model without the source domain",
        subject="transfer",
        negative_transfer=True,
    ),
    "target_ssl": Words(
        isolates="what the source is worth to one who also uses the unlabelled target",
        against="self-training on the same target data",
        subject="the source",
        loses="falls short",
    ),
    "target_only_long": Words(
        isolates=(
            "what the source is worth at equal compute: the steps of its training are spent on the target"
        ),
        against="target-only training of equal compute",
        subject="the source",
        loses="falls short",
    ),
    "source_only": Words(
        isolates="what adapting to the target adds to the source model as it is",
        against="the source model left as it is",
        subject="adapting",
        gains="gains",
        loses="loses",
    ),
    "source_nearest_neighbour": Words(
        isolates="what adapting to the target adds to one nearest neighbour on the same features",
        against="one nearest neighbour on the same features",
        subject="adapting",
        gains="gains",
        loses="loses",
    ),
    "source_svm": Words(
        isolates="what adapting to the target adds to a linear support vector machine on the same features",
        against="a linear support vector machine on the same features",
        subject="adapting",
        gains="gains",
        loses="loses",
    ),
    "naive": Words(
        isolates=(
            "what has been learnt beyond the most frequent class, or the class shares, of the labelled items"
        ),
        against="one constant answer from the labelled items' classes",
        subject="learning",
    ),
    "target_full": Words(
        isolates="how far the strategy is from training on every target label",
        against="training on every target label",
        subject="the strategy",
        gains="goes beyond it",
        loses="falls short",
    ),
    "shuffled_source": Words(
        isolates="what the source's labels are worth: the same cell with these permuted",
        against="the same source with shuffled labels",
        subject="the source's true labels",
        gains="help",
        loses="hurt",
        same="make no difference",
    ),
}


def of_baseline(name: str) -> Words:
    """Of one of WORDS, or of a strategy that stands in for a baseline."""
    if name in WORDS:
        return WORDS[name]
    return Words(
        isolates=f"what a strategy scores more than {name}",
        against=name,
        subject="a strategy",
        gains="is better",
        loses="is worse",
        same="is as good",
    )


def words_of(names: list[str]) -> Words:
    """Of the baselines that a page shows: one, unless it shows no cell."""
    if len(names) == 1:
        return of_baseline(names[0])
    return Words("", " and ".join(names) or "the baseline", "transfer")
