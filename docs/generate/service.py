"""What an operator reads: settings, metrics and problems, from the service's own lists."""

from prometheus_client.metrics import MetricWrapperBase

from docs.generate.tables import default, table, values
from foodscene.app import metrics as measured
from foodscene.app.problems import TYPES
from foodscene.app.settings import Settings

_SHOWN = {"models": "the bundles that ship", "feedback": "unset", "api_keys": "none", "cors_origins": "none"}


def settings() -> str:
    """Every setting of the service."""
    rows = [
        [
            f"`FOODSCENE_{name.upper()}`",
            field.description or "",
            "text" if name in ("api_keys", "cors_origins") else values(field).replace('"', ""),
            _SHOWN.get(name) or default(field).replace('"', ""),
        ]
        for name, field in Settings.model_fields.items()
    ]
    return table(["variable", "what", "values", "default"], rows)


def metrics() -> str:
    """Every metric by the name that Prometheus shows."""
    rows = []
    for metric in vars(measured).values():
        if isinstance(metric, MetricWrapperBase) and not metric._labelvalues:  # those with values are parts of others
            ending = {"counter": "_total", "histogram": "_bucket, _sum, _count"}.get(str(metric._type), "")
            labels = ", ".join(f"`{label}`" for label in metric._labelnames)
            rows.append([f"`{metric._name}`", ending, labels, metric._documentation])
    return table(["metric", "ends in", "by", "what"], rows)


def problems() -> str:
    """Every kind of error with its status."""
    rows = [[str(kind.status), f"`urn:foodscene:problem:{name}`", kind.title] for name, kind in TYPES.items()]
    return table(["status", "type", "title"], rows)
