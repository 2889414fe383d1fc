"""A device of a crash test: carries out its steps, whatever becomes of the server, and keeps what it was answered."""

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.crash.plan import Kind, Step
from tests.crash.programs import Program
from tests.crash.revenant import Revenant

_MOST_LIVE = 8  # tasks that wait or run: more steps wait for them
_PIECE = 700_000  # bytes of one request of an upload
_AGAIN_S = 0.1


@dataclass
class Accepted:
    """A task that the device was told of."""

    program: Program
    key: str | None = None
    depends_on: tuple[str, ...] = ()
    cancelled: bool = False  # it was asked to
    deleted: bool = False
    ended: bool = False  # the device was told


@dataclass
class Ledger:
    """What a device was answered, which is what must be true."""

    accepted: dict[str, Accepted] = field(default_factory=dict)  # by task id
    keys: dict[str, set[str]] = field(default_factory=dict)  # the task ids that were answered for each key
    unanswered: list[Program] = field(default_factory=list)  # without a key: each is one task or none
    uploaded: dict[str, str] = field(default_factory=dict)  # SHA-256 by path
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


class Device:
    """A device at an address of 127.0.0.0/8."""

    def __init__(self, revenant: Revenant, address: str, plan: Iterator[Step]) -> None:
        self._revenant = revenant
        self.address = address
        self.ledger = Ledger()
        self._plan = plan
        transport = httpx.AsyncHTTPTransport(local_address=address)
        self.client = httpx.AsyncClient(base_url=revenant.url, transport=transport, timeout=30)

    async def run(self, until: float) -> None:
        """Take step after step until that moment of the monotonic clock; one that was begun is brought to its end."""
        for step in self._plan:
            if time.monotonic() >= until:
                return
            match step.kind:
                case Kind.SUBMIT:
                    await self._submit(step, until)
                case Kind.CANCEL:
                    await self._cancel(step)
                case Kind.RERUN:
                    await self._rerun(step, until)
                case Kind.DELETE:
                    await self._delete(step)
                case Kind.UPLOAD:
                    await self._upload(step)
            await asyncio.sleep(step.pause_s)

    async def _ask(self, method: str, path: str, **how: Any) -> httpx.Response | None:
        """The answer; None: there was none, and it may have been done or not. Who is not there is asked again."""
        while True:
            try:
                answer = await self.client.request(method, path, **how)
            except httpx.ConnectError:
                await asyncio.sleep(_AGAIN_S)
                continue
            except httpx.TransportError:
                self.ledger.counts["unanswered"] += 1
                await asyncio.sleep(_AGAIN_S)
                return None
            if answer.status_code in (502, 503):  # it is busy, and may have done it later
                self.ledger.counts["busy"] += 1
                await asyncio.sleep(_AGAIN_S)
                return None
            return answer

    async def until_answered(self, method: str, path: str, **how: Any) -> tuple[httpx.Response, bool]:
        """The answer of something that may be asked twice, and whether it was asked more than once."""
        again = False
        while True:
            answer = await self._ask(method, path, **how)
            if answer is not None:
                return answer, again
            again = True

    def _is(self, answer: httpx.Response, *statuses: int) -> bool:
        if answer.status_code in statuses:
            return True
        request = answer.request
        self.ledger.faults.append(f"{request.method} {request.url.path}: {answer.status_code} {answer.text[:300]}")
        return False

    def _pick(self, pick: float, *, ended: bool | None = None) -> str | None:
        ledger = self.ledger.accepted
        found = [
            task_id for task_id, task in ledger.items() if not task.deleted and (ended is None or task.ended == ended)
        ]
        return found[int(pick * len(found))] if found else None

    def _accepted(self, task_id: str, task: Accepted) -> None:
        if task_id in self.ledger.accepted:
            self.ledger.faults.append(f"{task_id} was given to {self.ledger.accepted[task_id]} and to {task}")
        self.ledger.accepted[task_id] = task

    async def _submit(self, step: Step, until: float) -> None:
        await self._room(until)
        picked = {self._pick(pick) for pick in step.picks[: step.depends]}
        depends_on = tuple(sorted(task_id for task_id in picked if task_id))
        body = {
            "description": f"crash {step.program.token}",
            "runner": "python",
            "command": step.program.source,
            "retries": step.retries,
            "priority": step.priority,
            "parallel_safe": not step.alone,
            "limits": {"time_s": 300},
        }
        if depends_on:
            body["depends_on"] = list(depends_on)
        if step.start_after_s:
            body["start_after"] = time.time() + step.start_after_s
        if step.key:
            body["idempotency_key"] = step.key
        self._revenant.submits()
        if step.key:
            answer, again = await self.until_answered("POST", "/api/task/submit", json=body)
            self.ledger.counts["repeated with their key"] += again
        else:
            maybe = await self._ask("POST", "/api/task/submit", json=body)
            if maybe is None:
                self.ledger.unanswered.append(step.program)
                return
            answer = maybe
        self._revenant.answered()
        if not self._is(answer, 200):
            return
        task_id = answer.json()["task_id"]
        self._accepted(task_id, Accepted(step.program, step.key, depends_on))
        if step.key:
            self.ledger.keys.setdefault(step.key, set()).add(task_id)
            if step.picks[0] < 0.2:  # also what was answered may be repeated
                answer, _ = await self.until_answered("POST", "/api/task/submit", json=body)
                if self._is(answer, 200):
                    self.ledger.keys[step.key].add(answer.json()["task_id"])

    async def _room(self, until: float) -> None:
        """Wait until few of the tasks are left to do, so that the machine's pace is that of the test."""
        while time.monotonic() < until:
            answer, _ = await self.until_answered("GET", f"/api/dashboard/{self.address}")
            if not self._is(answer, 200):
                return
            live = 0
            for task in answer.json()["my_tasks"]:
                is_live = task["status"] in ("queued", "running")
                live += is_live
                if not is_live and task["task_id"] in self.ledger.accepted:
                    self.ledger.accepted[task["task_id"]].ended = True
            if live < _MOST_LIVE:
                return
            await asyncio.sleep(0.3)

    async def _cancel(self, step: Step) -> None:
        if task_id := self._pick(step.picks[0], ended=False):
            self.ledger.accepted[task_id].cancelled = True
            answer, _ = await self.until_answered("POST", f"/api/task/{task_id}/cancel")
            self._is(answer, 200, 409)
            self.ledger.counts["cancels"] += 1

    async def _rerun(self, step: Step, until: float) -> None:
        await self._room(until)
        if task_id := self._pick(step.picks[0]):
            program = step.program if step.edits else self.ledger.accepted[task_id].program
            body = {"command": program.source, "description": f"crash {program.token}"} if step.edits else {}
            answer = await self._ask("POST", f"/api/task/{task_id}/rerun", json=body)
            if answer is None:
                self.ledger.unanswered.append(program)
            elif self._is(answer, 200):
                self._accepted(answer.json()["task_id"], Accepted(program))
                self.ledger.counts["reruns"] += 1

    async def _delete(self, step: Step) -> None:
        if task_id := self._pick(step.picks[0], ended=True):
            answer, again = await self.until_answered("DELETE", f"/api/task/{task_id}")
            # One that others wait for has ended as well; a repeated one may have been done.
            if self._is(answer, 204, *((404,) if again else ())):
                self.ledger.accepted[task_id].deleted = True
                self.ledger.counts["deletes"] += 1

    async def _upload(self, step: Step) -> None:
        """An upload in pieces that goes on after each loss, as the API describes it."""
        base, path = f"/api/workspace/{self.address}", f"inputs/{step.program.token}"
        content = hashlib.shake_128(step.program.token.encode()).digest(step.upload_bytes)
        began, again = await self.until_answered("POST", f"{base}/uploads", json={"path": path, "size": len(content)})
        if not self._is(began, 201):
            return
        upload, offset = f"{base}/uploads/{began.json()['id']}", 0
        if again:
            await self._give_up_others(began.json()["id"], path)
        while True:
            headers = {"Content-Type": "application/partial-upload", "Upload-Offset": str(offset)}
            piece = content[offset : offset + _PIECE]
            answer = await self._ask("PATCH", upload, headers=headers, content=piece)
            if answer is None or answer.status_code == 409:  # how much of it has come?
                self.ledger.counts["uploads gone on with"] += 1
                state, _ = await self.until_answered("GET", upload)
                if not self._is(state, 200):
                    return
                if state.json()["complete"]:
                    break
                offset = state.json()["offset"]
                continue
            if not self._is(answer, 201, 204):
                return
            if answer.status_code == 201:
                break
            offset += len(piece)
        self.ledger.uploaded[path] = hashlib.sha256(content).hexdigest()

    async def _give_up_others(self, mine: str, path: str) -> None:
        """Of a place that was asked for more than once all but one are given up."""
        found, _ = await self.until_answered("GET", f"/api/workspace/{self.address}/uploads")
        for upload in found.json()["uploads"]:
            if upload["path"] == path and upload["id"] != mine:
                await self.until_answered("DELETE", f"/api/workspace/{self.address}/uploads/{upload['id']}")
