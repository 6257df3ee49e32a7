"""Scores, differences and p-values as text. Accuracy is told in points (hundredths), any other metric with three decimals."""


def score(value: float, metric: str) -> str:
    return f"{100 * value:.1f}" if metric == "accuracy" else f"{value:.3f}"


def signed(value: float, metric: str) -> str:
    """With a true minus; zero without a sign."""
    text = score(abs(value), metric)
    return text if float(text) == 0 else ("−" if value < 0 else "+") + text


def interval(bounds: tuple[float, float] | None, metric: str) -> str:
    return "" if bounds is None else f"[{signed(bounds[0], metric)}, {signed(bounds[1], metric)}]"


def probability(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def level(alpha: float) -> str:
    return f"{100 * (1 - alpha):g} %"


def unit(metric: str) -> str:
    return "points" if metric == "accuracy" else metric


def margin(value: float | str, metric: str) -> str:
    """A margin in words."""
    if isinstance(value, str):
        return f"{100 * float(value.partition(':')[2]):g} % of the baseline's risk"
    if metric != "accuracy":
        return f"{value:g}"
    return f"{100 * value:g} point{'' if value == 0.01 else 's'}"
