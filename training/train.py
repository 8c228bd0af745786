"""A training, from a recipe and photos to a calibrated bundle and its report: the whole story, top to bottom.

`train` begins a run and `resume` goes on with one; both lead through `_follow`. What can be known before the first
epoch is checked before it: the recipe, the photos' labels, weights and teacher, and that the bundle may be written
where it is wanted.
"""

import contextlib
import errno
import os
import platform
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from foodscene.models import bundle as bundles
from foodscene.models import saving
from foodscene.models.bundle import Bundle
from foodscene.models.files import OccupiedError
from foodscene.models.text import printable
from foodscene.training.data import load as photos
from foodscene.training.datasets import Dataset, DatasetError, labelled, open_dataset, renamed, union
from foodscene.training.datasets.names import listed, matched
from foodscene.training.recipes import recipe as recipes
from foodscene.training.recipes.recipe import Recipe
from foodscene.training.recipes.sections import Transfer
from foodscene.training.runs import run as runs
from foodscene.training.runs.run import Run, RunError, now
from foodscene.training.scratch import recipes as scratch
from foodscene.training.terminal import quiet_stderr

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from foodscene.training.augmentation import AugmentationEngine
    from foodscene.training.data.load import Data
    from foodscene.training.evaluation.evaluation import Evaluation
    from foodscene.training.loop.progress import ClosingWatch
    from foodscene.training.loop.result import Result
    from foodscene.training.loop.teacher import Teacher

Backend = Literal["keras", "scratch"]
"""Who trains: Keras, on the backend that KERAS_BACKEND names, or our own network library in NumPy."""

LONGER = ("training.epochs", "finetune.epochs", "early_stopping.patience")
"""The settings that a run which goes on can be given anew: they let it go on for longer."""

_CLASSES_NAMED = 30
_DEVICES = Path("/dev")
_MOST_OUTLIERS = 20_000  # photos, which are kept in memory


class Outcome(NamedTuple):
    """What a training leads to."""

    run: Run
    """Its folder, with the record of everything needed to repeat it."""
    bundle: Bundle
    evaluation: "Evaluation | None"
    """The answers for the test photos and every figure that follows; None where the data set has no test photos."""
    report: Path | None
    """The page about them."""


class InterruptedRun(KeyboardInterrupt):
    """Ctrl-C or SIGTERM ended a training; `resume` goes on with its run."""

    def __init__(self, run: Run) -> None:
        super().__init__(f"Stopped. Go on with: foodscene train --resume --run {run.folder}")
        self.run = run


