"""`Order` and `Result`: one process's work, and what came of it.

Every process reads one order, does it, writes one result last, and exits.
"""

from typing import Annotated, Literal

from pydantic import Field

from asiarch.api.base import ApiModel, Count, Decimal, Digest, Name, Paragraph, Sentence, Tag, Title
from asiarch.api.reason import AGENT_REASONS, Reason
from asiarch.api.search import Contract, Cost, Rung, SearchName

OrderKind = Literal["propose", "build", "repair", "analyze", "train"]
MAX_RESULT_BYTES = 4096
"""Of a training order's result: what a termination message holds."""
MAX_CODE_BYTES = 200 * 1024


class Order(ApiModel):
    """What one process is to do; at most 4 KiB as JSON, everything larger by digest."""

    name: Annotated[str, Field(max_length=100)]
    kind: OrderKind
    search: SearchName
    candidate: Name
    attempt: int = Field(1, ge=1)
    index: int = Field(0, ge=0, description="Which seed of the rung, for a training order.")
    seed: int = Field(0, ge=0, le=2**31 - 1)
    seconds: int = Field(ge=1, description="How long the order may take.")
    contract: Contract = "mixer/v1"
    rung: Rung | None = Field(None, description="For a training order.")
    parameters: float = Field(1.5, gt=0, description="Parameter budget of a mixer in multiples of 4 width².")
    cost_exempt: bool = Field(
        False, description="A shipped baseline is measured but not refused for its growth of cost."
    )
    code: Digest | None = Field(None, description="The candidate's file, by digest.")


class Measurement(ApiModel):
    """What one training order's index measured."""

    score: Decimal | None = None
    loss: Decimal | None = None
    metrics: dict[Annotated[str, Field(max_length=40)], Decimal] = Field(default_factory=dict, max_length=24)
    claims: dict[Annotated[str, Field(max_length=40)], Decimal] = Field(default_factory=dict, max_length=12)
    groups: Annotated[tuple[Decimal, ...], Field(max_length=48)] = ()
    curve: Annotated[tuple[tuple[Count, Decimal], ...], Field(max_length=24)] = ()
    parameters: Count = 0
    data: Digest | None = Field(None, description="Digest of the data that was used.")


class Proposal(ApiModel):
    """A researcher's idea."""

    name: Title
    motivation: Paragraph
    recipe: Annotated[str, Field(max_length=512)] = Field(
        description="Enough for the engineer to write the file."
    )
    uses: Annotated[tuple[Name, ...], Field(max_length=8)] = Field(
        (), description="Candidates whose lessons were used."
    )


class Writing(ApiModel):
    """An engineer's file."""

    text: Annotated[str, Field(max_length=MAX_CODE_BYTES)]
    tags: Annotated[tuple[Tag, ...], Field(max_length=16)] = ()


class Finding(ApiModel):
    """An analyst's explanation."""

    analysis: Paragraph
    claim: Sentence = ""
    scope: Annotated[tuple[Tag, ...], Field(max_length=4)] = ()
    delta: Decimal = "0"
    low: Decimal = "0"
    high: Decimal = "0"


class Result(ApiModel):
    """What came of an order; `reason` is none when it was done."""

    order: Annotated[str, Field(max_length=100)]
    attempt: int = Field(ge=1)
    index: int = Field(0, ge=0)
    reason: Reason | None = None
    message: Paragraph = ""
    measurement: Measurement | None = None
    proposal: Proposal | None = None
    writing: Writing | None = None
    finding: Finding | None = None
    cost: Cost = Field(default_factory=Cost)
    isolation: Annotated[tuple[Annotated[str, Field(max_length=64)], ...], Field(max_length=16)] = Field(
        (), description="What the process that ran the candidate's code really had."
    )


def wrong_reason(result: Result) -> str | None:
    """What is wrong with the reason in an agent's result, in words; none if nothing is.

    An agent that said it was preempted would be tried again for ever.
    """
    if result.reason is None or result.reason in AGENT_REASONS:
        return None
    wanted = " or ".join(sorted(AGENT_REASONS))
    return f"reason: found {result.reason}, wanted none or {wanted}; all else is not the agent's to say."
