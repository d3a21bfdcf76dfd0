"""Metering: what was consumed, counted once.

Knows the usage record and its token classes, which are disjoint, so that their sum is the whole; and what a
journal proves about requests that never ended. Refuses to know prices, tenants' limits, and where records
are kept.
"""
