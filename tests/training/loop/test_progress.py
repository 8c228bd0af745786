from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from foodscene.training.loop.progress import Both, TensorBoard, Terminal, line
from foodscene.training.runs.run import Row

ROW: Row = {
    "epoch": 3,
    "phase": "train",
    "loss": 0.71234,
    "val_loss": 0.65,
    "val_top1": 0.771,
    "photos_per_second": 1204.4,
    "seconds": 10.0,
}


def test_an_epoch_is_a_line() -> None:
    assert line(ROW, 60, 10.0) == (
        "epoch  3/60  loss 0.7123  val loss 0.6500  top-1 0.7710    1,204 photos/s  10 min left"
    )


@pytest.mark.parametrize(
    ("terminal", "quiet", "bar"), [(True, False, True), (False, False, False), (True, True, False)]
)
def test_the_bar_is_for_terminals_and_the_line_for_all_but_the_quiet(terminal: bool, quiet: bool, bar: bool) -> None:
    target = StringIO()
    watch = Terminal(Console(file=target, force_terminal=terminal, width=120), quiet=quiet)
    watch.begin(3, 60, 1000)
    watch.advance(500)
    drawn = "500 of 1,000 photos" in target.getvalue()
    watch.end(ROW, 60)
    assert drawn is bar
    assert ("val loss 0.6500" in target.getvalue()) is not quiet


def test_tensorboard_reads_the_figures(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    watch = Both(TensorBoard(tmp_path))
    watch.begin(3, 60, 1000)
    watch.end(ROW, 60)
    watch.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    [event] = events.Tensors("val_loss")
    assert event.step == 3
    assert event.tensor_proto.float_val[0] == pytest.approx(0.65)
