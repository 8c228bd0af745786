"""How far a job has come, in words."""

import pytest

from foodscene.app.bulk import progress
from foodscene.app.bulk.progress import BulkProgress, describe


def test_photos_a_second_and_the_time_left_are_told() -> None:
    assert describe(1200, 7301, 210) == "1,200 of 7,301 photos, 210 a second, 29 s left"
    assert describe(1200, None, 2.5) == "1,200 photos, 2.5 a second"
    assert describe(0, 10, 0) == "0 of 10 photos, 0.0 a second"


def test_speed_is_that_of_late_and_not_of_what_was_done_before(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with BulkProgress(5000) as shown:
        for clock[0], done in ((1.0, 5100), (50.0, 5500), (100.0, 10_000)):
            shown.update(done, 20_000)
    assert capsys.readouterr().err.splitlines() == [
        "5,500 of 20,000 photos, 10 a second, 24 min left",
        "10,000 of 20,000 photos, 90 a second, 2 min left",
    ]
