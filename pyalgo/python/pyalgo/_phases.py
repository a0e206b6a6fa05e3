"""Parts of the day, named by the strategy."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo

from ._enums import Phase
from ._errors import Misuse

MAX_SEGMENTS = 24


def _zone(tz: str | tzinfo | None) -> tzinfo:
    if tz is None:
        return UTC
    if isinstance(tz, tzinfo):
        return tz
    from zoneinfo import ZoneInfo

    return ZoneInfo(tz)


class Phases:
    """Segments of the day, each lasting until the next one begins, over midnight too."""

    def __init__(self) -> None:
        self._segments: list[tuple[time, tzinfo, Phase]] = []

    def add(self, hour: int, minute: int, second: int, phase: Phase, tz: str | tzinfo | None = None) -> None:
        """From that time of day on it is `phase`. Without a time zone the time is UTC."""
        if len(self._segments) >= MAX_SEGMENTS:
            raise Misuse(f"a subscription has at most {MAX_SEGMENTS} phases; this is one more")
        self._segments.append((time(hour, minute, second), _zone(tz), Phase(phase)))

    def at(self, when: datetime) -> Phase:
        """The phase of a moment: that of the segment that began last."""
        begun = [(_begin(start, zone, when), phase) for start, zone, phase in self._segments]
        return max(begun, key=lambda segment: segment[0], default=(None, Phase.UNDEF))[1]


def _begin(start: time, zone: tzinfo, when: datetime) -> datetime:
    local = when.astimezone(zone)
    begin = datetime.combine(local.date(), start, zone)
    if begin > local:
        begin = datetime.combine(local.date() - timedelta(days=1), start, zone)
    return begin.astimezone(UTC)
