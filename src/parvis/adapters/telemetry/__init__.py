"""Telemetry: logs and metrics, for operators.

Knows log lines and the Prometheus text form. Receives codes, ids, counts and durations; refuses to receive
a prompt, an answer, a key or the text of an exception, so that none of them can leak from here.
"""
