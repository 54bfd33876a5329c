"""Takes messages from a queue and hands them to its function, as the real host does it."""

import base64
import logging
import re
from collections.abc import Iterable
from concurrent.futures import CancelledError
from contextlib import suppress
from threading import Event, Thread

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueClient, QueueMessage

from local.environment import HostJson
from local.functions import Function, InvocationFailedError
from local.queue_metadata import handed_over
from local.storage import queue_service
from local.worker import InFlight, Invocation, Worker

logger = logging.getLogger(__name__)

SHORTEST_PAUSE_SECONDS = 0.1
# The part of a lease after which it is renewed.
RENEWED_AFTER = 0.5


class QueueListener:
    """One queue and its function.

    A thread fetches messages; one more for each of them waits for its function, renewing the
    lease meanwhile, and then settles it.
    """

    def __init__(
        self, function: Function, settings: HostJson, lease_seconds: int, worker: Worker
    ) -> None:
        self.in_flight = InFlight()
        self._function = function
        self._settings = settings
        self._lease_seconds = lease_seconds
        self._worker = worker
        self._stopping = Event()
        self._is_reachable = True
        service = queue_service(function.trigger.get("connection") or "AzureWebJobsStorage")
        self._name: str = function.trigger["queueName"]
        self._is_binary = function.trigger.get("dataType") == "BINARY"
        self._queue = service.get_queue_client(self._name)
        self._poison_queue: QueueClient | None = None
        if not self._name.endswith("-poison"):
            self._poison_queue = service.get_queue_client(f"{self._name}-poison")

    def start(self) -> None:
        """Begin to fetch."""
        Thread(target=self._listen, name=f"queue {self._name}", daemon=True).start()

    def stop(self) -> None:
        """Fetch no more."""
        self._stopping.set()

    def _listen(self) -> None:
        longest = self._settings.max_polling_interval.total_seconds()
        pause = SHORTEST_PAUSE_SECONDS
        while not self._stopping.is_set():
            self.in_flight.wait_until_at_most(self._settings.new_batch_threshold)
            with self.in_flight:  # what is being fetched is in flight too
                found = self._take_batch()
            if found:
                pause = SHORTEST_PAUSE_SECONDS
            else:
                self._stopping.wait(pause)
                pause = min(pause * 2, longest)

    def _take_batch(self) -> bool:
        if self._stopping.is_set():
            return False
        messages = list(self._fetch())
        for message in messages:
            self.in_flight.add()
            Thread(target=self._process, args=(message,), daemon=True).start()
        return bool(messages)

    def _fetch(self) -> Iterable[QueueMessage]:
        try:
            pages = self._queue.receive_messages(
                messages_per_page=self._settings.batch_size, visibility_timeout=self._lease_seconds
            ).by_page()
            page: Iterable[QueueMessage] = next(pages, ())
        except ResourceNotFoundError:
            page = ()  # the queue does not exist yet
        except AzureError as error:
            if self._is_reachable:
                self._is_reachable = False
                logger.error("Cannot read the queue %s, trying on: %s", self._name, error.message)
            return ()
        if not self._is_reachable:
            self._is_reachable = True
            logger.info("The queue %s can be read again", self._name)
        return page

    def _process(self, message: QueueMessage) -> None:
        try:
            self._run(message)
        except AzureError as error:
            # Its lease runs out, and then it comes again, as with the real host.
            logger.error("Cannot settle message %s: %s", message.id, error.message)
        finally:
            self.in_flight.remove()

    def _run(self, message: QueueMessage) -> None:
        if (message.dequeue_count or 0) > self._settings.max_dequeue_count:
            self._move_to_poison(message)
            return
        try:
            body = self._decode(message.content)
        except ValueError:
            logger.error("Message %s in %s is not Base64", message.id, self._name)
            self._move_to_poison(message)
            return
        try:
            data, metadata = handed_over(message, body, is_binary=self._is_binary)
            self._wait(message, self._worker.start(self._function, data, metadata))
        except InvocationFailedError:
            self._handle_failure(message)
        except UnicodeDecodeError:
            logger.error("Message %s in %s is no UTF-8", message.id, self._name)
            self._handle_failure(message)
        except CancelledError:
            self._set_visibility(message, 0)  # the host stops: the next one need not wait
        else:
            self._queue.delete_message(message.id, message.pop_receipt)

    def _decode(self, content: str) -> bytes:
        if self._settings.message_encoding == "none":
            return content.encode()
        # White space is no part of it for .NET; base64 tools break lines.
        return base64.b64decode(re.sub(r"[ \t\r\n]", "", content), validate=True)

    def _wait(self, message: QueueMessage, invocation: Invocation) -> None:
        while True:
            try:
                invocation.result(timeout=self._lease_seconds * RENEWED_AFTER)
                return
            except TimeoutError:
                self._renew(message)

    def _renew(self, message: QueueMessage) -> None:
        try:
            self._set_visibility(message, self._lease_seconds)
        except AzureError as error:
            logger.error("Cannot renew message %s: %s", message.id, error.message)

    def _set_visibility(self, message: QueueMessage, seconds: int) -> None:
        # By id: given the message itself, the client would write its text anew.
        updated = self._queue.update_message(
            message.id, message.pop_receipt, visibility_timeout=seconds
        )
        message.pop_receipt = updated.pop_receipt

    def _handle_failure(self, message: QueueMessage) -> None:
        if (message.dequeue_count or 0) >= self._settings.max_dequeue_count:
            self._move_to_poison(message)
        elif self._poison_queue:
            delay = self._settings.visibility_timeout.total_seconds()
            self._set_visibility(message, int(delay))

    def _move_to_poison(self, message: QueueMessage) -> None:
        if not self._poison_queue:
            return  # stays leased, as with the real host, so that it is not tried in a hot loop
        logger.warning("Moving message %s to %s-poison", message.id, self._name)
        with suppress(ResourceExistsError):
            self._poison_queue.create_queue()
        # For as long as Queue storage keeps what nobody says more of: seven days.
        self._poison_queue.send_message(message.content)
        self._queue.delete_message(message.id, message.pop_receipt)
