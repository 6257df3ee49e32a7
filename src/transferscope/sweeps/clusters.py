"""Jobs that hydra-submitit-launcher starts, on a Slurm cluster or here: one that is lost is an outcome like
the others.

The launcher asks submitit for one result after another, and would raise at the first job without one while
those after it go on."""

from collections.abc import Iterator
from contextlib import contextmanager

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from transferscope.errors import JobFailed, ProcessDied, order_to_stop


def is_submitit(launcher: Launcher) -> bool:
    return type(launcher).__module__.startswith("hydra_plugins.hydra_submitit_launcher")


@contextmanager
def lost_jobs_are_outcomes() -> Iterator[None]:
    """Inside, submitit answers for a job that was killed, cancelled or ran out of time with a failed
    `JobReturn`."""
    from submitit.core.core import Job
    from submitit.core.utils import FailedJobError, UncompletedJobError

    raising = Job.results

    def results(job: Job) -> list[JobReturn]:
        try:
            answers = raising(job)
        except FailedJobError as error:  # an exception outside the job's function; its traceback ends with it
            trace = [line for line in job._get_outcome_and_result()[1].splitlines() if line.strip()]
            return [_failed(JobFailed(trace[-1] if trace else str(error)))]
        except UncompletedJobError:
            return [
                _failed(
                    ProcessDied(
                        f"job {job.job_id} ended without a result (state {job.state}; its output: "
                        f"{job.paths.stderr})"
                    )
                )
            ]
        for answer in answers:
            if isinstance(answer, JobReturn) and order_to_stop(answer._return_value):
                answer._return_value = ProcessDied(f"job {job.job_id}: {answer._return_value}")
        return answers

    Job.results = results
    try:
        yield
    finally:
        Job.results = raising


def _failed(error: JobFailed) -> JobReturn:
    return JobReturn(status=JobStatus.FAILED, _return_value=error)
