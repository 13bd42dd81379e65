"""`ArchitectureSearch`: what a user asks for, and what has come of it."""

from typing import Annotated, Any, Literal

from pydantic import Field

from asiarch.api.base import (
    ATOMIC,
    Amount,
    ApiModel,
    Bytes,
    Cores,
    Count,
    Decimal,
    Digest,
    Duration,
    Key,
    Measure,
    Name,
    ObjectName,
    Paragraph,
    Timestamp,
    Tokens,
    keyed,
)
from asiarch.api.meta import Condition, Metadata
from asiarch.api.reason import Reason

SearchName = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
RungName = Annotated[str, Field(min_length=1, max_length=10, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
Path = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^\x00-\x1f\x7f]+$")]
SelectionPolicy = Literal["AsiArch", "Dgm", "Shinka", "Greedy", "Random"]
FitnessPolicy = Literal["Normalised", "AsiArch"]
TaskName = Literal["Gates", "SyntheticRecall", "ByteLanguageModel"]
Contract = Literal["mixer/v1"]
ProviderType = Literal["Grammar"]
StopPolicy = Literal["Drain", "Cancel"]

STANDARD_LIBRARY = "stdlib"
"""The path of a dataset that names the Python standard library's own source."""

SHIPPED_BASELINES = (
    "softmax-attention",
    "linear-attention",
    "gated-linear-attention",
    "delta-net",
    "gated-delta-net",
    "fixed-decay",
    "no-mixing",
)
"""The mixers that a baseline may name without bringing a source."""


class FileSource(ApiModel):
    """Where a file of the user's own stands."""

    file: Path | None = Field(
        None, description="Path of a Python file, relative to the manifest; on a laptop."
    )
    config_map: ObjectName | None = Field(
        None, description="A ConfigMap of the same namespace that holds the file; on a cluster."
    )
    key: Key = Field("candidate.py", description="The file's key in the ConfigMap.")


class Baseline(ApiModel):
    """A known mixer, measured before anything is proposed."""

    name: Name = Field(
        description="A mixer that asiarch ships (see `docs/baselines.md`), or a name of your own with a source."
    )
    source: FileSource | None = Field(None, description="Your own candidate file; it must pass every gate.")


Baselines = Annotated[
    tuple[Baseline, ...], Field(min_length=1, max_length=20, json_schema_extra=keyed("name"))
]


class Selection(ApiModel):
    """Who breeds."""

    policy: SelectionPolicy = Field(
        "AsiArch", description="The rule by which a proposal's parents are chosen."
    )
    pool: int = Field(50, ge=1, le=1000, description="How many of the best candidates may be drawn from.")
    parents: int = Field(
        10, ge=1, le=1000, description="A parent is drawn from this many first ranks of the pool."
    )
    references: int = Field(4, ge=0, le=16, description="How many further candidates a proposal is shown.")


class Provider(ApiModel):
    """What thinks for the agents."""

    type: ProviderType = Field(
        "Grammar", description="Grammar: the built-in agents, no language model at all."
    )


PodTemplate = Annotated[
    dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})
]
"""What a user lays over our pods, in the shape of a PodTemplateSpec; `kube.overlay` says what may not be in it."""


class OrderCost(ApiModel):
    """The most that one order of an agent may cost; reserved before it starts."""

    tokens: int = Field(0, ge=0, le=10**9, description="Tokens of one order at most.")
    usd: Amount = Field("0", description="US dollars of one order at most.")


class Agents(ApiModel):
    """Who proposes, writes, repairs and explains."""

    provider: Provider = Field(default_factory=Provider, description="What thinks for the agents.")
    parallelism: int = Field(1, ge=1, le=1000, description="Agent orders at a time.")
    repairs: int = Field(3, ge=0, le=10, description="How often an engineer may repair one candidate.")
    resamples: int = Field(
        3, ge=0, le=9, description="How often a proposal that repeats a known candidate is drawn again."
    )
    deadline: Duration = Field("2m", description="How long one agent order may take.")
    order_cost: OrderCost = Field(
        default_factory=OrderCost, description="The most that one agent order may cost."
    )
    cpu: Cores = Field("500m", description="Processor cores of one agent's pod.")
    memory: Bytes = Field("512Mi", description="Memory of one agent's pod.")
    pod_template: PodTemplate | None = Field(
        None,
        description="Laid over the agents' pods, as a PodTemplateSpec: placement, labels, tolerations; "
        "what guards the sandbox can't be changed.",
    )


