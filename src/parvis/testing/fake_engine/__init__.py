"""The fake engine: a real HTTP process that speaks OpenAI's protocol as engines do, and fails on command.

    python -m parvis.testing.fake_engine [--port 0] [--model NAME] [--flavour vllm|sglang|tgi|ollama|llamacpp|plain]

It prints `{"address": "http://127.0.0.1:PORT", "control": ...}` when it listens, and ends at SIGTERM. Its tokens
are a function of the request, so a test knows them beforehand (`answers`). How it fails is told by words of the
request (`commands`). What it did is told by its control surface, at the same address unless that speaks TLS:

    GET  /fake/log      a JSON list of `record.Record`, in the order of arrival
    POST /fake/faults   `commands.Faults`: the orders for all requests that follow
    POST /fake/reset    forget the log and the faults

Knows the protocol and what engines make of it; refuses to know the product, so that no bug of the product can
hide in its own test. Tests start it by `parvis.testing.processes.fake_engine`.
"""
