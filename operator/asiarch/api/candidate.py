"""`Candidate`: one experiment, its lineage, its measurements and what they taught."""

from typing import Annotated, Literal

from pydantic import Field

from asiarch.api.base import (
    ApiModel,
    Count,
    Decimal,
    Digest,
    Measure,
    Name,
    Paragraph,
    Sentence,
    Tag,
    Timestamp,
    Title,
    keyed,
)
from asiarch.api.meta import Condition, Metadata
from asiarch.api.order import OrderKind
from asiarch.api.reason import Reason
from asiarch.api.search import Cost, FileSource, RungName, SearchName

Origin = Literal["Baseline", "Proposed", "User"]
Phase = Literal[
    "Pending",
    "Proposing",
    "Building",
    "Evaluating",
    "Repairing",
    "Analyzing",
    "Complete",
    "Rejected",
    "Failed",
]


class CandidateSpec(ApiModel):
    """What a candidate is made from; immutable."""

    search_name: SearchName = Field(description="The search it belongs to, in the same namespace.")
    origin: Origin = Field(description="Who brought it.")
    parents: Annotated[tuple[Name, ...], Field(max_length=4)] = Field(
        (), description="Candidates it descends from."
    )
    references: Annotated[tuple[Name, ...], Field(max_length=16)] = Field(
        (), description="Further candidates that its researcher is shown."
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Every draw of its agents derives from it.")
    baseline: Name | None = Field(None, description="The shipped mixer that it is, for a baseline.")
    idea: Annotated[str, Field(max_length=1024)] | None = Field(
        None, description="A user's idea, for the engineer to write."
    )
    source: FileSource | None = Field(None, description="A user's finished file.")


class Code(ApiModel):
    """The candidate's file, by digest."""

    digest: Digest = Field(description="SHA-256 of the text.")
    fingerprint: Digest = Field(
        description="SHA-256 of the normalised syntax tree; equal for copies with other names or comments."
    )
    revision: Count = Field(0, description="How often it was repaired.")


class OrderRef(ApiModel):
    """The order that a candidate waits for."""

    name: Annotated[str, Field(max_length=100)] = Field(description="The order's name.")
    kind: OrderKind = Field(description="What is to be done.")
    rung: RungName | None = Field(None, description="The rung, for a training order.")
    attempt: int = Field(
        1, ge=1, le=10**6, description="Counts up when an attempt was lost without the candidate's fault."
    )
    deadline: Timestamp = Field(description="When the attempt is stopped.")


class Lesson(ApiModel):
    """What an analysis taught: a claim about building blocks, with its evidence."""

    claim: Sentence = Field(description="In words.")
    scope: Annotated[tuple[Tag, ...], Field(min_length=1, max_length=4)] = Field(
        description="The building blocks it speaks of."
    )
    delta: Decimal = Field(description="Difference of the score to the parent's; above 0, the blocks helped.")
    low: Decimal = Field(description="Lower end of the 95 % interval of the difference.")
    high: Decimal = Field(description="Upper end of the 95 % interval of the difference.")


class RungResult(ApiModel):
    """What one rung measured, over its seeds."""

    name: RungName = Field(description="The rung.")
    score: Decimal | None = Field(
        None, description="Mean over seeds of 1 − NLL / ln(classes); none for gates."
    )
    loss: Decimal | None = Field(None, description="Mean over seeds of the held-out loss, in nats per token.")
    seeds: Annotated[tuple[Decimal, ...], Field(max_length=10)] = Field(
        (), description="The score of each seed."
    )
    metrics: dict[Annotated[str, Field(max_length=40)], Decimal] = Field(
        default_factory=dict, max_length=24, description="Measured by the referee."
    )
    claims: dict[Annotated[str, Field(max_length=40)], Decimal] = Field(
        default_factory=dict,
        max_length=12,
        description="Said by the player of itself; never used for selection.",
    )
    groups: Annotated[tuple[Decimal, ...], Field(max_length=48)] = Field(
        (), description="The score on fixed parts of the held-out data, for paired comparison."
    )
    curve: Annotated[tuple[tuple[Count, Decimal], ...], Field(max_length=24)] = Field(
        (), description="Training step and claimed loss, thinned; first seed."
    )
    seconds: Measure = Field(0.0, description="Seconds of all seeds, by the referee's clock.")
    parameters: Count = Field(0, description="Parameters, counted by the referee in the exported weights.")
    data: Digest | None = Field(None, description="Digest of the data that it was measured on.")


class CandidateStatus(ApiModel):
    """Where a candidate stands and what was found out."""

    observed_generation: Count = Field(
        0, description="The generation of the spec that this status speaks of."
    )
    ordinal: Count | None = Field(None, description="Its number in the search; no gaps.")
    phase: Phase = Field("Pending", description="Where it stands in its lifecycle.")
    reason: Reason | None = Field(
        None, description="Why it ended, why it is being repaired, or which person's word it waits for."
    )
    message: Paragraph = Field("", description="The same in words.")
    name: Title = Field("", description="What its researcher calls it.")
    motivation: Paragraph = Field("", description="Why its researcher expects it to be better.")
    recipe: Annotated[str, Field(max_length=512)] = Field("", description="What its engineer is to write.")
    tags: Annotated[tuple[Tag, ...], Field(max_length=16)] = Field((), description="Its building blocks.")
    uses: Annotated[tuple[Name, ...], Field(max_length=8)] = Field(
        (), description="Candidates whose lessons its researcher used."
    )
    code: Code | None = Field(None, description="Its file.")
    order: OrderRef | None = Field(None, description="The order it waits for.")
    lost: Count = Field(
        0,
        description="Attempts of the present step that were lost without the candidate's fault, or taken back unused.",
    )
    excused: Count = Field(
        0,
        description="How many of them waited for the cluster or a person alone; they are no sign of failure.",
    )
    retry_at: Timestamp | None = Field(
        None, description="When the step is tried again at the earliest, after a lost attempt."
    )
    retried: Annotated[str, Field(max_length=64)] = Field(
        "", description="The value of the annotation `asiarch.dev/retry` that was followed last."
    )
    repairs: Count = Field(0, description="Repairs so far.")
    resamples: Count = Field(
        0, description="Proposals drawn again so far because they repeated a known candidate."
    )
    rung: Count = Field(0, description="Index of the rung it stands on.")
    rungs: Annotated[tuple[RungResult, ...], Field(max_length=8)] = Field(
        (), description="What was measured, in the ladder's order."
    )
    fitness: Decimal | None = Field(None, description="The number that selection sees.")
    analysis: Paragraph = Field("", description="Why it won or lost.")
    lesson: Lesson | None = Field(None, description="What it taught.")
    cost: Cost = Field(default_factory=Cost, description="Spent so far.")
    isolation: Annotated[tuple[Annotated[str, Field(max_length=64)], ...], Field(max_length=16)] = Field(
        (), description="The isolation that its code really had when it ran last."
    )
    started_at: Timestamp | None = Field(None, description="When its first order was named.")
    finished_at: Timestamp | None = Field(None, description="When it reached a terminal phase.")
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16, json_schema_extra=keyed("type"))] = (
        Field((), description="Conditions, one of each type.")
    )


class Candidate(ApiModel):
    """One experiment."""

    api_version: Literal["asiarch.dev/v1alpha1"] = "asiarch.dev/v1alpha1"
    kind: Literal["Candidate"] = "Candidate"
    metadata: Metadata
    spec: CandidateSpec
    status: CandidateStatus = Field(default_factory=CandidateStatus)

    @property
    def name(self) -> str:
        """The object's name."""
        return self.metadata.name
