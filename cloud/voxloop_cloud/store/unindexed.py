"""A column in a query that SQLite must answer by another index than the column's own."""

from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.ext.compiler import compiles


class Unindexed(ColumnElement[Any]):
    """The column, which SQLite is given as an expression, +column. Without statistics it takes an index of this column
    alone, and then reads the wide rows of all that it finds there, which may be all that there are
    (https://sqlite.org/optoverview.html, "disqualifying WHERE clause terms")."""

    inherit_cache = True

    def __init__(self, column: ColumnElement[Any]) -> None:
        self.column = column
        self.type = column.type


@compiles(Unindexed)
def _column(element: Unindexed, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.column, **options))


@compiles(Unindexed, "sqlite")
def _expression(element: Unindexed, compiler: Any, **options: Any) -> str:
    return f"+{compiler.process(element.column, **options)}"