def train(  # noqa: PLR0913 - named options, each with a default
    recipe: str | Path,
    data: str | Path | Sequence[str | Path],
    *,
    labels: str | None = None,
    settings: Sequence[str] = (),
    weights: str | None = None,
    start: str | Path | None = None,
    teacher: str | Path | None = None,
    outliers: str | Path | None = None,
    bundle: str | Path | None = None,
    run: str | Path | None = None,
    root: str | Path = "runs",
    backend: Backend = "keras",
    engine: "AugmentationEngine" = "fast",
    threads: int | None = None,
    watch: "ClosingWatch | None" = None,
    tell: Callable[[str], None] | None = None,
) -> Outcome:
    """Train a recipe, a shipped one's name or a file, on photos: folders or archives, several as one data set.

    `labels` says where these are if not in folders: a CSV file, or "names" for the photos' own.
    `settings` change the recipe: `training.epochs=20`. `weights` are a backbone's: a file, "imagenet" or "none".
    `start` is a bundle, a folder or the name of one that ships, whose network goes on learning in place of a backbone;
    photos are taken at its size. `teacher` is a bundle whose answers are learned in place of the labels. `outliers` are
    photos, a folder or an archive, that show nothing that the labels name: with `training.outliers` the network learns
    to be unsure of them. The bundle goes to the folder `bundle`, else into the run's, which is `run`, else a new one
    below `root`. `backend` trains: Keras, or our own network library, "scratch". `engine` alters photos on `threads`
    threads. `watch` is told of every epoch, `tell` a line for people now and then.

    Raises `RecipeError`, `DatasetError`, `BundleError`, `OccupiedError`, `RunError`, `WeightsError`, `TeacherError` and
    `UnsupportedError` for what is wrong before training begins; `TrainingError` where the loss is no number any more.
    """
    from foodscene.training.loop.teacher import demand

    _check_options(backend, engine, settings, weights)
    data, root = _paths(data), Path(root)
    bundle, run = (Path(path) if path else None for path in (bundle, run))
    taught_by = bundles.find_bundle(str(teacher), bundles.SHIPPED) if teacher else None
    sources = _sources(data)
    checked = recipes.load(recipe, settings)
    begin_from = bundles.find_bundle(str(start), bundles.SHIPPED) if start else None
    if begin_from:
        if weights:
            raise RunError("--weights are a backbone's, and --from takes a bundle's network: leave one out.")
        checked = _at_size_of(begin_from, checked)
    demand(checked, given=teacher is not None)
    _check_backend(backend, checked, {"--engine keras": engine == "keras", "--from": begin_from, "--weights": weights})
    if outliers and not checked.training.outliers:
        raise RunError("--outliers: say how many come beside the photos, a tenth as many: --set training.outliers=0.1")
    if outliers and not Path(outliers).exists():
        raise RunError(f"--outliers: there is no {outliers}.")
    if bundle:
        saving.check_target(bundle)
    if checked.bundle:
        bundles.check_name(checked.bundle)
    if run:
        runs.check_new(run)
        if bundle and run.resolve().is_relative_to(bundle.resolve()):
            raise RunError(f"The run's folder {run} lies in the bundle's, {bundle}. Name another one for either.")
    if labels and Path(labels).is_file():
        labels = str(Path(labels).resolve())
    dataset = _open(checked, data, labels)

    folder = run or runs.new_folder(root, checked.name, datetime.now())
    with runs.held(folder):
        begun = runs.create(
            folder,
            {
                "id": runs.new_id(),
                "status": "begun",
                "recipe": checked.record(),
                "command": _command(
                    recipe, sources, labels, settings, weights, begin_from, taught_by, outliers, backend
                ),
                "data": [f"{label}{path.resolve()}" for label, path in sources],
                "labels": labels,
                "weights": weights,
                "start": {"folder": str(begin_from.folder), "sha256": begin_from.sha256} if begin_from else None,
                "teacher": str(taught_by.folder.resolve()) if taught_by else None,
                "outliers": {"path": str(Path(outliers).resolve())} if outliers else None,
                "bundle_wanted": str(bundle.resolve()) if bundle else None,
                "backend": backend,
                "engine": engine,
                "started": now(),
                "seconds": 0.0,
                "reported": checked.reported.model_dump(exclude_none=True) if checked.reported else None,
            },
        )
        return _follow(begun, dataset, threads, watch, tell)


def resume(
    run: str | Path,
    *,
    data: str | Path | Sequence[str | Path] = (),
    settings: Sequence[str] = (),
    bundle: str | Path | None = None,
    threads: int | None = None,
    watch: "ClosingWatch | None" = None,
    tell: Callable[[str], None] | None = None,
) -> Outcome:
    """Go on with the run in a folder, which ends as it would have without the interruption.

    `data` says where its photos are now, which must be the same ones. `settings` may name what is in `LONGER`: a run
    that has come to its end trains for more epochs so. `bundle` is where the bundle goes, in place of what the run was
    begun with.

    Raises `RunError` where the run is being trained, is finished, or was begun on other photos; else as `train`.
    """
    run, data, bundle = Path(run), _paths(data), Path(bundle) if bundle else None
    runs.read_run(run)  # before a lock is made in a folder that is no run's
    with runs.held(run):
        begun = runs.read_run(run)
        if not runs.is_run(run):
            raise RunError(f"{run / 'run.json'} is no record of a run that can be gone on with.")
        recipe = _longer(begun, settings)
        if begun.finished and not settings:
            raise RunError(
                f"{run} is finished: there is nothing to resume. For more epochs than its {begun.record['epochs']}, "
                "say how many in all: --set training.epochs=N"
            )
        if wanted := bundle or begun.record.get("bundle_wanted"):
            saving.check_target(Path(wanted))
        paths = data or [Path(path) for path in begun.record["data"]]
        try:
            sources = _sources(paths)
        except DatasetError as error:
            if data:
                raise
            raise RunError(f"{error} If the photos of {run} are elsewhere now, say where: --data PATH") from None
        dataset = _open(recipe, paths, begun.record.get("labels"))
        known = begun.record.get("dataset", {}).get("fingerprint")
        if known not in (None, (dataset.crops() if recipe.data.crop_boxes else dataset).fingerprint):
            where = ", ".join(str(path) for _, path in sources)
            raise RunError(f"{run} was begun on other photos than {where} holds now. Begin a new run.")
        begun.update(
            recipe=recipe.record(),
            data=[f"{label}{path.resolve()}" for label, path in sources],
            bundle_wanted=str(Path(wanted).resolve()) if wanted else None,
            error=None,
        )
        return _follow(begun, dataset, threads, watch, tell)


