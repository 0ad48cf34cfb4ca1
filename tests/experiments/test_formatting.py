"""Values and small tables as text."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from experiments.formatting import (
    Displayed,
    TextTable,
    format_number,
    format_params,
    local_time,
    pluralize,
    short_text,
)


def test_parameters_are_shown_in_four_digits() -> None:
    assert format_params({"hidden_size": 12345, "learning_rate": 0.000123456, "activation": "relu"}) == (
        "hidden_size=12345 learning_rate=0.0001235 activation=relu"
    )


@pytest.mark.parametrize(
    ("text", "short"), [("0.123456", "0.1235"), ("12345", "12345"), ("1e-07", "1e-07"), ("relu", "relu"), ("", "")]
)
def test_a_recorded_value_is_shortened_only_if_it_is_a_real_number(text: str, short: str) -> None:
    assert short_text(text) == short


def test_a_missing_number_is_empty() -> None:
    assert (format_number(None), format_number(0.5), format_number(12.34, ".1f")) == ("", "0.5000", "12.3")


@pytest.mark.parametrize(("number", "text"), [(0, "no runs"), (1, "1 run"), (2, "2 runs")])
def test_a_noun_follows_its_number(number: int, text: str) -> None:
    assert pluralize(number, "run") == text


def test_a_time_is_shown_in_the_local_zone() -> None:
    moment = datetime(2026, 1, 31, 18, 5, tzinfo=UTC)
    assert local_time(moment) == f"{moment.astimezone():%Y-%m-%d %H:%M}"


def test_a_table_is_aligned_text_and_escaped_html() -> None:
    table = TextTable(("name", "count"), [("<b>", "1"), ("long name", "12")], right=("count",))
    assert str(table) == "name       count\n<b>            1\nlong name     12"
    assert "&lt;b&gt;" in table.to_html()
    assert "<b>" not in table.to_html()
    assert table.to_html().count("text-align: right") == 3


def test_a_table_without_headings_has_only_rows() -> None:
    table = TextTable(("", ""), [("a", "b")])
    assert str(table) == "a  b"
    assert "thead" not in table.to_html()


def test_a_displayed_value_shows_its_escaped_title_and_its_tables() -> None:
    class Shown(Displayed):
        def _title(self) -> str:
            return "1 < 2"

        def _tables(self) -> list[TextTable]:
            return [TextTable(("x",), [("1",)])]

    assert repr(Shown()) == "1 < 2\nx\n1"
    assert Shown()._repr_html_().startswith("<p>1 &lt; 2</p><table>")
