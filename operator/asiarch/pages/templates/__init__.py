"""The forms that pages are filled into: whatever is filled in is cleaned and escaped, unless it is our own markup."""

import re
from functools import cache
from html import escape
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_eval_context, select_autoescape
from jinja2.nodes import EvalContext
from markupsafe import Markup

from asiarch.pages.text import clean

SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~-])")


def fill(form: str, **values: Any) -> str:
    """Fill a form: `.html.j2` and `.svg.j2` escape for HTML, `.md.j2` for Markdown."""
    return _environment().get_template(form).render(**values)


def verbatim(text: str) -> Markup:
    """Vouch for a text of our own that needs no escaping."""
    return Markup(text)  # noqa: S704


def fenced(text: str) -> Markup:
    """A block of code in Markdown whose fence the code can't close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return verbatim(f"{fence}\n{clean(text).strip()}\n{fence}")


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("asiarch.pages"),
        autoescape=select_autoescape(("html.j2", "svg.j2")),
        finalize=_finish,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@pass_eval_context
def _finish(context: EvalContext, value: Any) -> Any:
    """Clean what is filled in; in Markdown, also put it on one line in which nothing is markup."""
    if isinstance(value, Markup):
        return value
    if context.autoescape:
        return clean(value) if isinstance(value, str) else value
    return SPECIAL.sub(r"\\\1", escape(" ".join(clean(str(value)).split()), quote=False))
