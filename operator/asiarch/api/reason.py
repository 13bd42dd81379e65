"""The closed list of reasons why an order, a candidate or a search ended as it did."""

from enum import StrEnum


class Reason(StrEnum):
    """Why something ended; documented in docs/reasons.md, counted in metrics, never free text."""

    # The idea lost its right to run.
    DUPLICATE = "Duplicate"
    CAUSALITY_VIOLATION = "CausalityViolation"
    BATCH_LEAK = "BatchLeak"
    NOT_REPEATABLE = "NotRepeatable"
    COST_GROWTH = "CostGrowth"
    BUDGET_MISMATCH = "BudgetMismatch"
    STEP_ZERO_LOSS = "StepZeroLoss"
    IMPLAUSIBLE_METRIC = "ImplausibleMetric"
    DIVERGED = "Diverged"
    NON_FINITE = "NonFinite"
    VETOED = "Vetoed"

    # The code is wrong, and an engineer may repair it.
    IMPORT_REFUSED = "ImportRefused"
    INVALID_SOURCE = "InvalidSource"
    INTERFACE_MISMATCH = "InterfaceMismatch"
    WRONG_SHAPE = "WrongShape"
    CODE_ERROR = "CodeError"
    OUT_OF_MEMORY = "OutOfMemory"
    STORAGE_EXCEEDED = "StorageExceeded"

    # The player broke the contract of the wire.
    PROTOCOL_ERROR = "ProtocolError"
    NO_RESULT = "NoResult"
    CRASHED = "Crashed"
    DEADLINE_EXCEEDED = "DeadlineExceeded"

    # An attempt was lost without the candidate's fault.
    LOST = "Lost"
    EVICTED = "Evicted"
    PREEMPTED = "Preempted"
    NODE_LOST = "NodeLost"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    UNSCHEDULABLE = "Unschedulable"
    QUOTA_EXCEEDED = "QuotaExceeded"
    JOB_REJECTED = "JobRejected"
    FORBIDDEN = "Forbidden"
    GATEWAY_UNREACHABLE = "GatewayUnreachable"
    CANCELLED = "Cancelled"

    # We could not find out.
    REPAIR_EXHAUSTED = "RepairExhausted"
    AGENT_FAILED = "AgentFailed"
    INFRASTRUCTURE_FAILED = "InfrastructureFailed"
    INVALID_PARENT = "InvalidParent"
    DATASET_INVALID = "DatasetInvalid"
    ORPHAN = "Orphan"
    DELETED = "Deleted"

    # A candidate waits.
    AWAITING_APPROVAL = "AwaitingApproval"

    # A search.
    SOURCE_NOT_FOUND = "SourceNotFound"
    SOURCE_INVALID = "SourceInvalid"
    CONFIG_INVALID = "ConfigInvalid"
    NAME_CONFLICT = "NameConflict"
    BASELINE_FAILED = "BaselineFailed"
    BUDGET_EXHAUSTED = "BudgetExhausted"
    TARGET_REACHED = "TargetReached"
    PATIENCE_EXHAUSTED = "PatienceExhausted"
    SUSPENDED = "Suspended"
    PAUSED = "Paused"
    RUNNING = "Running"


AGENT_REASONS = frozenset({Reason.AGENT_FAILED})
"""Why an order may have ended by its agent's own word; every other end is found out by those who ran it."""
