"""Metering: what was consumed, counted once.

Knows the usage record and its token classes, which are disjoint, so that their sum is the whole; what an
engine's count can be, and how its counters compare with what was booked; and what a journal proves about
requests that never ended. Refuses to know prices, tenants' limits, and where records are kept.
"""
