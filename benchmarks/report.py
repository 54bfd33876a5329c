"""The results: as tables in Markdown for people, as JSON for comparing runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.messages import THREADS
from benchmarks.rounds import SLOW_SECONDS, Cost, Rounds

# Stubs that are busier have others wait for them.
_BUSY = 0.5

_READING = f"""\
How to read it: each contender sends the same activity to the same stubs on this machine, with
{THREADS} messages in flight, in turn in each round. CPU is that of the sending process alone; of it
and of the speeds the table has the best round, because other work on the machine only adds.
Ratios are to the reference of the same run, and mean more than milliseconds, which are this
machine's. Every message was delivered exactly once; else there would be no table. Connections,
token requests, storage and Connector calls are those of all messages together, warm-up included.

- reference: reads a ConversationReference, posts the activity over one pooled session.
- bare send: our service function; it also reads what the person wants, and counts for the pace.
- accounted send: our invocation for a message of the queue; it also claims the message, so that it
  is sent once, and records what became of it. Its pace is set so high that it holds nothing back,
  at which the row of the pace is written more often than at a pace that does. The message is put
  on the queue by somebody else.
- an alert: ours to everybody, from the message that asks for it to its end: it reads the accounts,
  puts a message for each on the queue itself, sends it as above, and counts how all have ended.
- an answered click, a cached account, a status read: our functions over HTTP. For a click the
  signature of the Connector's token is checked; it is put on the queue, taken for an answer, and
  answered with the card as it is then. An account is read and written; what became of a message is
  read. The Connector is not called.
- Agents SDK: reads a ConversationReference and continues the conversation, as its samples do.

The first message of a new process is counted from when the process has azure.functions loaded, as
in Azure the worker has, and gets its order; all else is loaded then."""


@dataclass(frozen=True)
class Results:
    """All that was measured; ``missing`` says in a sentence what could not be."""

    rounds: Rounds
    first_messages: Mapping[str, Sequence[float]]
    missing: Sequence[str]


def to_markdown(results: Results) -> str:
    """Return the tables, and how to read them."""
    parts = [
        _cost_table(results),
        _alert_sentence(results.rounds.costs),
        *results.missing,
        _READING,
        _noise(results.rounds),
        _storage(results.rounds.costs),
    ]
    return "\n\n".join(part for part in parts if part)


def to_json(results: Results) -> dict[str, Any]:
    """Return all that was measured, round by round."""
    return {
        "costs": [
            {
                "name": cost.program.name,
                "cpuMilliseconds": cost.cpu_milliseconds,
                "perSecond": cost.per_second,
                "perSecondSlow": cost.per_second_slow,
                "messages": cost.messages,
                "connections": cost.connections,
                "tokens": cost.tokens,
                "calls": cost.calls,
                "storage": cost.storage,
                "firstMessageMilliseconds": results.first_messages.get(cost.program.name),
            }
            for cost in results.rounds.costs
        ],
        "stubsBusy": results.rounds.stubs_busy,
        "missing": results.missing,
    }


def _cost_table(results: Results) -> str:
    costs = results.rounds.costs
    reference = min(costs[0].cpu_milliseconds)
    slow = f"{1000 * SLOW_SECONDS:.0f}"
    head = [
        *("", "CPU ms a message", "ratio", "messages/s", f"messages/s at {slow} ms"),
        *("storage calls a message", "Connector calls a message"),
        *("connections", "token requests", "ms for the first message of a new process"),
    ]
    rows = []
    for cost in costs:
        cpu = min(cost.cpu_milliseconds)
        first = results.first_messages.get(cost.program.name)
        rows.append(
            [
                cost.program.name,
                f"{cpu:.2f}",
                f"{cpu / reference:.2f}",
                f"{max(cost.per_second):.0f}",
                f"{max(cost.per_second_slow):.0f}",
                f"{cost.storage.total() / cost.messages:.2f}",
                f"{cost.calls / cost.messages:.2f}",
                f"{cost.connections}",
                f"{cost.tokens}",
                f"{median(first):.0f}" if first else "",
            ]
        )
    return _table(head, rows)


def _alert_sentence(costs: Sequence[Cost]) -> str:
    cpu = {cost.program.module: min(cost.cpu_milliseconds) for cost in costs}
    return (
        f"For each recipient, the alert took {cpu['alert'] / cpu['accounted_send']:.2f} times the "
        "CPU of an accounted send."
    )


def _noise(rounds: Rounds) -> str:
    reference = rounds.costs[0].cpu_milliseconds
    bound = "that bounds" if rounds.stubs_busy > _BUSY else "that does not bound"
    return (
        f"The reference's worst round took {max(reference) / min(reference):.2f} times the CPU of "
        f"its best: so noisy was the machine. The stubs were busy for at most "
        f"{100 * rounds.stubs_busy:.0f} % of the time; {bound} the speeds."
    )


def _storage(costs: Sequence[Cost]) -> str:
    lines = [
        f"- {cost.program.name}: "
        + ", ".join(
            f"{name} {count / cost.messages:.3f}" for name, count in cost.storage.most_common()
        )
        for cost in costs
    ]
    return "Storage calls a message, by table:\n\n" + "\n".join(lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    marks = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, marks, *rows))
