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

    # The code is wrong, and an engineer may repair it.
    IMPORT_REFUSED = "ImportRefused"
    INVALID_SOURCE = "InvalidSource"
    INTERFACE_MISMATCH = "InterfaceMismatch"
    WRONG_SHAPE = "WrongShape"
    CODE_ERROR = "CodeError"
    OUT_OF_MEMORY = "OutOfMemory"

    # The player broke the contract of the wire.
    PROTOCOL_ERROR = "ProtocolError"
    NO_RESULT = "NoResult"
    CRASHED = "Crashed"
    DEADLINE_EXCEEDED = "DeadlineExceeded"

    # We could not find out.
    REPAIR_EXHAUSTED = "RepairExhausted"
    AGENT_FAILED = "AgentFailed"
    INFRASTRUCTURE_FAILED = "InfrastructureFailed"
    LOST = "Lost"
    INVALID_PARENT = "InvalidParent"
    DATASET_INVALID = "DatasetInvalid"

    # A search.
    BASELINE_FAILED = "BaselineFailed"
    BUDGET_EXHAUSTED = "BudgetExhausted"
    TARGET_REACHED = "TargetReached"
    PATIENCE_EXHAUSTED = "PatienceExhausted"
    SUSPENDED = "Suspended"
    RUNNING = "Running"
