"""Every strategy, stopped between two intervals and taken up again, ends with the bits of one
that was never stopped."""

from pathlib import Path

import pytest

from transferscope.store.lease import Lease

NAMES = sorted(path.stem for path in (Path(__file__).parents[2] / "conf" / "strategy").glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_resumed_is_the_same_as_never_stopped(finished, train, tmp_path, monkeypatch, name):
    claim, steps = Lease.claim, []
    never_stopped = finished(f"strategy={name}")

    def stopped_at_first(lease: Lease, step: int) -> None:
        steps.append(step)
        claim(lease, step)
        if steps == [0, 4, 8]:
            raise KeyboardInterrupt

    monkeypatch.setattr(Lease, "claim", stopped_at_first)
    with pytest.raises(KeyboardInterrupt):
        train(f"strategy={name}", store=tmp_path)
    resumed = train(f"strategy={name}", store=tmp_path)
    assert steps == [0, 4, 8, 0, 12]  # the run is claimed, then goes on after its eighth step
    assert resumed.bits == never_stopped.bits
