"""Durations: a number of one unit, as ISO 8601 writes it: `PT24H`, `P7D`, `P4W`, `P6M`, `P1Y`."""

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from gateway.errors import BadInput

LOOKBACK_HOURS: Final = 1
"""Hours that a look-back has at least."""
LOOKBACK_YEARS: Final = 3
"""Years that a look-back has at most."""

EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
"""Before every event."""

LATEST: Final = datetime.max.replace(tzinfo=UTC)
"""Behind every event."""

_FORM: Final = re.compile(r"P([0-9]{1,9})([DWMY])|P(T[0-9]{1,9})([HMS])")
_UNITS: Final[Mapping[str, timedelta]] = {
    "TS": timedelta(seconds=1),
    "TM": timedelta(minutes=1),
    "TH": timedelta(hours=1),
    "D": timedelta(days=1),
    "W": timedelta(weeks=1),
}
_MONTHS: Final[Mapping[str, int]] = {"M": 1, "Y": 12}
_LONGEST_YEAR: Final = 366
_LONGEST_MONTH: Final = 31
_MILLISECOND: Final = timedelta(milliseconds=1)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Duration:
    """So many of one unit: `TS`, `TM`, `TH`, `D`, `W` are as long each time, `M` and `Y` are months and years of the calendar."""

    count: int
    unit: str

    def before(self, at: datetime) -> datetime:
        """Return the time so long before another. A day that the month lacks is the month's last. Raises BadInput beyond the year 1."""
        try:
            if self.unit in _UNITS:
                return at - self.count * _UNITS[self.unit]
            year, month = divmod(at.year * 12 + at.month - 1 - self.count * _MONTHS[self.unit], 12)
            day = min(at.day, monthrange(year, month + 1)[1])
            return at.replace(year=year, month=month + 1, day=day)
        except (OverflowError, ValueError) as error:
            raise BadInput("The duration reaches back before the year 1.") from error

    @property
    def parts(self) -> tuple[int, int]:
        """How many months it has, and how many seconds."""
        if self.unit in _UNITS:
            return 0, int(self.count * _UNITS[self.unit].total_seconds())
        return self.count * _MONTHS[self.unit], 0

    @property
    def most_days(self) -> float:
        """How many days it has at most."""
        if self.unit in _UNITS:
            return self.count * (_UNITS[self.unit] / timedelta(days=1))
        years, months = divmod(self.count * _MONTHS[self.unit], 12)
        return years * _LONGEST_YEAR + months * _LONGEST_MONTH

    def left_behind(self, time: datetime, at: datetime) -> datetime:
        """Return the first whole millisecond behind `at` at which `time` is more than so long ago, as long as months and years are as long as at `at`."""
        behind = at + (time - self.before(at)) + _MILLISECOND
        return behind - timedelta(microseconds=behind.microsecond % 1_000)

    def next_leap(self, at: datetime) -> datetime | None:
        """Return the first midnight behind `at` from which on months or years are of another length; None for a duration that is of one length."""
        if self.unit in _UNITS:
            return None
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0) + _DAY
        while self.before(midnight) - self.before(midnight - _MILLISECOND) == _MILLISECOND:
            midnight += _DAY
        return midnight

    def __str__(self) -> str:
        time, letter = ("T", self.unit[1:]) if self.unit.startswith("T") else ("", self.unit)
        return f"P{time}{self.count}{letter}"


def parse_duration(text: str) -> Duration:
    """Return the duration that a text writes in one unit. Raises BadInput for any other text, and for a duration of nothing."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise BadInput("A duration is a number of one unit as ISO 8601 writes it, such as PT24H, P7D, P4W, P6M or P1Y.")
    duration = Duration(int(found[1]), found[2]) if found[1] else Duration(int(found[3][1:]), f"T{found[4]}")
    if not duration.count:
        raise BadInput("A duration is longer than nothing.")
    return duration


def check_lookback(duration: Duration) -> None:
    """Raise BadInput unless the duration is from an hour to three years, in hours or longer units."""
    if duration.unit in _MONTHS:
        fits = duration.count * _MONTHS[duration.unit] <= 12 * LOOKBACK_YEARS
    else:
        most = timedelta(days=_LONGEST_YEAR * LOOKBACK_YEARS)
        fits = duration.unit not in ("TS", "TM") and duration.count <= most / _UNITS[duration.unit]
    if not fits:
        raise BadInput(
            f"A look-back is from {LOOKBACK_HOURS} hour to {LOOKBACK_YEARS} years, in hours, days, weeks, months or years."
        )
