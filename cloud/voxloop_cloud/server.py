"""The gRPC server: a thin shell around sessions."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import CollectorRegistry
from pydantic import Field, field_validator

from voxloop_cloud.admission import Admission, Capacity, Place
from voxloop_cloud.alarms.config import AlarmsConfig
from voxloop_cloud.conversation import converse
from voxloop_cloud.drift.drift_config import DriftConfig
from voxloop_cloud.drift.watching import watching_drift
from voxloop_cloud.engine import Engine, EngineConfig, open_engine
from voxloop_cloud.limits import Limits, check_names
from voxloop_cloud.message_limits import check_lengths
from voxloop_cloud.metrics.ears import Ears
from voxloop_cloud.metrics.figures import Figures
from voxloop_cloud.metrics.metrics_config import MetricsConfig
from voxloop_cloud.metrics.parts import watch_parts
from voxloop_cloud.metrics.pulse import taking_pulse
from voxloop_cloud.metrics.spans import open_spans
from voxloop_cloud.recognizer import Recognizer
from voxloop_cloud.records.clip_key import device_digest
from voxloop_cloud.results import ResultsConfig, ResultStore
from voxloop_cloud.rollout.awaited import Awaited
from voxloop_cloud.rollout.config import RolloutConfig
from voxloop_cloud.rollout.rollout import open_rollout
from voxloop_cloud.routing.admin_service import AdminServicer
from voxloop_cloud.routing.routing import Routing, RoutingConfig, open_routing
from voxloop_cloud.security.access import AccessConfig, open_access
from voxloop_cloud.security.authentication import admin_name, check_owner
from voxloop_cloud.security.rate_limit import DeviceRates
from voxloop_cloud.session import Session
from voxloop_cloud.store.store_config import StoreConfig
from voxloop_proto import __version__
from voxloop_proto.address import is_loopback
from voxloop_proto.audio import samples_to_ms
from voxloop_proto.contract import RETRY_AFTER_METADATA_KEY, SCHEMA_VERSION
from voxloop_proto.errors import ConfigError, ContractError, ModelError, VoxloopError, row_of
from voxloop_proto.process import resident_bytes
from voxloop_proto.v1 import admin_pb2, admin_pb2_grpc
from voxloop_proto.v1 import voxloop_pb2 as pb
from voxloop_proto.v1 import voxloop_pb2_grpc as pb_grpc

if TYPE_CHECKING:  # at run time only servers with a store load SQLAlchemy
    from voxloop_cloud.records.records import Records
    from voxloop_cloud.rollout.review_desk import ReviewDesk

SPARE_CALLS = 100
"""Calls beyond open sessions that are taken at once: health, info, and sessions to be refused with a reason."""

_ADDRESS = re.compile(r"(\[[0-9A-Za-z:.%]+\]|[^\s:/\[\]]+):(\d{1,5})", re.ASCII)
_LAST_PORT = 65_535
_SERVICE_NAME = pb.DESCRIPTOR.services_by_name["SpeechService"].full_name
_ADMIN_NAME = admin_pb2.DESCRIPTOR.services_by_name["AdminService"].full_name
_log = structlog.get_logger("voxloop.server")


class ServerConfig(AccessConfig):
    """The server's settings."""

    listen: str = Field("127.0.0.1:50051", description="address to listen on, host:port; port 0 takes a free one")
    max_sessions: int = Field(1_000, ge=1, description="open sessions in all; beyond it new ones are refused")
    max_streams: int | None = Field(
        None, ge=1, description="devices that speak at once, beyond which others are refused; none: as calibrated"
    )
    workers: int = Field(1, ge=1, le=256, description="processes that share the port, one for each core")
    hello_timeout_ms: int = Field(10_000, ge=10, description="time that a stream gets for its first message")
    unread_timeout_ms: int = Field(
        30_000, ge=100, description="time that a device gets to read an answer; beyond it its stream is closed"
    )
    keepalive_ms: int = Field(30_000, ge=1_000, description="time between pings on a quiet connection")
    keepalive_timeout_ms: int = Field(
        10_000, ge=1_000, description="time for the answer to a ping; beyond it the connection is taken for dead"
    )
    drain_ms: int = Field(10_000, ge=0, description="time that open sessions get to finish when the server stops")
    limits: Limits = Field(default_factory=Limits)
    results: ResultsConfig = Field(default_factory=ResultsConfig)
    engine: EngineConfig = Field(default_factory=EngineConfig)
    store: StoreConfig = Field(default_factory=StoreConfig)
    routing: RoutingConfig = Field(default_factory=RoutingConfig)
    rollout: RolloutConfig = Field(default_factory=RolloutConfig)
    metrics: MetricsConfig = Field(default_factory=MetricsConfig)
    alarms: AlarmsConfig = Field(default_factory=AlarmsConfig)
    drift: DriftConfig = Field(default_factory=DriftConfig)

    @property
    def streams_per_worker(self) -> int | None:
        """What each process takes of max_streams: connections are shared out by chance, so evenly within a few."""
        return self.max_streams and max(1, self.max_streams // self.workers)

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, listen: str) -> str:
        """gRPC itself takes ports modulo 65,536, and 443 for none."""
        found = _ADDRESS.fullmatch(listen)
        if found is None or int(found[2]) > _LAST_PORT:
            raise ValueError(f"allowed is HOST:PORT with a port of 0 to {_LAST_PORT}, an IPv6 host in brackets")
        return listen


