"""The registry: the models that are served, and the bundles that were refused. It follows the folder they lie in."""

import asyncio
import logging
import threading
from dataclasses import dataclass
from pathlib import Path

from foodscene.app.inference.scheduler import Runner
from foodscene.app.inference.sessions import open_sessions
from foodscene.app.metrics import MODELS
from foodscene.app.problems import Problem
from foodscene.app.settings import Settings
from foodscene.models.bundle import CARD, LABELS, MODEL, ONNX, Bundle, BundleError, default_name, folders, read_bundle

logger = logging.getLogger(__name__)

Stamp = tuple[tuple[str, int, int, int], ...]
"""What changes when a bundle's files do: name, inode, size and time of each."""


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A bundle in service."""

    bundle: Bundle
    runner: Runner

    @property
    def name(self) -> str:
        return self.bundle.name

    @property
    def engine(self) -> str:
        return self.runner.sessions.engine.kind


class Registry:
    """Models by name. A request keeps the model that it was given, however the folder changes meanwhile."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.models: dict[str, Model] = {}
        self.refused: dict[str, str] = {}
        self.complete = False
        self._stamps: dict[str, Stamp] = {}
        self._seen: dict[str, Stamp] = {}
        self._loading = threading.Lock()

    @property
    def default(self) -> str | None:
        return default_name(self.models)

    def get(self, name: str | None) -> Model:
        """The model of that name, or the default one. Raises a `Problem`: `unknown-model` or `not-ready`."""
        model = self.models.get(name or self.default or "")
        if model is not None:
            return model
        if not self.complete:
            raise Problem("not-ready", "The models are being loaded. Try again.", retry_after=1)
        if name in self.refused:
            raise Problem("unknown-model", f"The model {name!r} is there but cannot be used; /api/v1/models says why.")
        known = ", ".join(sorted(self.models)) or "none at all"
        raise Problem("unknown-model", f"There is no model {(name or '')[:100]!r}. There is {known}.")

    async def follow(self) -> None:
        """Load what is there; then look again every `reload_seconds`, for ever."""
        await asyncio.to_thread(self.refresh)
        self.complete = True
        while self.settings.reload_seconds:
            await asyncio.sleep(self.settings.reload_seconds)
            try:
                await asyncio.to_thread(self.refresh, settled=True)
            except Exception:
                logger.exception("Looking for changed bundles failed; the models in service stay.")

    def refresh(self, *, settled: bool = False) -> None:
        """Load new and changed bundles, let go of removed ones.

        With `settled`, a bundle is loaded only if its files are as they were at the last look, so that one which is
        just being copied is left alone. A changed bundle that cannot be used is refused, and its former self goes on.
        """
        with self._loading:
            there = {folder.name: folder for folder in folders(self.settings.models)}
            now = {name: stamp(folder) for name, folder in there.items()}
            for name in [name for name in self._stamps if name not in now]:
                del self._stamps[name]
                self.refused.pop(name, None)
                if self.models.pop(name, None):
                    logger.info("The model %s was removed.", name)
            for name, found in now.items():
                if found != self._stamps.get(name) and (not settled or found == self._seen.get(name)):
                    self._load(there[name], found)
            self._seen = now
            MODELS.labels("in service").set(len(self.models))
            MODELS.labels("refused").set(len(self.refused))

    def _load(self, folder: Path, before: Stamp) -> None:
        try:
            model = self._open(folder)
            refused = None
        except (BundleError, OSError) as error:
            model, refused = None, str(error)
        except Exception as error:  # a hostile file may lead a library to any error, and must harm no other model
            logger.exception("Loading %s failed.", folder.name)
            model, refused = None, f"{folder.name} cannot be loaded: {type(error).__name__}."
        if stamp(folder) != before:
            return  # it changed while it was read: the parts may not belong together; the next look decides
        self._stamps[folder.name] = before
        if model is None:
            self.refused[folder.name] = refused or ""
            logger.warning("The model %s is refused: %s", folder.name, refused)
            return
        self.refused.pop(folder.name, None)
        self.models[folder.name] = model
        sessions = model.runner.sessions
        logger.info(
            "The model %s is in service: %s, %d x %s.",
            model.name,
            sessions.engine.kind,
            sessions.count,
            sessions.scheduling,
        )

    def _open(self, folder: Path) -> Model:
        settings = self.settings
        bundle = read_bundle(folder)
        sessions = open_sessions(
            bundle, settings.engine, settings.threads_used, settings.scheduling, settings.max_batch
        )
        return Model(bundle, Runner(sessions, bundle.spec))


def stamp(folder: Path) -> Stamp:
    """What can be seen of a bundle's files without reading them."""
    parts = []
    for part in (MODEL, LABELS, CARD, ONNX):
        try:
            status = (folder / part).stat()
        except OSError:
            continue
        parts.append((part, status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(parts)