class Dataset(ApiModel):
    """Where text comes from."""

    path: Path = Field(
        ".",
        description="A file or a directory, relative to the manifest or in the volume; `stdlib` names the Python "
        "standard library's own source. At most 64 MiB are read, of a directory its files in the order of their paths.",
    )
    persistent_volume_claim: ObjectName | None = Field(
        None, description="A claim of the same namespace whose volume holds the text; on a cluster."
    )
    config_map: ObjectName | None = Field(
        None, description="A ConfigMap of the same namespace that holds the text; on a cluster."
    )
    suffix: Annotated[str, Field(max_length=16, pattern=r"^[^\x00-\x1f\x7f]*$")] = Field(
        "", description="Take only files of a directory whose name ends so."
    )
    digest: Digest | None = Field(
        None,
        description="Refuse any other text: what `status.rungs[].data` of a candidate that was measured on it says.",
    )

    @property
    def in_cluster(self) -> bool:
        """Whether the text lies in a volume, which only a cluster has."""
        return self.persistent_volume_claim is not None or self.config_map is not None


class ModelShape(ApiModel):
    """The host model's size; a candidate fills in its mixer only."""

    layers: int = Field(2, ge=1, le=64, description="Blocks.")
    width: int = Field(32, ge=8, le=8192, description="Width of the residual stream.")
    heads: int = Field(2, ge=1, le=128, description="Heads; they divide the width.")


class Promotion(ApiModel):
    """Who climbs to the next rung."""

    top: float = Field(
        1.0, gt=0, le=1, description="The best fraction of all that were measured on this rung climbs."
    )
    grace: int = Field(1, ge=1, le=1000, description="The first so many climb in any case.")


Resources = dict[
    Annotated[str, Field(max_length=253)],
    Annotated[int, Field(ge=0, le=4096)],
]


class Rung(ApiModel):
    """One evaluation task of the ladder, with its own size, seeds and promotion rule."""

    name: RungName = Field(description="Unique in the ladder.")
    task: TaskName = Field(description="What is measured.")
    dataset: Dataset | None = Field(None, description="Text for ByteLanguageModel.")
    model: ModelShape = Field(default_factory=ModelShape, description="The host model's size.")
    steps: int = Field(150, ge=1, le=10**7, description="Training steps of each task.")
    batch: int = Field(32, ge=2, le=4096, description="Sequences in a training batch.")
    length: int = Field(48, ge=16, le=65536, description="Tokens in a sequence.")
    learning_rate: float = Field(6e-3, gt=0, le=1, description="Peak learning rate of AdamW.")
    seeds: int = Field(1, ge=1, le=10, description="Independent repetitions; the score is their mean.")
    promote: Promotion = Field(default_factory=Promotion, description="Who climbs to the next rung.")
    deadline: Duration = Field("10m", description="How long one seed may take.")
    approval: bool = Field(
        False,
        description="A person must approve each candidate, by the annotation `asiarch.dev/approve`, before this rung.",
    )
    cpu: Cores = Field(
        "1",
        description="Processor cores of one seed's player. PyTorch itself computes with one thread, so that numbers "
        "repeat; more cores help only compilers and drivers.",
    )
    memory: Bytes = Field("2Gi", description="Memory of one seed's player.")
    resources: Resources = Field(
        default_factory=dict,
        max_length=8,
        description="Accelerators of one seed, by extended resource, such as nvidia.com/gpu.",
    )


Ladder = Annotated[tuple[Rung, ...], Field(min_length=1, max_length=8, json_schema_extra=keyed("name"))]


class Evaluation(ApiModel):
    """How candidates are measured, cheap to dear."""

    contract: Contract = Field("mixer/v1", description="What a candidate's file must define.")
    parallelism: int = Field(1, ge=1, le=1000, description="Training orders at a time.")
    parameters: float = Field(
        1.5,
        gt=0,
        le=100,
        description="A mixer may have at most this many times the parameters of softmax attention (4 width²).",
    )
    queue_name: Name | None = Field(None, description="The Kueue queue that training Jobs are put into.")
    pod_template: PodTemplate | None = Field(
        None,
        description="Laid over the training pods, as a PodTemplateSpec: placement, labels, tolerations; "
        "what guards the sandbox can't be changed.",
    )
    ladder: Ladder = Field(description="The rungs, cheap to dear.")


class Fitness(ApiModel):
    """Which number selection sees."""

    policy: FitnessPolicy = Field("Normalised", description="How the referee's metrics become one number.")


class Budget(ApiModel):
    """When the search ends; what is left out is unlimited."""

    candidates: int = Field(
        ge=1, le=100_000, description="Proposals and users' candidates; baselines are not counted."
    )
    wall_clock: Duration | None = Field(None, description="Time since the search started.")
    gpu_hours: Amount | None = Field(None, description="GPU-hours of all training orders.")
    tokens: int | None = Field(None, ge=0, le=10**15, description="Tokens of all agent orders.")
    usd: Amount | None = Field(None, description="US dollars of all agent orders.")


class Stop(ApiModel):
    """When to end before the budget is spent."""

    target_fitness: Decimal | None = Field(None, description="Stop once a candidate reaches it.")
    patience: int | None = Field(
        None, ge=1, le=100_000, description="Stop after so many finished proposals without a new best."
    )
    deadline: Timestamp | None = Field(None, description="Start nothing after this moment.")


