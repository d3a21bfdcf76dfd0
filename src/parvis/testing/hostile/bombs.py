"""All named bombs. Each must be refused at once and by its code, and no engine may ever see it.

They go through every parameter that is known to hurt engines (docs/reference/protocol.md bounds each), and through what
parsers of JSON and HTTP have been broken with.
"""

from parvis.testing.hostile import bombs_bytes, bombs_fields, bombs_schemas

BOMBS = {bomb.name: bomb for bomb in (*bombs_fields.BOMBS, *bombs_schemas.BOMBS, *bombs_bytes.BOMBS)}
