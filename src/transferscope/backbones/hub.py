"""The hub of Hugging Face, which is not always there, and what the libraries of its models say."""

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants, get_session

PATIENCE = 10  # seconds, that the hub has to answer


@contextmanager
def hub() -> Iterator[None]:
    """Where the hub does not answer, what its client has in its cache is taken and nothing else is looked
    for: the client by itself tries for three quarters of a minute."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not _answers()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _answers() -> bool:
    """By one request."""
    try:
        get_session().head(constants.ENDPOINT, timeout=PATIENCE)
    except Exception:  # each client library has its own
        return False
    return True


def one_line(error: Exception) -> str:
    """The first line of an error, with the next where it only announces it, cut to 200 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    text = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return text if len(text) <= 200 else text[:197] + "..."
