"""A candidate that says everything that could hurt whoever looks at it."""

from asiarch.api.candidate import Candidate
from tests.builders import a_candidate, a_code, a_lesson

ATTACK = (
    "<script>alert(1)</script>\x1b[2J\x1b]0;owned\x07[red]x[/red] \u202egnp.exe "
    "](http://evil.example/a) | `x` **b** $\\frac{1}{0}$"
)
CODE = f'"""{ATTACK}"""\n# </pre></details><img src=x onerror=alert(2)>\n```\nimport socket\n'


def a_hostile_candidate(ordinal: int = 2) -> tuple[Candidate, dict[str, str]]:
    """The candidate, and its file by digest."""
    code = a_code(CODE)
    hostile = a_candidate(
        ordinal,
        scores={"recall": 0.9},
        parents=["s-0001"],
        title=ATTACK[:80],
        motivation=ATTACK,
        analysis=ATTACK,
        recipe=ATTACK,
        message=ATTACK,
        isolation=(ATTACK[:64],),
        lesson=a_lesson(ATTACK[:200]),
        code=code,
    )
    return hostile, {code.digest: CODE}