def _follow(
    run: Run, dataset: Dataset, threads: int | None, watch: "ClosingWatch | None", tell: Callable[[str], None] | None
) -> Outcome:
    """Train what a run's record says, measure it, and write its bundle and its report."""
    tell = tell or _silent
    recipe = recipes.parse(run.record["recipe"])
    began, before = time.perf_counter(), run.record["seconds"]
    tell(f"{recipe.name}: {len(dataset.classes)} classes: {_named(dataset.classes)}")
    with _recorded(run):
        start = _start(run)
        if not start:
            _check_backbone(recipe, run.record["weights"])
        data = photos.load_for(recipe, dataset)
        _check(data)
        with quiet_stderr():
            from foodscene.training.export import counts, export, measure, with_known
            from foodscene.training.loop import cross_validation
            from foodscene.training.loop.progress import Both
            from foodscene.training.reports import model_card, report

            loop, boards, device = _backend(run, start)

        facts: dict[str, Any] = {"name": data.name, "fingerprint": data.fingerprint, "layout": data.layout}
        facts |= {"classes": list(data.classes), "counts": counts(data)}
        run.update(status="running", dataset=facts, versions=saving.versions(), device=device)
        _tell_begun(run, start, facts, tell)
        watches = Both(*filter(None, [watch]), *boards)
        train_network = partial(
            loop,
            engine=run.record["engine"],
            threads=threads,
            teacher=_teacher(run, recipe, data),
            outliers=_outliers(run, recipe, data),
        )
        try:
            crossed = None
            if recipe.data.cross_validation and cross_validation.suits(dataset, data):
                crossed = cross_validation.evaluate(recipe, data, run, watch, train_network, tell)
                tell("The network itself learns from four fifths of the photos; the others validate.")
                data = cross_validation.without_test(data)
                run.update(dataset={**facts, "counts": counts(data)})
            result = train_network(recipe, data, run, watches)
            if crossed:
                result = cross_validation.confident(result, crossed)
        finally:
            watches.close()
            run.update(seconds=round(before + time.perf_counter() - began, 1))

        measured = crossed or measure(result, data)
        own = run.folder / "models" / (recipe.bundle or saving.name_for(recipe.name))
        write = partial(export, result, recipe, data, command=run.record["command"], measured=measured, start=start)
        with quiet_stderr():
            written = _written(write, own, run.record.get("bundle_wanted"), tell)
        figures = {}
        if measured:
            measured = with_known(measured, written, data)
            figures = {
                **model_card.metrics(measured, result.sure_above, written.card.conformal).model_dump(exclude_none=True),
                "loss": measured.loss,
            }
        run.update(
            epochs=len(result.history),
            best={key: result.best[key] for key in ("epoch", "val_loss", "val_top1")},
            temperature=result.temperature,
            sure_above=result.sure_above,
            test=figures,
            bundle=str(written.folder),
            seconds=round(before + time.perf_counter() - began, 1),
        )
        model = None if isinstance(result.model, saving.Trained) else result.model
        page = report.review(run.folder, written, [data], measured, model) if measured else None
        run.update(status="finished", finished=now())
    return Outcome(run, written, measured, page)


