"""Telemetry of a run: experiment tracking with MLflow, tracing with OpenTelemetry."""
