"""The inference listener: `/v1`, the OpenAI protocol, on raw `asyncio` protocols.

Knows HTTP/1.1 connections, their deadlines and caps, and how a request body becomes an `InferenceRequest`
(its limits of size, time and shape stop here, with 400 or 413, before any story begins). Refuses to know
who may call, what it costs and where it runs. No web framework stands in this process: a test reads its
list of modules.
"""
