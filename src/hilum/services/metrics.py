"""Figures for Prometheus. Labels are names of endpoints, never anything of a message."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from hilum import clock, telemetry
from hilum.errors import StoreError
from hilum.model.message import Disposition
from hilum.model.pool import PoolUse
from hilum.model.status import Status
from hilum.services.names import Names
from hilum.store import Store

CONTENT_TYPE = CONTENT_TYPE_LATEST
_LOOK = 0.1  # seconds between two looks at the loop
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_LANE_STATES = ("idle", "sending", "retrying", "holding", "blocked", "paused")


class Metrics:
    """One per hub. Its collector reads what the engine and the store count already."""

    def __init__(self, store: Store, names: Names, status: Callable[[], Status | None]) -> None:
        self._store = store
        self._names = names
        self._status = status
        self._references: Mapping[int, str] = {}
        self._organizations: Mapping[int, str] = {}
        self._highest: Counter[tuple[str, ...]] = Counter()
        self._answers: dict[tuple[str, str, str], telemetry.Latency] = {}
        self._task: asyncio.Task[None] | None = None
        self._registry = CollectorRegistry()
        self._lag = Histogram(
            "hilum_event_loop_lag_seconds", "How late the event loop is.", buckets=_BUCKETS, registry=self._registry
        )
        ProcessCollector(registry=self._registry)
        self._registry.register(self)

    def start(self) -> None:
        """Begin to measure how late the loop is."""
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def text(self) -> bytes:
        """All figures in Prometheus' text format; where the store does not answer, with the names known so far."""
        status = self._status()
        owners: set[int] = set()
        if status is not None:
            owners = {one.organization for one in status.lanes} | {one.organization for one in status.sources}
        with contextlib.suppress(StoreError, TimeoutError):
            async with asyncio.timeout(2):
                self._references = await self._names.endpoints(one for one, _ in self._store.tallies.received)
                self._organizations = await self._names.organizations(owners)
        return generate_latest(self._registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request of the API was answered; `route` is its path with the names of its parameters."""
        labels = (method if route else "", route, str(status))  # a client can make up methods, not routes
        latency = self._answers.get(labels)
        if latency is None:
            latency = self._answers[labels] = telemetry.Latency()
        latency.observe(seconds)

    def collect(self) -> Iterable[Metric]:
        """What the registry asks for."""
        yield from self._messages()
        yield self._requests()
        yield _gauge("hilum_process_threads", "Threads of the process.", threading.active_count())
        yield from _connections(self._store.database.use())
        status = self._status()
        if status is None:
            return
        commits = CounterMetricFamily("hilum_store_commits", "Transactions that the store committed.")
        commits.add_metric([], status.commits)
        yield commits
        yield _gauge("hilum_disk_free_ratio", "Share of the data folder's disk that is free.", status.free_disk)
        yield from self._destinations(status)
        yield from self._sources(status)

    def describe(self) -> Iterable[Metric]:
        """Nothing: what there is depends on the configuration."""
        return ()

    def _messages(self) -> Iterator[Metric]:
        received = CounterMetricFamily(
            "hilum_messages_received", "Messages by endpoint and disposition.", labels=("endpoint", "disposition")
        )
        unrouted = GaugeMetricFamily("hilum_messages_unrouted", "Messages that wait for their route.")
        waiting = 0
        totals: Counter[tuple[str, str]] = Counter()
        for (number, disposition), count in self._store.tallies.received.items():
            if disposition is Disposition.RECEIVED:
                waiting += count
            else:
                totals[self._references.get(number, str(number)), disposition.name.lower()] += count
        for labels, count in sorted(totals.items()):
            received.add_metric(labels, self._never_falls(("received", *labels), count))
        unrouted.add_metric([], waiting)
        yield received
        yield unrouted

    def _requests(self) -> Metric:
        """How long the API took, by route and status: volumes and error rates are its counts."""
        took = HistogramMetricFamily(
            "hilum_http_request_seconds", "From a request of the API until its answer.",
            labels=("method", "route", "status"),
        )  # fmt: skip
        for labels, latency in sorted(self._answers.items()):
            took.add_metric(labels, _buckets(latency.counts), latency.sum)
        return took

    def _destinations(self, status: Status) -> Iterator[Metric]:
        labels = ("organization", "destination")
        ended = CounterMetricFamily("hilum_deliveries", "Deliveries that ended.", labels=(*labels, "result"))
        backlog = GaugeMetricFamily("hilum_backlog", "Deliveries that wait.", labels=labels)
        age = GaugeMetricFamily("hilum_lane_age_seconds", "How long the oldest of them waits.", labels=labels)
        state = GaugeMetricFamily("hilum_lane_state", "1 for the state that holds.", labels=(*labels, "state"))
        stuck = GaugeMetricFamily("hilum_lanes_stuck", "Lanes that wait for a retry or a person.", labels=labels)
        now = clock.micros()
        for one in status.lanes:
            names = (self._organizations.get(one.organization, str(one.organization)), one.reference)
            for result, count in (("delivered", one.delivered), ("failed", one.failed)):
                ended.add_metric((*names, result), self._never_falls((result, *names), count))
            backlog.add_metric(names, one.backlog)
            age.add_metric(names, 0 if one.oldest_at is None else max(now - one.oldest_at, 0) / 1_000_000)
            stuck.add_metric(names, len(one.stuck))
            for each in _LANE_STATES:
                state.add_metric((*names, each), float(each == one.state))
        yield from (ended, backlog, age, state, stuck)

    def _sources(self, status: Status) -> Iterator[Metric]:
        labels = ("organization", "endpoint")
        up = GaugeMetricFamily("hilum_source_up", "1 where the source runs.", labels=labels)
        held = GaugeMetricFamily("hilum_source_held", "1 where its sockets are held (back-pressure).", labels=labels)
        stored = HistogramMetricFamily(
            "hilum_stored_seconds", "From receipt until a message is on disk and may be acknowledged.", labels=labels
        )
        for one in status.sources:
            names = (self._organizations.get(one.organization, str(one.organization)), one.reference)
            up.add_metric(names, float(one.running))
            held.add_metric(names, float(bool(one.held)))
            stored.add_metric(names, _buckets(one.stored_within), one.stored_seconds)
        yield from (up, held, stored)

    def _never_falls(self, series: tuple[str, ...], count: int) -> int:
        """A late refusal moves a delivery from one count to the other; a counter that fell would read as a restart."""
        self._highest[series] = max(self._highest[series], count)
        return self._highest[series]

    async def _watch(self) -> None:
        while True:
            before = clock.monotonic()
            await asyncio.sleep(_LOOK)
            self._lag.observe(max(clock.monotonic() - before - _LOOK, 0))


def _connections(use: PoolUse) -> Iterator[Metric]:
    """The database connections that reads share."""
    held = GaugeMetricFamily("hilum_database_connections", "Readers' connections by what they do.", labels=("state",))
    for state, count in (("in_use", use.in_use), ("idle", use.idle)):
        held.add_metric([state], count)
    timeouts = CounterMetricFamily("hilum_database_timeouts", "Reads that waited too long for a connection.")
    timeouts.add_metric([], use.timeouts)
    yield from (held, timeouts)
    yield _gauge("hilum_database_connections_most", "How many there may be, overflow included.", use.pool.most)


def _buckets(counts: Sequence[int]) -> list[tuple[str, float]]:
    """Prometheus counts from below: each bucket holds those under it as well."""
    bounds = [*map(str, telemetry.Latency.BOUNDS), "+Inf"]
    return list(zip(bounds, itertools.accumulate(counts), strict=False))


def _gauge(name: str, text: str, value: float) -> Metric:
    gauge = GaugeMetricFamily(name, text)
    gauge.add_metric([], value)
    return gauge
