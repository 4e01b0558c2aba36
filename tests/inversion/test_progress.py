"""What is kept of a calibration's evaluations, however long it is."""

from types import SimpleNamespace

import torch

from hyco.inversion.progress import Progress


def test_of_many_evaluations_the_first_and_the_last_are_kept(monkeypatch):
    """In as many updates as there are, as in one."""
    rows = torch.arange(6000.0, dtype=torch.float64).reshape(3000, 2)
    result = SimpleNamespace(status="converged", reason="", iterations=1, evaluations=1, ends=[])
    problem = SimpleNamespace(simulations=1, parameter_count=1, forward=SimpleNamespace(space=None))
    ends = []
    for size in (3000, 100, 7):
        progress = Progress(torch.empty((0, 2), dtype=torch.float64))
        for part in rows.split(size):
            monkeypatch.setattr("hyco.inversion.progress.evaluations_of", lambda *_, part=part: part)
            progress = progress.after(result, problem)
        ends.append(progress.evaluations)
    assert all(torch.equal(end, torch.cat([rows[:1000], rows[-1000:]])) for end in ends)
