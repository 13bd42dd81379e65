"""The parts of an object that Kubernetes defines: metadata and conditions."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from asiarch.api.base import ApiModel, Count, Paragraph, Timestamp


class Metadata(ApiModel):
    """What we use of an object's metadata; the API server owns the rest."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True, populate_by_name=True)

    name: Annotated[str, Field(min_length=1, max_length=63)]
    namespace: Annotated[str, Field(max_length=63)] = "default"
    uid: Annotated[str, Field(max_length=64)] = ""
    creation_timestamp: Annotated[str, Field(max_length=64)] = ""
    generation: int = 1
    resource_version: Annotated[str, Field(max_length=64)] = ""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class Condition(ApiModel):
    """One condition, in the form of metav1.Condition."""

    type: Annotated[str, Field(max_length=64, pattern=r"^[A-Z][A-Za-z]*$")] = Field(
        description="Unique in its list."
    )
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: Annotated[str, Field(max_length=64, pattern=r"^[A-Z][A-Za-z]*$")] = Field(
        description="Why, as one word."
    )
    message: Paragraph = Field("", description="Why, in words, with the next step.")
    observed_generation: Count = Field(0, description="The generation it speaks of.")
    last_transition_time: Timestamp = Field(description="When the status last flipped.")
