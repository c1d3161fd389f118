"""Charts as SVG in the text of a page: no script, no network, read aloud by screen readers.

Colours are classes, which the page's style sheet gives for screens, light and dark, and for paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from onnxroot._readable import number_text
from onnxroot._statistics import Histogram

__all__ = ["bar_chart", "histogram_chart"]

_ROW = 24
_LETTER = 7.3  # width of a letter of the page's font at 13 px, a little more than most
_WIDTH = 520  # so much that a phone shows it whole, and its letters can be read
_PLOT = (320, 120)


def bar_chart(title: str, counts: Mapping[str, int]) -> str:
    """Return a chart of horizontal bars with their labels and numbers.

    Args:
        title: What it shows, for those who don't see it.
        counts: Length of each bar, by label.
    """
    most = max(counts.values(), default=1)
    left = max((len(_cut(name)) for name in counts), default=0) * _LETTER + 12
    room = _WIDTH - left - 60
    height = _ROW * len(counts) + 4
    described = "; ".join(f"{name} {n:,}" for name, n in counts.items())
    parts = [_head(title, described, _WIDTH, height)]
    for i, (name, n) in enumerate(counts.items()):
        y = i * _ROW + 2
        width = max(room * n / most, 1.5)
        parts.append(
            f'<text class="label" x="{left - 8:.0f}" y="{y + 15}" text-anchor="end">'
            f"{escape(_cut(name))}</text>"
            f'<rect class="bar" x="{left:.0f}" y="{y + 2}" width="{width:.1f}" height="{_ROW - 6}"'
            f' rx="2"/><text class="number" x="{left + width + 6:.1f}" y="{y + 15}">{n:,}</text>'
        )
    return "".join([*parts, "</svg>"])


def histogram_chart(title: str, found: Histogram) -> str:
    """Return a histogram with its axis.

    Args:
        title: What it shows, for those who don't see it.
        found: The histogram.
    """
    width, height = _PLOT
    base = height - 18
    most = max(1, *found.counts)
    step = width / len(found.counts)
    peak = found.counts.index(max(found.counts))
    bin_width = (found.high - found.low) / len(found.counts)
    described = (
        f"{sum(found.counts):,} values from {number_text(found.low)} to "
        f"{number_text(found.high)}, most of them, {most:,}, near "
        f"{number_text(found.low + (peak + 0.5) * bin_width)}"
    )
    points = [f"M0 {base}"]
    for i, n in enumerate(found.counts):
        y = base - (base - 4) * n / most
        if n:
            y = min(y, base - 1.2)  # a bin with one value is seen, too
        points.append(f"V{y:.1f}H{(i + 1) * step:.1f}")
    parts = [
        _head(title, described, width, height),
        f'<path class="bar" d="{"".join(points)}V{base}Z"/>',
        f'<path class="axis" d="M0 {base + 0.5}H{width}"/>',
    ]
    if found.low < 0 < found.high:
        x = width * -found.low / (found.high - found.low)
        parts.append(f'<path class="zero" d="M{x:.1f} 4V{base}"/>')
        if 0.2 < x / width < 0.8:
            parts.append(_tick(x, height, "middle", "0"))
    parts.append(_tick(0, height, "start", number_text(found.low)))
    parts.append(_tick(width, height, "end", number_text(found.high)))
    return "".join([*parts, "</svg>"])


def _head(title: str, described: str, width: float, height: float) -> str:
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="{escape(f"{title}: {described}")}" '
        f'style="max-width:{width:.0f}px"><title>{escape(title)}</title>'
    )


def _tick(x: float, height: float, anchor: str, text: str) -> str:
    return (
        f'<text class="tick" x="{x:.1f}" y="{height - 4}" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )


def _cut(name: str) -> str:
    return name if len(name) <= 32 else f"{name[:15]}…{name[-16:]}"
