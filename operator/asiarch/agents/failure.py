"""How an agent says that it can't do an order."""


class AgentFailedError(Exception):
    """An order that can't be done, with what was wanted; becomes a result with reason `AgentFailed`."""
