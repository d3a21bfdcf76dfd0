"""What is measured: the mock alone, proxies, routers of language models and the product, each behind one port."""

from collections.abc import Callable
from dataclasses import dataclass, field

from peers import program
from places import SCRATCH, Stage, free_port
from processes import tree
from service import Pids, parvis_home

PEER_KEY = "sk-bench-1"
PROXIES = ("nginx", "haproxy", "envoy")
ROUTERS = ("vllm-router", "sglang-router", "litellm")
PRODUCT = "parvis"
INTERPRETED = "parvis-plain"
"""The product's sources as they are, without the compiler."""
TLS = "-tls"
ENVOY_OPTIONS = ("-l", "error", "--disable-hot-restart")  # two of them may run at once
OVER_TLS = tuple(name + TLS for name in (*PROXIES, PRODUCT))
NAMES = ("direct", *PROXIES, *ROUTERS, INTERPRETED, PRODUCT, *OVER_TLS)
ON_TWO_CORES = ("direct", *PROXIES, "vllm-router", "sglang-router", PRODUCT)


@dataclass(frozen=True)
class Target:
    """A command that listens on `port`. No command: the mock itself.

    `api_key` reads the key from the command's output, `pids` finds its processes from the command's own, `booked`
    counts what is in its ledger. One with processes `beside` its gateway starts on the load's core, and only its
    gateway moves to the other.
    """

    name: str
    port: int
    command: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    api_key: Callable[[str], str | None] = lambda _: PEER_KEY
    pids: Callable[[int], Pids] = lambda pid: Pids(tree(pid), [])
    booked: Callable[[], int] | None = None
    beside: bool = False

    @property
    def tls(self) -> bool:
        """Whether it is asked over TLS."""
        return self.name.endswith(TLS)


def target(name: str, stage: Stage) -> Target:
    """The target of that name; its files go to the stage's folder."""
    if name not in NAMES:
        raise SystemExit(f"bench: no target {name}; there are {', '.join(NAMES)}")
    return _MAKERS[name.removesuffix(TLS)](name, stage)


def direct(name: str, stage: Stage) -> Target:
    """The mock itself."""
    return Target(name, stage.mock_ports[0])


def proxy(template: str, *command: str) -> Callable[[str, Stage], Target]:
    """A proxy with a configuration file, whose path stands in its command for `CONFIGURATION`."""

    def make(name: str, stage: Stage) -> Target:
        port = free_port()
        path = stage.own_folder(name) / template
        path.write_text(stage.configured(template, name, tls=name.endswith(TLS), PORT=port))
        words = {"CONFIGURATION": str(path), "WORKERS": str(stage.cores)}
        first, *rest = (words.get(word, word) for word in command)
        return Target(name, port, (program(first) or first, *rest))

    return make


def router(*command: str) -> Callable[[str, Stage], Target]:
    """One of the two routers in Rust, which take the same options. Round robin, since the answers are equal."""

    def make(name: str, stage: Stage) -> Target:
        port = free_port()
        here = ("--host", "127.0.0.1", "--port", str(port), "--prometheus-port", str(free_port()))
        there = ("--worker-urls", *stage.mock_addresses, "--worker-startup-check-interval", "1")
        first, *rest = command
        start = (str(SCRATCH / name / "bin" / first), *rest)
        return Target(name, port, (*start, *here, *there, "--policy", "round_robin", "--log-level", "error"))

    return make


def litellm(name: str, stage: Stage) -> Target:
    """LiteLLM's proxy: its production mode, and no look-up of prices on the network."""
    port = free_port()
    path = stage.own_folder(name) / "litellm.yaml"
    path.write_text(stage.configured("litellm.yaml", name))
    options = ("--host", "127.0.0.1", "--port", str(port), "--num_workers", str(stage.cores), "--telemetry", "False")
    environment = {"LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    return Target(name, port, (str(SCRATCH / name / "bin" / name), "--config", str(path), *options), environment)


def product(name: str, stage: Stage) -> Target:
    """The service as its users start it."""
    home = parvis_home(stage, name)
    if name == INTERPRETED:
        home.environment["PYTHONPATH"] = ""
    return Target(name, **home._asdict(), beside=True)


_MAKERS: dict[str, Callable[[str, Stage], Target]] = {
    "direct": direct,
    "nginx": proxy("nginx.conf", "nginx", "-c", "CONFIGURATION"),
    "haproxy": proxy("haproxy.cfg", "haproxy", "-f", "CONFIGURATION"),
    "envoy": proxy("envoy.yaml", "envoy", "-c", "CONFIGURATION", "--concurrency", "WORKERS", *ENVOY_OPTIONS),
    "vllm-router": router("vllm-router"),
    "sglang-router": router("python", "-m", "sglang_router.launch_router"),
    "litellm": litellm,
    PRODUCT: product,
    INTERPRETED: product,
}
