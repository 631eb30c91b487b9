"""Names of spans and attributes: OpenTelemetry's semantic conventions for generative AI and HTTP (those of generative AI are still being
developed, and no stable library has them), and a few of our own."""

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
CHOICES = "gen_ai.request.choice.count"
MAX_TOKENS = "gen_ai.request.max_tokens"
TEMPERATURE = "gen_ai.request.temperature"
TOP_P = "gen_ai.request.top_p"
TOP_K = "gen_ai.request.top_k"
FREQUENCY_PENALTY = "gen_ai.request.frequency_penalty"
PRESENCE_PENALTY = "gen_ai.request.presence_penalty"
FINISH_REASONS = "gen_ai.response.finish_reasons"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"  # seconds
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
TOOL_NAME = "gen_ai.tool.name"
DATA_SOURCE = "gen_ai.data_source.id"

# what users wrote and models answered: only where the operator asks for it
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
TOOL_ARGUMENTS = "gen_ai.tool.call.arguments"
TOOL_RESULT = "gen_ai.tool.call.result"
QUERY_TEXT = "gen_ai.retrieval.query.text"

METHOD = "http.request.method"
ROUTE = "http.route"
STATUS = "http.response.status_code"
PATH = "url.path"
SCHEME = "url.scheme"
ERROR = "error.type"

REQUEST_ID = "stoa.request_id"  # as in x-request-id and in the log
MCP_SERVER = "stoa.mcp.server_label"
SEARCH_MODE = "stoa.retrieval.mode"
HITS = "stoa.retrieval.hits"

STOA = "stoa"  # the provider, and the service unless OTEL_SERVICE_NAME says otherwise
