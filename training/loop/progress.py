"""Looking on while a network trains: a line per epoch, a bar within it, and TensorBoard."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from foodscene.models.text import duration
from foodscene.training.runs.run import Row

if TYPE_CHECKING:
    from tensorboard.summary import Writer


class Watch(Protocol):
    """Who looks on: told of every epoch, and of every batch as it ends."""

    def begin(self, epoch: int, epochs: int, photos: int) -> None: ...
    def advance(self, photos: int) -> None: ...
    def end(self, row: Row, epochs: int) -> None: ...


class ClosingWatch(Watch, Protocol):
    """Who holds something open while looking on."""

    def close(self) -> None: ...


class Terminal:
    """Prints to a terminal; where the output goes to a file, the lines alone, without a bar."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console, self._quiet = console, quiet
        self._bar: Progress | None = None
        self._seconds: list[float] = []

    def begin(self, epoch: int, epochs: int, photos: int) -> None:
        """An epoch begins, counted from 1."""
        if self._quiet or not self._console.is_terminal:
            return
        # Drawn when told of photos, at most four times a second: a bar that draws itself takes time from the training.
        self._bar = Progress(
            TextColumn("epoch {task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f} photos"),
            TimeRemainingColumn(),
            console=self._console,
            auto_refresh=False,
            transient=True,
        )
        self._bar.add_task(f"{epoch}/{epochs}", total=photos)
        self._bar.start()

    def advance(self, photos: int) -> None:
        """So many photos of the epoch are done."""
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=photos, refresh=True)

    def end(self, row: Row, epochs: int) -> None:
        """An epoch is over: its line."""
        self.close()
        self._seconds = [*self._seconds[-4:], row["seconds"]]
        if not self._quiet:
            self._console.print(line(row, epochs, sum(self._seconds) / len(self._seconds)), highlight=False)

    def close(self) -> None:
        """Takes the bar away."""
        if self._bar:
            self._bar.stop()
            self._bar = None


class TensorBoard:
    """Writes every epoch's figures as scalars, through TensorBoard's own writer, whatever the backend of Keras."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Writer | None = None

    def begin(self, epoch: int, epochs: int, photos: int) -> None:
        """Nothing to write."""

    def advance(self, photos: int) -> None:
        """Nothing to write."""

    def end(self, row: Row, epochs: int) -> None:  # noqa: ARG002
        """An epoch is over: its figures, at its number as the step."""
        if self._writer is None:
            from tensorboard.summary import Writer

            self._writer = Writer(str(self._folder))
        for name, value in row.items():
            if isinstance(value, float):
                self._writer.add_scalar(name, value, row["epoch"])
        self._writer.flush()

    def close(self) -> None:
        """Nothing is written after this."""
        if self._writer:
            self._writer.close()


class Both:
    """Several who look on, as one."""

    def __init__(self, *watches: ClosingWatch) -> None:
        self._watches = watches

    def begin(self, epoch: int, epochs: int, photos: int) -> None:
        """An epoch begins."""
        for watch in self._watches:
            watch.begin(epoch, epochs, photos)

    def advance(self, photos: int) -> None:
        """So many photos of the epoch are done."""
        for watch in self._watches:
            watch.advance(photos)

    def end(self, row: Row, epochs: int) -> None:
        """An epoch is over."""
        for watch in self._watches:
            watch.end(row, epochs)

    def close(self) -> None:
        """The run is over."""
        for watch in self._watches:
            watch.close()


def line(row: Row, epochs: int, seconds: float) -> str:
    """An epoch in a line; `seconds` is what an epoch has taken lately."""
    left = (epochs - row["epoch"]) * seconds
    return (
        f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}  loss {row['loss']:.4f}  val loss {row['val_loss']:.4f}  "
        f"top-1 {row['val_top1']:.4f}  {row['photos_per_second']:>7,.0f} photos/s  {duration(left)} left"
    )