def _written(write: Callable[[Path], Bundle], own: Path, wanted: str | None, tell: Callable[[str], None]) -> Bundle:
    """The bundle, written where it was wanted; into the run's folder where it can go nowhere else."""
    if not wanted:
        return write(own)
    try:
        return write(Path(wanted))
    except (OccupiedError, OSError) as error:
        tell(f"{error} The bundle goes into the run's folder.")
        return write(own)


def _check_options(backend: str, engine: str, settings: Sequence[str], weights: str | None) -> None:
    """Raise `RunError` for what no option can be."""
    if backend not in ("keras", "scratch"):
        raise RunError(f"backend: it is keras or scratch, not {backend!r}.")
    if engine not in ("fast", "keras"):
        raise RunError(f"engine: it is fast or keras, not {engine!r}.")
    if isinstance(settings, str):
        raise RunError(f"settings: give a list of texts, [{settings!r}], not one.")
    if weights not in (None, "imagenet", "none") and not Path(weights).expanduser().is_file():
        raise RunError(f"--weights: there is no file {weights}; or say imagenet, or none.")


def _check_backend(backend: Backend, recipe: Recipe, options: Mapping[str, object]) -> None:
    """Raise `UnsupportedError` for a recipe, or one of `options` that is given, which the backend does not have."""
    if backend == "scratch":
        scratch.check(recipe, others=[option for option, value in options.items() if value])


def _check_backbone(recipe: Recipe, weights: str | None) -> None:
    """Raise `WeightsError` for a backbone that is not to be had, before photos are decoded for it."""
    if isinstance(recipe.model, Transfer):
        with quiet_stderr():
            from foodscene.training.networks import transfer

        transfer.check(recipe.model, recipe.input.spec.shape, weights)


def _silent(_line: str) -> None:
    pass


def _paths(given: str | Path | Sequence[str | Path]) -> list[Path]:
    """One path or several, each as text or not."""
    return [Path(path) for path in ([given] if isinstance(given, str | Path) else given)]


def _sources(data: Sequence[Path]) -> list[tuple[str, Path]]:
    """The folders and archives, each with `NAME=` where all its photos are one class. Raises `DatasetError`."""
    if not data:
        raise DatasetError("There are no photos to train on: name a folder, or an archive as downloaded.")
    sources = [(f"{label}=" if label else "", path) for label, path in map(labelled, data)]
    for _, path in sources:
        if not path.exists():
            raise DatasetError(f"There is no {path}.")
    return sources


def _open(recipe: Recipe, data: Sequence[Path], labels: str | None) -> Dataset:
    """The data set that a recipe takes, none of its photos decoded yet; its classes make a file of labels.

    Raises `DatasetError` and `BundleError`.
    """
    opened = [open_dataset(path, recipe.data.layout, labels) for path in data]
    dataset = opened[0] if len(opened) == 1 else union(opened)
    if len(dataset.classes) < 2:
        told = "".join(f" {note}" for note in dataset.notes)
        raise DatasetError(
            f"{dataset.name} has {len(dataset.classes)} class: a classifier tells at least two apart.{told}"
        )
    saving.check_labels(dataset.classes)
    return _renamed(replace(dataset, classes=tuple(label.strip() for label in dataset.classes)), recipe)


def _renamed(dataset: Dataset, recipe: Recipe) -> Dataset:
    """A data set whose classes have the names that a recipe gives them. Raises `DatasetError`, `BundleError`."""
    names = recipe.data.rename
    if unknown := set(names) - set(matched(names, dataset.classes)):
        raise DatasetError(f"data.rename: {dataset.name} has no class {listed(map(repr, sorted(unknown)))}.")
    dataset = renamed(dataset, names, spell=recipe.data.spell_labels)
    saving.check_labels(dataset.classes)
    return dataset


