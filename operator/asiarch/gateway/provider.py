"""The port to language models: one question, one reply."""

from typing import Annotated, Protocol

from pydantic import Field

from asiarch.api.base import ApiModel, Count


class Completion(ApiModel):
    """A question to a language model."""

    prompt: Annotated[str, Field(min_length=1, max_length=256 * 1024)]
    max_tokens: Annotated[int, Field(ge=1, le=65_536)] = 4096


class Reply(ApiModel):
    """What the model said, and how many tokens that took, question included."""

    text: str
    tokens: Count


class NoModelError(Exception):
    """There is no language model to ask."""


class Provider(Protocol):
    """Where language models are."""

    async def complete(self, request: Completion) -> Reply:
        """Ask a model. Raises NoModelError."""


class Grammar:
    """The provider of a search whose agents need no model."""

    async def complete(self, request: Completion) -> Reply:
        asked = f"{len(request.prompt)} characters were asked"
        raise NoModelError(f"The search's provider is the Grammar, which has no language model; {asked}.")