class SpeechServicer(pb_grpc.SpeechServiceServicer):
    """The service of the contract. Feedback and Erase are answered UNIMPLEMENTED where nothing is kept."""

    def __init__(
        self,
        engine: Engine,
        routing: Routing,
        config: ServerConfig,
        figures: Figures,
        records: "Records | None" = None,
        reviews: "ReviewDesk | None" = None,
    ) -> None:
        """routing: over the engine and others. figures: of what happens here.

        records: of what is heard; None if nothing is kept. reviews: where people are asked; None if they cannot be.
        """
        self._engine = engine
        self._routing = routing
        self._config = config
        self._store = ResultStore(config.results)
        self._figures = figures
        self._records = records
        self._reviews = reviews
        self.ears = Ears(figures, records)
        if records is not None:
            records.listeners.on_erased.append(self._forget)
        self._rates = DeviceRates(config.limits)
        self._admission = Admission(
            Capacity(config.max_sessions, config.limits.max_sessions_per_device, config.streams_per_worker)
        )

    async def Recognize(  # noqa: N802 (the name is the contract's)
        self,
        request_iterator: AsyncIterator[pb.RecognizeRequest],
        context: "grpc.aio.ServicerContext[pb.RecognizeRequest, pb.RecognizeResponse]",
    ) -> AsyncIterator[pb.RecognizeResponse]:
        """One session, from Hello to the end of the stream."""
        place = Place(self._admission)

        def admit(device_id: str) -> None:
            check_owner(device_id)
            place.enter(device_id)
            self._figures.opened()

        def feel(hello: pb.Hello, said: pb.Heartbeat) -> None:
            self._figures.heartbeat(id(place), hello, said)

        awaited = Awaited(self._reviews) if self._reviews else None
        session = Session(
            self._routing.router, self._store, self._config.limits, admit, self._rates, place, self.ears, feel, awaited
        )
        try:
            requests = aiter(request_iterator)
            request = await _first(requests, self._config.hello_timeout_ms)
            async with aclosing(converse(session, requests, request)) as responses:
                async for response in responses:
                    with _patience(self._config.unread_timeout_ms):
                        yield response
        except VoxloopError as error:
            await self._abort(context, error, session)
        except Exception:  # noqa: BLE001 (the session's boundary)
            _log.exception("session.crashed", session=session.hello.session_id)
            await self._abort(context, ModelError("the server failed at this session; see its log"), session)
        finally:
            session.close()
            place.leave()
            self._figures.fleet.leave(id(place))
            _log.info(
                "session.closed",
                session=session.hello.session_id,
                device=session.hello.device_id,
                segments=session.segments,
                received_ms=round(samples_to_ms(session.received_samples)),
            )

    async def Feedback(  # noqa: N802 (the name is the contract's)
        self,
        request: pb.FeedbackRequest,
        context: "grpc.aio.ServicerContext[pb.FeedbackRequest, pb.FeedbackResponse]",
    ) -> pb.FeedbackResponse:
        """Files what a user did with a transcript; a device speaks of its own alone."""
        try:
            check_names(device_id=request.device_id, session_id=request.session_id)
            check_lengths(request)
            check_owner(request.device_id)
            self._rates.of(request.device_id).take_message(request.ByteSize(), self._rates.clock())
            if self._records is not None and await self._records.feedback(request):
                return pb.FeedbackResponse()
        except VoxloopError as error:
            await context.abort(row_of(error).status, error.message, _retry_after(error))
        if self._records is None:
            await context.abort(
                grpc.StatusCode.UNIMPLEMENTED, "this server keeps no utterances, so it takes no feedback"
            )
        await context.abort(
            grpc.StatusCode.NOT_FOUND,
            f"there is no segment {request.segment_id} of session {request.session_id} of device {request.device_id} "
            "here: it was never answered, is older than is kept, or was erased; check all three",
        )

    async def Erase(  # noqa: N802 (the name is the contract's)
        self,
        request: pb.EraseRequest,
        context: "grpc.aio.ServicerContext[pb.EraseRequest, pb.EraseResponse]",
    ) -> pb.EraseResponse:
        """Erases all that is kept of a device; a device erases its own alone. Twice is as good as once."""
        try:
            check_names(device_id=request.device_id)
            check_owner(request.device_id)
            self._rates.of(request.device_id).take_message(request.ByteSize(), self._rates.clock())
            if self._records is not None:
                erased = await self._records.erase(request.device_id)
                return pb.EraseResponse(erased_utterances=erased.utterances, erased_bytes=erased.bytes)
        except VoxloopError as error:
            await context.abort(row_of(error).status, error.message, _retry_after(error))
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "this server keeps no utterances, so there is none to erase")

    async def GetServerInfo(  # noqa: N802 (the name is the contract's)
        self,
        request: pb.GetServerInfoRequest,  # noqa: ARG002 (the signature is the contract's)
        context: "grpc.aio.ServicerContext[pb.GetServerInfoRequest, pb.GetServerInfoResponse]",  # noqa: ARG002
    ) -> pb.GetServerInfoResponse:
        """What this server is and serves."""
        return pb.GetServerInfoResponse(
            server_version=__version__,
            schema_version=SCHEMA_VERSION,
            bundles=[engine.info() for engine in self._routing.router.engines],
            limits=self._config.limits.to_wire(),
            open_sessions=self._admission.open_sessions,
            cpu_s=time.process_time(),
            resident_bytes=resident_bytes(),
        )

    async def _abort(
        self,
        context: "grpc.aio.ServicerContext[pb.RecognizeRequest, pb.RecognizeResponse]",
        error: VoxloopError,
        session: Session,
    ) -> None:
        _log.warning("session.refused", session=session.hello.session_id, error=error.message)
        self._figures.refused(error)
        await context.abort(row_of(error).status, error.message, _retry_after(error))

    def show(self, figures: Figures) -> None:
        """How many are here, and how many may be."""
        figures.show("voxloop_server_open_sessions", self._admission.open_sessions)
        figures.show("voxloop_server_most_sessions", self._config.max_sessions)
        figures.show("voxloop_server_speaking_streams", self._admission.speaking(time.monotonic()))
        figures.show("voxloop_server_most_streams", self._config.streams_per_worker or 0)
        figures.show("voxloop_queue_waiting_windows", self._engine.thread.waiting)

    def _forget(self, device: str) -> None:
        """What is remembered for devices that come back goes, too. device: its digest."""
        self._store.forget(lambda device_id: device_digest(device_id) == device)