def _command(  # noqa: PLR0913, PLR0917 - what a command says
    recipe: str | Path,
    sources: Sequence[tuple[str, Path]],
    labels: str | None,
    settings: Sequence[str],
    weights: str | None,
    start: Bundle | None,
    teacher: Bundle | None,
    outliers: str | Path | None,
    backend: Backend,
) -> str:
    """What trains the same again, without this machine's paths, as a shell takes it."""
    words = ["foodscene", "train", str(recipe)]
    for label, path in sources:
        words += ["--data", f"{label}{path.name}"]
    words += ["--labels", Path(labels).name] if labels else []
    for setting in settings:
        words += ["--set", setting]
    if weights:
        words += ["--weights", weights if weights in ("imagenet", "none") else Path(weights).name]
    words += ["--from", start.name] if start else []
    words += ["--teacher", teacher.name] if teacher else []
    words += ["--outliers", Path(outliers).name] if outliers else []
    words += ["--backend", backend] if backend != "keras" else []
    return shlex.join(words)


def _at_size_of(start: Bundle, recipe: Recipe) -> Recipe:
    """A recipe whose photos come as a bundle takes them: raw pixels of its size. Raises `RecipeError`, `RunError`."""
    if recipe.augmentation.standardizes or recipe.input.scale != "none":
        raise RunError(
            f"--from {start.name}: its network scales pixels by itself. Leave input.scale, rescale, samplewise_*, "
            "featurewise_* and zca_whitening out of the recipe."
        )
    spec = start.spec
    size = f"[{spec.height}, {spec.width}]"
    return recipes.change(recipe, [f"input.size={size}", f"input.channels={spec.channels}", f'input.fit="{spec.fit}"'])


def _start(run: Run) -> Bundle | None:
    """The bundle that a run goes on from. Raises `BundleError`, and `RunError` where it is another one by now."""
    said = run.record.get("start")
    if not said:
        return None
    bundle = bundles.read_bundle(Path(said["folder"]))
    if bundle.sha256 != said["sha256"]:
        raise RunError(f"{bundle.folder} is another model than {run.folder} was begun from. Begin a new run.")
    return bundle


def _tell_begun(run: Run, start: Bundle | None, facts: Mapping[str, Any], tell: Callable[[str], None]) -> None:
    """Say what learns from what, and where the bundle to start from may have learned the test photos already."""
    tell(f"{', '.join(f'{count:,} {split}' for split, count in facts['counts'].items())} photos. Run: {run.folder}")
    device = run.record["device"]
    tell(f"It trains on {device}.{_unused_gpu(device)}")
    if start and (known := matched(facts["classes"], start.labels)):
        tell(
            f"{start.name} knows {_named(tuple(known.values()))} already. Where it learned from these very photos, "
            "the figures are better than they will be on others."
        )


def _longer(run: Run, settings: Sequence[str]) -> Recipe:
    """A run's recipe with more epochs or more patience. Raises `RunError` for other settings, and for fewer epochs."""
    from foodscene.training.loop.phases import over, phases

    recipe = recipes.parse(run.record["recipe"])
    for setting in settings:
        if (key := setting.partition("=")[0].strip()) not in LONGER:
            raise RunError(
                f"--set {setting}: a run that goes on keeps its {key}. What can be changed is {', '.join(LONGER)}; "
                "for anything else, begin a new run."
            )
        if not key.startswith("training.") and getattr(recipe, key.partition(".")[0]) is None:
            raise RunError(f"--set {setting}: the run's recipe has no [{key.partition('.')[0]}].")
    changed = recipes.change(recipe, settings)
    history = run.load_history()
    rows = {phase.name: [row for row in history if row["phase"] == phase.name] for phase in phases(changed)}
    if rows.get("finetune") and changed.training.epochs != recipe.training.epochs:
        raise RunError(
            f"{run.folder} is past the epochs of [training]: it fine-tunes. Give it more of these: "
            "--set finetune.epochs=N"
        )
    for phase in phases(changed):
        if phase.epochs < len(rows[phase.name]):
            raise RunError(
                f"{run.folder} has trained {len(rows[phase.name])} epochs already: {phase.epochs} are fewer. "
                "Say how many in all."
            )
    if run.finished and settings and all(over(rows[one.name], one, changed.early_stopping) for one in phases(changed)):
        raise RunError(
            f"{run.folder} has nothing more to train with {' '.join(settings)}: it has {len(history)} epochs"
            + (
                ", and stopped early. Let it wait longer: --set early_stopping.patience=N"
                if recipe.early_stopping
                else "."
            )
        )
    return changed


