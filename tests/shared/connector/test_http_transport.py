import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import urllib3

from shared.connector import http_transport
from shared.connector.client import _no_answer
from shared.connector.errors import NoAnswer
from tests.shared.connector.calls import START, THREADS, at_stub, failure, send
from tests.support.stub_server import Answer, StubServer
from tests.support.waiting import PATIENCE_SECONDS

# Time


def test_a_call_that_hangs_ends_in_time(connector):
    connector.block(times=1)

    assert failure(at_stub(connector, timeout_seconds=0.2)).code == "ConnectorTimeout"
    assert len(connector.wait_for(1)) == 1


def test_headers_that_drip_do_not_hold_a_thread(connector):
    # Each byte comes long before a time limit on one read of the socket would end it.
    connector.answer(201, {"id": "1"}, seconds_per_header_byte=0.05)

    assert failure(at_stub(connector, timeout_seconds=0.3)).code == "ConnectorTimeout"


def test_a_body_that_drips_does_not_hold_a_thread_and_the_status_counts(connector):
    connector.answer(201, {"id": "1" * 4000}, seconds_per_body_byte=0.05)

    assert send(at_stub(connector, timeout_seconds=3)) is None


def test_a_dripping_answer_that_comes_in_time_is_read_whole(at, connector):
    connector.answer(201, {"id": "1"}, seconds_per_header_byte=0.0005, seconds_per_body_byte=0.0005)

    assert send(at) == "1"


@pytest.mark.parametrize("service", ["connector", "secure"])
def test_nothing_is_sent_once_the_time_is_over(service, request, certificates, monkeypatch):
    stub = request.getfixturevalue(service)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.authority_file))
    at = at_stub(stub, timeout_seconds=30, use_proxy=True)
    late_by, look_up = [0], socket.getaddrinfo
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + late_by[0])
    monkeypatch.setattr(http_transport, "time", clock)

    def slow_look_up(*args, **options):
        late_by[0] += 31
        return look_up(*args, **options)

    with monkeypatch.context() as looking_up:
        looking_up.setattr(socket, "getaddrinfo", slow_look_up)
        error = failure(at)

    assert (error.code, error.is_ambiguous) == ("ConnectorUnavailable", False)
    assert stub.requests == []
    assert send(at)


@pytest.mark.parametrize("status", [100, 102, 103])
def test_an_interim_answer_says_nothing_yet(at, connector, status):
    connector.answer(status, b'HTTP/1.1 201 Created\r\nContent-Length: 10\r\n\r\n{"id":"7"}')
    connector.answer(status, when=lambda request: request.connection == 2)

    assert [send(at), send(at)] == ["7", "activity-1"]
    error = failure(at_stub(connector, timeout_seconds=0.3))
    assert (error.code, error.is_ambiguous) == ("ConnectorTimeout", True)
    assert [request.connection for request in connector.requests] == [1, 1, 2]


# Connections


def test_a_connection_is_used_again_until_it_is_dropped(at, connector):
    at.create_conversation(START)
    send(at)
    connector.fail(404, "ConversationNotFound")
    failure(at)
    send(at)
    connector.drop_connections()
    send(at)

    assert [request.connection for request in connector.requests] == [1, 1, 1, 1, 2]


def test_there_are_never_more_connections_than_threads(at, connector):
    connector.block()
    together = threading.Barrier(3 * THREADS)

    def call(_):
        together.wait(PATIENCE_SECONDS)
        return send(at)

    with ThreadPoolExecutor(3 * THREADS) as pool:
        calls = pool.map(call, range(3 * THREADS))
        connector.wait_for_waiting(THREADS)
        connector.release()
        sent = list(calls)

    assert len(set(sent)) == 3 * THREADS
    assert connector.connections == THREADS


def test_a_connection_that_broke_is_not_lost_to_the_others(connector):
    at = at_stub(connector, timeout_seconds=2)
    connector.block(times=2 * THREADS)
    with ThreadPoolExecutor(THREADS) as pool:
        errors = list(pool.map(lambda _: failure(at), range(2 * THREADS)))

    connector.wait_for(2 * THREADS)
    assert {error.code for error in errors} == {"ConnectorTimeout"}
    assert send(at)


# TLS


class SecureConnector(StubServer):
    """The Connector, over HTTPS."""

    def default_answer(self, request):
        return Answer(201, {"id": "1"})


@pytest.fixture
def secure(certificates) -> Iterator[SecureConnector]:
    with SecureConnector(certificates.server_context()) as secure:
        yield secure


def test_a_certificate_that_nobody_vouches_for_is_not_accepted(secure, tokens):
    error = failure(at_stub(secure, tokens=tokens))

    assert (error.code, error.is_ambiguous) == ("ConnectorUnavailable", False)
    assert secure.requests == []


def test_a_failure_of_tls_after_the_certificate_may_come_in_the_middle():
    error = urllib3.exceptions.SSLError(ssl.SSLError("bad record mac"))

    assert _no_answer(error) is NoAnswer.CUT_OFF


def test_calls_over_tls_are_bounded_and_reuse_their_connection(secure, certificates, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.authority_file))
    patient = at_stub(secure, use_proxy=True)
    hasty = at_stub(secure, timeout_seconds=3, use_proxy=True)
    secure.answer(201, seconds_per_header_byte=0.1, when=lambda request: request.connection == 2)

    sent = [send(patient) for _ in range(3)]
    error = failure(hasty)

    assert sent == ["1"] * 3
    assert {request.connection for request in secure.requests[:3]} == {1}
    assert error.code == "ConnectorTimeout"
