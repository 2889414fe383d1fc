"""The order in which the tasks of one batch are accepted: each after those that it waits for. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from lan_session_manager.errors import InvalidInputError
from lan_session_manager.requests import LONGEST_ID, Request, shown, text_of

MOST_IN_A_BATCH = 1000
_SHOWN = 10  # of a longer cycle


@dataclass(frozen=True)
class BatchItem:
    """A task of a batch. `ref`: what the others of the batch call it in their `depends_on`."""

    request: Request
    ref: str | None = None


def ordered(items: Sequence[BatchItem]) -> list[int]:
    """The places of the items in an order in which each comes after those that it waits for, else as they came.

    Raises InvalidInputError for a batch without a task, or with too many; for a ref that is given twice; and for tasks
    that wait for each other, with the cycle in the sentence.
    """
    if not 1 <= len(items) <= MOST_IN_A_BATCH:
        raise InvalidInputError(what=f"A batch has 1 to {MOST_IN_A_BATCH} tasks.")
    places: dict[str, int] = {}
    for place, item in enumerate(items):
        if item.ref is None:
            continue
        if not text_of("ref", item.ref, LONGEST_ID):
            raise InvalidInputError(what="A ref is empty. Give it a text, or leave it out.")
        if places.setdefault(item.ref, place) != place:
            raise InvalidInputError(what=f"Two tasks of the batch have the ref {shown(item.ref)}.")
    waits_for = [[places[ref] for ref in item.request.depends_on if ref in places] for item in items]
    done: list[int] = []
    state = [0] * len(items)  # 0: not seen, 1: on the way, 2: done
    for first in range(len(items)):
        path = [first] if not state[first] else []
        while path:
            place = path[-1]
            state[place] = 1
            following = next((other for other in waits_for[place] if state[other] < 2), None)
            if following is None:
                state[place] = 2
                done.append(path.pop())
            elif state[following] == 1:
                raise _cycle([items[other].ref or "" for other in path[path.index(following) :]])
            else:
                path.append(following)
    return done


def _cycle(refs: list[str]) -> InvalidInputError:
    names = [shown(ref) for ref in refs]
    if len(names) > _SHOWN:
        names = [*names[: _SHOWN - 1], f"… {len(names) - _SHOWN} more …", names[-1]]
    return InvalidInputError(what=f"These tasks wait for each other: {' → '.join([*names, names[0]])}.")
