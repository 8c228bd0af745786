"""The registry: the models that are served, and the bundles that were refused. It follows the folder they lie in."""

import asyncio
import logging
import threading
from dataclasses import dataclass
from pathlib import Path

from foodscene.app.inference.scheduler import Runner
from foodscene.app.inference.sessions import open_sessions
from foodscene.app.inference.trials import CannotTry, TooSlow, Trials
from foodscene.app.metrics import MODELS as COUNTED
from foodscene.app.problems import Problem
from foodscene.app.settings import Settings
from foodscene.models.bundle import (
    CARD,
    CONFUSION,
    FAMILIAR,
    INDICES,
    LABELS,
    MODELS,
    SETTINGS,
    SHIPPED,
    Bundle,
    BundleError,
    default_name,
    folders,
    read_bundle,
)
from foodscene.models.confusion import Confusion
from foodscene.models.fallback import Fallback, FallbackError, check
from foodscene.models.text import printable

logger = logging.getLogger(__name__)

Stamp = tuple[tuple[str, int, int, int, int], ...]
"""What changes when a bundle's files do, or who may read them: name, inode, size, times of content and of state."""

_AT_FIRST = 10.0
"""Seconds for which a bundle is waited for while others have not been loaded yet; then it comes after them."""


_TRIED: set[tuple[Stamp, str, int, str, int]] = set()
"""What this process has tried, and how: an application may be made in it more than once."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Model:
    """A bundle in service."""

    bundle: Bundle
    runner: Runner
    confusion: Confusion | None
    as_fallback: Fallback
    """The same bundle as another one's fallback, which it may be named as."""

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
        self._trials = Trials(settings)
        self._late: set[str] = set()
        self._root: tuple[int, int] | None = None
        self._missing = False
        self._folders: dict[str, Path] = {}
        self._stamps: dict[str, Stamp] = {}
        self._seen: dict[str, Stamp] = {}
        self._loading = threading.Lock()
        self._lacking: dict[str, str] = {}

    @property
    def default(self) -> str | None:
        models = dict(self.models)  # another thread may change it
        return default_name(models, {name for name, model in models.items() if model.bundle.card.foreign})

    def get(self, name: str | None) -> Model:
        """The model of that name, or the default one. Raises a `Problem`: `unknown-model` or `not-ready`."""
        model = self.models.get(name or self.default or "")
        if model is not None:
            return model
        if not self.complete or name in self._late:
            raise Problem("not-ready", "The models are being loaded. Try again.", retry_after=1)
        if name in self.refused:
            raise Problem("unknown-model", f"The model {name!r} is there but cannot be used; /api/v1/models says why.")
        known = ", ".join(sorted(self.models)) or "none at all"
        raise Problem("unknown-model", f"There is no model {(name or '')[:100]!r}. There is {known}.")

    def fallback(self, model: Model) -> Model | None:
        """The model that is asked where this one is not sure; None where its card names none.

        Raises `FallbackError` where the one that it names is not in service, or cannot be asked.
        """
        named = model.bundle.card.fallback
        if named is None:
            return None
        other = self.models.get(named.bundle)
        check(model.bundle, other.bundle if other else None, named.bundle)
        return other

    def lacking(self, model: Model) -> str:
        """Why a model goes without the fallback that its card names; empty where it does not."""
        try:
            self.fallback(model)
        except FallbackError as error:
            return str(error)
        return ""

    async def follow(self) -> None:
        """Load what is there; then look again every `reload_seconds`, for ever."""
        try:
            await asyncio.to_thread(self.refresh)
        finally:
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
        So do all models while their folder is not there.
        """
        with self._loading:
            now = self._look()
            if now is None:
                return
            for name in [name for name in self._stamps if name not in now]:
                del self._stamps[name]
                self.refused.pop(printable(name), None)
                if self.models.pop(name, None):
                    logger.info("The model %s was removed.", printable(name))
            new = {
                name: found
                for name, found in now.items()
                if found != self._stamps.get(name) and (not settled or found == self._seen.get(name))
            }
            self._seen = now
            most = self.settings.load_seconds
            at_first = _AT_FIRST if len(new) > 1 else most
            self._late = {name for name, found in new.items() if not self._load(name, found, at_first)}
            self.complete = True
            for name in sorted(self._late):
                self._load(name, new[name], most)
                self._late.discard(name)
            self._tell_lacking()
            COUNTED.labels("in service").set(len(self.models))
            COUNTED.labels("refused").set(len(self.refused))

    def _tell_lacking(self) -> None:
        """Log which models go without their fallback, once."""
        now = {name: why for name, model in sorted(self.models.items()) if (why := self.lacking(model))}
        for name, why in now.items():
            if self._lacking.get(name) != why:
                logger.warning("The model %s goes without its fallback, by familiarity alone: %s", name, printable(why))
        self._lacking = now

    def close(self) -> None:
        """Stop loading."""
        self._trials.close()

    def _look(self) -> dict[str, Stamp] | None:
        """What can be seen of each bundle; None where their folder was there and is gone."""
        root = self.settings.models
        try:
            status = root.stat()
            empty = not any(root.iterdir())
            there = {folder.name: folder for folder in folders(root)}
            found = {name: stamp(folder) for name, folder in there.items()}
        except OSError as error:
            return self._gone(error.strerror or str(error))
        place = status.st_dev, status.st_ino
        if empty and self._root not in (None, place):  # as where a disk was mounted, or while a folder is made anew
            return self._gone("another folder is in its place, and empty")
        self._root, self._missing, self._folders = place, False, there
        return found

    def _gone(self, why: str) -> dict[str, Stamp] | None:
        if self._root is None:
            return {}
        if not self._missing:
            self._missing = True
            logger.warning("The models' folder %s is gone: %s. The models in service stay.", self.settings.models, why)
        return None

    def _load(self, name: str, before: Stamp, seconds: float) -> bool:
        """Load a bundle, or refuse it. Gives False where it takes longer than `seconds` and may be given more."""
        folder = self._folders[name]
        try:
            model = self._open(folder, before, min(seconds, self.settings.load_seconds))
            refused = None
        except TooSlow as error:
            if seconds < self.settings.load_seconds:
                return False
            model, refused = None, str(error)
        except CannotTry as error:
            model, refused, before = None, str(error), ()  # so that the next look tries again
        except (BundleError, OSError) as error:
            model, refused = None, str(error)
        except Exception as error:  # a hostile file may lead a library to any error, and must harm no other model
            logger.exception("Loading %s failed.", name)
            model, refused = None, f"{printable(name)} cannot be loaded: {type(error).__name__}."
        if before and stamp(folder) != before:
            return True  # it changed while it was read: the parts may not belong together; the next look decides
        self._stamps[name] = before
        if model is None:
            self.refused[printable(name)] = refused or ""
            logger.warning("The model %s is refused: %s", printable(name), refused)
            return True
        self.refused.pop(name, None)
        self.models[name] = model
        sessions = model.runner.sessions
        logger.info(
            "The model %s is in service: %s, %d x %s.",
            model.name,
            sessions.engine.kind,
            sessions.count,
            sessions.scheduling,
        )
        return True

    def _open(self, folder: Path, before: Stamp, seconds: float) -> Model:
        settings = self.settings
        tried = (before, settings.engine, settings.threads_used, settings.scheduling, settings.max_batch)
        # Whoever can write where foodscene itself lies needs no bundle to run code.
        if seconds and folder.resolve().parent != SHIPPED and tried not in _TRIED:
            self._trials.run(folder, seconds)
            _TRIED.add(tried)
        bundle = read_bundle(folder)
        sessions = open_sessions(
            bundle, settings.engine, settings.threads_used, settings.scheduling, settings.max_batch
        )
        return Model(bundle, Runner(sessions, bundle.spec), Confusion.read(bundle), Fallback(bundle))


def stamp(folder: Path) -> Stamp:
    """What can be seen of a bundle's files without reading them."""
    parts = []
    for part in ("", *MODELS, LABELS, INDICES, CARD, CONFUSION, FAMILIAR, *SETTINGS):
        try:
            status = (folder / part).stat()
        except OSError:
            continue
        if part:
            found = status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        else:  # of the folder itself, only who may look into it: other files in it may come and go
            found = status.st_ino, status.st_mode, status.st_uid, status.st_gid
        parts.append((part, *found))
    return tuple(parts)
