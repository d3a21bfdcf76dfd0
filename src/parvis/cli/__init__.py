"""The command line: `parvis up`, `chat`, `doctor`, `usage`, `model`, `config`.

Knows how to read arguments, how to say in one sentence what is wrong, and how to print for people or for
`--json`. It starts the service or asks the operator API; it opens no database and decides nothing that the
service would decide otherwise. The only room that may print.
"""
