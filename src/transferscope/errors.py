"""The exceptions a user is meant to read."""

from collections.abc import Iterable
from difflib import get_close_matches


class RequestError(ValueError):
    """The request or its data cannot be served; the message is one line: the key, the value, what is allowed.
    Exit status 2."""


class NotApplicable(RequestError):
    """The strategy cannot serve this combination: listed in a sweep, refused in a single run."""


class JobFailed(Exception):
    """A job of a sweep raised an exception in its worker process; the message is the exception's."""


class ProcessDied(JobFailed):
    """The process of a job ended under it: by a signal, for want of memory, by its own exit."""


def order_to_stop(error: BaseException | None) -> BaseException | None:
    """Submitit's own error, raised by a signal wherever training stood, as the job's time is over: no failure
    of the run. Where it stood, something may have made another error of it."""
    while error is not None and not type(error).__module__.startswith("submitit."):
        error = error.__cause__ or error.__context__
    return error


def nearest(value: object, allowed: Iterable[str]) -> str:
    """`"; did you mean 'usps'?"`, or nothing where no allowed name is near."""
    match = get_close_matches(str(value), list(allowed), n=1, cutoff=0.5)
    return f"; did you mean '{match[0]}'?" if match else ""
