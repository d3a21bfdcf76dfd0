"""The command line of the fake engine."""

import argparse
import sys
from typing import get_args

import msgspec
import uvloop

from parvis.testing.fake_engine.flavours import Flavour
from parvis.testing.fake_engine.server import Options, run


def options(arguments: list[str]) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m parvis.testing.fake_engine")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--model", action="append", dest="models", metavar="NAME", help="repeat for more names")
    parser.add_argument("--flavour", choices=get_args(Flavour))
    parser.add_argument("--reasoning-field")
    parser.add_argument("--slots", type=int, help="requests that run at once")
    parser.add_argument("--prefix-blocks", type=int, help="model a prefix cache of so many blocks")
    parser.add_argument("--prefix-block-chars", type=int)
    parser.add_argument("--prefill-us-per-char", type=float, help="of what is not cached")
    parser.add_argument("--api-key")
    parser.add_argument("--idle-close-ms", type=int)
    parser.add_argument("--die-with-stdin", action="store_true")
    parser.add_argument("--tls-cert", metavar="FILE")
    parser.add_argument("--tls-key", metavar="FILE")
    parser.add_argument("--tls-client-ca", metavar="FILE")
    parser.add_argument("--tls-max", choices=("1.2", "1.3"))
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    return msgspec.convert(given, Options)


if __name__ == "__main__":
    uvloop.run(run(options(sys.argv[1:])))
