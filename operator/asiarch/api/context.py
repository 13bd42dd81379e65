"""What an agent order is told: the experiments and lessons that its work builds on."""

from typing import Annotated

from pydantic import Field

from asiarch.api.base import ApiModel, Decimal, Name, Paragraph, Tag, Title
from asiarch.api.candidate import Lesson, RungResult
from asiarch.api.order import Order, Proposal
from asiarch.api.reason import Reason


class Experiment(ApiModel):
    """One earlier candidate as an agent sees it."""

    candidate: Name
    name: Title = ""
    motivation: Paragraph = ""
    tags: tuple[Tag, ...] = ()
    code: str = Field("", description="The whole file.")
    rungs: tuple[RungResult, ...] = ()
    fitness: Decimal | None = None
    analysis: Paragraph = ""


class LessonRecord(ApiModel):
    """A lesson with its record: how often a proposal used it, and how often that child beat its parent."""

    candidate: Name = Field(description="Who taught it.")
    lesson: Lesson
    uses: int = Field(0, ge=0)
    wins: int = Field(0, ge=0)


class Failure(ApiModel):
    """Why a file must be repaired."""

    reason: Reason
    message: Paragraph
    rung: str = ""


class Context(ApiModel):
    """Everything one agent order may look at."""

    order: Order
    goal: str = ""
    me: Experiment | None = Field(None, description="The candidate itself, for repair and analysis.")
    proposal: Proposal | None = Field(None, description="What to write, for build and repair.")
    parent: Experiment | None = None
    grandparent: Experiment | None = None
    references: tuple[Experiment, ...] = ()
    siblings: Annotated[tuple[Experiment, ...], Field(max_length=2)] = Field(
        (), description="The strongest other children of the parent."
    )
    lessons: Annotated[tuple[LessonRecord, ...], Field(max_length=64)] = ()
    failure: Failure | None = Field(None, description="For repair.")
    revision: int = Field(0, ge=0, description="How often the file was repaired already.")
    resample: int = Field(
        0, ge=0, description="How often this proposal was drawn again because it repeated a known candidate."
    )
