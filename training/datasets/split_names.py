"""Names of splits, of folders or in a table's column: `train`, `Training_set`, `valid`, `dev`, `test-images` …"""

import re

from foodscene.training.datasets.dataset import Split

_SPLITS: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation", "dev", "development"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_EVALUATION = ("eval", "evaluation", "evaluate")
"""The test photos of a data set that calls none so; else those of validation."""
_UNLABELLED = re.compile(r"predict|unlabel|infer|submission")
_HOLDER = r"(?:data ?set|data|set|images?|imgs?|photos?|pictures?|pics?|split|folder)"
"""What folders around others are called."""
_AROUND = re.compile(rf"^(?:seg|my|\d+|{_HOLDER})[\W_]+|[\W_]*{_HOLDER}$|[\W_]*\d+(?:x\d+|k)?[\W_]*$")


def kind_of(folder: str) -> str | None:
    """What a name says of a split: "train" for `Training_set` and `01_train`, "evaluation" for what is a test or a
    validation, "unlabelled" for what is neither; None for any other name.
    """
    word = folder.casefold().strip()
    if _UNLABELLED.search(word):
        return "unlabelled"
    while True:
        if word in _SPLITS:
            return _SPLITS[word]
        if word in _EVALUATION:
            return "evaluation"
        shorter = _AROUND.sub("", word, count=1)
        if shorter == word:
            return None
        word = shorter


def split_of(name: str) -> Split | None:
    """The split that a name says by itself, where "evaluation" is a test; None where it says none."""
    kind = kind_of(name)
    return "test" if kind == "evaluation" else _SPLITS.get(kind or "")


def is_holder(name: str) -> bool:
    """Whether a folder is called as those around others are: `images`, `data`."""
    return re.fullmatch(_HOLDER, name.casefold()) is not None
