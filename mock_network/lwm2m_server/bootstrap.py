"""The bootstrap server's side: sessions with clients, step by step (Core TS 1.1 §6.1)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from mock_network.lwm2m.formats import ContentFormat, encode
from mock_network.lwm2m.jsonvalue import to_json
from mock_network.lwm2m.links import parse_links
from mock_network.lwm2m.messages import DELETE, GET, POST, PUT, Closed, NoAnswer, Request, Reset, Response
from mock_network.lwm2m.paths import Path, PathError, format_path, parse_path
from mock_network.lwm2m.transport import Address
from mock_network.lwm2m.values import FormatError, Record, TypeOf
from mock_network.lwm2m_server.bootstrap_plan import Plan, Step
from mock_network.lwm2m_server.results import records_of

CHANGED, BAD_REQUEST = "2.04", "4.00"
ANY_ENDPOINT = "*"
MAX_SESSIONS = 10_000  # kept for the control API

Ask = Callable[[Address, Request], Awaitable[Response]]


@dataclass(slots=True)
class Session:
    """One bootstrap session. `state` is `running`, `manual` (steps come by the control API), `finished` or `failed`."""

    endpoint: str
    peer: Address
    state: str
    steps: list[dict[str, Any]] = field(default_factory=list)
    """What was asked, and the answers, in order."""

    def to_json(self) -> dict[str, Any]:
        """Return it for the control API."""
        peer = f"{self.peer[0]}:{self.peer[1]}"
        return {"endpoint": self.endpoint, "peer": peer, "state": self.state, "steps": self.steps}


class Bootstrap:
    """Answers Bootstrap-Requests and carries out each client's plan. `ask` sends a request and returns its response."""

    def __init__(self, ask: Ask, type_of: TypeOf) -> None:
        self.plans: dict[str, Plan] = {}
        """Plans by endpoint name; that of ANY_ENDPOINT is for all others."""
        self.sessions: list[Session] = []
        self._ask, self._type_of = ask, type_of
        self._tasks: set[asyncio.Task[None]] = set()

    def request(self, request: Request) -> tuple[Response, str]:
        """Answer a Bootstrap-Request; return the response and the endpoint name. The session begins after it."""
        parameters = dict(item.partition("=")[::2] for item in request.query)
        endpoint = parameters.get("ep", "")
        plan = self.plans.get(endpoint, self.plans.get(ANY_ENDPOINT))
        if not endpoint:
            return Response(BAD_REQUEST, b"endpoint name missing"), endpoint
        if plan is None:
            return Response(BAD_REQUEST, b"no bootstrap plan for this endpoint"), endpoint
        session = Session(endpoint, request.peer, "manual" if plan.manual else "running")
        self.sessions.append(session)
        del self.sessions[:-MAX_SESSIONS]
        if not plan.manual:
            task = asyncio.get_running_loop().create_task(self._run(session, plan))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return Response(CHANGED), endpoint

    def session(self, endpoint: str) -> Session:
        """Return the last session of a client; KeyError."""
        for session in reversed(self.sessions):
            if session.endpoint == endpoint:
                return session
        raise KeyError(endpoint)

    async def _run(self, session: Session, plan: Plan) -> None:
        try:
            await asyncio.sleep(0)  # the answer to the Bootstrap-Request goes first
            steps = plan.steps(await self._taken(session) if plan.needs_discovery else frozenset())
            for step in steps:
                response = await self.step(session, step)
                if not response.ok and not step.optional:
                    session.state = "failed"
                    return
        except (NoAnswer, Reset, Closed) as problem:
            session.steps.append({"problem": repr(problem)})
            session.state = "failed"

    async def _taken(self, session: Session) -> frozenset[int]:
        """Return the Security instances that Bootstrap-Delete leaves: the bootstrap server's own."""
        response = await self.step(session, Step("discover", "/0"))
        try:
            links = parse_links(response.payload) if response.ok else []
            paths = [parse_path(link.target) for link in links if "ssid" not in link.attributes]
        except (FormatError, PathError):
            return frozenset()
        return frozenset(path[1] for path in paths if len(path) == 2 and path[0] == 0)  # noqa: PLR2004  # an instance

    async def step(self, session: Session, step: Step) -> Response:
        """Carry out one step and return its response; NoAnswer, Reset, Closed, FormatError, UnsupportedFormat."""
        response = await self._ask(session.peer, self._request(step))
        session.steps.append(self._describe(step, response))
        if step.operation == "finish":
            session.state = "finished" if response.ok else "failed"
        return response

    def _request(self, step: Step) -> Request:
        path = parse_path(step.path)
        segments = tuple(str(identifier) for identifier in path)
        match step.operation:
            case "discover":
                return Request(GET, segments, accept=int(ContentFormat.LINK))
            case "read":
                return Request(GET, segments, accept=None if step.format is None else int(step.format))
            case "delete":
                return Request(DELETE, segments)
            case "write":
                content_format = ContentFormat.TLV if step.format is None else step.format
                payload = encode(content_format, path, self._records(path, step), self._type_of)
                return Request(PUT, segments, payload=payload, content_format=int(content_format))
        return Request(POST, ("bs",))

    def _records(self, path: Path, step: Step) -> list[Record]:
        records = step.records(self._type_of)
        for record in records:
            if record.path[: len(path)] != path:
                raise FormatError(f"{format_path(record.path)} is outside {step.path}")
        return records

    def _describe(self, step: Step, response: Response) -> dict[str, Any]:
        described: dict[str, Any] = {"operation": step.operation, "path": step.path, "code": response.code}
        if not response.ok:
            described["diagnostic"] = response.payload.decode(errors="replace")
        elif response.content_format == ContentFormat.LINK:
            described["links"] = {link.target: dict(link.attributes) for link in parse_links(response.payload)}
        elif step.operation == "read":
            records = records_of(response, parse_path(step.path), self._type_of)
            described["values"] = {format_path(record.path): to_json(record.value) for record in records}
        return described

    def stop(self) -> None:
        """End all sessions that run."""
        for task in self._tasks:
            task.cancel()
