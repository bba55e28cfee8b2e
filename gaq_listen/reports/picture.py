"""Draw a picture of a data pass: a column for each run, a row for each detector, and their aggregate below.

A cell is filled from the bottom in the order good, MC reproducible, bad, no flag. Each quality has a hatching as well
as a colour, so that people can read the picture in black and white.
"""

from dataclasses import dataclass
from html import escape
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from gaq_listen.reports.quality import Quality, with_unknown
from gaq_listen.reports.show import DataPassSummaries, Summary
from gaq_listen.reports.show_view import total_line
from gaq_listen.reports.totals import totals
from gaq_listen.wording import percent, sanitize

LABELS = 110
"""Pixels at the left for the names of detectors."""
TOP = 96
"""Pixels above the first row: title, totals and legend."""
ROW, AGGREGATE, GAP = 26, 60, 4
"""Pixels: height of the row of a detector, height of the row of the aggregate, and gap between two rows."""
RUN_NUMBERS = 62
"""Pixels below the last row for the run numbers, which stand upright."""
NARROWEST, WIDEST = 11.0, 34.0
"""Least and greatest width of a run, in pixels."""
WANTED = 1100.0
"""Pixels that all runs together are wide, if their number allows it."""
SLIVER = 2.0
"""Least height of a share that is not nothing, in pixels, so that people can see it."""
LEAST = 860.0
"""Least width of the picture, in pixels, which title and legend need."""

FILLS = {
    Quality.GOOD: "#a9d8b8",
    Quality.MC_REPRODUCIBLE: "#f5d76e",
    Quality.BAD: "#e2746b",
    Quality.UNKNOWN: "#ffffff",
}
_STROKES = {
    Quality.MC_REPRODUCIBLE: ("M0,6 L6,0", "1.1", "#5d4a00"),
    Quality.BAD: ("M0,0 L6,6 M0,6 L6,0", "1.1", "#5a0d07"),
    Quality.UNKNOWN: ("M2.5,3 L3.5,3", "1.2", "#666666"),
}


@dataclass(frozen=True, slots=True)
class _Cell:
    """Hold the left upper corner and the size of a cell, in pixels."""

    x: float
    y: float
    width: float
    height: float


def as_svg(shown: DataPassSummaries) -> str:
    """Draw the summaries of a data pass, in their order, and their detectors, as SVG."""
    return ElementTree.tostring(_picture(shown), encoding="unicode") + "\n"


def as_html(shown: DataPassSummaries) -> str:
    """Return an HTML page with the picture in it. The page needs no other file."""
    title = escape(f"GAQ of {sanitize(shown.name)}")
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title>\n'
        "<style>body { margin: 1em; font-family: sans-serif; } div { overflow-x: auto; }</style></head>\n"
        f"<body><div>\n{as_svg(shown)}</div></body>\n</html>\n"
    )


