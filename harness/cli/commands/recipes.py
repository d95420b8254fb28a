"""`harness recipes`: settings of published systems, with their papers and published scores."""

from __future__ import annotations

import re
import textwrap

from harness.config.recipe import About, about, find_recipe, recipe_names
from harness.runtime.terminal import tabulate


def recipes(name: str | None) -> None:
    """Print all recipes, one line each, or one recipe in full."""
    if name is None:
        rows = [(each, about(each).summary) for each in recipe_names()]
        print(tabulate(rows, ["recipe", "what it is"], tablefmt="simple"))
        print("\n`harness recipes NAME` shows one; `harness run --recipe NAME --data DIR` trains it")
        return
    print(_page(name, about(name)))


def _page(name: str, found: About) -> str:
    lines = [f"{name}: {found.summary}"]
    lines += [f"paper: {found.paper}"] if found.paper else []
    lines += [f"code: {found.code}"] if found.code else []
    for title, items in (("differs from the paper", found.differs), ("paper and code disagree", found.choices)):
        lines += ["", f"{title}:"] if items else []
        lines += [textwrap.fill(item, 118, initial_indent="- ", subsequent_indent="  ") for item in items]
    if found.published:
        columns = list(dict.fromkeys(key for row in found.published for key in row))
        rows = [[row.get(column, "") for column in columns] for row in found.published]
        lines += ["", "published scores to compare with (not measured here):", tabulate(rows, columns)]
    return "\n".join([*lines, "", "settings:", _settings(find_recipe(name).read_text(encoding="utf-8-sig"))])


def _settings(text: str) -> str:
    """Return a recipe's text without its section [about], which is printed separately."""
    before, _, rest = text.partition("[about]\n")
    after = re.search(r"^\[", rest, re.MULTILINE)
    return (before + (rest[after.start() :] if after else "")).strip()
