"""Stands in for `curl` where a machine has none: the options that the documents use, and no others."""

import argparse
import ssl
import sys
from pathlib import Path

import httpx

parser = argparse.ArgumentParser()
parser.add_argument("url")
parser.add_argument("-H", dest="headers", action="append", default=[])
parser.add_argument("-d", dest="body")
parser.add_argument("-F", dest="parts", action="append", default=[])
parser.add_argument("-o", dest="file")
parser.add_argument("--cacert")
asked = parser.parse_args()

trusted = ssl.create_default_context(cafile=asked.cacert) if asked.cacert else True
headers = dict(header.split(": ", 1) for header in asked.headers)
parts = dict(part.split("=", 1) for part in asked.parts)
files = {name: (text[1:], Path(text[1:]).read_bytes()) for name, text in parts.items() if text.startswith("@")}
form = {name: text for name, text in parts.items() if name not in files}
method = "GET" if asked.body is None and not parts else "POST"
with httpx.Client(trust_env=False, verify=trusted, timeout=120) as client:
    answer = client.request(method, asked.url, headers=headers, content=asked.body, data=form, files=files)
if asked.file:
    Path(asked.file).write_bytes(answer.content)
else:
    print(answer.text)
sys.exit(0 if answer.is_success else 22)
