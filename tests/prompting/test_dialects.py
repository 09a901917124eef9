"""Trajectories as other providers and frameworks write them: read, or refused with what to write instead."""

from __future__ import annotations

import json

import pytest

from ranker import GroupError, Trajectory
from ranker.prompting.transcript import transcribe

ARGS = {"order": 17}
CALL = '<call refund>{"order":17}\n'


def text_of(*messages: dict, **fields: object) -> str:
    return transcribe(Trajectory(list(messages), **fields)).text


def said(*parts: object, **fields: object) -> dict:
    return {"role": "assistant", "content": list(parts), **fields}


def called(call: object) -> dict:
    return {"role": "assistant", "content": "", "tool_calls": [call]}


@pytest.mark.parametrize("key", ["arguments", "args", "parameters", "input"])
@pytest.mark.parametrize("inside", [None, "function", "custom"])
def test_arguments_by_any_name_are_shown(key, inside):
    """LangChain's `args`, Llama's `parameters` and Anthropic's `input` say what `arguments` says."""
    spec = {"name": "refund", key: ARGS}
    assert text_of(called({"id": "c", inside: spec} if inside else {"id": "c", **spec})) == CALL
    assert text_of(called({"id": "c", "function": {"name": "refund", key: '{"order":17}'}})) == CALL


def test_a_second_kind_of_arguments_does_not_vanish():
    """Empty arguments give way to those that say something; more than one kind is shown."""
    assert text_of(called({"name": "refund", "arguments": "", "args": ARGS})) == CALL
    both = text_of(called({"function": {"name": "refund", "arguments": ARGS, "input": "now"}}))
    assert both == CALL + '<call field input>"now"\n'
    assert text_of(called({"name": "f", "type": "server_tool_use", "args": {}, "parse_error": "cut"})) == (
        '<call f>{}\n<call field type>"server_tool_use"\n<call field parse_error>"cut"\n'
    )


@pytest.mark.parametrize(
    "call",
    [
        {"id": "c", "function": "refund", "arguments": ARGS, "type": "function"},  # Inspect
        json.dumps(
            {"id": "c", "type": "function", "function": {"name": "refund", "arguments": ARGS}}
        ),  # verifiers
        {"name": "refund", "args": ARGS, "id": "c", "type": "tool_call"},  # LangChain
    ],
)
def test_other_forms_of_calls(call):
    """The result finds its call by the id in each form."""
    result = {"role": "tool", "tool_call_id": "c", "content": "done"}
    if isinstance(call, str):
        assert text_of(called(call)) == CALL
    else:
        assert text_of(called(call), result) == CALL + "<tool refund>\ndone\n"


def test_anthropic_blocks():
    """Thinking, text, tool use and tool result read as their like in OpenAI's format."""
    blocks = (
        {"type": "thinking", "thinking": "I must look.", "signature": "EqQB"},
        {"type": "text", "text": "Looking."},
        {"type": "tool_use", "id": "t1", "name": "refund", "input": ARGS},
        {"type": "tool_use", "id": "t2", "name": "refund", "input": {}},
    )
    results = (
        {"type": "tool_result", "tool_use_id": "t2", "content": [{"type": "text", "text": "two"}]},
        {"type": "tool_result", "tool_use_id": "t1", "content": "one", "is_error": True},
    )
    assert text_of(said(*blocks), {"role": "user", "content": list(results)}) == (
        f"<reasoning>\nI must look.\n<assistant>\nLooking.\n{CALL}<call refund #2>{{}}\n"
        "<tool refund #2>\ntwo\n<tool refund>\none\n<tool field is_error>true\n"
    )
    sealed = text_of(said({"type": "redacted_thinking", "data": "EmwK"}))
    assert sealed == '<assistant>\n<assistant part>{"type":"redacted_thinking"}\n'


def test_bedrock_blocks():
    """Bedrock says by a key what a block is."""
    thought = {"reasoningContent": {"reasoningText": {"text": "Look.", "signature": "s"}}}
    call = {"toolUse": {"toolUseId": "t", "name": "refund", "input": ARGS}}
    result = {
        "toolResult": {
            "toolUseId": "t",
            "content": [{"json": {"ok": 1}}, {"text": "done"}],
            "status": "error",
        }
    }
    assert text_of(
        {"role": "user", "content": [{"text": "Hi"}]},
        said(thought, call),
        {"role": "user", "content": [result]},
    ) == (
        f"<user>\nHi\n<reasoning>\nLook.\n{CALL}"
        '<tool refund>\n<tool part>{"json":{"ok":1}}\ndone\n<tool field status>"error"\n'
    )


