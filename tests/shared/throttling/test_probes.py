from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.errors import HeldBackError
from shared.storage.tables import key_of
from shared.throttling.lane import CREDENTIAL, Lane
from shared.throttling.pacer import Slot
from tests.shared.throttling.pacing import HOUR, LANE, OTHER, held_back, methods, use


def test_a_lane_that_is_paused_for_probes_waits_for_the_first_one_and_is_not_paused_anew(
    pacer, instance, time, pause
):
    other = instance()
    use(other)
    pause()

    time.pass_by(1)
    held = held_back(other.reserve, LANE)
    assert held.retry_after_seconds == pytest.approx(HOUR - 1, abs=0.1)
    assert "an administrator has disabled the bot" in held.detail
    assert pacer.refused(Slot(LANE, time.now), time.now) == 0
    time.pass_by(HOUR - 2)
    held_back(other.reserve, LANE)
    held = held_back(pacer.reserve, LANE)
    assert held.retry_after_seconds == pytest.approx(1, abs=0.1)
    assert "disabled" in held.detail


def test_of_many_who_ask_when_a_probe_is_due_one_is_it(pacer, instance, time, pause):
    instances = [pacer, instance()]
    pause()
    use(instances[1], Lane("warm.example.com"))
    time.pass_by(HOUR)

    def ask(index):
        try:
            return instances[index % 2].reserve(LANE)
        except HeldBackError as held:
            return held

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(64)))

    [probe] = [answer for answer in answers if isinstance(answer, Slot)]
    assert (probe.lane, probe.probes) == (LANE, LANE)
    assert len([each for each in answers if isinstance(each, HeldBackError)]) == 63
    # The probe does not wait.
    time.slept.clear()
    time.pass_by(5)
    assert instances[0].wait(probe) is probe
    assert time.slept == []


def test_a_probe_that_is_given_back_is_due_again(pacer, instance, time, pause):
    pause(seconds=60)
    time.pass_by(60)
    probe = pacer.reserve(LANE)

    pacer.give_back(probe)

    assert instance().reserve(LANE).probes == LANE
    # Throttled meanwhile, the lane waits for that first.
    pacer.throttled(LANE, None, 120)
    pacer.give_back(probe)
    held_back(pacer.reserve, LANE)


def test_who_comes_while_a_probe_is_out_sees_how_it_went_or_is_the_next_an_interval_later(
    pacer, instance, time, pause
):
    pause()
    time.pass_by(HOUR)
    pacer.reserve(LANE)

    assert held_back(instance().reserve, LANE).retry_after_seconds == pytest.approx(5)
    assert held_back(pacer.count, LANE).retry_after_seconds == pytest.approx(HOUR)
    time.pass_by(5)
    assert held_back(pacer.reserve, LANE).retry_after_seconds == pytest.approx(HOUR - 5, abs=0.1)
    time.pass_by(HOUR - 6)
    held_back(pacer.reserve, LANE)
    time.pass_by(1)
    assert pacer.reserve(LANE).probes == LANE


def test_a_probe_that_came_through_ends_the_pause_for_all(pacer, instance, time, row, pause):
    other = instance()
    pause()
    held_back(other.reserve, LANE)
    time.pass_by(HOUR)
    probe = pacer.reserve(LANE)
    held_back(other.reserve, LANE)

    pacer.passed(probe)

    assert pacer.reserve(LANE).probes is None
    time.pass_by(1)
    assert other.reserve(LANE).probes is None
    assert {"pausedUntil", "pauseReason", "probeSeconds"}.isdisjoint(row())


def test_what_got_through_ends_a_pause_for_probes_and_no_other(pacer, pause):
    slot = pacer.reserve(LANE)
    pause()
    held_back(pacer.reserve, LANE)

    # It was on its way when the lane was paused.
    pacer.passed(slot)
    pacer.reserve(LANE)
    pacer.throttled(LANE, None, 60)
    pacer.passed(slot)
    held_back(pacer.reserve, LANE)


def test_throttling_and_a_pause_for_probes_together_last_as_long_as_the_longer(
    pacer, instance, time, pause
):
    probed_first, throttled_first = Lane("one.example.com"), Lane("two.example.com")
    pause(probed_first, 60)
    pacer.throttled(probed_first, None, 90)
    instance().throttled(throttled_first, None, 90)
    pause(throttled_first, 60)

    for lane in (probed_first, throttled_first):
        held = held_back(pacer.reserve, lane)
        assert held.retry_after_seconds == pytest.approx(90)
        assert "disabled" in held.detail
    time.pass_by(90)
    for lane in (probed_first, throttled_first):
        assert pacer.reserve(lane).probes == lane


# The bot's credential


def test_a_credential_that_fails_is_tried_once_more_and_then_once_a_minute(pacer, time):
    pacer.no_token()

    probe = pacer.reserve(LANE)
    assert (probe.lane, probe.at, probe.probes) == (LANE, time.now, CREDENTIAL)
    time.pass_by(10)
    held = held_back(pacer.reserve, Lane("other.example.com"))
    assert held.retry_after_seconds == pytest.approx(50)
    assert "the bot's own credential fails" in held.detail
    pacer.no_token()
    time.pass_by(49)
    held_back(pacer.reserve, LANE)
    time.pass_by(1)
    assert pacer.reserve(LANE).probes == CREDENTIAL


