"""Recipe → file: real code that a reader would accept, with only what the recipe needs."""

from asiarch.agents.grammar.draft import Draft
from asiarch.agents.grammar.parts import PARTS
from asiarch.agents.grammar.recipe import Recipe, read
from asiarch.agents.grammar.words import title

RECIPE_LINE = "Recipe: "


def write(recipe: Recipe) -> str:
    """Write a whole candidate file for contract mixer/v1; its docstring's last line holds the recipe."""
    draft = Draft()
    for part in PARTS:
        part(recipe, draft)
    return draft.text(title(recipe), recipe.text())


def described(text: str) -> Recipe | None:
    """Read the recipe from a file's docstring; none for a file that doesn't tell, or no longer tells what it is."""
    lines = [line for line in text.partition('\n"""')[0].splitlines() if line.startswith(RECIPE_LINE)]
    if not lines:
        return None
    try:
        return read(lines[-1].removeprefix(RECIPE_LINE))
    except ValueError:
        return None
