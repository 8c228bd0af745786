"""What the REST routes answer, as OpenAPI describes it."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from foodscene.app.problems import ProblemDetails
from foodscene.models.outputs import OutputKind

_ANSWER: JsonDict = {
    "model": "everyday",
    "predictions": [{"label": "forest", "probability": 0.97}, {"label": "sea", "probability": 0.02}],
    "known": True,
    "familiarity": 0.83,
    "set": ["forest"],
    "sure": True,
    "milliseconds": 6.1,
}


class PredictionBody(BaseModel):
    """A label and how probable it is."""

    label: str = Field(description="As in the model's labels.txt.", examples=["forest"])
    probability: float = Field(ge=0, le=1, examples=[0.97])
    sure: bool = Field(
        default=False,
        description="Of a multi-label model, whose labels are answered each by itself: whether this one is probable "
        "enough to rely on; left out otherwise.",
    )


class FallbackBody(BaseModel):
    """What another model, which is the fallback of the one that was asked, takes a photo for."""

    model: str = Field(examples=["objects"])
    label: str = Field(description="Its most probable label, as in its labels.txt.", examples=["lion"])
    probability: float = Field(ge=0, le=1, examples=[0.94])


class AnswerBody(BaseModel):
    """What is on a photo, most probable first."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ANSWER]})

    model: str = Field(examples=["everyday"])
    predictions: list[PredictionBody]
    known: bool | None = Field(
        default=None,
        description="Whether the photo is of the kind that the model was trained on, as far as the model is not sure "
        "also by what its fallback makes of it; left out where its bundle does not say.",
    )
    familiarity: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="The share of validation photos that are less familiar; left out as `known` is.",
        examples=[0.83],
    )
    set: list[str] | None = Field(
        default=None,
        description="Labels of which the right one is one as often as the card's `conformal.coverage` says, most "
        "probable first; null for a photo that is not known, of which nothing is promised; left out where the card has "
        "none.",
        examples=[["forest"]],
    )
    fallback: FallbackBody | None = Field(
        default=None,
        description="What the model's fallback takes a photo for that is not known; left out for others, and where the "
        "model has no fallback or goes without it.",
    )
    sure: bool = Field(
        description="Whether the first label is probable enough to rely on (the card's `sure_above`), and the photo "
        "familiar enough to be known by that alone."
    )
    milliseconds: float = Field(description="From the photo's arrival to the answer.", examples=[6.1])
    truncated: bool = Field(
        default=False, description="True for a JPEG that lacks its end, up to 5 % of its rows; left out otherwise."
    )


class ResultBody(BaseModel):
    """What became of one photo of several: an answer, or the problem with it."""

    answer: AnswerBody | None = None
    problem: ProblemDetails | None = None


class BatchBody(BaseModel):
    """A result for each photo, in the order they were sent."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"results": [{"answer": _ANSWER}]}]})

    results: list[ResultBody]


class ExplanationBody(BaseModel):
    """Which part of a photo decided: how much less probable the label gets when that part is covered.

    `grid` has rows from top to bottom, 0 for no effect to 1 for the strongest one, by which the probability falls by
    `strongest`. It lies over the part of the upright photo that `area` gives as left, top, right, bottom in shares of
    its width and height; for a network that looks at the whole photo: 0, 0, 1, 1.
    """

    model: str = Field(examples=["everyday"])
    label: str = Field(examples=["forest"])
    probability: float = Field(examples=[0.97])
    grid: list[list[float]] = Field(examples=[[[0.0, 0.2], [0.1, 1.0]]])
    strongest: float = Field(examples=[0.4])
    area: list[float] = Field(min_length=4, max_length=4, examples=[[0.0, 0.0, 1.0, 1.0]])
    milliseconds: float = Field(examples=[310.0])


class ScoreBody(BaseModel):
    """A label and its probability, as Hugging Face spells it."""

    label: str = Field(examples=["forest"])
    score: float = Field(examples=[0.97])


class FeedbackBody(BaseModel):
    """Whether the photo was kept."""

    kept: bool = Field(examples=[True])


class ModelBody(BaseModel):
    """A model in service, in short."""

    name: str = Field(examples=["everyday"])
    title: str
    domain: str
    description: str
    labels: list[str]
    top1: float | None = Field(description="Share of test photos whose first label is right.")
    top5: float | None
    output: OutputKind = Field(description="What the network ends in; probabilities of `multi_label` do not add up.")
    default: bool = Field(description="Whether it answers when no model is named.")
    engine: str = Field(examples=["onnx"])
    scheduling: str = Field(examples=["parallel"])


class RefusedBody(BaseModel):
    """A bundle that lies in the models' folder and cannot be used."""

    name: str
    reason: str


class ModelsBody(BaseModel):
    """The models in service, and the bundles that were refused."""

    default: str | None
    models: list[ModelBody]
    refused: list[RefusedBody]


class ModelPageBody(ModelBody):
    """A model in service, with its whole card."""

    card: dict[str, Any]
