"""The course of a run, told on the console: from its record to a bundle and a report."""

import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.commands.terminal import hushed

if TYPE_CHECKING:
    from training.augmentation import Engine
    from training.data import Data
    from training.recipe import Recipe
    from training.run import Run


def follow(work: "Run", bundle: Path | None, threads: int, quiet: bool, console: Any) -> None:
    """Train what a run's record says, measure it, and write its bundle.

    Raises `RunError` where the photos are not those that the run began with, or are too few, and `TeacherError`.
    """
    from models import bundle as bundles
    from training import data as photos
    from training import recipe as recipes
    from training.run import now

    recipe = recipes.parse(work.record["recipe"])
    began, before = time.perf_counter(), work.record["seconds"]
    loaded = photos.load_for(recipe, [Path(path) for path in work.record["data"]])
    _check(work, loaded)

    with hushed():
        import tensorboard.summary  # noqa: F401 - greets too, where it finds TensorFlow

        from models.compiler import versions
        from training import card, report
        from training.export import counts, export, measure
        from training.loop import train as loop
        from training.teacher import Teacher

        device = _device()
    from training.watching import Both, TensorBoard, Terminal

    dataset = {
        "name": loaded.name,
        "fingerprint": loaded.fingerprint,
        "layout": loaded.layout,
        "classes": list(loaded.classes),
    }
    work.update(status="running", dataset={**dataset, "counts": counts(loaded)}, versions=versions(), device=device)
    if not quiet:
        split = ", ".join(f"{count:,} {name}" for name, count in counts(loaded).items())
        console.print(
            f"{recipe.name}: {len(loaded.classes)} classes, {split} photos. Run: {work.folder}", highlight=False
        )
    teacher = None
    if work.record.get("teacher"):
        temperature = recipe.teacher.temperature if recipe.teacher else 1.0
        large = bundles.read(Path(work.record["teacher"]))
        teacher = Teacher(large, loaded.classes, recipe.input.spec, temperature)
    watch = Both(Terminal(console, quiet=quiet), TensorBoard(work.folder / "tensorboard"))
    engine: Engine = work.record["engine"]
    try:
        result = loop(
            recipe, loaded, work, watch, engine=engine, threads=threads, weights=work.record["weights"], teacher=teacher
        )
    finally:
        watch.close()
        work.update(seconds=round(before + time.perf_counter() - began, 1))

    folder = bundle or work.folder / "models" / (recipe.bundle or recipe.name.replace("/", "-"))
    with hushed():
        written = export(result, recipe, loaded, folder, work.record["command"])
    measured = measure(result, loaded)
    figures = {}
    if measured:
        figures = {**card.metrics(measured, result.sure_above).model_dump(exclude_none=True), "loss": measured.loss}
    work.update(
        epochs=len(result.history),
        best={"epoch": result.best["epoch"], "val_loss": result.best["val_loss"], "val_top1": result.best["val_top1"]},
        temperature=result.temperature,
        sure_above=result.sure_above,
        test=figures,
        bundle=str(folder.resolve()),
        seconds=round(before + time.perf_counter() - began, 1),
    )
    if measured:
        report.review(work.folder, written, [loaded], measured, result.model)
    work.update(status="finished", finished=now())
    _summary(work, recipe, console)


def _summary(work: "Run", recipe: "Recipe", console: Any) -> None:
    """The measured figures beside the reported ones, and where the bundle is."""
    from models.text import duration

    record, reported = work.record, recipe.reported
    where = f" (report's row {reported.row}{f', on {reported.data}' if reported.data else ''})" if reported else ""
    for name in ("top1", "top5"):
        if name in record["test"]:
            said = getattr(reported, name, None)
            beside = f"   reported {said:.4f}{where}" if said is not None else ""
            console.print(f"{name[:3]}-{name[3:]}  {record['test'][name]:.4f}{beside}", highlight=False)
    photos = record["test"].get("images")
    console.print(
        f"measured on {photos:,} test photos" if photos else "the data set has no test photos to measure on",
        f"after {record['epochs']} epochs, the best {record['best']['epoch']}, in {duration(record['seconds'])}",
        highlight=False,
    )
    folder = Path(record["bundle"])
    console.print(f"Bundle: {folder}\nServe it: foodscene serve --models {folder.parent}", highlight=False)
    if (page := work.folder / "report.html").exists():
        console.print(f"Report: {page}", highlight=False)


def _check(work: "Run", data: "Data") -> None:
    """A resumed run must see the photos that it began with, and any run two classes, and photos on both sides."""
    from training.run import RunError

    known = work.record.get("dataset", {}).get("fingerprint")
    if known not in (None, data.fingerprint):
        raise RunError(
            f"{work.folder} was begun on other photos than {', '.join(work.record['data'])} holds now. Begin a new run."
        )
    if len(data.classes) < 2:
        raise RunError(f"{data.name} has {len(data.classes)} class: a classifier tells at least two apart.")
    if not len(data.train) or not len(data.validation):
        raise RunError(
            f"{data.name} has {len(data.train)} training and {len(data.validation)} validation photos: too few."
        )


def _device() -> str:
    import keras

    devices = ", ".join(keras.distribution.list_devices()) or "cpu"
    return f"{platform.machine()}, {os.cpu_count()} cores, Keras on {keras.backend.backend()} ({devices})"
