"""What can be deployed at all: a deployment in itself, whatever machine is to serve it."""

import re
from dataclasses import replace

from parvis.core.errors import BadRequest
from parvis.domain.fleet.deployment import Address, Deployment, LoadPolicy, Source, is_address
from parvis.domain.fleet.replica import EngineKind

ADDRESSES_MAX = 256
_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,47}")
_POOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_FOR_ADDRESSES = ("addresses", "api_key_file", "tls_ca", "tls_cert", "tls_key")
_FOR_WEIGHTS = ("weights",)
_FOR_RAY = ("gpus", "replicas_max")
_NEEDS = {Source.ADDRESSES: "addresses", Source.HERE: "weights", Source.RAY: "weights"}
_STRANGE = {
    Source.ADDRESSES: (*_FOR_WEIGHTS, *_FOR_RAY),
    Source.HERE: (*_FOR_ADDRESSES, *_FOR_RAY),
    Source.RAY: _FOR_ADDRESSES,
}


def checked_deployment(wanted: Deployment) -> Deployment:
    """As it is kept. Raises BadRequest, which names the field."""
    if not _ID.fullmatch(wanted.deployment_id):
        raise BadRequest(
            "A deployment's id has 1 to 48 small letters, digits and . _ -, a letter or digit first.", param="id"
        )
    if not _POOL.fullmatch(wanted.pool):
        raise BadRequest(
            "A pool's name has 1 to 64 letters, digits and . _ -, a letter or digit first: the engine of a model.",
            param="pool",
        )
    if wanted.api_key_file and not _FILE.fullmatch(wanted.api_key_file):
        raise BadRequest(
            "'api_key_file' is the name of a file in the folder engine-keys of the data folder, without a path.",
            param="api_key_file",
        )
    _check_source(wanted)
    _check_addresses(wanted.addresses)
    _check_tls(wanted)
    return replace(wanted, replicas=len(wanted.addresses)) if wanted.source is Source.ADDRESSES else wanted


def _check_source(wanted: Deployment) -> None:
    needed = _NEEDS[wanted.source]
    if not getattr(wanted, needed):
        raise BadRequest(f"A deployment of the source '{wanted.source}' needs '{needed}'.", param=needed)
    for name in _STRANGE[wanted.source]:
        if getattr(wanted, name):
            raise BadRequest(f"A deployment of the source '{wanted.source}' has no '{name}'.", param=name)
    if wanted.source is Source.HERE:
        _check_here(wanted)
    if wanted.source is not Source.HERE and wanted.load is not LoadPolicy.PINNED:
        raise BadRequest("Only engine processes of this machine (source 'here') can be loaded on demand.", param="load")
    if wanted.source is Source.RAY:
        _check_ray(wanted)
    if 0 < wanted.replicas_max < wanted.replicas:
        raise BadRequest("'replicas_max' is below 'replicas'.", param="replicas_max")


def _check_here(wanted: Deployment) -> None:
    if wanted.kind not in (EngineKind.LLAMA_CPP, EngineKind.OPENVINO):
        raise BadRequest(
            "What runs here is served by 'llama.cpp' or 'openvino'. For other servers give addresses.", param="kind"
        )
    if wanted.kind is EngineKind.OPENVINO and wanted.embedding:
        raise BadRequest("'openvino' serves chats. Let 'llama.cpp' serve embeddings.", param="kind")


def _check_ray(wanted: Deployment) -> None:
    if wanted.kind not in (EngineKind.VLLM, EngineKind.LLAMA_CPP):
        raise BadRequest("On Ray, replicas are served by 'vllm' or by 'llama.cpp'.", param="kind")
    if (wanted.kind is EngineKind.VLLM) != (wanted.gpus > 0):
        raise BadRequest("On Ray, 'vllm' needs GPUs ('gpus'), and 'llama.cpp' uses none.", param="gpus")


def _check_addresses(addresses: tuple[Address, ...]) -> None:
    urls = [one.url for one in addresses]
    if len(urls) > ADDRESSES_MAX:
        raise BadRequest(f"A deployment has at most {ADDRESSES_MAX} addresses.", param="addresses")
    for url in urls:
        if not is_address(url):
            raise BadRequest(
                f"'{url[:200]}' is no address: it must look like http://HOST:PORT or https://HOST:PORT.",
                param="addresses",
            )
        if urls.count(url) > 1:
            raise BadRequest(f"The address '{url[:200]}' is given twice.", param="addresses")


def _check_tls(wanted: Deployment) -> None:
    if bool(wanted.tls_cert) != bool(wanted.tls_key):
        raise BadRequest("'tls_cert' and 'tls_key' go together; give both.", param="tls_key")
    if wanted.tls is None and (wanted.tls_ca or wanted.tls_cert):
        raise BadRequest("There are TLS files but no https:// address.", param="addresses")
