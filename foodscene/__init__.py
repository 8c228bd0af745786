"""Tells which dish or which place is in a photo: train a classifier, look into it, serve it.

`from foodscene import train, evaluate, load, predict`: see docs/python.md. Each is imported when it is first asked for,
as training needs packages that serving does without.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foodscene.classifier import Answer, Classifier, evaluate, load, predict
    from foodscene.training.train import Outcome, resume, train

__all__ = ["Answer", "Classifier", "Outcome", "evaluate", "load", "predict", "resume", "train"]

_TRAINING = ("Outcome", "resume", "train")

# Packages that we use tell their makers what runs here, or look for newer versions, unless they are told not to, by
# variables that they read when they are imported: so here, before any of them is, whatever the environment says.
os.environ.update(
    DO_NOT_TRACK="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    MLFLOW_DISABLE_TELEMETRY="true",
    NO_ALBUMENTATIONS_UPDATE="1",
    ORT_DISABLE_TELEMETRY="1",
)


def __getattr__(name: str) -> Any:
    """What `__all__` names, from where it is."""
    if name not in __all__:
        raise AttributeError(f"module 'foodscene' has no attribute {name!r}")
    return getattr(
        importlib.import_module(f"foodscene.{'training.train' if name in _TRAINING else 'classifier'}"), name
    )
