"""Every sentence that the administration refuses with is there in French too.

`python tests/shape/test_french.py` prints what is missing, in the form of the catalogue: translate it and put it in.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from parvis.api.web.languages import catalogue, codes, in_french, preferred, template, worded
from parvis.core import errors

SOURCE = Path(__file__).parents[2] / "src" / "parvis"
CATALOGUE = SOURCE / "api" / "web" / "french.po"
ROOMS = (
    *("api/web/", "api/console/", "api/operator/", "flows/", "domain/identity/", "domain/catalog/"),
    *("adapters/store/", "adapters/openid/", "adapters/passkeys/", "adapters/passwords/", "adapters/outbound/"),
)
INFERENCE = (
    *("serve", "permit", "caches", "purse", "quota", "scarcity", "throttle", "rate_trade", "limit_texts"),
    *("measuring", "trail", "fleet", "waiting", "directory", "ingest"),
    *("simulated_fleet", "simulated_policies"),  # refuse nobody but simulated requests
)
"""Stories whose refusals go to programs, in English."""
RULES = ("faults", "clashes")
"""How functions end that say what is wrong, one sentence for each thing."""
STATES = (
    *("domain/fleet/health.py", "domain/fleet/deployment.py", "domain/fleet/demand.py", "domain/fleet/explained.py"),
    *("flows/standing.py", "app/fleet_seen.py", "app/keep_deployed.py", "adapters/ray/facts.py"),
    *("app/engine_watch.py", "adapters/engines/probing.py", "adapters/engines/unreachable.py"),
)
"""Modules that say why a replica is as it is, or was picked. All of their sentences are read by people."""
ENGINES = "adapters/engines/"
"""What these modules put into the `reason` of a failure is read as why a replica is as it is."""
MACHINES = (
    *("adapters/engines/weights.py", "adapters/engines/tls.py", "adapters/engines/llama_child.py"),
    *("adapters/processes/child.py", "app/replicas.py", "app/deployed.py", "core/engine_process.py"),
    *("adapters/engines/vllm_child.py", "adapters/openvino/spec.py", "adapters/openvino/child.py"),
    *("adapters/openvino/worker.py", "adapters/openvino/weights.py", "adapters/speech/child.py"),
    *("adapters/speech/ear.py", "adapters/speech/voice.py"),
)
"""Modules that say why a machine cannot serve a deployment. It is passed on as a refusal, and as a replica's state."""
NOT_SAID = ("Misconfigured",)
"""Failures that the administration never answers with."""
FOLLOWS = re.compile(r"^\{\w+\} (?=[A-Z])")
FIXED_CHARS_MIN = 8
"""A sentence that is nearly all quotation would be taken for any other."""


class Found(NamedTuple):
    """Sentences, each with a place where it is raised; and places whose sentence cannot be read from the source."""

    sentences: dict[str, str]
    unread: list[str]


UNREAD = {
    "flows/catalogue.py": "passes on what the rules of the catalogue say",
    "flows/deployments.py": "passes on what a machine says of weights, keys and certificates",
    "flows/keys.py": "passes on what the rules of patterns, networks and schedules say",
    "flows/organisations.py": "the same",
}
"""Places, each with the reason why its sentence need not stand in the catalogue."""


