"""Plots and tables: well-formed, deterministic, and safe whatever the names are."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.experiments import plots, tables
from pipeline.experiments.statistics import Interval
from pipeline.experiments.tables import Table

NASTY = "a|b <script>\x1b[31m</title>\n& \\"
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 3))


@settings(max_examples=25)
@given(st.dictionaries(st.text(max_size=8), st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1), min_size=1, max_size=4))
def test_curves_and_points_stay_inside_their_frame(series: dict[str, list[tuple[float, float]]]) -> None:
    for draw in (plots.lines, plots.scatter):
        text = draw(NASTY, series, across="x & y", up=NASTY)
        assert text == draw(NASTY, series, across="x & y", up=NASTY)
        root = ET.fromstring(text)  # noqa: S314  # ours
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        for element in root.iter():
            places = [tuple(map(float, place.split(","))) for place in element.attrib.get("points", "").split()]
            if element.tag.endswith("circle"):
                places.append((float(element.attrib["cx"]), float(element.attrib["cy"])))
            assert all(0 <= x <= width and 0 <= y <= height for x, y in places)


def test_intervals_have_a_row_each_and_mark_zero() -> None:
    rows = {"one": Interval(1.0, -0.5, 2.0), NASTY: Interval(0.5, None, None)}
    text = plots.intervals("Differences", rows, across="points")
    root = ET.fromstring(text)  # noqa: S314  # ours
    assert len([element for element in root.iter() if element.tag.endswith("circle")]) == 2
    assert text.count('stroke-dasharray="4 3"') == 1
    assert "<script>" not in text


def test_a_single_point_is_drawn() -> None:
    ET.fromstring(plots.lines("One", {"only": [(0.0, 0.0)]}, across="x", up="y"))  # noqa: S314  # ours


def test_a_table_has_as_many_cells_whatever_is_in_them() -> None:
    table = Table(NASTY, ("one", NASTY), ((NASTY, "two"), ("", "–")))
    lines = table.markdown().splitlines()
    assert len(lines) == 6
    assert all(line.replace("\\\\", "").replace("\\|", "").count("|") == 3 for line in lines[2:])
    assert Table.from_dict(table.as_dict()) == table


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        (tables.percent(None), "–"),
        (tables.percents(Interval(0.753, 0.73, 0.771)), "75.3 % (73.0 … 77.1)"),
        (tables.percents(Interval(0.753, None, None)), "75.3 %"),
        (tables.points(Interval(0.019, -0.002, 0.038)), "+1.9 points (−0.2 … +3.8)"),
        (tables.number(Interval(2.0, 1.0, 3.0), 0), "2 (1 … 3)"),
    ],
)
def test_figures_for_people(shown: str, wanted: str) -> None:
    assert shown == wanted
