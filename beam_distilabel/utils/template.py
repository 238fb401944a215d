"""`check_column_in_template`, of distilabel 1.5."""

from __future__ import annotations

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.transforms.tasks.prompt_templates import template_variables


def check_column_in_template(column: str, template: str, page: str | None = None) -> None:
    """Raise where a Jinja template doesn't use a column.

    Args:
        column: the column's name.
        template: the template.
        page: accepted because distilabel has it; unused.

    Raises:
        DistilabelUserError: the template doesn't use the column, or can't be read.

    Example:
        >>> check_column_in_template("name", "Hello {{ name }}!")
    """
    used = template_variables(template)
    if column not in used:
        raise DistilabelUserError(
            f"the template doesn't use the column {column!r}; it uses "
            f"{', '.join(map(repr, sorted(used))) or 'none'}. Name the column there, or leave it "
            "out of `columns`.",
            page,
        )


__all__ = ["check_column_in_template"]
