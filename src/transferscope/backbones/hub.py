"""The hub of Hugging Face, which is not always there."""

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