@contextmanager
def _recorded(run: Run) -> Iterator[None]:
    """Keeps in a run's record how it ended, as far as there is room on the disk."""
    try:
        yield
    except KeyboardInterrupt:
        run.update(status="interrupted")
        raise InterruptedRun(run) from None
    except Exception as error:
        with contextlib.suppress(OSError):
            run.update(status="failed", error=f"{type(error).__name__}: {error}")
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise OSError(
                f"{error} Nothing but the last epoch is lost: go on with foodscene train --resume --run {run.folder}"
            ) from error
        raise


def _check(data: "Data") -> None:
    if not len(data.train) or not len(data.validation):
        raise RunError(
            f"{data.name} has {len(data.train)} training and {len(data.validation)} validation photos: too few."
        )


def _teacher(run: Run, recipe: Recipe, data: "Data") -> "Teacher | None":
    from foodscene.training.loop.teacher import Teacher

    if not run.record.get("teacher"):
        return None
    temperature = recipe.teacher.temperature if recipe.teacher else 1.0
    return Teacher(bundles.read_bundle(Path(run.record["teacher"])), data.classes, recipe.input.spec, temperature)


def _outliers(run: Run, recipe: Recipe, data: "Data") -> "NDArray[np.uint8] | None":
    """The photos of which a run learns to be unsure. Raises `RunError` where they are others than it began with."""
    from foodscene.training.evaluation import out_of_distribution

    said = run.record.get("outliers")
    if not said:
        return None
    _, photos = out_of_distribution.load_photos(Path(said["path"]), recipe.input.spec, data.classes, _MOST_OUTLIERS)
    digest = sha256(photos.tobytes()).hexdigest()
    if said.get("sha256") not in (None, digest):
        raise RunError(f"{said['path']} holds other photos than {run.folder} was begun with. Begin a new run.")
    run.update(outliers={**said, "photos": len(photos), "sha256": digest})
    return photos


def _named(classes: Sequence[str]) -> str:
    more = len(classes) - _CLASSES_NAMED
    return ", ".join(map(printable, classes[:_CLASSES_NAMED])) + (f" … and {more:,} more" if more > 0 else "")


def _unused_gpu(device: str) -> str:
    """What to do where this machine has a GPU of NVIDIA's and a training goes on without it; else nothing."""
    if "Keras" not in device or "cpu" not in device or not any(_DEVICES.glob("nvidia[0-9]*")):
        return ""
    return (
        " This machine has a GPU that Keras' backend does not find, so training takes many times as long: "
        'see "On a GPU box" in docs/training.md.'
    )


def _backend(run: Run, start: Bundle | None) -> tuple[Callable[..., "Result"], list["ClosingWatch"], str]:
    """The loop that trains a run, who looks on beside people, and in words what computes."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    if run.record.get("backend") == "scratch":
        import numpy

        from foodscene.training.loop import scratch

        return scratch.train, [], f"{machine}, NumPy {numpy.__version__}"

    import keras
    import tensorboard.summary  # noqa: F401 - writes to stderr, where it finds TensorFlow

    from foodscene.training.loop import loop
    from foodscene.training.loop.progress import TensorBoard

    devices = ", ".join(keras.distribution.list_devices()) or "cpu"
    said = f"{machine}, Keras on {keras.backend.backend()} ({devices})"
    return (
        partial(loop.train, weights=run.record["weights"], start=start),
        [TensorBoard(run.folder / "tensorboard")],
        said,
    )
