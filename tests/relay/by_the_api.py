"""A world in which requests come by the API."""

from typing import Any

from world import World

from bindings.contract import Accepted, NetworkState, Refusal, Refused
from bridge.coap.message import Message, Option, Type, encode_body
from bridge.coap.numbers import Code, OptionNumber as Opt
from bridge.coap.udp import decode, frame
from bridge.delivery.direct import DirectNote
from bridge.delivery.downlinks import DIRECT, ServerRequest
from bridge.relay import events as ev
from bridge.relay.blocks import Block, block_of
from bridge.relay.effects import DirectAnswer, Effect

SLEEPS = Refused(Refusal.UNREACHABLE, "asleep", retry_at=1_700_000_090.0)
HELD = Accepted("h", NetworkState.BUFFERED)


class Direct(World):
    """A world that keeps the answers to requests by the API."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.answers: list[DirectAnswer] = []

    def _release(self, effect: Effect) -> None:
        if isinstance(effect, DirectAnswer):
            self.answers.append(effect)
        super()._release(effect)

    def send(
        self,
        code: int = Code.GET,
        path: str = "3/0/0",
        payload: bytes = b"",
        options: tuple[Option, ...] = (),
        **more: Any,
    ) -> int:
        """Ask by the API, and return the downlink's id."""
        id_ = next(self.ids)
        note = DirectNote(id_, 1, self.wall, "a test", None, b"", more.pop("supersede_key", None))
        segments = tuple((Opt.URI_PATH, part.encode()) for part in path.split("/"))
        self.event(ev.DirectRequest(id_, code, (*segments, *options), payload, note, **more))
        return id_

    def row(self, id_: int) -> Any:
        return next(row for row in self.loaded([ServerRequest]) if row.id == id_)

    def of(self, id_: int) -> list[Any]:
        """Return all messages of an exchange."""
        token = self.row(id_).north_token
        return [row for row in self.loaded([ServerRequest]) if row.server == DIRECT and row.north_token == token]

    def sent(self) -> Message:
        """Return what went to the device last."""
        return decode(self.submitted[-1].attempt.payload)

    def answers_last(self, code: int, payload: bytes = b"", options: tuple[Option, ...] = ()) -> None:
        """Let the device answer what went to it last."""
        asked = self.sent()
        self.event(ev.DeviceMessage(frame(Type.ACK, code, asked.mid, asked.token, encode_body([*options], payload))))


def carried_out(world: Direct, answer: bytes, szx: int) -> bytes:
    """Let a device take all blocks and answer in blocks; return what it was sent in all."""
    taken = b""
    for _ in range(3000):
        if not world.state.deliveries.live:
            break
        asked = world.sent()
        sent = block_of(asked, Opt.BLOCK1)
        wanted = block_of(asked, Opt.BLOCK2)
        if wanted is None or not wanted.number:
            assert sent is None or sent.offset == len(taken)
            taken += asked.payload
        if sent is not None and sent.more:
            world.answers_last(Code.CONTINUE, options=((Opt.BLOCK1, sent.value()),))
            continue
        size = szx if wanted is None else min(szx, wanted.szx)
        at = 0 if wanted is None else wanted.offset
        part = answer[at : at + (16 << size)]
        more = at + len(part) < len(answer)
        options: tuple[Option, ...] = ()
        if more or at:
            options = ((Opt.BLOCK2, Block(at >> size + 4, more=more, szx=size).value()),)
        world.answers_last(Code.CONTENT, part, options)
    return taken
