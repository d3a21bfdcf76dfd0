"""Speech: a process that hears (Whisper) or speaks (Piper), with OpenAI's protocol on loopback.

`child` is the process, `door` its HTTP, `line` who is served when. `ear` makes text of sound, `voice` sound of text;
`sound` decodes and `encoding` encodes, in memory only. `weights` finds model files in installed packages. Refuses to
know tenants, prices and the network: nothing is downloaded, and no address that a file names is ever opened.

What is heard and said is the callers' content: it is never logged.
"""
