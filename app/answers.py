"""What the REST routes answer, as OpenAPI describes it."""

from typing import Any

from pydantic import BaseModel, Field


class PredictionBody(BaseModel):
    label: str = Field(description="As in the model's labels.txt.", examples=["forest"])
    probability: float = Field(ge=0, le=1, examples=[0.97])


class AnswerBody(BaseModel):
    """What is on a photo, most probable first."""

    model: str = Field(examples=["everyday"])
    predictions: list[PredictionBody]
    sure: bool = Field(description="Whether the first label is probable enough to rely on (the card's `sure_above`).")
    milliseconds: float = Field(description="From the photo's arrival to the answer.", examples=[6.1])


class ModelBody(BaseModel):
    """A model in service, in short."""

    name: str = Field(examples=["everyday"])
    title: str
    domain: str
    description: str
    labels: list[str]
    top1: float | None = Field(description="Share of test photos whose first label is right.")
    top5: float | None
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
