"""The report of a run or of an evaluation: `report.html`, one file that needs no network and can be mailed.

`review` measures and leaves tables and pictures in a folder; `write` makes the page of what lies there:

predictions.npz    the answers for every test photo
evaluation.json    all figures
confusion.csv      the confusion matrix
sensitivity.json   figures on altered photos
pictures/          the figures drawn, the surest mistakes, what the network sees
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from foodscene.models import folders
from foodscene.models.bundle import Bundle
from foodscene.models.confusion import Confusion
from foodscene.models.engine import Engine, open_engine
from foodscene.models.terminal import say
from foodscene.models.text import duration, spell
from foodscene.training.data.load import Data
from foodscene.training.evaluation import confidence, conformal, inference, robustness
from foodscene.training.evaluation import out_of_distribution as ood
from foodscene.training.evaluation.evaluation import Evaluation
from foodscene.training.evaluation.out_of_distribution import OutOfDistribution
from foodscene.training.reports import charts
from foodscene.training.runs.run import Run, is_run

if TYPE_CHECKING:
    import keras

_MISTAKES, _EXPLAINED, _CONFUSIONS = 24, 4, 12
_NAMES = re.compile(
    r"predictions\.npz|evaluation\.json|confusion\.csv|sensitivity\.json|report\.html|pictures/titles\.json"
    r"|pictures/(confusion|reliability|sensitivity|history|filters|(mistake|decided|maps)-\d+)\.(svg|png|jpg)"
)
"""What a report consists of, below its folder."""
_TYPES = {".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg"}


def review(
    folder: Path,
    bundle: Bundle,
    photos: Sequence[Data],
    measured: Evaluation,
    model: "keras.Model | None" = None,
    outside: Sequence[OutOfDistribution] = (),
    *,
    altered: bool = True,
) -> Path:
    """Leave in `folder` everything there is to say of a bundle's answers, and the report. Returns the report's path.

    `photos` are the data sets that the answers `measured` are for. With the Keras `model`, also what it sees; with
    `outside`, how many of them it is not sure of; `altered` photos take up to a minute.
    """
    check(folder)
    with folders.publishing(folder, _NAMES) as new:
        _review(new, bundle, photos, measured, model, outside, altered=altered)
        _write_page(new, folder)
    return folder / "report.html"


def _review(
    folder: Path,
    bundle: Bundle,
    photos: Sequence[Data],
    measured: Evaluation,
    model: "keras.Model | None",
    outside: Sequence[OutOfDistribution],
    *,
    altered: bool,
) -> None:
    drawn = folder / "pictures"
    drawn.mkdir()
    measured.save(folder / "predictions.npz")
    certain = confidence.measure_sure(measured.probabilities, measured.right, bundle.card.sure_above, measured.familiar)
    figures = {
        "bundle": bundle.title,
        "data": [one.name for one in photos],
        "milliseconds": inference.milliseconds(bundle),
        **measured.as_json(),
        **confidence.as_json(certain),
        **conformal.as_json(measured, bundle.card.conformal),
        "out_of_distribution": ood.as_json(outside),
    }
    (folder / "evaluation.json").write_bytes(json.dumps(figures, indent=2).encode())
    (folder / "confusion.csv").write_bytes(measured.confusion_csv().encode())
    with _drawing("confusion matrix"):
        (drawn / "confusion.svg").write_bytes(charts.confusion(measured).encode())
    with _drawing("reliability diagram"):
        (drawn / "reliability.svg").write_bytes(charts.reliability(measured.bins, measured.calibration_error).encode())

    places = {name: (one.pixels, row) for one in photos for row, name in enumerate(one.names)}
    pixels = np.stack([places[name][0][places[name][1]] for name in measured.names]) if len(photos) > 1 else None
    rows = np.array([places[name][1] for name in measured.names]) if pixels is None else np.arange(len(measured.names))
    pixels = photos[0].pixels if pixels is None else pixels
    if altered and not measured.folds:  # else the network has learned from these photos
        _alter(folder, open_engine(bundle), pixels, rows, measured)
    for number, mistake in enumerate(measured.mistakes(_MISTAKES)):
        Image.fromarray(_colour(pixels[rows[mistake.photo]])).save(drawn / f"mistake-{number:02}.jpg", quality=88)
    if model is not None:
        with _drawing("pictures of what the network sees"):
            _explain(drawn, model, pixels, rows, measured)


@contextmanager
def _drawing(what: str) -> Iterator[None]:
    """A picture that cannot be drawn is left out of the report, and said: the run and its figures are none the worse.

    What cannot be written for want of room is raised.
    """
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a label or a network leads matplotlib or Keras to
        say(f"The {what} could not be drawn, and is left out of the report: {type(error).__name__}: {error}", err=True)


def check(folder: Path) -> None:
    """Make sure that a report can be written to a folder. A run's folder is ours.

    Raises `OccupiedError` where something is in its place that we did not write.
    """
    if not is_run(folder):
        folders.check_publishable(folder, _NAMES, below=["pictures"])


def write(folder: Path) -> Path:
    """Make `report.html` anew of what lies in the folder of a run or an evaluation. Returns its path."""
    check(folder)
    with folders.publishing(folder, _NAMES) as new:
        for path in [*folder.glob("*"), *folder.glob("pictures/*")]:
            if _NAMES.fullmatch(name := path.relative_to(folder).as_posix()):
                (new / name).parent.mkdir(exist_ok=True)
                (new / name).write_bytes(path.read_bytes())
        _write_page(new, folder)
    return folder / "report.html"


def _write_page(folder: Path, run: Path) -> None:
    """Make `report.html` in a folder, of what lies there and of the record and history of the folder `run`, if any."""
    from jinja2 import Environment, PackageLoader

    record = _json(run / "run.json") or {}
    figures = _json(folder / "evaluation.json")
    altered = _json(folder / "sensitivity.json") or []
    drawn = folder / "pictures"
    history = Run(run).load_history()
    if history:
        drawn.mkdir(exist_ok=True)
        with _drawing("history"):
            (drawn / "history.svg").write_bytes(charts.histories({run.name: history}).encode())
    environment = Environment(
        loader=PackageLoader("foodscene.training"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(spell=spell, percent=lambda share: f"{share:.1%}", duration=duration)
    page = environment.get_template("report.html").render(
        name=run.resolve().name,
        record=record,
        figures=figures,
        altered=altered,
        history=history,
        confusions=Confusion.model_validate(figures["confusion"]).mistakes(_CONFUSIONS) if figures else [],
        settings=json.dumps(record.get("recipe", {}), indent=2),
        picture={path.stem: _data_url(path) for path in sorted(drawn.glob("*.*"))} if drawn.is_dir() else {},
        seen=_titles(drawn),
    )
    (folder / "report.html").write_text(page, encoding="utf-8")


def _alter(
    folder: Path, engine: Engine, pixels: NDArray[np.uint8], rows: NDArray[np.int64], measured: Evaluation
) -> None:
    found = robustness.measure_altered(engine, pixels, rows, measured.targets)
    (folder / "sensitivity.json").write_bytes(json.dumps([row.as_json() for row in found], indent=2).encode())
    units = {row.kind: row.unit for row in found}
    with _drawing("curves of altered photos"):
        drawn = charts.curves(robustness.curves(found), found[0].top1.value, units)
        (folder / "pictures" / "sensitivity.svg").write_bytes(drawn.encode())


def _explain(
    drawn: Path, model: "keras.Model", pixels: NDArray[np.uint8], rows: NDArray[np.int64], measured: Evaluation
) -> None:
    """Pictures of filters, of feature maps, and of what decided the surest right answers and the surest mistakes."""
    from foodscene.training.evaluation import explanation

    sure = measured.probabilities.max(axis=1)
    right = np.argsort(-np.where(measured.right, sure, -1), kind="stable")[:_EXPLAINED].tolist()
    wrong = [mistake.photo for mistake in measured.mistakes(_EXPLAINED)]
    titles = {}
    try:
        shown = [*right, *wrong]
        seen = pixels[rows[shown]]
        heats = explanation.grad_cam(model, seen, measured.predicted[shown].tolist())
        for number, photo in enumerate(shown):
            (drawn / f"decided-{number}.png").write_bytes(explanation.overlaid(seen[number], heats[number]))
            said = f"{measured.labels[measured.predicted[photo]]}, {sure[photo]:.0%}"
            truth = "" if measured.right[photo] else f"; it is {measured.labels[measured.targets[photo]]}"
            titles[f"decided-{number}"] = spell(f"{said}{truth}")
        kernels = explanation.filters(model)
        (drawn / "filters.png").write_bytes(kernels.png)
        titles["filters"] = kernels.title
        for number, grid in enumerate(explanation.feature_maps(model, pixels[rows[right[0]]])):
            (drawn / f"maps-{number}.png").write_bytes(grid.png)
            titles[f"maps-{number}"] = grid.title
    except explanation.ExplanationError:
        pass  # a network of dense layers has no places to show
    (drawn / "titles.json").write_bytes(json.dumps(titles).encode())


def _colour(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return photo.squeeze(-1) if photo.shape[-1] == 1 else photo


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _titles(drawn: Path) -> dict[str, str]:
    return _json(drawn / "titles.json") or {}


def _data_url(path: Path) -> str:
    kind = _TYPES.get(path.suffix)
    return f"data:{kind};base64,{b64encode(path.read_bytes()).decode()}" if kind else ""
