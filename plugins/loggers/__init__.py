"""Catalogue of the built-in loggers. It is light: a logger's module is imported when training begins."""

from __future__ import annotations

from zoo import api


@api.hookimpl
def loggers() -> list[api.LoggerSpec]:
    """Return the built-in loggers."""
    return [
        api.LoggerSpec(
            "tensorboard",
            "plugins.loggers.tensorboard:TensorBoard",
            "TensorBoard events in RUN/events; the default.",
            {"figures": api.Option(False, "the pictures of the report too")},
        ),
        api.LoggerSpec(
            "csv",
            "plugins.loggers.csv_files:CsvFiles",
            "Every step's values as CSV in RUN/logged, with settings and figures.",
        ),
        api.LoggerSpec(
            "mlflow",
            "plugins.loggers.mlflow_store:MlflowStore",
            "MLflow in a local SQLite file beside the runs (extra mlflow).",
            {"uri": api.Option("", "another tracking store; empty: mlflow.db in the folder of the runs")},
        ),
    ]
