"""What whoever writes a recipe reads: its keys, and the recipes that ship."""

from pydantic import BaseModel

from docs.generate.tables import default, table, values
from training import recipe as recipes
from training.augmentation import Augmentation

_NETWORK: type[BaseModel] = recipes.Dense.__mro__[1]  # what every kind of network has
_SECTIONS: dict[str, type[BaseModel]] = {
    "input": recipes.Input,
    "data": recipes.DataSettings,
    'model` with `kind = "convolutional"': recipes.Convolutional,
    'model` with `kind = "transfer"': recipes.Transfer,
    'model` with `kind = "dense"': recipes.Dense,
    "model` of every kind": _NETWORK,
    "augmentation": Augmentation,
    "optimizer": recipes.Optimizer,
    "schedule": recipes.Schedule,
    "training": recipes.Training,
    "early_stopping": recipes.EarlyStopping,
    "finetune": recipes.Finetune,
    "reported": recipes.Reported,
}


def keys() -> str:
    """A table for the recipe itself and one for each of its sections."""
    top = {name: field for name, field in recipes.Recipe.model_fields.items() if field.description}
    rows = [["`extends`", "The recipe that this one changes: a name, or a file beside it.", "text", "absent"]]
    rows += [[f"`{name}`", field.description or "", values(field), default(field)] for name, field in top.items()]
    tables = ["### Above all sections\n\n" + table(["key", "meaning", "values", "default"], rows)]
    for name, section in _SECTIONS.items():
        title = "`[" + (name.replace("`", "]`", 1) if "`" in name else f"{name}]`")
        title += "`" if title.count("`") % 2 else ""
        tables.append(f"### {title}\n\n{_about(section)}\n\n{_table(section)}")
    return "\n\n".join(tables)


def shipped() -> str:
    """The recipes that ship, with the figures that their reports give."""
    loaded = [recipes.load(name) for name in recipes.shipped()]
    rows = [
        [
            f"`{recipe.name}`",
            recipe.title,
            recipe.reported.row if recipe.reported else "",
            f"{recipe.reported.top1:.4f}" if recipe.reported and recipe.reported.top1 is not None else "",
        ]
        for recipe in loaded
    ]
    return table(["recipe", "what it is", "row", "reported top-1"], rows)


def _about(section: type[BaseModel]) -> str:
    """What a section is for: its docstring without its own name."""
    said = " ".join((section.__doc__ or "What all three kinds have.").split())
    head, colon, rest = said.partition(": ")
    said = rest if colon and head.startswith("`[") else said.removeprefix("`[schedule]` ")
    return said[:1].upper() + said[1:]


def _table(section: type[BaseModel]) -> str:
    """The keys of a section, without those that every kind of network has."""
    rows = [
        [f"`{name}`", field.description or "", values(field), default(field)]
        for name, field in section.model_fields.items()
        if section is _NETWORK or name not in _NETWORK.model_fields
    ]
    return table(["key", "meaning", "values", "default"], rows)