class Retention(ApiModel):
    """Which finished candidates stay as objects; the records of all others are kept in the archive."""

    keep_best: int = Field(50, ge=1, le=1000, description="So many of the best stay in any case.")
    keep_finished: int = Field(
        500, ge=1, le=5000, description="So many that have finished stay, newest first."
    )
    ttl: Duration | None = Field(None, description="How long one stays after it has finished.")


class SearchSpec(ApiModel):
    """What to look for, how to measure it and what it may cost."""

    goal: Annotated[str, Field(min_length=1, max_length=1024)] = Field(
        description="What the search is after, in words."
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Every draw derives from it.")
    suspend: bool = Field(False, description="Start nothing new while true.")
    stop_policy: StopPolicy = Field(
        "Drain",
        description="What happens to orders under way when nothing may start any more. Drain: they end by themselves. "
        "Cancel: they are stopped, and tried anew when the search goes on.",
    )
    baselines: Baselines = Field(description="Measured first; the first one is the yardstick.")
    selection: Selection = Field(default_factory=Selection, description="Who breeds.")
    agents: Agents = Field(default_factory=Agents, description="Who proposes, writes, repairs and explains.")
    evaluation: Evaluation = Field(description="How candidates are measured.")
    fitness: Fitness = Field(default_factory=Fitness, description="Which number selection sees.")
    budget: Budget = Field(description="When the search ends.")
    stop: Stop = Field(default_factory=Stop, description="When to end before the budget is spent.")
    retention: Retention = Field(
        default_factory=Retention, description="Which finished candidates stay as objects; on a cluster."
    )


class Cost(ApiModel):
    """What was spent, or is reserved."""

    seconds: Measure = Field(0.0, description="Seconds of training processes, summed.")
    gpu_seconds: Measure = Field(0.0, description="GPU-seconds.")
    tokens: Tokens = Field(0, description="Tokens of agents.")
    usd: Measure = Field(0.0, description="US dollars of agents.")

    def __add__(self, other: "Cost") -> "Cost":
        """Add two costs."""
        return Cost(
            seconds=self.seconds + other.seconds,
            gpu_seconds=self.gpu_seconds + other.gpu_seconds,
            tokens=self.tokens + other.tokens,
            usd=self.usd + other.usd,
        )


SearchPhase = Literal["Running", "Suspended", "Blocked", "Complete", "Failed"]


class Counts(ApiModel):
    """How many candidates stand where; derived from the candidates, never counted on the side."""

    baselines: Count = Field(0, description="Baselines that have their ordinal.")
    proposed: Count = Field(0, description="Proposals and users' candidates that have their ordinal.")
    live: Count = Field(0, description="Not yet in a terminal phase.")
    complete: Count = Field(0, description="Measured and explained.")
    rejected: Count = Field(0, description="Ideas that lost their right to run.")
    failed: Count = Field(0, description="Candidates of which we could not find out.")


class Best(ApiModel):
    """The candidate in front."""

    candidate: Name = Field(description="Its name.")
    rung: RungName = Field(description="The deepest rung on which it was measured.")
    fitness: Decimal = Field(description="Its fitness.")


class SearchStatus(ApiModel):
    """What has come of a search."""

    observed_generation: Count = Field(
        0, description="The generation of the spec that this status speaks of."
    )
    phase: SearchPhase = Field("Running", description="Where the search stands.")
    reason: Reason = Field(Reason.RUNNING, description="Why it stands there.")
    message: Paragraph = Field("", description="The same in words, with the next step.")
    started_at: Timestamp | None = Field(
        None, description="When it was first free to begin, neither blocked nor suspended."
    )
    finished_at: Timestamp | None = Field(None, description="When the search ended.")
    reservations: dict[Annotated[str, Field(max_length=100)], Cost] = Field(
        default_factory=dict,
        max_length=8000,
        json_schema_extra=ATOMIC,
        description="Worst-case cost of each order that a candidate names, is about to name, or has settled of late.",
    )
    counts: Counts = Field(default_factory=Counts, description="How many candidates stand where.")
    cost: Cost = Field(
        default_factory=Cost,
        description="Spent so far, by the candidates, as the search's last write found them.",
    )
    best: Best | None = Field(None, description="The candidate in front.")
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16, json_schema_extra=keyed("type"))] = (
        Field((), description="Conditions, one of each type.")
    )


class ArchitectureSearch(ApiModel):
    """A search for architectures."""

    api_version: Literal["asiarch.dev/v1alpha1"] = "asiarch.dev/v1alpha1"
    kind: Literal["ArchitectureSearch"] = "ArchitectureSearch"
    metadata: Metadata
    spec: SearchSpec
    status: SearchStatus = Field(default_factory=SearchStatus)

    @property
    def name(self) -> str:
        """The search's name."""
        return self.metadata.name
