"""Tools and tool choices of OpenAI's specification that this server does not support."""

from typing import Any, Literal

from pydantic import BaseModel

AllowedCallers = list[Literal["direct", "programmatic"]] | None
SearchContextSize = Literal["low", "medium", "high"]


class ComputerTool(BaseModel):
    type: Literal["computer"]


class ComputerUsePreviewTool(BaseModel):
    type: Literal["computer_use_preview"]
    environment: Literal["windows", "mac", "linux", "ubuntu", "browser"]
    display_width: int
    display_height: int


class WebSearchToolFilters(BaseModel):
    allowed_domains: list[str] | None = None


class ApproximateLocation(BaseModel):
    type: Literal["approximate"] | None = None
    country: str | None = None
    region: str | None = None
    city: str | None = None
    timezone: str | None = None


class WebSearchTool(BaseModel):
    type: Literal["web_search", "web_search_2025_08_26"]
    external_web_access: bool | None = None
    filters: WebSearchToolFilters | None = None
    user_location: ApproximateLocation | None = None
    search_context_size: SearchContextSize | None = None


class PreviewUserLocation(BaseModel):
    type: Literal["approximate"]
    country: str | None = None
    region: str | None = None
    city: str | None = None
    timezone: str | None = None


class WebSearchPreviewTool(BaseModel):
    type: Literal["web_search_preview", "web_search_preview_2025_03_11"]
    user_location: PreviewUserLocation | None = None
    search_context_size: SearchContextSize | None = None
    search_content_types: list[Literal["text", "image"]] | None = None


class NetworkPolicyDisabled(BaseModel):
    type: Literal["disabled"]


class NetworkPolicyDomainSecret(BaseModel):
    domain: str
    name: str
    value: str


class NetworkPolicyAllowlist(BaseModel):
    type: Literal["allowlist"]
    allowed_domains: list[str]
    domain_secrets: list[NetworkPolicyDomainSecret] | None = None


class AutoCodeInterpreterTool(BaseModel):
    type: Literal["auto"]
    file_ids: list[str] | None = None
    memory_limit: Literal["1g", "4g", "16g", "64g"] | None = None
    network_policy: NetworkPolicyDisabled | NetworkPolicyAllowlist | None = None


class CodeInterpreterTool(BaseModel):
    type: Literal["code_interpreter"]
    container: str | AutoCodeInterpreterTool
    allowed_callers: AllowedCallers = None


class ProgrammaticToolCalling(BaseModel):
    type: Literal["programmatic_tool_calling"]


class ImageMask(BaseModel):
    image_url: str | None = None
    file_id: str | None = None


class ImageGenTool(BaseModel):
    type: Literal["image_generation"]
    model: str | Literal["gpt-image-1", "gpt-image-1-mini", "gpt-image-1.5", "gpt-image-2", "gpt-image-2-2026-04-21"] | None = None
    quality: Literal["low", "medium", "high", "auto"] | None = None
    size: str | Literal["1024x1024", "1024x1536", "1536x1024", "auto"] | None = None
    output_format: Literal["png", "webp", "jpeg"] | None = None
    output_compression: int | None = None
    moderation: Literal["auto", "low"] | None = None
    background: Literal["transparent", "opaque", "auto"] | None = None
    input_fidelity: Literal["high", "low"] | None = None
    input_image_mask: ImageMask | None = None
    partial_images: int | None = None
    action: Literal["generate", "edit", "auto"] | None = None


class LocalShellTool(BaseModel):
    type: Literal["local_shell"]


class SkillReference(BaseModel):
    type: Literal["skill_reference"]
    skill_id: str
    version: str | None = None


class InlineSkillSource(BaseModel):
    type: Literal["base64"]
    media_type: Literal["application/zip"]
    data: str


class InlineSkill(BaseModel):
    type: Literal["inline"]
    name: str
    description: str
    source: InlineSkillSource


class ContainerAuto(BaseModel):
    type: Literal["container_auto"]
    file_ids: list[str] | None = None
    memory_limit: Literal["1g", "4g", "16g", "64g"] | None = None
    network_policy: NetworkPolicyDisabled | NetworkPolicyAllowlist | None = None
    skills: list[SkillReference | InlineSkill] | None = None


class LocalSkill(BaseModel):
    name: str
    description: str
    path: str


class LocalEnvironment(BaseModel):
    type: Literal["local"]
    skills: list[LocalSkill] | None = None


class ContainerReference(BaseModel):
    type: Literal["container_reference"]
    container_id: str


class ShellTool(BaseModel):
    type: Literal["shell"]
    environment: ContainerAuto | LocalEnvironment | ContainerReference | None = None
    allowed_callers: AllowedCallers = None


class CustomTextFormat(BaseModel):
    type: Literal["text"]


class CustomGrammarFormat(BaseModel):
    type: Literal["grammar"]
    syntax: Literal["lark", "regex"]
    definition: str


class ToolSearchTool(BaseModel):
    type: Literal["tool_search"]
    execution: Literal["server", "client"] | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ApplyPatchTool(BaseModel):
    type: Literal["apply_patch"]
    allowed_callers: AllowedCallers = None


class ProgrammaticChoice(BaseModel):
    type: Literal["programmatic_tool_calling"]


class ApplyPatchChoice(BaseModel):
    type: Literal["apply_patch"]


class ShellChoice(BaseModel):
    type: Literal["shell"]


class BuiltInToolChoice(BaseModel):
    type: Literal[
        "web_search_preview",
        "web_search_preview_2025_03_11",
        "computer",
        "computer_use_preview",
        "computer_use",
        "image_generation",
        "code_interpreter",
    ]


HOSTED_TOOLS = (
    ApplyPatchTool,
    CodeInterpreterTool,
    ComputerTool,
    ComputerUsePreviewTool,
    ImageGenTool,
    LocalShellTool,
    ProgrammaticToolCalling,
    ShellTool,
    ToolSearchTool,
    WebSearchPreviewTool,
    WebSearchTool,
)
UNSUPPORTED_TOOL_CHOICES = (ApplyPatchChoice, BuiltInToolChoice, ProgrammaticChoice, ShellChoice)
