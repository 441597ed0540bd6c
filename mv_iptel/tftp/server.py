"""TFTP over sockets: one thread, one connected socket for each transfer, epoll.

What is said and when stands in `protocol.py`; who gets what is the library's decision. Here datagrams move.
Why it looks as it does, with the measurements, stands in ARCHITECTURE.md.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from mv_iptel.config import TFTP
from mv_iptel.events import Notice, Stream
from mv_iptel.library import Client, Library, Reason, Refuse, Request, Serve
from mv_iptel.tftp.flow import Flow
from mv_iptel.tftp.image import Images, source_of
from mv_iptel.tftp.listening import Datagram, Listener
from mv_iptel.tftp.poller import FAST, IN, OUT, Waker, poller
from mv_iptel.tftp.protocol import ACK, ERROR, REPLIES, Limits, Packet, ProtocolError, agree, error, parse

# Requests taken from one port before the running transfers get their turn: 15 ms at most.
REQUESTS_A_TURN = 256
EVENTS_A_TURN = 512
# An ACK has four octets; of an ERROR more than this is not worth keeping.
ANSWER_MAX = 64
SWEEP = 0.1  # seconds between looks at the deadlines: nothing is done for timers per packet
IDLE = 10.0  # seconds without a transfer after which the packets at hand are given up
ACTIVE_MAX = 500
SINGLE_PORT_BLOCK = 1428  # octets of a block that fits an Ethernet frame, also through a tunnel
# Without this a thread that computes holds the lock 5 ms for each packet of ours.
SWITCH_INTERVAL = 1e-4
# One send of the kernel's segmentation offload: 64 segments, together less than an IP datagram.
SEGMENTS, SEGMENTED = 64, 65000


class Guest(Protocol):
    """Other work that this thread does while it is busy: a second one would fight it for Python's lock."""

    fd: int  # readable when there is something to do

    def serve(self) -> None:
        """Do a little of it."""

    def back(self) -> None:
        """It is no longer done here; on the TFTP thread."""


