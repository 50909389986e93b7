"""Charts stay within their frames, say what they show, and are the same wherever they are drawn."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from vouch.features.charts.bars import Entry, histogram_bars, labelled_rows, stacks, whisker
from vouch.features.charts.curves import LOOKS, Axis, Curve, Spot, calibration_plot, plot
from vouch.features.charts.html_templates import CHARTS as CHARTS_FOLDER
from vouch.features.charts.picture import ENGLISH, picture, style
from vouch.features.charts.series import LEFT, WeekValue, spark, trend
from vouch.features.vectors.numerals import Numerals

PLAIN = Axis("across", str), Axis("up", str)


def calibration(bins, smooth=None):
    return calibration_plot(bins, smooth, "ideal", "predicted", "observed", ENGLISH)


def test_a_trend_leaves_gaps_where_there_was_no_value():
    points = [WeekValue(f"2026-11-0{day}", value) for day, value in enumerate([1.0, 2.0, None, 4.0, 3.0], 1)]
    found = trend(points)
    assert found.line.count("M") == 2
    assert len(found.marks) == 4
    assert trend([WeekValue("2026-11-01", None)]) is None
    assert spark(points[:1]) is None


def test_a_band_is_drawn_only_where_there_is_an_interval():
    whole = [WeekValue(f"2026-11-0{day}", 5.0, 4.0, 6.0) for day in range(1, 4)]
    assert trend(whole).band.count("Z") == 1
    assert trend([WeekValue(point.label, point.value) for point in whole]).band == ""


def test_shares_of_a_week_fill_its_bar_and_an_empty_week_has_none():
    found = stacks([[("high", 1), ("low", 3)], [("high", 0), ("low", 0)]])
    assert sum(bar.share for bar in found.bars) == pytest.approx(1.0)
    assert {bar.name for bar in found.bars} == {"high", "low"}
    assert stacks([[("high", 0)]]) is None
    assert histogram_bars([0, 0]) is None


def test_a_whisker_stays_on_its_line():
    for value, low, high in ((0.5, 0.4, 0.6), (-3.0, -9.0, 9.0), (1.0, None, None)):
        found = whisker(value, low, high, (0.0, 1.0))
        assert 0 <= found.low <= found.value <= found.high <= found.width


def test_a_promise_that_is_kept_stands_on_the_diagonal_of_the_calibration_plot():
    found = calibration([Spot(0.04, 0.04, 0.01, 0.1), Spot(0.3, 0.3, 0.2, 0.35)])
    for dot in found.dots:
        assert dot.x - LEFT == pytest.approx(found.below - dot.y)
    assert calibration([]) is None


def test_trends_that_share_a_span_put_the_same_value_at_the_same_height():
    low, high = ([WeekValue("2026-11-02", value), WeekValue("2026-11-09", 30.0)] for value in (0.0, 60.0))
    first, second = (trend(points, (0.0, 60.0)) for points in (low, high))
    assert first.marks[1].y == second.marks[1].y
    assert first.y_ticks == second.y_ticks


def test_rows_stay_on_their_scale_and_bars_begin_at_nothing():
    found = labelled_rows([Entry("gains", 3.0, "3"), Entry("loses", -1.0, "-1")])
    assert found.is_bars
    assert {row.start for row in found.rows} == {found.zero}
    moved = labelled_rows(
        [Entry("moved", 0.7, "70%", start=0.2), Entry("beyond", 2.0, "2", low=-1.0, high=3.0)], (0.0, 1.0)
    )
    assert not moved.is_bars
    assert all(0 <= place <= moved.width for row in moved.rows for place in (row.start, row.value))
    assert labelled_rows([]) is None


def test_curves_have_a_key_and_what_is_ideal_takes_no_colour_of_its_own():
    line = [(0.0, 0.0), (1.0, 1.0)]
    found = plot(
        [Curve("ideal", line, is_ideal=True), Curve("a", line), Curve("b", line, [(0.0, 0.2), (0.5, 1.5)])], *PLAIN
    )
    assert [curve.look for curve in found.curves] == ["ideal", "l0", "l1"]
    assert found.curves[2].band.endswith("Z")
    assert len({curve.key_y for curve in found.curves}) == 3
    assert max(curve.key_y for curve in found.curves) < found.height
    assert plot([Curve("none", [])], *PLAIN) is None


CHARTS = {
    "plot": plot([Curve("one <b>", [(0.0, 1.0), (1.0, 2.0)])], *PLAIN, lines=[(0.5, "here")]),
    "calibration": calibration(
        [Spot(0.1, 0.1, 0.0, 0.2)], Curve("s", [(0.1, 0.1), (0.3, 0.2)], [(0.0, 0.2), (0.1, 0.4)])
    ),
    "rows": labelled_rows([Entry("a_very_long_name_of_a_feature_that_nobody_may_cut_off_90d", 0.4, "0.400")]),
    "histogram": histogram_bars([3, 0, 1]),
    "trend": trend([WeekValue("2026-11-02", 1.0, 0.5, 1.5), WeekValue("2026-11-09", 2.0, 1.0, 3.0)]),
}


@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize("language", ["en", "ro"])
def test_a_picture_is_whole_svg_that_says_what_it_shows_and_loads_nothing(name, language):
    found = picture(CHARTS[name], 'what it "shows"', Numerals(language))
    tree = ElementTree.fromstring(found.svg)
    assert tree.attrib["aria-label"] == 'what it "shows"'
    assert found._repr_svg_() == found.svg == picture(CHARTS[name], 'what it "shows"', Numerals(language)).svg
    assert not re.search(r"(href|src|url\(|@import)", found.svg)
    width, height = (float(part) for part in tree.attrib["viewBox"].split()[2:])
    for node in tree.iter():
        for key, limit in (("x", width), ("x1", width), ("x2", width), ("cx", width), ("y", height), ("cy", height)):
            if key in node.attrib:
                assert 0 <= float(node.attrib[key]) <= limit, (node.tag, node.attrib)


def test_the_style_of_a_picture_holds_inside_it_alone():
    """A notebook shows many of them in one page that has a style of its own."""
    for rule in re.findall(r"([^{}]+)\{", re.sub(r"/\*.*?\*/|@media[^{]*\{", "", style())):
        assert all(one.strip().startswith("svg.vouch") for one in rule.split(","))


def test_every_look_of_a_curve_is_its_own():
    looks = dict(
        re.findall(r"svg \.line\.(l\d) \{([^}]*)\}", (CHARTS_FOLDER / "charts.css").read_text(encoding="utf-8"))
    )
    assert set(looks) == {f"l{place}" for place in range(LOOKS)}
    assert len(set(looks.values())) == LOOKS
