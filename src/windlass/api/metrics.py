"""Numbers for a monitor, as Prometheus reads them (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.responses import Response

from windlass import __version__
from windlass.api.lmstudio import Behind
from windlass.folder import Condition
from windlass.transfer.source import KINDS
from windlass.views import Measures

if TYPE_CHECKING:
    from prometheus_client import Metric

router = APIRouter(tags=["Windlass"])


class _Text(Response):
    """Prometheus's own form of text."""

    media_type = "text/plain"


@router.get("/metrics", response_class=_Text)
def metrics(service: Behind) -> _Text:
    """Numbers for a monitor: jobs by state, bytes by source, retries by cause, webhooks, readers, the disk."""
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

    return _Text(generate_latest(_Collected(service.measures())), headers={"Content-Type": CONTENT_TYPE_LATEST})


class _Collected:
    """What the library asks for metrics. Not its own registry, which is one for the whole process."""

    def __init__(self, measures: Measures) -> None:
        self._measures = measures

    def collect(self) -> "Iterator[Metric]":
        """Each metric with its value."""
        measures, totals = self._measures, self._measures.totals
        yield _gauges("build_info", "The version that runs.", "version", {__version__: 1})
        yield _gauges("jobs", "Jobs by state.", "state", measures.jobs)
        yield _counters("fetched_bytes", "Bytes from the network, by who sent them.", "source", totals.sources)
        causes = dict.fromkeys(KINDS, 0) | totals.causes
        yield _counters("retries", "Exchanges that were tried again, by why.", "cause", causes)
        yield _counter("checksum_failures", "Times that bytes were found wrong.", totals.mismatches)
        yield _counter("wrong_bytes", "Bytes that were found wrong.", totals.thrown_away)
        yield _counters("webhooks", "Tries to tell webhooks, by what became of them.", "outcome", measures.webhooks)
        yield _gauge("connections", "Open connections to sources.", totals.connections)
        yield _gauge("event_readers", "Who follow events.", measures.readers)
        rooms = measures.folders.items()
        up = {path: room.condition is not Condition.OFFLINE for path, room in rooms}
        yield _gauges("models_folder_up", "Whether a models folder is there.", "folder", up)
        free = {path: room.free for path, room in rooms}
        yield _gauges("disk_free_bytes", "Free on the disk of a models folder.", "folder", free)
        promised = {path: room.promised for path, room in rooms}
        yield _gauges("disk_promised_bytes", "Still wanted by jobs there.", "folder", promised)
        yield _gauge("limit_rate_bytes", "Over all jobs; 0 for none.", measures.limit_rate)


def _gauge(name: str, what: str, value: float) -> "Metric":
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(f"windlass_{name}", what, value=value)


def _counter(name: str, what: str, value: float) -> "Metric":
    from prometheus_client.core import CounterMetricFamily

    return CounterMetricFamily(f"windlass_{name}", what, value=value)


def _gauges(name: str, what: str, label: str, values: Mapping[Any, float]) -> "Metric":
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(f"windlass_{name}", what, labels=[label])
    for word, value in values.items():
        family.add_metric([word], value)
    return family


def _counters(name: str, what: str, label: str, values: Mapping[Any, float]) -> "Metric":
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(f"windlass_{name}", what, labels=[label])
    for word, value in values.items():
        family.add_metric([word], value)
    return family