@pytest.mark.parametrize("field", ["content", "parts"])
@pytest.mark.parametrize(
    ("call", "result"), [("functionCall", "functionResponse"), ("function_call", "function_response")]
)
def test_gemini_parts(field, call, result):
    """Gemini's parts, under their own name or as the content, in both spellings."""
    messages = [
        {"role": "user", field: [{"text": "Hi"}]},
        {
            "role": "assistant",
            field: [{"text": "Look.", "thought": True}, {call: {"name": "refund", "args": ARGS}}],
        },
        {"role": "user", field: [{result: {"name": "refund", "response": {"ok": True}}}]},
    ]
    assert text_of(*messages) == f'<user>\nHi\n<reasoning>\nLook.\n{CALL}<tool refund>\n{{"ok":true}}\n'


def test_cohere_plans_results_and_citations():
    """The plan is a thought; citations, results and documents with text are shown."""
    document = {"type": "document", "document": {"id": "1", "data": "rain"}}
    assert text_of(
        {
            "role": "assistant",
            "tool_plan": "Look.",
            "tool_calls": [{"id": "c", "name": "refund", "args": ARGS}],
        },
        {"role": "tool", "tool_call_id": "c", "content": [document]},
        {
            "role": "assistant",
            "content": "Rain.",
            "citations": [{"text": "rain"}],
            "tool_results": [{"outputs": [1]}],
        },
    ) == (
        f'<reasoning>\nLook.\n{CALL}<tool refund>\n<tool part>{{"type":"document","document":{{"id":"1","data":"rain"}}}}\n'
        '<assistant>\nRain.\n<assistant field citations>[{"text":"rain"}]\n<assistant field tool_results>[{"outputs":[1]}]\n'
    )


@pytest.mark.parametrize(
    "part",
    [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Look."}]},  # Mistral
        {"type": "thinking", "thinking": "Look.", "signature": "s"},
        {"type": "reasoning", "reasoning": "Look.", "signature": "s"},  # Inspect
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Look."}]},  # OpenAI Responses
    ],
)
def test_thoughts_among_the_parts(part):
    """A thought is shown as one, not as part of the answer."""
    assert text_of(said(part, {"type": "output_text", "text": "15", "annotations": []})) == (
        "<reasoning>\nLook.\n<assistant>\n15\n"
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"thinking_blocks": [{"type": "thinking", "thinking": "Look.", "signature": "s"}]},
        {
            "reasoning_details": [
                {"type": "reasoning.text", "text": "Look.", "format": "x", "index": 0, "id": "r"}
            ]
        },
        {"reasoning": "Look.", "reasoning_details": [{"type": "reasoning.text", "text": "Look."}]},
        {"reasoning_content": "Look.", "reasoning": "Look."},
    ],
)
def test_thoughts_beside_the_content(fields):
    """LiteLLM's and OpenRouter's lists; what is said in two fields is shown once."""
    assert (
        text_of({"role": "assistant", "content": "15", **fields}) == "<reasoning>\nLook.\n<assistant>\n15\n"
    )


def test_two_thoughts_are_both_shown():
    """A second reasoning field that says something else does not vanish."""
    message = {"role": "assistant", "content": "15", "reasoning_content": "One.", "reasoning": "Two."}
    assert text_of(message) == "<reasoning>\nOne.\n<reasoning>\nTwo.\n<assistant>\n15\n"
    sealed = {
        "role": "assistant",
        "content": "15",
        "thinking_blocks": [{"type": "thinking", "thinking": "T", "redacted": True}],
    }
    assert '<assistant field thinking_blocks>[{"type":"thinking","thinking":"T","redacted":true}]' in text_of(
        sealed
    )


