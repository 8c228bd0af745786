"""What whoever writes a recipe reads: its keys, and the recipes that ship."""

from pydantic import BaseModel

from docs.generate.tables import default, table, values
from foodscene.training.recipes import recipe as recipes
from foodscene.training.recipes import sections
from foodscene.training.recipes.augmentation import Augmentation

_SECTIONS: dict[str, type[BaseModel]] = {
    "input": sections.Input,
    "data": sections.DataSettings,
    'model` with `kind = "convolutional"': sections.Convolutional,
    'model` with `kind = "transfer"': sections.Transfer,
    'model` with `kind = "dense"': sections.Dense,
    "model` of every kind": sections.Network,
    "augmentation": Augmentation,
    "optimizer": sections.Optimizer,
    "schedule": sections.Schedule,
    "training": sections.Training,
    "early_stopping": sections.EarlyStopping,
    "finetune": sections.Finetune,
    "teacher": sections.Teaching,
    "reported": sections.Reported,
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
    said = " ".join((section.__doc__ or "").split())
    head, colon, rest = said.partition(": ")
    said = rest if colon and head.startswith("`[") else said.removeprefix("`[schedule]` ")
    return said[:1].upper() + said[1:]


def _table(section: type[BaseModel]) -> str:
    """The keys of a section, without those that every kind of network has."""
    rows = [
        [f"`{name}`", field.description or "", values(field), default(field)]
        for name, field in section.model_fields.items()
        if section is sections.Network or name not in sections.Network.model_fields
    ]
    return table(["key", "meaning", "values", "default"], rows)
