"""Short chat templates that take less than others, modelled on those of checkpoints."""

ALTERNATE = (
    "{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
)
GEMMA_3 = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{% if messages[0].content is string %}"
    "{% set prefix = messages[0].content + '\n\n' %}"
    "{% else %}{% set prefix = messages[0].content[0].text + '\n\n' %}{% endif %}{% set rest = messages[1:] %}"
    "{% else %}{% set prefix = '' %}{% set rest = messages %}{% endif %}{% for message in rest %}" + ALTERNATE + "{{ '<start_of_turn>' + "
    "('model' if message.role == 'assistant' else message.role) + '\n' + (prefix if loop.first else '') }}"
    "{% if message.content is string %}{{ message.content | trim }}{% else %}"
    "{% for item in message.content %}{{ item.text | trim }}{% endfor %}{% endif %}{{ '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
GEMMA_2 = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}" + ALTERNATE + "{{ '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) }}"
    "{{ '\n' + message.content | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
LLAMA_2 = (
    "{% if messages[0].role == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0].content %}"
    "{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
    + ALTERNATE
    + "{% if loop.index0 == 0 and system_message != false %}"
    "{% set content = '<<SYS>>\n' + system_message + '\n<</SYS>>\n\n' + message.content %}"
    "{% else %}{% set content = message.content %}{% endif %}{% if message.role == 'user' %}"
    "{{ bos_token + '[INST] ' + content | trim + ' [/INST]' }}{% elif message.role == 'assistant' %}"
    "{{ ' '  + content | trim + ' ' + eos_token }}{% endif %}{% endfor %}"
)
MISTRAL_V1 = (
    "{{ bos_token }}{% for message in messages %}"
    + ALTERNATE
    + "{% if message.role == 'user' %}{{ '[INST] ' + message.content + ' [/INST]' }}"
    "{% elif message.role == 'assistant' %}{{ message.content + eos_token }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)
FIRST_SYSTEM_ONLY = (
    "{% if messages[0].role == 'system' %}{{ '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}{% endif %}"
    "{% for m in messages %}{% if m.role != 'system' %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SYSTEM_FIRST = (
    "{% for m in messages %}{% if m.role == 'system' and not loop.first %}"
    "{{ raise_exception('System message must be at the beginning.') }}{% endif %}"
    "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SYSTEMS_COLLECTED = (  # DeepSeek R1: all at the beginning
    "{% set ns = namespace(system='') %}{% for m in messages %}{% if m.role == 'system' %}"
    "{% set ns.system = ns.system + m.content %}{% endif %}"
    "{% endfor %}{{ ns.system }}{% for m in messages %}{% if m.role != 'system' %}{{ '<|im_start|>' + m.role + m.content }}"
    "{% endif %}{% endfor %}"
)
PARTS = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}"
    "{% elif p.type == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SOME_PARTS = (  # the user's content only
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'user' %}"
    "{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %}"
    "{% else %}{{ m.content + '' }}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
)
PARTS_WITH_TOOLS = (
    "{% for t in tools or [] %}{{ t | tojson }}{% endfor %}{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
    "{% for p in m.content or [] %}{% if p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %}"
    "{% for c in m.tool_calls or [] %}{{ '<tool_call>' + c.function | tojson + '</tool_call>' }}{% endfor %}{{ '<|im_end|>\n' }}"
    "{% endfor %}"
)
LONG_IDS = (
    "{% for t in tools or [] %}{{ t | tojson }}{% endfor %}{% for m in messages %}{{ m.role + ': ' + (m.content or '') + '\n' }}"
    "{% for c in m.tool_calls or [] %}"
    "{% if c.id | length < 9 %}{{ raise_exception('Tool call IDs should be alphanumeric strings with length >= 9!') }}"
    "{% endif %}{{ '[TOOL_CALLS]' + c.function.name + '[ARGS]' + c.function.arguments | tojson + c.id }}{% endfor %}"
    "{% if m.role == 'tool' and m.tool_call_id | length < 9 %}{{ raise_exception('ids') }}{% endif %}{% endfor %}"
)
WALKED_ARGUMENTS = (  # Qwen3-Coder, GLM
    "{% for t in tools or [] %}{{ t | tojson }}{% endfor %}{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + (m.content or '') }}"
    "{% for c in m.tool_calls or [] %}{{ '<tool_call>' + c.function.name }}{% for k, v in c.function.arguments.items() %}"
    "{{ '<arg_key>' + k + '</arg_key><arg_value>' + (v if v is string else v | tojson) + '</arg_value>' }}"
    "{% endfor %}{{ '</tool_call>' }}{% endfor %}"
    "{{ '<|im_end|>\n' }}{% endfor %}"
)
SHOWN_NAMES = (
    "{% for m in messages %}{{ '<|im_start|>' + (m.name or m.role) + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
NOTHING_BUT_USERS = "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}"
STRICT = {
    "GEMMA_3": GEMMA_3,
    "GEMMA_2": GEMMA_2,
    "LLAMA_2": LLAMA_2,
    "MISTRAL_V1": MISTRAL_V1,
    "FIRST_SYSTEM_ONLY": FIRST_SYSTEM_ONLY,
    "SYSTEM_FIRST": SYSTEM_FIRST,
    "SYSTEMS_COLLECTED": SYSTEMS_COLLECTED,
    "PARTS": PARTS,
    "SOME_PARTS": SOME_PARTS,
    "PARTS_WITH_TOOLS": PARTS_WITH_TOOLS,
    "LONG_IDS": LONG_IDS,
    "WALKED_ARGUMENTS": WALKED_ARGUMENTS,
    "SHOWN_NAMES": SHOWN_NAMES,
}