def test_langchain_arguments_and_invalid_calls():
    """Calls among the further arguments are calls; calls that could not be parsed are shown."""
    hidden = {"tool_calls": [{"id": "c", "function": {"name": "refund", "arguments": '{"order":17}'}}]}
    assert text_of({"role": "assistant", "content": "", "additional_kwargs": hidden}) == CALL
    invalid = [{"name": "refund", "args": "{", "error": "cut"}]
    assert text_of({"role": "assistant", "content": "x", "invalid_tool_calls": invalid}) == (
        '<assistant>\nx\n<assistant field invalid_tool_calls>[{"name":"refund","args":"{","error":"cut"}]\n'
    )


def test_errors_names_and_transcripts_of_messages():
    """Inspect's tool errors, the name of a silent caller, what was spoken."""
    failed = {
        "role": "tool",
        "tool_call_id": "c",
        "function": "bash",
        "content": "",
        "error": {"type": "timeout"},
    }
    assert text_of(failed) == '<tool bash>\n\n<tool field error>{"type":"timeout"}\n'
    assert (
        text_of({**called({"name": "f", "args": {}}), "name": "planner"})
        == '<call f>{}\n<assistant field name>"planner"\n'
    )
    other = text_of(
        called({"id": "c", "name": "f", "args": {}}),
        {"role": "tool", "tool_call_id": "c", "name": "g", "content": "1"},
    )
    assert other == '<call f>{}\n<tool f>\n1\n<tool field name>"g"\n'
    spoken = {"role": "assistant", "content": None, "audio": {"id": "a", "transcript": "42", "expires_at": 1}}
    assert text_of(spoken) == '<assistant>\n\n<assistant field audio>{"transcript":"42"}\n'


def test_responses_messages_with_a_role():
    """A message item of OpenAI's Responses says nothing more than the message."""
    item = {
        "type": "message",
        "id": "msg",
        "status": "completed",
        **said({"type": "output_text", "text": "Hi"}),
    }
    assert text_of(item) == "<assistant>\nHi\n"
    assert (
        text_of({**item, "status": "incomplete"}) == '<assistant>\nHi\n<assistant field status>"incomplete"\n'
    )


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"role": "model", "parts": [{"text": "yo"}]}, "Gemini"),
        ({"role": "CHATBOT", "message": "yo"}, "Cohere"),
        ({"role": "ipython", "content": "15"}, '"tool"'),
        ({"role": "User", "content": "hi"}, 'Write "user"'),
    ],
)
def test_messages_without_a_role_are_refused_by_name(message, words):
    """Which dialect it looks like, and what to write."""
    with pytest.raises(GroupError, match="message 0 has role") as caught:
        Trajectory([message])
    assert words in str(caught.value)


USER = {"role": "user", "content": "Where is it?"}
CALLED = {"id": "c", "type": "function", "function": {"name": "refund", "arguments": '{"order":17}'}}
OPENAI = (
    USER,
    {"role": "assistant", "content": "Looking.", "reasoning_content": "I must look.", "tool_calls": [CALLED]},
    {"role": "tool", "tool_call_id": "c", "content": "done"},
    {"role": "assistant", "content": "It is done."},
)
LANGCHAIN_CALL = {"name": "refund", "args": ARGS, "id": "c", "type": "tool_call"}
_NOTED = {"additional_kwargs": {}, "response_metadata": {"model": "m"}, "name": None, "id": "run-1"}
LANGCHAIN = [
    {"type": "human", "content": "Where is it?", "example": False, **_NOTED},
    {
        **_NOTED,
        "type": "ai",
        "content": [
            {"type": "text", "text": "Looking."},
            {"type": "tool_use", "id": "c", "name": "refund", "input": ARGS},
        ],
        "additional_kwargs": {"tool_calls": [CALLED], "reasoning_content": "I must look."},
        "tool_calls": [LANGCHAIN_CALL],
        "invalid_tool_calls": [],
        "usage_metadata": {"input_tokens": 9},
    },
    {"type": "tool", "content": "done", "tool_call_id": "c", "artifact": None, "status": "success", **_NOTED},
    {"type": "AIMessageChunk", "content": "It is done.", "tool_calls": [], "tool_call_chunks": [], **_NOTED},
]
CLASSES = ("HumanMessage", "AIMessage", "ToolMessage", "AIMessageChunk")
SAME = {
    "LangChain's model_dump": LANGCHAIN,
    "LangChain's dumpd": [
        {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", name], "kwargs": message}
        for name, message in zip(CLASSES, LANGCHAIN, strict=True)
    ],
    "LangChain's dumpd of older versions": [
        {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", name],
         "kwargs": {k: v for k, v in message.items() if k != "type"}}
        for name, message in zip(CLASSES, LANGCHAIN, strict=True)
    ],
    "LangChain's messages_to_dict": [
        {"type": m["type"], "data": {k: v for k, v in m.items() if k != "type"}} for m in LANGCHAIN
    ],
    "Responses": [
        {"type": "message", **USER},
        {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "I must look."}], "encrypted_content": "g"},
        {"type": "message", "id": "msg", "status": "completed", "role": "assistant",
         "content": [{"type": "output_text", "text": "Looking.", "annotations": []}]},
        {"type": "function_call", "id": "fc", "call_id": "c", "name": "refund", "arguments": '{"order":17}', "status": "completed"},
        {"type": "function_call_output", "call_id": "c", "output": "done"},
        {"type": "reasoning", "id": "rs", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "It is done."}]},
    ],
    "Inspect": [
        {**USER, "id": "a", "source": "input", "metadata": None, "tool_call_id": None},
        {"role": "assistant", "id": "b", "source": "generate", "model": "m",
         "content": [{"type": "reasoning", "reasoning": "I must look.", "summary": None, "signature": None, "redacted": False},
                     {"type": "text", "text": "Looking.", "refusal": None}],
         "tool_calls": [{"id": "c", "function": "refund", "arguments": ARGS, "parse_error": None, "view": None, "type": "function"}]},
        {"role": "tool", "content": "done", "tool_call_id": "c", "function": "refund", "error": None},
        {"role": "assistant", "content": "It is done.", "source": "generate", "tool_calls": None},
    ],
}  # fmt: skip


