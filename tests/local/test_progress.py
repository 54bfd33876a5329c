"""How far an alert is, as a line of any width, in a terminal and in a log."""

import io
from datetime import UTC, datetime, timedelta

import pytest

from local.progress import Progress, percentage, progress_line
from tests.support.alerts_api import ended, under_way

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SMALL = under_way(0.5, {"sent": 4, "permanent-failure": 1, "sending": 1, "accepted": 4})
LARGE = under_way(
    0.125,
    {"sent": 1_000_000, "suppressed": 200_000, "temporary-failure": 50_000, "retrying": 1},
    total=10_000_000,
    isEstimate=True,
    ratePerSecond=123.456,
    estimatedEnd="2026-03-02T12:00:00Z",
)
EMPTY = under_way(0, {}, status="accepted")
NOBODY = ended({})
ALERTS = [SMALL, LARGE, EMPTY, NOBODY]


class Terminal(io.StringIO):
    """A terminal of one line, which knows nothing but a carriage return and a line end."""

    def __init__(self, columns):
        super().__init__()
        self.columns = columns
        self.lines = [""]
        self._at = 0

    def isatty(self):
        return True

    def write(self, text):
        for character in text:
            if character == "\r":
                self._at = 0
            elif character == "\n":
                self.lines.append("")
                self._at = 0
            else:
                line = self.lines[-1]
                self.lines[-1] = line[: self._at] + character + line[self._at + 1 :]
                self._at += 1
                assert self._at < self.columns
        return len(text)


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    return Terminal(60)


@pytest.mark.parametrize("alert", ALERTS)
def test_a_line_is_never_longer_than_the_width(alert):
    for width in range(150):
        line = progress_line(alert, width, NOW)
        assert len(line) <= width
        assert line.isprintable()
        assert line.isascii()


def test_a_line_says_all_that_is_known():
    assert progress_line(SMALL, 100, NOW) == (f"[{'#' * 15}{'.' * 15}]  50 %, 5 of 10, 1 failed")
    assert progress_line(LARGE, 120, NOW) == (
        f"[###{'.' * 27}]  12 %, 1250000 of about 10000000, 50000 failed, 123.5/s, 24 h left"
    )


def test_a_narrow_line_says_the_most_important():
    assert progress_line(LARGE, 60, NOW) == f"[##{'.' * 18}]  12 %, 1250000 of about 10000000"
    assert progress_line(SMALL, 20, NOW) == "[###...]  50 %"
    assert progress_line(SMALL, 14, NOW) == " 50 %, 5 of 10"
    assert progress_line(SMALL, 13, NOW) == " 50 %"
    assert progress_line(SMALL, 5, NOW) == " 50 %"
    assert progress_line(SMALL, 0, NOW) == ""


def test_an_alert_for_nobody():
    assert progress_line(EMPTY, 100, NOW) == f"[{'.' * 30}]   0 %, 0 of 0, accepted"
    assert progress_line(NOBODY, 100, NOW) == f"[{'#' * 30}] 100 %, 0 of 0, done"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, None),
        (0, None),
        (40, "40 s left"),
        (60, "1 min left"),
        (40 * 60, "40 min left"),
        (40 * 60 * 60, "40 h left"),
    ],
)
def test_the_time_that_is_left(seconds, said):
    end = (NOW + timedelta(seconds=seconds)).isoformat()
    alert = under_way(0.5, {"sent": 1, "accepted": 1}, ratePerSecond=None, estimatedEnd=end)

    line = progress_line(alert, 100, NOW)

    assert line.split(", ")[2:] == ([said] if said else [])
    assert "left" not in progress_line(ended({"sent": 2}, estimatedEnd=end), 100, NOW)


@pytest.mark.parametrize(
    ("progress", "percent"),
    [(0, 0), (0.004, 0), (0.29, 29), (0.57, 57), (0.999, 99), (1, 100), (1.2, 100), (-0.1, 0)],
)
def test_it_is_100_percent_only_when_all_is_done(progress, percent):
    assert percentage({"progress": progress}) == percent


def test_a_terminal_has_one_line_that_is_gone_in_the_end(terminal):
    with Progress(terminal) as progress:
        progress.show(LARGE)
        assert terminal.lines == [progress_line(LARGE, 59, NOW)]

        progress.show(SMALL)
        assert [each.rstrip() for each in terminal.lines] == [progress_line(SMALL, 59, NOW)]

    terminal.write("Done.")
    assert terminal.lines[0].rstrip() == "Done."
    assert len(terminal.lines) == 1


def test_what_is_said_in_a_terminal_stands_above_the_bar(terminal):
    with Progress(terminal) as progress:
        progress.show(SMALL)
        progress.say("One moment.")
        progress.show(SMALL)

        assert [each.rstrip() for each in terminal.lines] == [
            "One moment.",
            progress_line(SMALL, 59, NOW),
        ]


def test_a_bar_that_was_interrupted_is_left_as_it_was(terminal):
    def interrupted():
        with Progress(terminal) as progress:
            progress.show(SMALL)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert terminal.lines == [progress_line(SMALL, 59, NOW)]


def test_a_log_gets_a_line_for_ten_points_and_one_for_the_end():
    log = io.StringIO()

    with Progress(log) as progress:
        for percent in (0, 4, 9, 10, 19, 30, 31, 20, 21, 99, 100):
            counts = {"sent": percent, "accepted": 100 - percent}
            progress.show(under_way(percent / 100, counts))
        progress.show(ended({"sent": 100}))

    assert log.getvalue().splitlines() == [
        "10 %, 10 of 100",
        "30 %, 30 of 100",
        "20 %, 20 of 100",
        "99 %, 99 of 100",
        "100 %, 100 of 100, done",
    ]


def test_a_log_gets_the_end_once():
    log = io.StringIO()

    with Progress(log) as progress:
        progress.show(under_way(1, {"sent": 3}, status="done"))
        progress.show(ended({"sent": 3}))

    assert log.getvalue() == "100 %, 3 of 3, done\n"
