"""A teacher: a bundle whose answers a smaller network learns from, in place of the labels.

Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015: the probabilities of a good network say
which photos are hard, and what else they look like. It is asked about the very picture that the network trains on,
altered as it is (Beyer et al., "Knowledge distillation: A good teacher is patient and consistent", 2022).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foodscene.models.bundle import Bundle
from foodscene.models.engine import open_engine
from foodscene.models.errors import FoodsceneError
from foodscene.models.pixels import InputSpec
from foodscene.training.evaluation.calibration import temper
from foodscene.training.recipes.recipe import Recipe


class TeacherError(FoodsceneError, ValueError):
    """A bundle that cannot teach this training. Its text says why."""


def demand(recipe: Recipe, *, given: bool) -> None:
    """Raises `TeacherError` where a recipe learns from a teacher and none is given."""
    if recipe.teacher and not given:
        raise TeacherError(f"{recipe.name} learns from a teacher's answers. Name a bundle: --teacher BUNDLE")


class Teacher:
    """Answers for photos as a training makes them. Calls from several threads are safe."""

    def __init__(self, bundle: Bundle, classes: Sequence[str], spec: InputSpec, temperature: float = 1.0) -> None:
        """A teacher of `classes`, in their order, on photos of `spec`; the bundle may know other labels too.

        Its logits are divided by `temperature`: from 1 on, the higher, the less sure it is of its answers.
        Raises `TeacherError` where it takes other photos or lacks a class, `BundleError` where it cannot be run.
        """
        if bundle.spec != spec:
            raise TeacherError(
                f"The teacher {bundle.name} takes photos as {_told(bundle.spec)}, the recipe makes them {_told(spec)}. "
                "Change the recipe's input to the teacher's, or take another teacher."
            )
        lacking = [label for label in classes if label not in bundle.labels]
        if lacking:
            raise TeacherError(
                f"The teacher {bundle.name} does not know {', '.join(lacking[:5])}{' ...' if lacking[5:] else ''}. "
                "It must have learned all classes of the photos, under the same names."
            )
        self._known = [bundle.labels.index(label) for label in classes]
        self._temperature = temperature
        self._engine = open_engine(bundle, threads=1)  # one core for each of the threads that ask

    def answer(self, photos: NDArray[Any]) -> NDArray[np.float32]:
        """Probabilities of shape (n, classes), for photos of shape (n, height, width, channels), values 0-255."""
        return temper(self._engine.predict(photos)[:, self._known], self._temperature)


def _told(spec: InputSpec) -> str:
    return f"{spec.width} x {spec.height} x {spec.channels}, {spec.fit}"