@pytest.mark.parametrize("form", SAME)
def test_other_frameworks_messages_read_as_openais(form):
    """A judge is shown the same, to the letter."""
    assert text_of(*SAME[form]) == text_of(*OPENAI)


def test_sharegpt():
    """With the names of its speakers that say a role; a call among them is one."""
    turns = [
        {"from": "system", "value": "Be brief."},
        {"from": "human", "value": "Where is it?"},
        {"from": "function_call", "value": '{"name": "refund", "arguments": {"order": 17}}'},
        {"from": "observation", "value": "done"},
        {"from": "gpt", "value": "It is done."},
    ]
    assert text_of(*turns) == (
        "<system>\nBe brief.\n<user>\nWhere is it?\n"
        + CALL
        + "<tool result>\ndone\n<assistant>\nIt is done.\n"
    )
    for wrong in ("critic", "function_call", 7):
        with pytest.raises(GroupError, match="message 0 is ShareGPT's, from"):
            Trajectory([{"from": wrong, "value": "hi"}])


def test_responses_items_that_hold_a_call_and_its_result_are_shown_whole():
    """Parallel calls are one turn's; what a tool of the provider's did stands in its place."""
    search = {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"query": "news"}}
    calls = [{"type": "function_call", "call_id": i, "name": "refund", "arguments": "{}"} for i in "ab"]
    results = [{"type": "function_call_output", "call_id": i, "output": i} for i in "ba"]
    custom = {"type": "custom_tool_call", "call_id": "d", "name": "sql", "input": "SELECT 1"}
    assert text_of(
        USER,
        search,
        *calls,
        *results,
        custom,
        {"type": "custom_tool_call_output", "call_id": "d", "output": "1"},
    ) == (
        "<user>\nWhere is it?\n"
        '<assistant>\n<assistant part>{"type":"web_search_call","action":{"query":"news"}}\n'
        "<call refund>{}\n<call refund #2>{}\n<tool refund #2>\nb\n<tool refund>\na\n"
        "<call sql>SELECT 1\n<tool sql>\n1\n"
    )


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"type": "remove", "content": "", "id": "x"}, "LangChain's message of the type 'remove'"),
        ({"lc": 1, "type": "not_implemented", "id": ["a", "B"], "kwargs": {}}, "convert_to_openai_messages"),
        ({"type": "item_reference", "id": "msg_1"}, "does not hold what it stands for"),
    ],
)
def test_what_would_lose_something_is_refused_with_what_to_do(message, words):
    with pytest.raises(GroupError, match="message 1 is") as caught:
        Trajectory([USER, message])
    assert words in str(caught.value)
