"""Alarms: rules in one file, a pure evaluator, the same rules for Prometheus, and what to make of their history."""