@contextmanager
def _patience(timeout_ms: int) -> Iterator[None]:
    """Ends the stream's task if the device does not take within this time what is given out in the block."""
    task = asyncio.current_task()
    assert task is not None
    timer = asyncio.get_running_loop().call_later(timeout_ms / 1000.0, task.cancel)
    try:
        yield
    finally:
        timer.cancel()


async def _first(requests: AsyncIterator[pb.RecognizeRequest], timeout_ms: int) -> pb.RecognizeRequest | None:
    """The first message of a stream. Raises ContractError if none comes in time: a silent stream takes up a place."""
    try:
        async with asyncio.timeout(timeout_ms / 1000.0):
            return await anext(requests, None)
    except TimeoutError:
        raise ContractError(f"no Hello within {timeout_ms} ms; it is the first message of a session") from None


def _retry_after(error: VoxloopError) -> tuple[tuple[str, str], ...]:
    """When to come again, as trailing metadata; empty if it is not known."""
    return ((RETRY_AFTER_METADATA_KEY, str(error.retry_after_ms)),) if error.retry_after_ms else ()


@asynccontextmanager
async def open_server(
    config: ServerConfig,
    stop_now: asyncio.Event | None = None,
    recognizer: Recognizer | None = None,
    figures: Figures | None = None,
) -> AsyncIterator[str]:
    """A running server; gives the address that it listens on. Leaving the block drains it, until stop_now is set.

    recognizer: of the configured bundle, if it is loaded already. figures: that somebody reads.
    Raises ConfigError for an address that cannot be had, and what `open_engine` raises.
    """
    figures = figures or Figures(CollectorRegistry())
    async with (
        open_access(config, config.listen) as access,
        _open_records(config.store) as records,
        open_engine(config.engine, recognizer) as engine,
        open_routing(
            config.routing, engine, config.engine, records.engine if records else None, access.audit
        ) as routing,
        open_spans(config.metrics.otlp) as spans,
        open_rollout(config.rollout, config.alarms, routing, records) as reviews,
        watching_drift(config.drift, records.engine if records else None, engine.bundle),
    ):
        most = config.max_sessions + SPARE_CALLS
        gates = [access.gate] if access.gate else []
        server = grpc.aio.server(interceptors=gates, options=_options(config), maximum_concurrent_rpcs=most)
        servicer = SpeechServicer(engine, routing, config, figures, records, reviews)
        if spans is not None:
            servicer.ears.listeners.append(spans.hear)
        pb_grpc.add_SpeechServiceServicer_to_server(servicer, server)
        asks_nobody = access.gate is None and is_loopback(config.listen)
        admin = AdminServicer(routing, lambda claimed: admin_name(claimed, asks_nobody))
        admin_pb2_grpc.add_AdminServiceServicer_to_server(admin, server)
        health_servicer = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
        names = (_SERVICE_NAME, _ADMIN_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
        address = _bind(server, config.listen, access.credentials)
        await server.start()
        for service in ("", _SERVICE_NAME):
            await health_servicer.set(service, health_pb2.HealthCheckResponse.SERVING)
        readers = watch_parts(figures, servicer.show, routing.shadows, access.gate, records)
        try:
            async with taking_pulse(figures, readers):
                yield address
        finally:
            if reviews is not None:
                reviews.give_up()
            await asyncio.shield(_drain(server, health_servicer, config, stop_now or asyncio.Event()))


@asynccontextmanager
async def _open_records(config: StoreConfig) -> AsyncIterator["Records | None"]:
    """Of what is heard, if the settings say that it is kept. What waits is written when the block is left."""
    if not config.is_on:
        yield None
        return
    from voxloop_cloud.records.records import open_records  # noqa: PLC0415 (without a store nothing loads SQLAlchemy)

    async with open_records(config) as records:
        yield records


async def _drain(
    server: grpc.aio.Server, health_servicer: health.aio.HealthServicer, config: ServerConfig, stop_now: asyncio.Event
) -> None:
    await health_servicer.enter_graceful_shutdown()
    drained = asyncio.create_task(server.stop(config.drain_ms / 1000.0), name="drain")
    hurried = asyncio.create_task(stop_now.wait(), name="stop now")
    await asyncio.wait((drained, hurried), return_when=asyncio.FIRST_COMPLETED)
    if not drained.done():
        await server.stop(0)
    hurried.cancel()
    await drained


def _bind(server: grpc.aio.Server, listen: str, credentials: grpc.ServerCredentials | None) -> str:
    try:
        port = server.add_secure_port(listen, credentials) if credentials else server.add_insecure_port(listen)
    except RuntimeError as error:
        raise ConfigError(
            f"cannot listen on {listen}: the port is taken or the address is not this machine's; "
            "name another with --listen HOST:PORT (port 0 takes a free one)"
        ) from error
    return f"{listen.rpartition(':')[0]}:{port}"


def _options(config: ServerConfig) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", config.limits.max_message_bytes),
        ("grpc.keepalive_time_ms", config.keepalive_ms),
        ("grpc.keepalive_timeout_ms", config.keepalive_timeout_ms),
        ("grpc.http2.ping_timeout_ms", config.keepalive_timeout_ms),  # else a minute, whatever the keepalive says
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.http2.max_pings_without_data", 0),  # else the line of a silent device is looked after for two pings only
        ("grpc.so_reuseport", int(config.workers > 1)),
    ]
