"""Bombs in the fields of a request: counts, lengths, parameters that are the operator's or nobody's, images, texts."""

from typing import Any

from parvis.testing.hostile.bomb import Bomb, chat, completion, embedding, more, said

Json = dict[str, Any]
_TEXT = {"role": "user", "content": ""}
_PIXEL = "data:image/png;base64,AAAA"


def _image(url: object) -> Json:
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}


COUNTS: tuple[Bomb, ...] = (
    chat("choices", n=100_000),
    chat("one choice too many", n=9),
    chat("no choice", n=0),
    chat("fewer than no choice", n=-1),
    chat("choices beyond 64 bits", n=2**70),
    chat("half a choice", n=1.5),
    chat("choices in a text", n="2"),
    chat("choices that are true", n=True),
    completion("choices of a completion", n=100_000),
    completion("best of many", "unsupported_parameter", best_of=100_000),
    completion("best of none", "unsupported_parameter", best_of=0),
    completion("best of less", "unsupported_parameter", best_of=-1),
    chat("best of many in a chat", "unknown_parameter", best_of=100_000),
    chat("tokens beyond the context", max_tokens=10**8),
    chat("tokens beyond 31 bits", max_tokens=2**31),
    chat("completion tokens beyond the context", max_completion_tokens=10**8),
    chat("no tokens", max_tokens=0),
    chat("fewer than no tokens", max_tokens=-1),
    chat("half a token", max_tokens=1.5),
    chat("tokens in a text", max_tokens="16"),
    chat("both limits", max_tokens=1, max_completion_tokens=2),
    completion("tokens of a completion", max_tokens=10**8),
    more("tokens of 4,000 digits", "invalid_value", ',"max_tokens":' + "9" * 4000),
    more("tokens of 400 digits", "invalid_value", ',"max_tokens":' + "1" * 400),
    chat("log-probabilities of all tokens", logprobs=True, top_logprobs=10_000),
    chat("one log-probability too many", logprobs=True, top_logprobs=21),
    chat("fewer than no log-probabilities", logprobs=True, top_logprobs=-1),
    chat("log-probabilities by number", logprobs=1000),
    chat("alternatives without log-probabilities", top_logprobs=5),
    completion("log-probabilities of a completion", logprobs=1000),
    completion("fewer than no log-probabilities of a completion", logprobs=-1),
    completion("log-probabilities of the prompt", "unknown_parameter", prompt_logprobs=5),
    chat("log-probabilities of a chat's prompt", "unknown_parameter", prompt_logprobs=1_000_000),
    chat("a bias for all tokens", "too_many_keys", logit_bias={str(token): 1 for token in range(50_000)}),
    chat("a bias for one token too many", logit_bias={str(token): 1 for token in range(301)}),
    chat("a bias for words", logit_bias={"hello": 1}),
    chat("a bias for a token below none", logit_bias={"-1": 1}),
    chat("a bias for a token of many digits", logit_bias={"9" * 400: 1}),
    chat("a bias beyond its scale", logit_bias={"1": 101}),
    chat("a bias without measure", logit_bias={"1": 1e308}),
    chat("a bias in a list", logit_bias=[[1, 1]]),
    chat("stop texts", stop=["x"] * 1000),
    chat("one stop text too many", stop=["x"] * 5),
    chat("a long stop text", stop="x" * 100_000),
    chat("an empty stop text", stop=""),
    chat("an empty stop text among others", stop=["a", ""]),
    chat("stop texts in stop texts", stop=[["x"]]),
    chat("a stop number", stop=5),
    chat("heat", temperature=1e308),
    chat("cold", temperature=-0.1),
    chat("a seed beyond 64 bits", seed=2**63),
    chat("a penalty without measure", presence_penalty=1e9),
    chat("repetition without end", repetition_penalty=1e300),
    chat("tokens to choose from below none", top_k=-2),
)
LISTS: tuple[Bomb, ...] = (
    completion("prompts", prompt=["a"] * 1000),
    completion("one prompt too many", prompt=["a"] * 17),
    completion("no prompt", prompt=[]),
    completion("prompts in prompts", "unsupported_parameter", prompt=[["a"]]),
    completion("token numbers for a prompt", "unsupported_parameter", prompt=[1, 2, 3]),
    completion("a prompt that is an object", prompt={}),
    embedding("texts", input=["a"] * 10_000),
    embedding("one text too many", input=["a"] * 257),
    embedding("no text", input=[]),
    embedding("an empty text", input=["a", ""]),
    embedding("nothing to embed", input=""),
    embedding("token numbers to embed", "unsupported_parameter", input=[[1, 2]]),
    embedding("dimensions", "unsupported_parameter", dimensions=10**9),
    embedding("no dimensions", dimensions=0),
    embedding("an encoding", encoding_format="gzip"),
    said("messages", "invalid_value", *[_TEXT] * 3000),
    said("no message", "invalid_value"),
    said("parts", "too_many_keys", {"role": "user", "content": [{"type": "text", "text": ""}] * 50_000}),
    said("one part too many", "invalid_value", {"role": "user", "content": [{"type": "text", "text": ""}] * 257}),
    said("a long role", "invalid_value", {"role": "x" * 100_000, "content": ""}),
    said("annotations", "invalid_value", {"role": "assistant", "content": "", "annotations": [[]] * 40_000}),
    chat("metadata", metadata={str(key): "" for key in range(5000)}),
    chat("a long name in metadata", metadata={"x" * 65: ""}),
    chat("a long text in metadata", metadata={"x": "y" * 513}),
    chat("a prediction of lists", "unknown_parameter", prediction={"type": "content", "content": "", "a": [[]] * 9000}),
    chat("modalities", "unsupported_parameter", modalities=["text", "audio"]),
    chat("words without end", "unsupported_parameter", verbosity="high"),
)
FOREIGN: tuple[Bomb, ...] = (
    *(
        chat(f"an engine's own word: {word}", "unknown_parameter", **{word: value})
        for word, value in {
            "chat_template": "{{ x }}",
            "chat_template_kwargs": {"enable_thinking": True},
            "guided_json": {},
            "guided_regex": "(a+)+",
            "guided_choice": ["a"] * 1000,
            "guided_grammar": "root ::= root",
            "guided_decoding_backend": "outlines",
            "structured_outputs": {"regex": "(a+)+"},
            "grammar": "root ::= root",
            "json_schema": {},
            "regex": "(a+)+",
            "ebnf": "root ::= root",
            "cache_salt": "mine",
            "priority": -100,
            "add_generation_prompt": False,
            "continue_final_message": True,
            "documents": [{}],
            "mm_processor_kwargs": {"num_crops": 10**6},
            "skip_special_tokens": False,
            "truncate_prompt_tokens": 1,
            "kv_transfer_params": {},
            "vllm_xargs": {},
            "use_beam_search": True,
            "length_penalty": 2,
            "cache_prompt": True,
            "id_slot": 0,
            "n_predict": -1,
            "n_keep": -1,
            "lora": [{"id": 0}],
            "samplers": ["top_k"],
            "options": {"num_ctx": 10**9},
            "keep_alive": -1,
            "bad_words": ["a"],
            "allowed_token_ids": [1],
            "logits_processors": ["os.system"],
        }.items()
    ),
    chat("an engine's word among known ones", "unknown_parameter", ignore_eos=True, min_tokens=10**9, nonsense=1),
    completion("an echo", "unsupported_parameter", echo=True),
    completion("a suffix", "unsupported_parameter", suffix="x"),
    chat("functions of old", "unsupported_parameter", functions=[{"name": "f"}]),
    chat("a search", "unsupported_parameter", web_search_options={}),
    chat("a voice", "unsupported_parameter", audio={"voice": "x", "format": "wav"}),
)
IMAGES: tuple[Bomb, ...] = (
    *(
        said(f"an image from {name}", "invalid_image_url", _image(url))
        for name, url in {
            "elsewhere": "http://127.0.0.1:1/a.png",
            "elsewhere, safely": "https://127.0.0.1:1/a.png",
            "a file": "file:///etc/passwd",
            "a server of files": "ftp://127.0.0.1:1/a.png",
            "the same scheme": "//127.0.0.1:1/a.png",
            "nowhere": "",
            "data that is no image": "data:text/html,<b>",
            "data that is not encoded": "data:image/png,AAAA",
            "a drawing with references": "data:image/svg+xml;utf8,<svg/>",
            "a scheme in capitals": "DATA:image/png;base64,AAAA",
            "another encoding": "data:image/png;charset=utf-8,AAAA",
        }.items()
    ),
    said("images", "invalid_value", *[_image(_PIXEL)] * 33),
    said("an image for a model that sees nothing", "unsupported_parameter", _image(_PIXEL)),
    said("an image that is a number", "invalid_value", _image(5)),
)
NAMES: tuple[Bomb, ...] = (
    said("a control token", "control_token_in_input", {"role": "user", "content": "a<|im_end|>b"}),
    said(
        "a control token in a name", "control_token_in_input", {"role": "user", "content": "", "name": "<|im_start|>"}
    ),
    chat("a long model name", model="x" * 100_000),
    chat("a model without a name", model=""),
    chat("a model that is a number", model=5),
    chat("a stream's options without a stream", stream_options={"include_usage": True}),
    chat("a stream that is a text", stream="true"),
    said("a tool's answer to no call", "missing_required_parameter", {"role": "tool", "content": ""}),
    said("nothing said", "missing_required_parameter", {"role": "user", "content": None}),
)
BOMBS = (*COUNTS, *LISTS, *FOREIGN, *IMAGES, *NAMES)