def test_a_credential_that_is_good_again_lets_everything_go_on(pacer, instance, time):
    pacer.no_token()
    other = instance()
    probe = pacer.reserve(LANE)
    held_back(other.reserve, LANE)
    # It was under way before.
    other.had_token(Slot(LANE, time.now))
    other.no_token()
    held_back(other.reserve, LANE)

    pacer.had_token(probe)

    assert pacer.reserve(LANE).probes is None
    time.pass_by(1)
    assert other.reserve(LANE).probes is None


def test_an_instance_that_starts_holds_back_while_the_credential_fails(pacer, instance):
    slots = [pacer.reserve(LANE) for _ in range(2)]
    pacer.no_token()
    # A call over HTTP may be the one that tries it.
    assert pacer.count(LANE).probes == CREDENTIAL

    held_back(pacer.wait, slots[-1])
    assert "credential" in held_back(pacer.count, LANE).detail
    held_back(instance().reserve, LANE)
    held_back(instance().count, LANE)


def test_a_good_credential_costs_nothing(instance, time, storage_calls, app_id):
    pacer, over_http = instance(), instance()
    credential_key = key_of(app_id, CREDENTIAL.host, CREDENTIAL.tenant_id)

    def reads():
        return len([call for call in storage_calls() if credential_key in call])

    pacer.reserve(LANE)
    assert reads() == 1
    for _ in range(5):
        slot = pacer.reserve(LANE)
    assert reads() == 0
    time.pass_by(1)
    pacer.reserve(LANE)
    assert reads() == 1
    pacer.had_token(slot)
    over_http.had_token(over_http.count(LANE))
    assert reads() == 1
    for _ in range(5):
        time.pass_by(1)
        pacer.wait(pacer.reserve(LANE))
        pacer.count(LANE)
        over_http.reserve(LANE)
    assert reads() == 0


def test_of_a_lane_and_the_credential_neither_costs_the_other_its_probe(pacer, time, pause):
    pause(OTHER)
    time.pass_by(HOUR)
    pacer.throttled(LANE, None, 60)
    pacer.no_token()

    assert "fewer calls" in held_back(pacer.reserve, LANE).detail
    probe = pacer.reserve(Lane("third.example.com"))
    assert probe.probes == CREDENTIAL
    assert "credential" in held_back(pacer.reserve, OTHER).detail
    pacer.had_token(probe)
    assert pacer.reserve(OTHER).probes == OTHER


# A token that is refused in one lane


def refuse(pacer, time, lane=LANE):
    """Have a message's token refused, and then another one."""
    slot = Slot(lane, time.now)
    first_refused_at, _ = pacer.suspect(slot)
    return pacer.refused(slot, first_refused_at)


def test_where_nothing_gets_through_that_lane_waits_but_for_a_probe(pacer, instance, time):
    assert refuse(pacer, time) == 120

    other = instance()
    probe = other.reserve(LANE)
    assert probe.probes == LANE
    assert "refuses the bot's credential" in held_back(pacer.reserve, LANE).detail
    use(pacer, OTHER)
    # Whoever was the probe comes back after the next one.
    assert other.suspect(probe)[1] == other.refused(probe, time.now) == 120
    # Others who were under way come back to be the next.
    assert pacer.suspect(Slot(LANE, time.now))[1] == refuse(pacer, time) == 0
    time.pass_by(59)
    held_back(pacer.reserve, LANE)
    time.pass_by(1)
    probe = pacer.reserve(LANE)
    assert probe.probes == LANE
    pacer.passed(probe)
    assert other.reserve(OTHER).probes is None


@pytest.mark.parametrize("other_lane", [False, True])
def test_what_else_got_through_in_the_lane_tells_that_the_message_is_at_fault(
    pacer, time, storage_calls, other_lane
):
    use(pacer, OTHER if other_lane else LANE)
    storage_calls()
    time.pass_by(60)

    assert refuse(pacer, time) == (120 if other_lane else None)
    if not other_lane:
        # That was asked for once; it is no news to the others.
        assert methods(storage_calls()) == ["GET"]
        time.pass_by(1)
        assert refuse(pacer, time) == 120


def test_what_got_through_in_another_process_is_known(pacer, instance, time, storage_calls):
    other = instance()
    # Told when slots are reserved next.
    use(other)
    other.reserve(LANE)
    assert refuse(pacer, time) is None

    # Told at once where that is asked for.
    time.pass_by(61)
    slot = other.reserve(LANE)
    first_refused_at, _ = pacer.suspect(Slot(LANE, time.now))
    time.pass_by(1)
    other.passed(other.reserve(LANE))
    storage_calls()
    other.passed(slot)
    assert storage_calls() == []
    # However long the message waited meanwhile.
    time.pass_by(3600)
    assert pacer.refused(Slot(LANE, time.now), first_refused_at) is None
    assert refuse(pacer, time) == 120
