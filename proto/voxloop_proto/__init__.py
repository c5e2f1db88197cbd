"""The contract between the edge and the cloud: schema, audio, events, stages, errors, settings, telemetry."""

__version__ = "0.1.0"
