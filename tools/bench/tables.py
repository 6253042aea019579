"""What a table is, and how it is printed."""

import dataclasses


@dataclasses.dataclass
class Table:
    """A table and its rows; numbers are rounded where they are shown."""

    title: str
    head: list[str]
    rows: list[list]
    note: str = ""


def markdown(table: Table) -> str:
    """Return a table in Markdown."""
    rows = [table.head, ["---"] + ["---:"] * (len(table.head) - 1), *table.rows]
    lines = ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]
    return "\n".join(["", f"## {table.title}", "", *lines, *(["", table.note] if table.note else [])])


def cell(value) -> str:
    """Return a number with three digits or more, text as it is, and nothing for None.

    >>> [cell(value) for value in (0.01234, 1.2345, 123.45, "text", None)]
    ['0.0123', '1.23', '123', 'text', '']
    """
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:#.3g}"
    return str(value)
