"""Engines: the servers that compute tokens, each spoken to in its own way.

Knows where weights lie, how the embedded llama.cpp server is started, which requests an engine understands,
and how its tokenizer and its counters are asked. Refuses to know tenants, prices, limits and who may call: a
request that arrives here has been decided upon.
"""
