"""Parvis: a sovereign, OpenAI-compatible gateway to language models, metered from the first token.

The api translates, flows tell, domain decides, adapters act, core names. Imports point one way only:
cli > app > api | adapters > flows > domain > core, with wire > core beside them; `make check` keeps it so.
To follow one request through the files, read `docs/tour.md`.
"""
