"""Stands in for `curl` where a machine has none: the options that the documents use, and no others."""

import argparse
import ssl
import sys

import httpx

parser = argparse.ArgumentParser()
parser.add_argument("url")
parser.add_argument("-H", dest="headers", action="append", default=[])
parser.add_argument("-d", dest="body")
parser.add_argument("--cacert")
asked = parser.parse_args()

trusted = ssl.create_default_context(cafile=asked.cacert) if asked.cacert else True
headers = dict(header.split(": ", 1) for header in asked.headers)
method = "GET" if asked.body is None else "POST"
with httpx.Client(trust_env=False, verify=trusted, timeout=120) as client:
    answer = client.request(method, asked.url, headers=headers, content=asked.body)
print(answer.text)
sys.exit(0 if answer.is_success else 22)
