"""The wire: pure codecs between bytes and values.

Knows the OpenAI shapes, server-sent events, the parts of HTTP and where usage stands in them. Every
function takes bytes and returns values, or the other way; none waits, reads a clock or opens anything.
Refuses to know policy: what is allowed, what it costs and who asked.
"""
