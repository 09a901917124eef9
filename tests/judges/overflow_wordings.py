"""How servers say that a prompt is too long: name, status, body, and the window that the words tell (None: they tell none)."""

from __future__ import annotations

from typing import Any


def openai(message: str, code: str | None = None, kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": "messages", "code": code}}


WORDINGS: list[tuple[str, int, Any, int | None]] = [
    ("OpenAI", 400, openai("This model's maximum context length is 8192 tokens. However, your messages resulted in 10471 tokens. "
     "Please reduce the length of the messages.", "context_length_exceeded"), 8192),
    ("OpenAI with a reply", 400, openai("This model's maximum context length is 4097 tokens. However, you requested 5100 tokens (5000 in the "
     "messages, 100 in the completion). Please reduce the length of the messages or completion.", "context_length_exceeded"), 4097),
    ("OpenAI with tools", 400, openai("This model's maximum context length is 128000 tokens. However, your messages resulted in 131123 tokens "
     "(130500 in the messages, 623 in the functions).", "context_length_exceeded"), 128000),
    ("OpenAI Responses", 400, openai("Your input exceeds the context window of this model. Please adjust your input and try again.",
     "context_length_exceeded"), None),
    ("OpenAI characters", 400, openai("Invalid 'messages[1].content': string too long. Expected a string with maximum length 1048576, but got a "
     "string with length 1205310 instead.", "string_above_max_length"), None),
    ("OpenAI input limit", 400, openai("Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300104 tokens. "
     "Please reduce the length of the messages.", "context_length_exceeded"), 272000),
    ("OpenAI tokens a minute", 429, openai("Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested "
     "41234. The input or output tokens must be reduced in order to run successfully.", "rate_limit_exceeded", "tokens"), 30000),
    ("Azure", 400, openai("This model's maximum context length is 16385 tokens. However, your messages resulted in 17012 tokens. Please reduce "
     "the length of the messages.", "context_length_exceeded"), 16385),
    ("vLLM 0.4", 400, {"object": "error", "message": "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens "
     "in the messages, Please reduce the length of the messages.", "type": "BadRequestError", "param": None, "code": 400}, 4096),
    ("vLLM 0.6", 400, {"object": "error", "message": "This model's maximum context length is 4096 tokens. However, you requested 5100 tokens "
     "(4100 in the messages, 1000 in the completion). Please reduce the length of the messages or completion.",
     "type": "BadRequestError", "code": 400}, 4096),
    ("vLLM 0.9", 400, {"object": "error", "message": "'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's maximum context "
     "length is 4096 tokens and your request has 3500 input tokens (5000 > 4096 - 3500).", "type": "BadRequestError", "code": 400}, 4096),
    ("vLLM 0.10", 400, {"error": {"message": "The decoder prompt (length 5021) is longer than the maximum model length of 4096. Make sure that "
     "`max_model_len` is no smaller than the number of text tokens.", "type": "BadRequestError", "code": 400}}, 4096),
    ("vLLM 0.11", 400, {"error": {"message": "You passed 9001 input tokens and requested 1000 output tokens. However, the model's context length "
     "is only 8192 tokens, resulting in a maximum input length of 7192 tokens. Please reduce the length of the input prompt.",
     "code": 400}}, 7192),
    ("llama.cpp", 400, {"error": {"code": 400, "message": "the request exceeds the available context size. try increasing the context size or "
     "enable context shift", "type": "exceed_context_size_error", "n_prompt_tokens": 9123, "n_ctx": 8192}}, 8192),
    ("llama.cpp 2025", 400, {"error": {"code": 400, "message": "request (9123 tokens) exceeds the available context size (8192 tokens), try "
     "increasing it", "type": "exceed_context_size_error"}}, 8192),
    ("llama.cpp old", 500, {"error": {"code": 500, "message": "the request exceeds the available context size. try increasing the context size "
     "or enable context shift", "type": "server_error"}}, None),
    ("llama-cpp-python", 400, openai("This model's maximum context length is 2048 tokens, however you requested 3010 tokens (2510 in your prompt; "
     "500 for the completion). Please reduce your prompt; or completion length.", "context_length_exceeded"), 2048),
    ("llama-cpp-python 500", 500, openai("Requested tokens (3010) exceed context window of 2048", None, "internal_server_error"), 2048),
    ("Ollama", 400, {"error": "input length exceeds maximum context length"}, None),
    ("Ollama cloud", 400, {"error": "prompt too long; exceeded max context length by 366 tokens"}, None),
    ("Ollama prompt", 400, {"error": {"message": "prompt is too long: 40121 tokens, context length is 32768", "type": "api_error"}}, 32768),
    ("TGI", 422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens and 100 "
     "`max_new_tokens`", "error_type": "validation"}, 4096),
    ("TGI inputs", 422, {"error": "Input validation error: `inputs` must have less than 3072 tokens. Given: 5000", "error_type": "validation"}, 3072),
    ("SGLang", 400, {"object": "error", "message": "The input (33012 tokens) is longer than the model's context length (32768 tokens).",
     "type": "BadRequestError", "code": 400}, 32768),
    ("SGLang total", 400, {"object": "error", "message": "Requested token count exceeds the model's maximum context length of 8192 tokens. You "
     "requested a total of 9000 tokens: 8000 tokens from the input messages and 1000 tokens for the completion. Please reduce "
     "the number of tokens in the input messages or the completion to fit within the limit.", "code": 400}, 8192),
    ("Anthropic", 400, {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 213462 tokens > 200000 maximum"}}, 200000),
    ("Anthropic with a reply", 400, {"type": "error", "error": {"type": "invalid_request_error", "message": "input length and `max_tokens` exceed "
     "context limit: 188240 + 21333 > 200000, decrease input length or `max_tokens` and try again"}}, 200000),
    ("Anthropic bytes", 413, {"type": "error", "error": {"type": "request_too_large", "message": "Request exceeds the maximum size"}}, None),
    ("Gemini", 400, {"error": {"code": 400, "message": "The input token count (1203344) exceeds the maximum number of tokens allowed (1048576).",
     "status": "INVALID_ARGUMENT"}}, 1048576),
    ("Gemini older", 400, {"error": {"code": 400, "message": "The input token count exceeds the maximum number of tokens allowed 32768.",
     "status": "INVALID_ARGUMENT"}}, 32768),
    ("Vertex", 400, {"error": {"code": 400, "message": "Unable to submit request because the input token count is 40121 but model only supports up "
     "to 32768. Reduce the input token count and try again.", "status": "INVALID_ARGUMENT"}}, 32768),
    ("Mistral", 400, {"object": "error", "message": "Prompt contains 40123 tokens and 0 draft tokens, too large for model with 32768 maximum context "
     "length", "type": "invalid_request_prompt_too_long", "code": "3051"}, 32768),
    ("Groq", 400, openai("Please reduce the length of the messages or completion.", "context_length_exceeded"), None),
    ("Groq 413", 413, openai("Request too large for model `llama-3.1-8b-instant` in organization `org_x` service tier `on_demand` on tokens per "
     "minute (TPM): Limit 6000, Requested 9823, please reduce your message size and try again.", "rate_limit_exceeded", "tokens"), 6000),
    ("Together", 422, openai("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 9500 `inputs` tokens and 512 "
     "`max_new_tokens`", None), 8193),
    ("Together newer", 400, openai("The input (40123 tokens) is longer than the model's context length (32769 tokens).", None), 32769),
    ("Fireworks", 400, openai("The prompt is too long: 133045, model maximum context length: 131071", None), 131071),
    ("DeepSeek", 400, openai("This model's maximum context length is 65536 tokens. However, you requested 70211 tokens (62019 in the messages, 8192 "
     "in the completion). Please reduce the length of the messages or completion.", "invalid_request_error"), 65536),
    ("Cohere", 400, {"message": "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5012. Try using a shorter "
     "prompt, or enable prompt truncating."}, 4081),
    ("Cohere v2", 400, {"message": "invalid request: total number of tokens (prompt and prediction) exceeded the limit of 128000 - received 140211"}, 128000),
    ("Bedrock", 400, {"message": "Input is too long for requested model."}, None),
    ("Bedrock Llama", 400, {"message": "This model's maximum context length is 8192 tokens. Please reduce the length of the prompt"}, 8192),
    ("Bedrock Titan", 400, {"message": "400 Bad Request: Too many input tokens. Max input tokens: 8192, request input token count: 9110"}, 8192),
    ("Bedrock Nova", 400, {"message": "The model returned the following errors: Input Tokens Exceeded: Number of input tokens exceeds maximum length. "
     "Please update the input to try again."}, None),
    ("LM Studio", 400, {"error": "Trying to keep the first 9005 tokens when context the overflows. However, the model is loaded with context length of "
     "only 4096 tokens, which is not enough. Try to load the model with a larger context length, or provide a shorter input"}, 4096),
    ("LM Studio short", 400, {"error": "The number of tokens to keep from the initial prompt is greater than the context length."}, None),
    ("LiteLLM proxy", 400, openai("litellm.ContextWindowExceededError: litellm.BadRequestError: ContextWindowExceededError: OpenAIException - This "
     "model's maximum context length is 16385 tokens. However, your messages resulted in 20012 tokens. Received Model "
     "Group=gpt-3.5-turbo", "400"), 16385),
    ("LiteLLM proxy check", 400, openai("Model=x, Max Input Tokens=8192, Got=9123. ContextWindowExceededError: prompt over the limit", None), 8192),
    ("OpenRouter", 400, {"error": {"message": "This endpoint's maximum context length is 131072 tokens. However, you requested about 140012 tokens "
     "(139012 of text input, 1000 in the output). Please reduce the length of either one, or use the \"middle-out\" transform to compress "
     "your prompt automatically.", "code": 400}}, 131072),
    ("xAI", 400, {"code": "Client specified an invalid argument", "error": "This model's maximum prompt length is 131072 but the request contains "
     "537812 tokens."}, 131072),
    ("DashScope", 400, openai("Range of input length should be [1, 30720]", "invalid_parameter_error"), 30720),
    ("DashScope message", 400, openai("<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]", None), 129024),
    ("Zhipu", 400, {"error": {"code": "1261", "message": "Prompt exceeds max length"}}, None),
    ("Moonshot", 400, openai("Invalid request: Your request exceeded model token limit: 8192", None), 8192),
    ("Perplexity", 400, openai("[\"The number of tokens in the prompt, 140012, exceeds the model's limit of 127072 tokens\"]", None), 127072),
    ("Cerebras", 400, {"message": "Please reduce the length of the messages or completion. Current length is 9023 while limit is 8192",
     "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}, 8192),
    ("SambaNova", 400, openai("The maximum context length of Meta-Llama-3.1-8B-Instruct is 16384. However, answering your request will take 20011 "
     "tokens. Please reduce the length of the messages or the specified max_completion_tokens value.", None), 16384),
    ("NVIDIA NIM", 400, {"detail": "[{'type': 'value_error', 'msg': 'This model maximum context length is 4096 tokens. However, you requested 4999 "
     "tokens'}]"}, 4096),
    ("HF router", 422, {"error": "Input validation error: inputs tokens + max_new_tokens must be <= 16000. Given: 17000 inputs tokens and 100 "
     "max_new_tokens"}, 16000),
    ("TensorRT-LLM", 400, openai("The sum of prompt length (9000.0), query length (0) and max_tokens (1000) should not exceed max_num_tokens (8192)", None), 8192),
    ("LMDeploy", 400, {"message": "The input length 9000 exceeds the session length 8192. Please reduce the prompt.", "object": "error"}, 8192),
    ("MLX", 400, {"error": "Prompt length of 5012 tokens exceeds the model's context window (4096)"}, 4096),
    ("Databricks", 400, {"error_code": "BAD_REQUEST", "message": "Prompt token count exceeds the limit: requested 140000 tokens, while the limit is "
     "128000."}, 128000),
    ("GitHub Models", 413, {"error": {"code": "tokens_limit_reached", "message": "Request body too large for gpt-4o model. Max size: 8000 tokens.",
     "details": "Request body too large for gpt-4o model. Max size: 8000 tokens."}}, 8000),
    ("nginx", 413, b"<html><head><title>413 Request Entity Too Large</title></head></html>", None),
    ("Copilot", 400, openai("prompt token count of 70012 exceeds the limit of 64000", "model_max_prompt_tokens_exceeded"), 64000),
    ("thousands", 400, {"error": "Your prompt of 140,211 tokens is over the 131,072 token limit"}, 131072),
    ("kilo", 400, {"error": "Context window of 32k tokens exceeded"}, 32000),
    ("over by", 400, {"error": "The prompt is 2366 tokens too long for the context window"}, None),
    ("own size", 400, {"error": "context length exceeded: 40121 tokens"}, None),
    ("own size in words", 400, {"error": "Your prompt has 40121 tokens, which is too long for this model"}, None),
    ("reversed", 400, {"error": "32768 is the maximum context length; the prompt took 40121 tokens"}, 32768),
    ("count first", 400, openai("Got 210000 input tokens where this deployment takes 131072 at the most."), 131072),
    ("range in words", 400, openai("The length of the input has to be in [1, 30720]."), 30720),
    ("validation", 422, openai("validation of inputs: tokens + new tokens must not be above 4096 (5000 + 100 given)"), 4096),
    ("no number", 500, openai("request is larger than the context that was configured; raise the context size"), None),
]  # fmt: skip

# The same in more words, made up: status, message, window.
MORE: list[tuple[int, str, int | None]] = [
    (400, "The model's context window is 8192 tokens, but 9000 were supplied.", 8192),
    (400, "Prompt token length 9001 is over max_seq_len 8192", 8192),
    (400, "Total tokens 9001 exceeds limit 8192", 8192),
    (400, "tokens limit exceeded (9001/8192)", None),
    (400, "your request exceeded the maximum token limit", None),
    (422, "prompt has 9001 tokens; max is 8192", 8192),
    (500, "ValueError: Input length (9001) exceeds model's maximum length (8192)", 8192),
    (500, "Sequence length 9001 is larger than the model maximum 8192", 8192),
    (400, "Too many tokens in prompt: 9001, allowed: 8192", 8192),
    (400, "context_length_exceeded", None),
    (400, "Input is too long", None),
    (400, "The prompt is too long by 366 tokens for a context of 30900 tokens", 30900),
    (400, "Exceeded by 1,366 tokens the context length", None),
    (400, "We can only process 8192 tokens, you gave us 9001 tokens of context", 8192),
    (413, "Payload Too Large", None),
    (400, "Messages have 9001 tokens, which exceeds the max limit of 8192 tokens.", 8192),
    (400, "The requested number of tokens (9001) is greater than the maximum (8192)", 8192),
    (400, "request needs 9001 tokens but n_ctx is 8192", 8192),
    (400, "Requested 9001 tokens > 8192 max", 8192),
    (400, "Please shorten your prompt: 9001/8192 tokens", None),
    (422, "the sum of prompt tokens and max_new_tokens must be less than 8192, got 9001", 8192),
    (400, "input tokens: 9001, limit: 8192", 8192),
    (400, "max context 8k, prompt 9001 tokens", 8000),
    (400, "Context size has been exceeded.", None),
    (400, "Only the first 8192 tokens fit into the context; the prompt has 9001", 8192),
    (400, "maximum input length exceeded: the model accepts 8192 tokens and 9001 were given", 8192),
    (400, "input longer than the context length 8192", 8192),
    (400, "8192-token limit exceeded by prompt of 9001 tokens", 8192),
    (400, "Input prompt (9001 tokens) is too long and exceeds limit of 8192", 8192),
    (400, "Prompt length exceeds allowed 8192 tokens", 8192),
    (400, "Prompt exceeds maximum length of 8192 tokens by 366 tokens", 8192),
    (400, "the prompt is 9001 tokens long; this model takes no more than 8192", 8192),
    (400, "This prompt has 9001 tokens. The model has a context of 8192.", 8192),
    (400, "prompt of 9001 tokens does not fit into the 8192 token context window", 8192),
    (400, "your messages take up 9001 of 8192 tokens", None),
    (422, "[{'type':'too_long','msg':'messages must have at most 8192 tokens'}]", 8192),
    (500, "Input of 9001 tokens exceeded the context window", None),
    (400, "Reduce the prompt by 900 tokens", None),
    (400, "Request has 9001 tokens, 809 more than the limit", None),
    (400, "This request would use 9001 tokens, 809 over the model's limit of 8192", 8192),
]  # fmt: skip

# What speaks of lengths and limits too, and is none of it.
OTHERS: list[tuple[str, int, Any]] = [
    ("reply limit", 400, openai("max_tokens is too large: 200000. This model supports at most 16384 completion tokens, whereas you provided 200000.")),
    ("reply limit, Anthropic", 400, {"error": {"message": "max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens for m"}}),
    ("temperature", 422, {"detail": [{"loc": ["body", "temperature"], "msg": "Input should be less than or equal to 2", "input": 5}]}),
    ("rate", 400, {"message": "ThrottlingException: Too many tokens per minute, please wait before trying again."}),
    ("schema", 400, openai("Invalid schema for response_format 'verdict': the total length of names exceeds the limit of 15000")),
    ("a Go server's timeout", 500, {"error": "llama runner: context deadline exceeded"}),
    ("recursion", 500, {"error": "maximum recursion depth exceeded"}),
    ("plain", 400, openai("Bad request")),
]  # fmt: skip
