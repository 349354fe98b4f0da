"""Numbers for a monitor, as Prometheus reads them (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.responses import Response

from windlass import __version__
from windlass.api.lmstudio import Behind
from windlass.views import Measures

if TYPE_CHECKING:
    from prometheus_client import Metric

router = APIRouter(tags=["Windlass"])


class _Text(Response):
    """Prometheus's own form of text."""

    media_type = "text/plain"


@router.get("/metrics", response_class=_Text)
def metrics(service: Behind) -> _Text:
    """Numbers for a monitor: jobs by state, bytes, retries, connections, readers, the disk."""
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

    return _Text(generate_latest(_Collected(service.measures())), headers={"Content-Type": CONTENT_TYPE_LATEST})


class _Collected:
    """What the library asks for metrics. Not its own registry, which is one for the whole process."""

    def __init__(self, measures: Measures) -> None:
        self._measures = measures

    def collect(self) -> "Iterator[Metric]":
        """Each metric with its value."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        measures = self._measures
        about = GaugeMetricFamily("windlass_build_info", "The version that runs.", labels=["version"])
        about.add_metric([__version__], 1)
        jobs = GaugeMetricFamily("windlass_jobs", "Jobs by state.", labels=["state"])
        for state, count in measures.jobs.items():
            jobs.add_metric([state], count)
        yield from (about, jobs)
        yield CounterMetricFamily("windlass_fetched_bytes", "Bytes from the network.", value=measures.fetched)
        yield CounterMetricFamily("windlass_wrong_bytes", "Bytes that were wrong.", value=measures.thrown_away)
        yield CounterMetricFamily("windlass_retries", "Exchanges that were tried again.", value=measures.retries)
        yield GaugeMetricFamily("windlass_connections", "Open connections.", value=measures.connections)
        yield GaugeMetricFamily("windlass_event_readers", "Who follow events.", value=measures.readers)
        yield GaugeMetricFamily("windlass_disk_free_bytes", "Free on the disk of the models.", value=measures.free)
        yield GaugeMetricFamily("windlass_disk_promised_bytes", "Still wanted by jobs.", value=measures.promised)
        yield GaugeMetricFamily("windlass_limit_rate_bytes", "Over all jobs; 0 for none.", value=measures.limit_rate)