def failures(trees: Mapping[str, ast.Module]) -> set[str]:
    """The names of all classes of failures, also of those that a module makes for itself."""
    known = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.Failure)}
    made = [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    known |= {node.name for node in made if any(ast.unparse(base) in known for base in node.bases)}
    return known - set(NOT_SAID)


def called(node: ast.AST) -> str:
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""


def hole(node: ast.expr) -> str:
    """A name for what is quoted."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=inner) | ast.Call(args=[inner, *_]) | ast.BinOp(left=inner):
            return hole(inner)
        case ast.Call(func=ast.Attribute(value=inner)):
            return hole(inner)
        case (
            ast.GeneratorExp(elt=inner)
            | ast.ListComp(elt=inner)
            | ast.IfExp(body=inner)
            | ast.BoolOp(values=[inner, *_])
        ):
            return hole(inner)
    return "value"


def written(node: ast.JoinedStr) -> str:
    """An f-string as a template; the same name for another value gets a number."""
    said, names = "", dict[str, str]()
    for part in node.values:
        if isinstance(part, ast.Constant):
            said += str(part.value)
        elif isinstance(part, ast.FormattedValue):
            name, value = hole(part.value).strip("_").lower(), ast.unparse(part.value)
            while names.setdefault(name, value) != value:
                name += "2"
            said += f"{{{name}}}"
    return said


class Reader:
    """Reads the sentences of one module."""

    def __init__(self, tree: ast.Module, kinds: set[str]) -> None:
        self._kinds = kinds
        self._tree = tree
        self._functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
        self._inside = {node: function for function in self._functions for node in ast.walk(function)}
        self._constants = {
            target.id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }

    def read(self) -> Iterator[tuple[int, str | None]]:
        """The line and the sentence of each failure that is made; None for a sentence that is made elsewhere."""
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Call) and called(node) in self._kinds:
                for said in self._said(node.args[0], node) if node.args else [None]:
                    yield node.lineno, said

    def read_faults(self) -> Iterator[tuple[int, str]]:
        """The sentences in which a rule of the domain says what is wrong: a story passes them on."""
        for function in self._functions:
            if function.name.endswith(RULES):
                steps = function.body[1:] if ast.get_docstring(function) else function.body
                nodes = [node for step in steps for node in ast.walk(step)]
                inside = {part for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
                for node in nodes:
                    said = written(node) if isinstance(node, ast.JoinedStr) else getattr(node, "value", None)
                    if isinstance(said, str) and said.endswith(".") and node not in inside:
                        yield function.lineno, said

    def read_all(self) -> Iterator[tuple[int, str]]:
        """Each whole sentence that is no docstring; of one that follows on another, itself alone."""
        inside = {
            part
            for node in ast.walk(self._tree)
            for part in (node.values if isinstance(node, ast.JoinedStr) else [getattr(node, "value", None)])
            if isinstance(node, ast.JoinedStr | ast.Expr)
        }
        for node in ast.walk(self._tree):
            if isinstance(node, ast.JoinedStr | ast.Constant) and node not in inside:
                said = written(node) if isinstance(node, ast.JoinedStr) else str(node.value)
                if said.endswith(".") and " " in said:
                    yield node.lineno, FOLLOWS.sub("", said)

    def read_reasons(self) -> Iterator[tuple[int, str]]:
        """What is said in the `reason` of a failure."""
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Assign) and any(getattr(one, "attr", "") == "reason" for one in node.targets):
                yield from ((node.lineno, said) for said in self._said(node.value, node) if said is not None)

    def _said(self, node: ast.expr, at: ast.AST) -> Iterator[str | None]:
        match node:
            case ast.Constant(value=str(text)):
                yield text
            case ast.JoinedStr():
                yield written(node)
            case ast.IfExp(body=one, orelse=other):
                yield from self._said(one, at)
                yield from self._said(other, at)
            case ast.Name(id=name) if name in self._constants:
                yield from self._said(self._constants[name], at)
            case ast.Name(id=name) if at in self._inside:
                yield from self._given(self._inside[at], name)
            case _:
                yield None

    def _given(self, function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> Iterator[str | None]:
        """What a parameter is called with, everywhere in the module."""
        names = [argument.arg for argument in function.args.args]
        calls = [node for node in ast.walk(self._tree) if isinstance(node, ast.Call) and called(node) == function.name]
        if name not in names or not calls:
            yield None
            return
        for node in calls:
            given = [keyword.value for keyword in node.keywords if keyword.arg == name]
            given += node.args[names.index(name) :][:1]
            yield from self._said(given[0], node) if given else iter([None])


def states_of(path: str, reader: Reader) -> Iterator[tuple[int, str]]:
    """The sentences of a module that say why a replica is as it is."""
    if path in STATES:
        yield from reader.read_all()
    elif path.startswith(ENGINES):
        yield from reader.read_reasons()


def found_in(trees: Mapping[str, ast.Module]) -> Found:
    """All sentences of the administration."""
    kinds = failures(trees)
    found = Found({}, [])
    for path, tree in trees.items():
        reader = Reader(tree, kinds)
        for line, sentence in (*(states_of(path, reader)), *(reader.read_all() if path in MACHINES else ())):
            found.sentences.setdefault(sentence, f"{path}:{line}")
        if not path.startswith(ROOMS) or path.removeprefix("flows/").removesuffix(".py") in INFERENCE:
            continue
        for line, said in (*reader.read(), *reader.read_faults()):
            if said is None:
                found.unread.append(f"{path}:{line}")
            else:
                found.sentences.setdefault(said, f"{path}:{line}")
    return found


def known() -> dict[str, str]:
    return dict(catalogue(CATALOGUE.read_text("utf-8")))


def bare(sentence: str) -> tuple[str, ...]:
    """What stands around its quotations: whatever they are called, it is the same sentence."""
    return template(sentence).texts


def missing(found: Mapping[str, str]) -> dict[str, str]:
    """Sentences that the catalogue lacks, with their places."""
    there = {bare(english) for english in known()}
    return {said: place for said, place in found.items() if bare(said) not in there}


def test_every_sentence_is_there_in_french(trees: dict[str, ast.Module]) -> None:
    """`python tests/shape/test_french.py` prints what to add."""
    assert missing(found_in(trees).sentences) == {}


def test_no_translation_is_left_over(trees: dict[str, ast.Module]) -> None:
    said = {bare(sentence) for sentence in found_in(trees).sentences}
    assert [english for english in known() if bare(english) not in said] == []


def test_every_sentence_can_be_read_from_the_source(trees: dict[str, ast.Module]) -> None:
    assert {place.partition(":")[0] for place in found_in(trees).unread} - UNREAD.keys() == set()


def test_every_state_has_a_code_of_its_own(trees: dict[str, ast.Module]) -> None:
    """Under which any other language can word it."""
    coded = list(codes(CATALOGUE.read_text("utf-8")))
    assert len({code for code, _ in coded}) == len(coded)
    named = {bare(english) for _, english in coded}
    told = (states_of(path, Reader(tree, set())) for path, tree in trees.items())
    states = {bare(said): said for sentences in told for _, said in sentences}
    assert [said for texts, said in states.items() if texts not in named] == []


def test_a_state_is_worded_with_its_code_and_facts() -> None:
    said = "Its first bytes take 1200 ms, those of its pool 90 ms."
    found = worded(said, "fr")
    assert (found.code, list(found.facts.values())) == ("slow", ["1200", "90"])
    assert "1200 ms" in found.text
    assert found.text != worded(said, "en").text == said
    two = worded("It took none of 3 requests in a row. It answers 503. One request tries it.", "fr")
    assert (two.code, list(two.facts.values()), "requests" in two.text) == ("took_nothing", ["3"], False)
    assert (worded("", "fr").text, worded("Unheard of.", "fr").code) == ("", "")


def test_a_translation_quotes_the_same() -> None:
    for english, french in known().items():
        assert sorted(template(english).names) == sorted(template(french).names), english
        assert french
        assert french != english


def test_sentences_are_more_than_their_quotations() -> None:
    short = [english for english in known() if sum(map(len, template(english).texts)) < FIXED_CHARS_MIN]
    assert short == []


def test_every_sentence_is_recognised_when_it_is_said() -> None:
    """Also when what it quotes looks like the sentence itself."""
    for english, french in known().items():
        for quoted in ("x", "", 'l\'été {x} "ou"\n'):
            values = dict.fromkeys(template(english).names, quoted)
            assert in_french(english.format_map(values)) == french.format_map(values), english


def test_a_missing_sentence_is_found() -> None:
    source = (
        "from parvis.core.errors import NotFound as NotFound, Conflict\n"
        "WORDS = 'Said by name.'\n"
        "class Gone(NotFound): ...\n"
        "def lost(why):\n    return Conflict(why)\n"
        "def act(x):\n"
        "    raise NotFound(f\"There is no {x.kind} '{x[:9]}' of {len(x)}.\")\n"
        "    raise Gone('One.' if x else 'Two.')\n"
        "    raise Conflict(WORDS)\n"
        "    raise lost('Said elsewhere.')\n"
        "    raise Conflict(str(x))\n"
    )
    found = found_in({"flows/planted.py": ast.parse(source)})
    assert found.sentences.keys() == {
        "There is no {kind} '{x}' of {x2}.",
        "One.",
        "Two.",
        "Said by name.",
        "Said elsewhere.",
    }
    assert found.unread == ["flows/planted.py:11"]
    assert missing(found.sentences) == found.sentences


def test_the_language_is_the_one_that_weighs_most() -> None:
    spoken = {
        "": "en",
        "fr": "fr",
        "fr-FR,fr;q=0.9,en;q=0.8": "fr",
        "en, fr": "en",
        "fr, en": "fr",
        "de, fr;q=0.5, en;q=0.7": "en",
        "en;q=0.1, fr-CH;q=0.2": "fr",
        "fr;q=0": "en",
        "fr;q=nan": "en",
        "frisian": "en",
        "*": "en",
        ",;q=,\x00": "en",
    }
    assert {said: preferred(said) for said in spoken} == spoken


def missing_entries() -> str:
    """What to add to the catalogue."""
    trees = {path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text()) for path in sorted(SOURCE.rglob("*.py"))}
    found = found_in(trees)
    lacking = missing(found.sentences).items()
    texts = [f'# {place}\nmsgid "{_escaped(said)}"\nmsgstr ""\n' for said, place in lacking]
    return "\n".join(texts) + "".join(f"# unread: {place}\n" for place in found.unread)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


if __name__ == "__main__":
    print(missing_entries())
