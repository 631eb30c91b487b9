"""Builds the response of a chat completion from the events of the chat loop."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from retrieval.api import Hit
from server.api.chat_completions import tool_types as tools
from server.api.chat_completions import types as wire
from server.api.chat_completions.choice import ChoiceBuilder
from server.api.chat_completions.request import PreparedChat
from server.api.common.logprobs import PromptLogprobs, chat_logprobs, prompt_logprobs
from server.api.common.search.citations import source_url
from server.api.common.search.filters import clamped_score
from server.api.common.timings import TimingCounter
from server.api.common.usage import UsageCounter
from server.core.events import AnswerFinished, Event, OutputDelta, SearchFinished, ToolListingFinished
from server.http.warnings import to_warning_objects


@dataclass
class ResponseBuilder:
    """Collects the events of all choices."""

    chat: PreparedChat
    choices: list[ChoiceBuilder]
    usage: UsageCounter
    file_search_call: wire.FileSearchCall | None = None
    mcp_list_tools: list[tools.McpListTools] = field(default_factory=list[tools.McpListTools])
    timing: TimingCounter = field(default_factory=TimingCounter)
    prompt_logprobs: PromptLogprobs | None = None

    def push(self, index: int, event: Event) -> None:
        """Takes what concerns the response as a whole; the choice at `index` gets the event separately."""
        match event:
            case OutputDelta():
                self.timing.push()
                if event.prompt_logprobs and self.prompt_logprobs is None:
                    self.prompt_logprobs = prompt_logprobs(self.chat.plan.runtime.tokenizer, event.prompt_logprobs)
            case SearchFinished(queries=queries, hits=hits):
                self.file_search_call = _to_file_search_call(queries, hits if self.chat.body.include else None)
            case ToolListingFinished():
                self.mcp_list_tools.append(_to_mcp_list_tools(event))
            case AnswerFinished():
                self.usage.add(index, event.usage, event.reasoning_tokens)
            case _:
                pass

    def response(self) -> wire.ChatResponse:
        plan, body, usage = self.chat.plan, self.chat.body, self.usage.usage()
        return wire.ChatResponse(
            id=self.chat.id,
            created=plan.created,
            model=plan.runtime.names[0],
            choices=[self._choice(index, choice) for index, choice in enumerate(self.choices)],
            usage=usage,
            metadata=body.metadata,
            system_fingerprint=plan.runtime.fingerprint,
            prompt_logprobs=self.prompt_logprobs,
            prompt_token_ids=list(plan.first_turn.prompt.text) if body.return_token_ids else None,
            timings=self.timing.timings(usage) if body.timings_per_token else None,
            file_search_call=self.file_search_call,
            mcp_list_tools=self.mcp_list_tools or None,
            warnings=to_warning_objects(plan.request.warnings),
        )

    def _choice(self, index: int, choice: ChoiceBuilder) -> wire.Choice:
        body, logprobs = self.chat.body, None
        if body.logprobs:
            logged = chat_logprobs(self.chat.plan.runtime.tokenizer, choice.logprobs, as_ids=body.return_tokens_as_token_ids is True)
            logprobs = wire.ChoiceLogprobs(content=logged)
        tokens = choice.tokens if body.return_token_ids else None
        return wire.Choice(index=index, message=choice.message(), logprobs=logprobs, finish_reason=choice.finish_reason, token_ids=tokens)


def new_response_builder(chat: PreparedChat) -> ResponseBuilder:
    count = chat.plan.request.n
    return ResponseBuilder(
        chat,
        [ChoiceBuilder() for _ in range(count)],
        UsageCounter(sequences_per_prompt=count, audio=chat.audio_tokens, images=chat.plan.first_turn.prompt.image_tokens),
    )


def _to_file_search_call(queries: Sequence[str], hits: Sequence[Hit] | None) -> wire.FileSearchCall:
    return wire.FileSearchCall(queries=list(queries), results=None if hits is None else [_to_file_search_result(hit) for hit in hits])


def _to_mcp_list_tools(event: ToolListingFinished) -> tools.McpListTools:
    listed = [
        tools.ListedTool(
            name=tool.name,
            description=tool.description,
            input_schema=dict(tool.input_schema),
            annotations=None if tool.annotations is None else dict(tool.annotations),
        )
        for tool in event.tools
    ]
    return tools.McpListTools(server_label=event.server_label, tools=listed, error=event.error)


def _to_file_search_result(hit: Hit) -> wire.FileSearchResult:
    chunk = hit.chunk
    return wire.FileSearchResult(
        file_id=chunk.file_id,
        filename=chunk.filename,
        score=clamped_score(hit),
        text=chunk.text,
        attributes=hit.attributes,
        chunk_id=chunk.id,
        vector_store_id=chunk.store_id,
        page=chunk.page,
        headings=list(chunk.headings),
        start=chunk.start,
        end=chunk.end,
        start_seconds=chunk.start_seconds,
        end_seconds=chunk.end_seconds,
        picture=chunk.picture,
        url=source_url(chunk),
    )
