"""A model's file that was read: the network, what it takes, and who says so."""

from collections.abc import Callable
from dataclasses import replace
from typing import IO, Any, NamedTuple

from pydantic import ValidationError

from foodscene.models.card import CardInput, first_mistake
from foodscene.models.exported.reader import read as read_export
from foodscene.models.exported.reader import sized
from foodscene.models.exported.settings import Settings, assumed
from foodscene.models.exported.settings import read as read_settings
from foodscene.models.graph.graph import ModelRefused, Shape, in_words
from foodscene.models.graph.reader import outline
from foodscene.models.outputs import Network
from foodscene.models.scaling import SCALING, guess


class Found(NamedTuple):
    """A model's file that was read, what it takes, and what else was said of it."""

    network: Network
    input: CardInput
    settings: Settings


def saved(content: IO[bytes], file: str, said: CardInput) -> Found:
    """A model that Keras saved, called `file`, with what the card `said` of its input, and what its layers tell.

    Raises `ModelRefused`.
    """
    graph = outline(content, file, sides=(said.height, said.width) if said.height and said.width else None)
    settings = Settings(*guess(graph))
    told, why = _beside(settings, said)
    return Found(graph, _input(file, _filled(said, told), graph.input_shape), replace(settings, said_by=why))


def exported(content: IO[bytes], file: str, said: CardInput, part: Callable[[str], bytes | None]) -> Found:
    """As `saved`, a model that another program exported, and what is said in it and beside it, which `part` reads."""
    export = read_export(content.read())
    settings = read_settings(export, part)
    told, why = _beside(settings, said)
    fixed = dict(zip(("height", "width"), export.input_shape[1:3], strict=True))
    taken = _input(
        file,
        _filled(said, {key: value for key, value in told.items() if not fixed.get(key)}),
        export.input_shape,
    )
    network = sized(export, taken.spec.height, taken.spec.width)
    if why == "assumed":
        told, why = assumed(export, scales=network.scales)
        taken = _filled(taken, told)
    return Found(network, taken, replace(settings, said_by=why))


def _beside(settings: Settings, said: CardInput) -> tuple[dict[str, Any], str]:
    """What is told of the input and by whom; of the values, what the card says where it says anything of them."""
    if not set(SCALING) & said.model_fields_set:
        return settings.input, settings.said_by
    return {key: value for key, value in settings.input.items() if key not in SCALING}, "by card.json"


def _filled(said: CardInput, told: dict[str, Any]) -> CardInput:
    """The card's input, with what is told where the card does not say it."""
    return said.model_copy(update={key: value for key, value in told.items() if key not in said.model_fields_set})


def _input(file: str, said: CardInput, takes: Shape) -> CardInput:
    """What the card says of the input, which must not contradict the model, and the model of the rest."""
    shape = takes[1:]
    if len(shape) != 3 or shape[2] not in (1, 3):
        raise ModelRefused(
            f"{file} takes an input of shape {in_words(takes)}; photos have (any, height, width, "
            "channels) with 1 or 3 channels, last."
        )
    height, width, channels = shape
    given = said.model_copy(
        update={
            "height": said.height or height,
            "width": said.width or width,
            "channels": said.channels if "channels" in said.model_fields_set else channels,
        }
    )
    if given.height is None or given.width is None:
        raise ModelRefused(
            f"{file} leaves its input size open ({in_words(shape)}). Give it in card.json: "
            '{"input": {"height": 128, "width": 128, "channels": 3}}.'
        )
    if any(told not in (None, taken) for told, taken in zip(shape, given.spec.shape, strict=True)):
        raise ModelRefused(f"card.json gives the input as {in_words(given.spec.shape)}, {file} as {in_words(shape)}.")
    try:
        return CardInput.model_validate(given.model_dump(exclude_unset=True) | given.spec._asdict())
    except ValidationError as error:
        raise ModelRefused(f"{file} takes photos of {in_words(shape)}: {first_mistake(error)}") from error