class Server:
    """The TFTP server. `start`, `stop`, `reload`, `lend`, `listeners` and `active` are for other threads."""

    def __init__(
        self,
        config: TFTP,
        bind: tuple[str, ...],
        library: Library,
        stream: Stream,
        *,
        fast: bool = FAST,
    ):
        self._library = library
        self._stream = stream
        self._fast = fast
        self._poller = poller(fast)
        self._images = Images()
        self._waker = Waker()
        self._poller.register(self._waker.fd, IN)
        self._listeners: list[Listener] = []
        self._at: dict[int, Listener] = {}  # listening sockets by descriptor
        self.flows: dict[int, Flow] = {}  # those that the fast way may serve, by descriptor
        self._held: dict[int, Flow] = {}  # those that it may not: a full buffer, no epoll
        self._all: dict[int, Flow] = {}  # by id
        self._by_peer: dict[tuple, Flow] = {}  # the latest transfer of a client's port
        self._calls: deque[Callable[[], None]] = deque()
        self._guest: Guest | None = None
        self._serial = 0
        self._sweep_at = 0.0
        self._busy_at = 0.0
        self._stop_at: float | None = None
        self._thread: threading.Thread | None = None
        self._configure(config, bind)

    # For other threads

    def start(self) -> None:
        """Open the ports, here and now because rights may be dropped afterwards; then run in a thread."""
        sys.setswitchinterval(SWITCH_INTERVAL)
        self._listen()
        self._thread = threading.Thread(target=self._run, name="tftp", daemon=True)
        self._thread.start()

    def reload(self, config: TFTP, bind: tuple[str, ...]) -> None:
        """Take over a configuration. Transfers go on by the terms that they agreed."""

        def change() -> None:
            self._configure(config, bind)
            self._listen()

        self._call(change, 5.0)

    def stop(self, grace: float) -> None:
        """Take no more requests; give running transfers `grace` seconds."""
        if self._thread is None:
            return

        def ending() -> None:
            self._stop_at = time.monotonic() + grace
            for listener in self._listeners:
                if not self._single:
                    self._shut(listener)

        self._call(ending, 0.0)
        self._thread.join(grace + 10)
        self._thread = None

    def listeners(self) -> list[dict[str, Any]]:
        """The ports and how they are."""
        return [listener.told() for listener in list(self._listeners)]

    def lend(self, guest: Guest) -> bool:
        """Serve `guest` between the turns of TFTP, as long as there are some. False: none are running now."""
        if not self.flows:
            return False

        def adopt() -> None:
            try:
                self._poller.register(guest.fd, IN)
            except (OSError, ValueError):
                return  # it ended meanwhile
            self._guest = guest

        self._calls.append(adopt)
        self._waker.wake()
        return True

    def call(self, action: Callable[[], None]) -> None:
        """Have the server's thread do this soon. One that has ended does nothing more."""
        self._calls.append(action)
        self._waker.wake()

    def active(self) -> list[dict[str, Any]]:
        """What is being sent, at most `ACTIVE_MAX` of it."""
        found = []
        for flow in list(self._all.values())[:ACTIVE_MAX]:
            answer, session = flow.answer, flow.session
            if answer is None or session is None:
                continue
            found.append(
                {
                    "id": flow.id,
                    "proto": "tftp",
                    "peer": session.client.address,
                    "name": answer.name,
                    "bytes": min(flow.sent, answer.body.size),
                    "total": answer.body.size,
                    "started": flow.epoch,
                    "mac": answer.phone.mac,
                    "ext": answer.phone.ext,
                    "model": answer.phone.model,
                }
            )
        return found

    def _call(self, action: Callable[[], None], wait: float) -> None:
        """Have the server's thread do it, and wait for that at most `wait` seconds."""
        thread = self._thread
        if thread is None or not thread.is_alive():
            action()
            return
        done = threading.Event()

        def act() -> None:
            try:
                action()
            finally:
                done.set()

        self._calls.append(act)
        self._waker.wake()
        if wait:
            done.wait(wait)

    # The ports

    def _configure(self, config: TFTP, bind: tuple[str, ...]) -> None:
        self._single = config.tftp_single_port
        block, window = config.tftp_block_max, config.tftp_window_max
        if self._single:
            # Who forges an address knows the port to send forged ACKs to: then a window would be a weapon.
            block, window = min(block, SINGLE_PORT_BLOCK), 1
        self._limits = Limits(block, window, config.tftp_timeout, config.tftp_retries)
        self._ports = config.tftp_port_range
        self._on = config.run_trivial_ftp
        self._wanted = [(address, config.trivial_ftp_port) for address in bind or ("0.0.0.0", "::")]  # noqa: S104

    def _listen(self) -> None:
        """Open what is wanted and not open, close what is no longer wanted."""
        kept: list[Listener] = []
        for listener in self._listeners:
            if self._on and (listener.address, listener.wanted) in self._wanted:
                kept.append(listener)
            else:
                self._shut(listener)
        have = {(listener.address, listener.wanted) for listener in kept}
        for address, port in self._wanted:
            if (address, port) not in have:
                kept.append(Listener(address, port, self._stream))
        self._listeners = kept
        for listener in kept:
            if self._on and listener.state != "up":
                self._open(listener)

    def _open(self, listener: Listener) -> None:
        if listener.open(time.monotonic()) and listener.sock is not None:
            fd = listener.sock.fileno()
            self._at[fd] = listener
            self._poller.register(fd, IN)

    def _shut(self, listener: Listener) -> None:
        if listener.sock is not None:
            fd = listener.sock.fileno()
            self._at.pop(fd, None)
            self._poller.unregister(fd)
            now = time.monotonic()
            for flow in list(self._all.values()):
                if flow.listener is listener and flow.sock is None:
                    flow.end("aborted", "its port was closed")
                    self._finish(flow, now)
        listener.close()

    # The thread

    def _run(self) -> None:
        now = time.monotonic()
        while True:
            try:
                # While something is being sent the sweep sets the pace: nothing to compute per packet.
                events = self._poller.poll(SWEEP if self._all else self._pause(now), EVENTS_A_TURN)
                now = time.monotonic()
                if events:
                    self.turn(events, now)
                while self._calls:
                    self._calls.popleft()()
                if self._guest is not None and not self.flows:
                    self._send_back(self._guest)
                if now >= self._sweep_at:
                    self._sweep(now)
                if self._stop_at is not None and (not self._all or now >= self._stop_at):
                    break
            except Exception as fault:  # a mistake of ours must not keep phones from booting
                self._tell(fault, "the TFTP thread")
        self._close()

    def _pause(self, now: float) -> float:
        """How long an idle server waits, in seconds; negative: without end."""
        until = min((listener.retry_at for listener in self._listeners), default=float("inf"))
        if self._images.octets:
            until = min(until, self._busy_at + IDLE)
        return -1 if until == float("inf") else max(0.0, until - now)

    def turn(self, events: list[tuple[int, int]], now: float) -> None:
        """Serve what is ready.

        Here is the one fused loop: an ACK that is the one awaited in lock-step is answered with the next
        packet without a call, exactly as `Transfer.receive` and `to_send` would (a test compares them).
        """
        flows, read, write, most = self.flows, os.read, os.write, ANSWER_MAX
        for fd, mask in events:
            flow = flows.get(fd)
            if flow is None:
                self._other(fd, mask, now)
                continue
            try:
                data = read(fd, most)
                if data == flow.want:
                    base = flow.base + 1
                    at = base - flow.offset
                    packets = flow.packets
                    if at < len(packets):
                        flow.base = base
                        flow.since = now
                        flow.want = flow.acks[at]
                        write(fd, packets[at])
                        continue
            except BlockingIOError:
                continue
            except OSError as fault:
                self._unreachable(flow, fault, now)
                continue
            self._took(flow, data, now)

    def _other(self, fd: int, mask: int, now: float) -> None:
        """A listening port, a call from another thread, or a transfer off the fast way."""
        listener = self._at.get(fd)
        if listener is not None:
            for _ in range(REQUESTS_A_TURN):
                datagram = listener.receive()
                if datagram is None:
                    return
                self._arrived(listener, datagram, now)
            return
        if fd == self._waker.fd:
            self._waker.quiet()
            return
        if self._guest is not None and fd == self._guest.fd:
            self._guest.serve()
            return
        flow = self._held.get(fd)
        if flow is None or flow.sock is None:
            return  # it ended earlier in this turn
        if mask & OUT and flow.unsent:
            self._transmit(flow, flow.unsent, now)
        if mask & ~OUT and not flow.outcome:
            try:
                data = flow.sock.recv(ANSWER_MAX)
            except BlockingIOError:
                return
            except OSError as fault:
                # Windows says so when the datagram was longer than asked for; it is no ACK then.
                self._unreachable(flow, fault, now)
                return
            self._took(flow, data, now)

    def _sweep(self, now: float) -> None:
        """Resend and give up what is due; try failed ports again; give memory back."""
        self._sweep_at = now + SWEEP
        for flow in list(self._all.values()):
            if now >= flow.deadline:
                flow.tick(now)
                self._go(flow, now)
        for listener in self._listeners:
            if now >= listener.retry_at:
                self._open(listener)
        if self._all:
            self._busy_at = now
        elif now - self._busy_at >= IDLE and self._images.octets:
            self._images.clear()

    def _send_back(self, guest: Guest) -> None:
        self._guest = None
        try:
            self._poller.unregister(guest.fd)
        except (OSError, ValueError):
            pass  # it ended meanwhile, and with it its descriptor
        guest.back()

    def _close(self) -> None:
        now = time.monotonic()
        for flow in list(self._all.values()):
            flow.end("aborted", "the server ends")
            self._transmit(flow, [error(0)], now)
            self._finish(flow, now)
        while self._calls:
            self._calls.popleft()()
        if self._guest is not None:
            self._send_back(self._guest)
        for listener in self._listeners:
            self._shut(listener)
        self._poller.close()
        self._waker.close()

    # Requests

    def _arrived(self, listener: Listener, datagram: Datagram, now: float) -> None:
        data = datagram.data
        if self._single and len(data) >= 4 and not data[0] and data[1] in (ACK, ERROR):
            self._answered((datagram.peer, datagram.local), data, now)
            return
        if self._stop_at is not None:
            return
        try:
            self._asked(listener, datagram, now)
        except Exception as fault:
            listener.say(error(0), datagram.peer, datagram.local)
            self._tell(fault, "a TFTP request", str(datagram.peer[0]))

    def _asked(self, listener: Listener, datagram: Datagram, now: float) -> None:
        data, peer, local = datagram
        client = Client(peer[0].partition("%")[0], peer[1], "tftp", listener.name)
        session = self._library.admit(client)
        if isinstance(session, Refuse):
            self._refuse(listener, datagram, session)
            return
        try:
            ask = parse(data)
        except ProtocolError as wrong:
            refuse = Refuse(Reason.BAD_REQUEST, str(wrong))
            if not wrong.silent:
                self._refuse(listener, datagram, refuse)
            session.finished(Request(wrong.name), refuse, "refused", 0, 0.0)
            return
        request = Request(ask.name, ask.write)
        answer = session.ask(request)
        if isinstance(answer, Refuse):
            self._refuse(listener, datagram, answer)
            outcome = "failed" if answer.reason is Reason.FAULT else "refused"
            session.finished(request, answer, outcome, 0, time.monotonic() - now)
            return
        key = (peer, local)
        old = self._by_peer.get(key)
        if (
            old is not None
            and not old.acked
            and old.ask == ask
            and old.answer is not None
            and old.answer.body.key == answer.body.key
        ):
            # The client, or the network, says it again: the same question, the same transfer.
            answer.body.close()
            session.close()
            old.again(now)
            self._go(old, now)
            return
        terms = agree(ask, answer.body.size, self._limits)
        try:
            sock = None if self._single else listener.speaker(peer, local, self._ports)
        except OSError as fault:
            failed = answer._replace(detail=f"no socket: {fault.strerror}")
            session.finished(request, failed, "failed", 0, 0.0)
            answer.body.close()
            return
        image = source_of(self._images, answer.body, terms, ask.mode)
        flow = Flow(image, terms, now, sock)
        flow.image = image
        self._serial += 1
        flow.id, flow.epoch, flow.key = self._serial, time.time(), key
        flow.ask, flow.request, flow.answer = ask, request, answer
        flow.session, flow.listener = session, listener
        if not self._all:
            self._sweep_at = now + SWEEP
        self._all[flow.id] = flow
        if sock is not None:
            (self.flows if self._fast else self._held)[flow.fd] = flow
            self._poller.register(flow.fd, IN)
        if old is not None:
            self._rivals(old, flow, now)
        self._by_peer[key] = flow
        self._go(flow, now)

    @staticmethod
    def _refuse(listener: Listener, datagram: Datagram, refuse: Refuse) -> None:
        packet = REPLIES[refuse.reason]
        if packet is not None:
            listener.say(packet, datagram.peer, datagram.local)

    def _rivals(self, old: Flow, new: Flow, now: float) -> None:
        """A client's port asks again while it has a transfer. Is it a restarted phone, or an echo?

        Only the client knows, so both live until one is acknowledged; the other ends then. At most two do.
        """
        if old.rival is not None:
            older = old.rival
            self._drop(old, "asked again", now)
            old = older
        old.rival, new.rival = new, old
        old.slow()

    def _drop(self, flow: Flow, why: str, now: float) -> None:
        if not flow.outcome:
            flow.end("aborted", why)
        self._finish(flow, now)

    def _won(self, flow: Flow, now: float) -> None:
        """The client answered this one of two transfers."""
        other = flow.rival
        if other is None:
            return
        if other.complete and other.ask and flow.ask and other.ask.name != flow.ask.name:
            other.end("ok", "the last ACK is missing, but the client went on")
        self._drop(other, "asked again", now)

    # Transfers

    def _answered(self, key: tuple, data: bytes, now: float) -> None:
        """An ACK or ERROR at the server's own port; the elder of two rivals is asked first."""
        flow = self._by_peer.get(key)
        if flow is None:
            return  # the echo of a transfer that has ended
        if flow.rival is not None and self._took(flow.rival, data, now) and data[1] == ACK:
            return
        if not flow.outcome:
            self._took(flow, data, now)

    def _took(self, flow: Flow, data: bytes, now: float) -> bool:
        """The plain way: a datagram of the client's. True: it was the answer that was awaited."""
        try:
            first = not flow.acked
            answered = flow.receive(data, now)
            if answered and flow.outcome != "aborted":
                if first and flow.session is not None:
                    refuse = flow.session.begin()
                    if refuse is not None and not flow.outcome:
                        self._unslotted(flow, refuse, now)
                        return True
                if flow.rival is not None:
                    self._won(flow, now)
            self._go(flow, now)
            return answered
        except Exception as fault:
            self._broken(flow, fault, now)
            return False

    def _go(self, flow: Flow, now: float) -> None:
        """Send what is due, and end the transfer if it has."""
        try:
            packets = flow.to_send()
            if packets:
                self._transmit(flow, packets, now)
            if flow.rival is not None:
                flow.slow()
            if flow.outcome:
                self._finish(flow, now)
        except Exception as fault:
            self._broken(flow, fault, now)

    def _transmit(self, flow: Flow, packets: list[Packet], now: float) -> None:
        """Send, as many at a time as the kernel takes; what finds no room waits until there is some."""
        sock = flow.sock
        if sock is None:
            if flow.listener is not None:
                for packet in packets:
                    flow.listener.say(packet, *flow.key)
            return
        place, count = 0, len(packets)
        run = min(SEGMENTS, SEGMENTED // len(packets[0])) if flow.gso and count > 1 else 1
        try:
            while place < count:
                if run > 1 and place + 1 < count:
                    try:
                        sock.sendmsg(packets[place : place + run], flow.gso)
                        place += run
                    except (BlockingIOError, ConnectionRefusedError):
                        raise
                    except OSError:
                        # Blocks above the path's MTU, an old kernel or a card that cannot: one at a time.
                        flow.gso, run = [], 1
                else:
                    sock.send(packets[place])
                    place += 1
        except BlockingIOError:
            self._hold(flow, packets[place:])
            return
        except OSError as fault:
            self._unreachable(flow, fault, now)
            return
        if flow.unsent:
            self._release(flow)

    def _hold(self, flow: Flow, packets: list[Packet]) -> None:
        """Wait until the socket's buffer has room."""
        if not flow.unsent:
            self.flows.pop(flow.fd, None)
            self._held[flow.fd] = flow
            self._poller.modify(flow.fd, IN | OUT)
        flow.unsent = packets

    def _release(self, flow: Flow) -> None:
        """All is sent: back to the fast way."""
        flow.unsent = []
        self._poller.modify(flow.fd, IN)
        if self._fast:
            self._held.pop(flow.fd, None)
            self.flows[flow.fd] = flow

    def _unreachable(self, flow: Flow, fault: OSError, now: float) -> None:
        """The kernel reports what became of an earlier packet (ICMP). Only a closed port is final."""
        if isinstance(fault, ConnectionRefusedError) and not flow.outcome:
            missing = "; all was sent, the last ACK is missing" if flow.complete else ""
            flow.end("aborted", f"the client's port is closed{missing}")
            self._finish(flow, now)

    def _unslotted(self, flow: Flow, refuse: Refuse, now: float) -> None:
        """The last slot went to another client between the request and the first ACK: silence."""
        flow.end("refused")
        if flow.answer is not None:
            refuse = refuse._replace(name=flow.answer.name, phone=flow.answer.phone)
        self._finish(flow, now, refuse)

    def _broken(self, flow: Flow, fault: Exception, now: float) -> None:
        """A mistake of ours: this transfer ends, the others do not."""
        self._tell(fault, "a TFTP transfer", str(flow.key[0][0]) if flow.key else "")
        if not flow.outcome:
            flow.end("failed", f"{type(fault).__name__}: {fault}")
            self._transmit(flow, [error(0)], now)
        self._finish(flow, now)

    def _finish(self, flow: Flow, now: float, refuse: Refuse | None = None) -> None:
        """Give everything back and say once what became of the transfer."""
        if self._all.pop(flow.id, None) is None:
            return
        if flow.sock is not None:
            self.flows.pop(flow.fd, None)
            self._held.pop(flow.fd, None)
            self._poller.unregister(flow.fd)
            flow.sock.close()
        rival = flow.rival
        if rival is not None:
            rival.rival = flow.rival = None
        if self._by_peer.get(flow.key) is flow:
            if rival is not None:
                self._by_peer[flow.key] = rival
            else:
                del self._by_peer[flow.key]
        if flow.image is not None:
            flow.image.close()
        answer, session, request = flow.answer, flow.session, flow.request
        if answer is None or session is None or request is None:
            return
        said: Serve | Refuse = refuse or answer
        if flow.why and isinstance(said, Serve):
            said = said._replace(detail="; ".join(filter(None, (said.detail, flow.why))))
        terms = flow.terms
        session.finished(
            request,
            said,
            flow.outcome,
            flow.sent,
            now - flow.began,
            flow.resends,
            terms.blksize,
            terms.window,
        )
        answer.body.close()

    def _tell(self, fault: Exception, where: str, peer: str = "") -> None:
        place = fault.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        at = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else ""
        self._stream.publish(
            Notice("fault", f"{where}: {type(fault).__name__}: {fault} ({at})", "error", peer=peer)
        )
