"""Values as text: numbers, parameters, times, plurals, and small tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape


def format_params(values: Mapping[str, object]) -> str:
    """``hidden_size=128 dropout=0.25``: parameters with their values in four significant digits."""
    return " ".join(f"{name}={format_value(value)}" for name, value in values.items())


def format_value(value: object) -> str:
    """A value as text; a float in at most four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def short_text(text: str) -> str:
    """A recorded value in at most four significant digits; words and integers unchanged."""
    try:
        return format_value(float(text)) if "." in text or "e" in text else text
    except ValueError:
        return text


def format_number(value: float | None, form: str = ".4f") -> str:
    """A number in the given format; empty for None."""
    return "" if value is None else format(value, form)


def pluralize(number: int, noun: str) -> str:
    """``1 run``, ``3 runs``, ``no runs``."""
    return f"{number or 'no'} {noun}{'s' * (number != 1)}"


def local_time(moment: datetime) -> str:
    """``2026-01-31 18:05``, in the time zone of this machine."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


@dataclass(frozen=True)
class TextTable:
    """A table of texts.

    Args:
        columns: their headings; all empty for a table without a heading.
        rows: as many texts each.
        right: headings of the columns that are aligned to the right.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Collection[str] = ()

    @property
    def has_heading(self) -> bool:
        """True if any column has a heading."""
        return any(self.columns)

    def __str__(self) -> str:
        lines = [self.columns, *self.rows] if self.has_heading else list(self.rows)
        widths = [max((len(line[index]) for line in lines), default=0) for index in range(len(self.columns))]
        return "\n".join(
            "  ".join(
                text.rjust(width) if name in self.right else text.ljust(width)
                for text, width, name in zip(line, widths, self.columns, strict=True)
            ).rstrip()
            for line in lines
        )

    def to_html(self) -> str:
        """An HTML table; every text is escaped."""

        def row(texts: Sequence[str], tag: str) -> str:
            cells = (
                f'<{tag} style="text-align: {"right" if name in self.right else "left"}">{escape(text)}</{tag}>'
                for name, text in zip(self.columns, texts, strict=True)
            )
            return f"<tr>{''.join(cells)}</tr>"

        head = f"<thead>{row(self.columns, 'th')}</thead>" if self.has_heading else ""
        return f"<table>{head}<tbody>{''.join(row(texts, 'td') for texts in self.rows)}</tbody></table>"


class Displayed:
    """A value that shows itself by a title and tables: as text in a terminal, as HTML in a notebook."""

    def _title(self) -> str:
        """One line above the tables; may be empty."""
        raise NotImplementedError

    def _tables(self) -> Sequence[TextTable]:
        """The tables, in order."""
        return ()

    def __repr__(self) -> str:
        return "\n".join(part for part in (self._title(), *map(str, self._tables())) if part)

    def _repr_html_(self) -> str:
        title = self._title()
        return (f"<p>{escape(title)}</p>" if title else "") + "".join(table.to_html() for table in self._tables())