def _picture(shown: DataPassSummaries) -> Element:
    names = sorted({quality.detector for quality in shown.detectors})
    qualities = {(each.run_number, each.detector): each.shares for each in shown.detectors}
    run_width = min(WIDEST, max(NARROWEST, WANTED / max(1, len(shown.summaries))))
    width = max(LEAST, LABELS + run_width * len(shown.summaries) + 16)
    bottom = TOP + len(names) * (ROW + GAP) + AGGREGATE
    size = {"width": f"{width:.0f}", "height": f"{bottom + RUN_NUMBERS}"}
    svg = Element(
        "svg",
        {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {size['width']} {size['height']}", "role": "img"}
        | size,
        **{"font-family": "sans-serif"},
    )
    SubElement(svg, "title").text = f"GAQ of {sanitize(shown.name)}"
    _patterns(svg)
    SubElement(svg, "rect", {"width": "100%", "height": "100%", "fill": "#ffffff"})
    _head(svg, shown)
    for row, name in enumerate(names):
        y = TOP + row * (ROW + GAP)
        _text(svg, sanitize(name)[:14], LABELS - 8, y + ROW / 2 + 4, 12, anchor="end")
        for column, summary in enumerate(shown.summaries):
            if (shares := qualities.get((summary.run_number, name))) is not None:
                cell = _Cell(LABELS + column * run_width, y, run_width - 1, ROW)
                _cell(svg, cell, shares, f"{summary.run_number} {sanitize(name)}")
    _text(svg, "all", LABELS - 8, bottom - AGGREGATE / 2 + 4, 13, anchor="end", weight="bold")
    for column, summary in enumerate(shown.summaries):
        x = LABELS + column * run_width
        _aggregate(svg, _Cell(x, bottom - AGGREGATE, run_width - 1, AGGREGATE), summary)
        stale = "*" if summary.invalidated_at is not None else ""
        _upright(svg, f"{summary.run_number}{stale}", x + run_width / 2 + 3, bottom + 6)
    return svg


def _patterns(svg: Element) -> None:
    definitions = SubElement(svg, "defs")
    for quality, fill in FILLS.items():
        size = {"width": "6", "height": "6", "patternUnits": "userSpaceOnUse"}
        pattern = SubElement(definitions, "pattern", {"id": _id(quality)} | size)
        SubElement(pattern, "rect", {"width": "6", "height": "6", "fill": fill})
        if quality in _STROKES:
            path, line, colour = _STROKES[quality]
            SubElement(pattern, "path", {"d": path, "stroke": colour, "stroke-width": line})


def _head(svg: Element, shown: DataPassSummaries) -> None:
    how = "stale ones computed then" if shown.live else "as stored"
    _text(svg, sanitize(shown.name), 12, 24, 18, weight="bold")
    _text(svg, f"as of {shown.at:%Y-%m-%d %H:%M:%S} UTC, {how}", LEAST - 12, 24, 12, anchor="end")
    _text(svg, total_line(totals(shown.summaries)).plain, 12, 46, 12)
    x = 12.0
    for quality in Quality:
        _rectangle(svg, _Cell(x, 60, 16, 16), quality)
        _text(svg, quality.value, x + 22, 73, 12)
        x += 40 + 7.2 * len(quality.value)
    crossed = "crossed out: not computable"
    stale = "; *: stale" if any(summary.invalidated_at for summary in shown.summaries) else ""
    _text(svg, f"{crossed}; empty: the detector does not matter{stale}", x + 6, 73, 12)


def _aggregate(svg: Element, cell: _Cell, summary: Summary) -> None:
    good, mc_reproducible, bad = (
        summary.explicitly_not_bad_run_coverage,
        summary.mc_reproducible_coverage,
        summary.bad_run_coverage,
    )
    if good is not None and mc_reproducible is not None and bad is not None:
        shares = {Quality.GOOD: good, Quality.MC_REPRODUCIBLE: mc_reproducible, Quality.BAD: bad}
        _cell(svg, cell, shares, f"{summary.run_number} all")
        return
    group = SubElement(svg, "g", {"class": "cell", "stroke": "#888888", "fill": "none"})
    SubElement(group, "title").text = f"{summary.run_number} all: not computable"
    right, bottom = cell.x + cell.width, cell.y + cell.height
    SubElement(group, "rect", _place(cell))
    SubElement(group, "path", {"d": f"M{_n(cell.x)},{_n(cell.y)} L{_n(right)},{_n(bottom)}"})
    SubElement(group, "path", {"d": f"M{_n(cell.x)},{_n(bottom)} L{_n(right)},{_n(cell.y)}"})


def _cell(svg: Element, cell: _Cell, shares: dict[Quality, float], name: str) -> None:
    group = SubElement(svg, "g", {"class": "cell"})
    whole = with_unknown(shares)
    description = ", ".join(f"{quality.value} {percent(share)} %" for quality, share in whole.items() if share > 0)
    SubElement(group, "title").text = f"{name}: {description}"
    bottom = cell.y + cell.height
    heights = {quality: max(share * cell.height, SLIVER) if share > 0 else 0.0 for quality, share in whole.items()}
    heights[max(heights, key=lambda quality: heights[quality])] += cell.height - sum(heights.values())
    for quality, height in heights.items():
        if height > 0:
            bottom -= height
            _rectangle(group, _Cell(cell.x, bottom, cell.width, height), quality)
    SubElement(group, "rect", _place(cell) | {"fill": "none", "stroke": "#555555", "stroke-width": "0.6"})


def _rectangle(parent: Element, cell: _Cell, quality: Quality) -> None:
    SubElement(parent, "rect", _place(cell) | {"fill": f"url(#{_id(quality)})", "class": _id(quality)})


def _place(cell: _Cell) -> dict[str, str]:
    return {"x": _n(cell.x), "y": _n(cell.y), "width": _n(cell.width), "height": _n(cell.height)}


def _text(
    svg: Element, text: str, x: float, y: float, size: int, anchor: str = "start", weight: str = "normal"
) -> None:
    place = {"x": _n(x), "y": _n(y), "font-size": str(size), "text-anchor": anchor, "font-weight": weight}
    SubElement(svg, "text", place).text = text


def _upright(svg: Element, text: str, x: float, y: float) -> None:
    place = {"x": _n(x), "y": _n(y), "font-size": "10", "text-anchor": "end"}
    SubElement(svg, "text", place | {"transform": f"rotate(-90 {_n(x)} {_n(y)})", "class": "run"}).text = text


def _id(quality: Quality) -> str:
    return f"gaq-{quality.name.lower().replace('_', '-')}"


def _n(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
